"""The tracker's parts, without sockets."""
