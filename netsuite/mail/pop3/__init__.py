"""POP3: the server that hands out what lies in an INBOX."""
