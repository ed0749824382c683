"""FTP on the wire: the control connection, addresses, listings; without I/O or clock."""
