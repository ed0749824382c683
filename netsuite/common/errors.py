"""What goes wrong, in words for the person who can mend it."""

from __future__ import annotations

__all__ = ["InUse", "Overloaded", "StartError", "Unavailable"]


class StartError(Exception):
    """Something that makes a start impossible; its text is one clear line that names what to change."""


class InUse(StartError):
    """Another process owns what is needed."""


class Unavailable(Exception):
    """What is asked for cannot be had now, through nobody's fault who asks: a protocol's temporary failure."""


class Overloaded(Unavailable):
    """Too much of the same is under way already."""
