"""POP3 in bytes: the server's machine, and what it and its owner say to one another."""
