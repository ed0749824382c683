"""The servers behind a reverse proxy: which of them gets a request, and which of them may not."""
