"""The tracker: swarms in packed bytes, asked over HTTP and UDP."""
