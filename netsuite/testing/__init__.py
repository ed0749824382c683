"""Public test tools: properties for every Connection, an in-memory network with a fake clock, fakes, a running site."""
