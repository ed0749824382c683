"""What active checks have said of one server: up after so many good ones in a row, down after so many bad ones."""

from __future__ import annotations

__all__ = ["Health"]


class Health:
    """One server's; it counts as up until the first check, which decides alone."""

    __slots__ = ("_fall", "_first", "_in_a_row", "_rise", "detail", "up")

    def __init__(self, rise: int = 2, fall: int = 3) -> None:
        self._rise = rise
        self._fall = fall
        self._in_a_row = 0
        self._first = True
        self.up = True
        self.detail = ""

    def checked(self, well: bool, detail: str = "") -> bool:
        """A check came to its end, and ``detail`` says how; whether the server is up or down only since now."""
        self.detail = detail
        first, self._first = self._first, False
        if well is self.up:
            self._in_a_row = 0
            return False
        self._in_a_row += 1
        if self._in_a_row < (self._rise if well else self._fall) and not first:
            return False
        self._in_a_row = 0
        self.up = well
        return True
