"""Ours beside the servers that people would pick instead, on this machine, in turn; ``python -m benchmarks --list``."""
