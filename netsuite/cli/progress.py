"""A progress bar for a command that takes its time: on a terminal only, on one line, gone when it is over."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Final, TextIO

from netsuite.common.terminal import StatusLine, amount, bar, duration

__all__ = ["Bar"]

_EVERY: Final = 0.1
_WIDTH: Final = 30


class Bar:
    """Shows how many of ``total`` bytes are done, how fast, and how long it will still take."""

    def __init__(self, total: int, words: str, stream: TextIO | None = None) -> None:
        self._total = total
        self._words = words
        self._line = StatusLine(sys.stderr if stream is None else stream)
        self._began = time.monotonic()
        self._last = float("-inf")

    def advanced(self, done: int) -> None:
        """Draw it again, unless that was a moment ago."""
        now = time.monotonic()
        if self._line.live and now - self._last >= _EVERY:
            self._last = now
            rate = done / (now - self._began) if now > self._began else 0.0
            figures = f"{done / self._total:4.0%} of {amount(self._total)}" if self._total else ""
            if rate:
                figures += f"  {amount(rate)}/s  {duration((self._total - done) / rate)} left"
            room = self._line.width - len(self._words) - len(figures) - 4
            self._line.show(f"{self._words}  {bar(done / (self._total or 1), min(_WIDTH, room))} {figures}")

    def __enter__(self) -> Bar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._line.clear()
