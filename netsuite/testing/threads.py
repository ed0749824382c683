"""Threads that are none: for tests on a fake clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, maybeDeferred

from netsuite.common.threads import Threads

__all__ = ["InlineThreads"]

T = TypeVar("T")


class InlineThreads(Threads):
    """Does every piece of work at once, in the caller's own thread."""

    def __init__(self) -> None:
        super().__init__(None, "inline", most=1, waiting=0)

    def run(self, work: Callable[..., T], *arguments: Any) -> Deferred[T]:
        """What ``work(*arguments)`` answered already."""
        return maybeDeferred(work, *arguments)
