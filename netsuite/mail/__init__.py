"""Electronic mail: SMTP relay with queue, the store, POP3 and IMAP."""
