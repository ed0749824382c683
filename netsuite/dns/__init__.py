"""DNS: authoritative and caching name servers."""
