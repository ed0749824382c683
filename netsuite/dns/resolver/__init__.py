"""The caching, iterative name server."""
