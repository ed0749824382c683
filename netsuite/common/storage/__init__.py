"""What must not be lost: durable files, the journal with group commit, SQL."""
