"""SMTP in bytes: commands, replies, content, and the machines of both roles."""
