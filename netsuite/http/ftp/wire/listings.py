"""Folders as FTP shows them, and lines as TYPE A has them.

Implements: RFC 959 sections 3.1.1.1, 4.1.3 (LIST, NLST); RFC 3659 sections 2.3, 7
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

__all__ = ["FACTS", "Listed", "facts_of", "from_network_lines", "line_of", "to_network_lines", "when"]

FACTS: Final = ("type", "size", "modify", "perm")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_HALF_A_YEAR: Final = 182 * 86400


class Listed(NamedTuple):
    """One name in a folder; ``modified`` is in seconds since the epoch."""

    name: bytes
    folder: bool
    size: int
    modified: float


def when(seconds: float) -> str:
    """A moment as RFC 3659 writes it (section 2.3), in UTC."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y%m%d%H%M%S")


def facts_of(entry: Listed, wanted: Sequence[str], *, writing: bool) -> bytes:
    """An entry as MLSD and MLST tell it."""
    facts = {
        "type": "dir" if entry.folder else "file",
        "size": str(entry.size),
        "modify": when(entry.modified),
        "perm": ("elcmfdp" if writing else "el") if entry.folder else ("radfw" if writing else "r"),
    }
    if entry.folder:
        del facts["size"]
    return "".join(f"{name}={facts[name]};" for name in wanted if name in facts).encode() + b" " + entry.name


def line_of(entry: Listed, now: float, *, writing: bool) -> bytes:
    """An entry as LIST tells it: the way of ``ls -l``, which is what clients read."""
    moment = datetime.fromtimestamp(int(entry.modified), UTC)
    recent = 0 <= now - entry.modified < _HALF_A_YEAR
    time = moment.strftime("%H:%M") if recent else f"{moment.year:5}"
    mode = ("drwxr-xr-x" if writing else "dr-xr-xr-x") if entry.folder else ("-rw-r--r--" if writing else "-r--r--r--")
    head = f"{mode} 1 ftp ftp {entry.size:>12} {_MONTHS[moment.month - 1]} {moment.day:>2} {time} "
    return head.encode() + entry.name


async def to_network_lines(source: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """A text with CRLF at the end of each line, as TYPE A sends it."""
    last = b""
    try:
        async for chunk in source:
            text = (last + chunk).replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
            # a CR may be half of a line's end
            last = b"\r" if text.endswith(b"\r") else b""
            yield text.removesuffix(b"\r") if last else text
        if last:
            yield last
    finally:
        close = getattr(source, "aclose", None)
        if close is not None:
            await close()


async def from_network_lines(source: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """A text with the line ends of this system, as TYPE A receives it."""
    last = b""
    async for chunk in source:
        text = last + chunk
        last = b"\r" if text.endswith(b"\r") else b""
        yield (text.removesuffix(b"\r") if last else text).replace(b"\r\n", b"\n")
    if last:
        yield last
