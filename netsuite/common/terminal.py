"""What people see on a terminal while something goes on: amounts, times, bars, and one line that is rewritten."""

from __future__ import annotations

import os
import unicodedata
from typing import Final, TextIO

__all__ = ["StatusLine", "amount", "bar", "duration", "fitted"]

_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_DAY: Final = 86_400
_WIDTH: Final = 80


def amount(count: float) -> str:
    """Bytes in three digits or so: ``512 B``, ``1.4 MiB``, ``120 GiB``."""
    for unit in _UNITS:
        if count < 1000 or unit == _UNITS[-1]:
            break
        count /= 1024
    return f"{count:.1f} {unit}" if count < 99.95 and unit != "B" else f"{count:.0f} {unit}"


def duration(seconds: float) -> str:
    """A time: ``0:07``, ``3:20:00``, ``2 d 5 h``."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    if seconds >= _DAY:
        return f"{hours // 24} d {hours % 24} h"
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def bar(part: float, width: int) -> str:
    """A bar, full as far as ``part`` says (0 to 1), between brackets."""
    inner = max(width - 2, 0)
    full = int(min(max(part, 0.0), 1.0) * inner)
    return f"[{'#' * full}{'.' * (inner - full)}]"


def fitted(text: str, width: int) -> str:
    """A text in so many columns at most, without characters that a terminal would obey; cut with ``...``."""
    shown = "".join(character if character.isprintable() else "?" for character in text)
    if _columns(shown) <= width:
        return shown
    dots = "..."[: max(width, 0)]
    while shown and _columns(shown) > width - len(dots):
        shown = shown[:-1]
    return shown + dots


def _columns(text: str) -> int:
    return sum(
        0 if unicodedata.combining(each) else 2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text
    )


class StatusLine:
    """A line on a terminal that is rewritten in place; ``live`` is False where there is no terminal, and then silent.

    Between two rewrites the cursor stands at the line's start, so that what others print begins there.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self.live = stream is not None and not stream.closed and stream.isatty()
        self._shown = False

    @property
    def width(self) -> int:
        """How many columns there are to write in."""
        try:
            columns = os.get_terminal_size(self._stream.fileno()).columns if self._stream is not None else 0
        except (OSError, ValueError):
            columns = 0
        return columns - 1 if columns else _WIDTH  # some terminals do not know their size

    def show(self, text: str) -> None:
        """Put a text in place of the one before."""
        self._shown = True  # before it is, for whoever is interrupted between
        self._write(f"\r{fitted(text, self.width)}\x1b[K\r")

    def clear(self) -> None:
        """Leave an empty line."""
        if self._shown:
            self._write("\r\x1b[K")
            self._shown = False

    def keep(self) -> None:
        """Go on below what is shown."""
        if self._shown:
            self._write("\n")
            self._shown = False

    def _write(self, text: str) -> None:
        if self.live and self._stream is not None:
            try:
                self._stream.write(text)
                self._stream.flush()
            except (OSError, ValueError):
                self.live = False  # the terminal is gone
