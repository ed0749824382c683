"""The caching proxy, forward and reverse: RFC 9111 decided by pure code, around streaming fetches."""
