"""The authoritative server: zones from master files, answered over UDP and TCP."""
