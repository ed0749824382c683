"""The SMTP relay: submission, relay and local delivery, with a durable queue."""
