"""IMAP in bytes: commands, responses and the server's machine; pure."""
