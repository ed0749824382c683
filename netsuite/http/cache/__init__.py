"""The HTTP cache without its network: what is stored, and every rule of RFC 9111 as a pure function of it."""
