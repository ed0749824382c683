"""The origin server: a directory of files, and whatever other servers mount beside it."""
