"""HTTP: an origin server, a caching proxy and a client on one pure machine."""
