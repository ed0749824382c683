"""A progress bar for a command that takes its time: on a terminal only, on one line, gone when it is over."""

from __future__ import annotations

import shutil
import sys
import time
from types import TracebackType
from typing import Final, TextIO

__all__ = ["Bar"]

_EVERY: Final = 0.1
_UNITS: Final = ("bytes", "KiB", "MiB", "GiB", "TiB")


class Bar:
    """Shows how many of ``total`` bytes are done, how fast, and how long it will still take.

    On a stream that is no terminal it writes nothing at all.
    """

    def __init__(self, total: int, words: str, stream: TextIO | None = None) -> None:
        self._total = total
        self._words = words
        self._stream = sys.stderr if stream is None else stream
        self._shown = self._stream.isatty()
        self._began = time.monotonic()
        self._last = self._began - _EVERY

    def advanced(self, done: int) -> None:
        """Draw it again, unless that was a moment ago."""
        now = time.monotonic()
        if self._shown and now - self._last >= _EVERY:
            self._last = now
            self._stream.write("\r" + self._line(done, now - self._began) + "\x1b[K")
            self._stream.flush()

    def _line(self, done: int, passed: float) -> str:
        share = done / self._total if self._total else 1.0
        rate = done / passed if passed > 0 else 0.0
        left = (self._total - done) / rate if rate else 0.0
        figures = f" {share:4.0%} of {size(self._total)}, {size(rate)}/s, {left // 60:.0f}:{left % 60:02.0f} left"
        width = shutil.get_terminal_size().columns - 1
        bar = max(0, min(30, width - len(self._words) - len(figures) - 4))
        full = round(bar * share)
        return f"{self._words} [{'#' * full}{'.' * (bar - full)}]{figures}"[:width]

    def __enter__(self) -> Bar:
        self.advanced(0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()


def size(count: float) -> str:
    """So many bytes, in the unit that reads best."""
    unit = 0
    while count >= 1024 and unit < len(_UNITS) - 1:
        count /= 1024
        unit += 1
    return f"{count:.0f} {_UNITS[unit]}" if unit == 0 else f"{count:.1f} {_UNITS[unit]}"
