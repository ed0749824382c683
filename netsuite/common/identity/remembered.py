"""Passwords that were right a moment ago, so that a mail client that logs in again and again costs next to nothing.

Only an HMAC under a key of this process is kept, for a short time, one a name, and of so many names at most.
"""

from __future__ import annotations

import hmac
from collections import OrderedDict
from typing import Final, NamedTuple

__all__ = ["Remembered"]

SECONDS: Final = 60.0
MOST: Final = 8192


class _Right(NamedTuple):
    digest: bytes
    until: float


class Remembered:
    """What was right lately; ``key`` is random and this process's own."""

    def __init__(self, key: bytes, seconds: float = SECONDS, most: int = MOST) -> None:
        self._key = key
        self._seconds = seconds
        self._most = most
        self._right: OrderedDict[str, _Right] = OrderedDict()

    def digest(self, name: str, password: str) -> bytes:
        """What stands for a name with a password here."""
        return hmac.digest(self._key, f"{name}\0{password}".encode("utf-8", "surrogatepass"), "sha256")

    def knows(self, name: str, digest: bytes, now: float) -> bool:
        """Whether it was right lately."""
        found = self._right.get(name)
        return found is not None and now < found.until and hmac.compare_digest(found.digest, digest)

    def keep(self, name: str, digest: bytes, now: float) -> None:
        """Remember what was right just now."""
        self._right[name] = _Right(digest, now + self._seconds)
        self._right.move_to_end(name)
        if len(self._right) > self._most:
            self._right.popitem(last=False)

    def forget(self, name: str) -> None:
        """The password of a name has changed."""
        self._right.pop(name, None)

    def __len__(self) -> int:
        return len(self._right)
