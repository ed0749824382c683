"""What ends a start, in words for the person who started it."""

from __future__ import annotations

__all__ = ["StartError"]


class StartError(Exception):
    """Something that makes a start impossible; its text is one clear line that names what to change."""
