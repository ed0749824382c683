"""IMAP: mail read where it is kept."""
