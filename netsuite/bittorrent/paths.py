"""File names from strangers, made fit for a disk: nothing leaves the folder, hides, or overwrites another file.

A name is mended, never refused, and the same name is always mended in the same way, so that two peers on two machines
(and libtorrent, whose rules these are) put the same torrent into the same files.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from itertools import count
from typing import Final, TypeAlias

__all__ = ["component", "distinct"]

Path: TypeAlias = tuple[str, ...]

_DROPPED: Final = (
    *map(ord, "\0/\\"),
    0x061C,  # what changes the direction of writing, or cannot be seen
    *range(0x200B, 0x2010),
    *range(0x202A, 0x202F),
    *range(0x2060, 0x2065),
    *range(0x2066, 0x206A),
    0xFEFF,
)
_TABLE: Final = {
    **dict.fromkeys(range(1, 0x20), "_"),
    **dict.fromkeys(range(0x7F, 0xA0), "_"),
    **dict.fromkeys(_DROPPED, None),
}
_LONG: Final = 240
_EXTENSION: Final = 10
_LONGEST: Final = 255
_MOST_LOOKED_AT: Final = 8192


def component(raw: bytes) -> str:
    """A name as one safe component of a path, or ``""`` if nothing of it is left or it means a folder (``.``, ``..``).

    Separators, and characters that do not show or turn the text around, are left out; control characters and what is
    no UTF-8 become ``_``. What is longer than a file name may be keeps its beginning and its extension; of a monster,
    only the first and the last few thousand bytes are looked at.
    """
    if len(raw) > _MOST_LOOKED_AT:
        raw = raw[: _MOST_LOOKED_AT // 2] + raw[-_MOST_LOOKED_AT // 2 :]
    try:
        name = raw.decode().translate(_TABLE) if len(raw) < _LONG else _shortened(raw)
    except UnicodeDecodeError:
        name = _shortened(raw)
    return "" if name in (".", "..") else name


def _shortened(raw: bytes) -> str:
    """The slow way, a character at a time: at most 240 bytes, then the extension if one is near the end."""
    out: list[str] = []
    size = at = 0
    whole = True
    while at < len(raw):
        character = raw[at : at + _sequence(raw[at])]
        at += len(character)
        try:
            text = character.decode().translate(_TABLE)
        except UnicodeDecodeError:
            text = "_"
        if not text:
            continue
        out.append(text)
        size += len(text.encode())
        if whole and size >= _LONG:
            dot = raw.rfind(b".", max(len(raw) - _EXTENSION + 1, at))
            if dot < 0:
                break
            at, whole = dot, False
    return "".join(out)


def _sequence(lead: int) -> int:
    """How many bytes a character has that begins with this one, were it UTF-8 with sequences of up to five."""
    if lead < 0xC0 or lead > 0xFB:
        return 1
    return 2 + sum(lead >= least for least in (0xE0, 0xF0, 0xF8))


def distinct(paths: Sequence[Path], most: int) -> list[Path] | None:
    """Paths of which no two are the same file, not even where letters' case or composition does not tell names apart.

    A file that has the path of an earlier file, or of a folder, gets a number before its extension. None is answered
    when more than ``most`` numbers were taken already: a list made to be expensive.
    """
    folders: dict[tuple[int, str], int] = {}
    inside = []
    for path in paths:
        folder = 0
        for name in path[:-1]:
            folder = folders.setdefault((folder, _folded(name)), len(folders) + 1)
        inside.append(folder)
    taken = set(folders)
    answer = []
    for path, folder in zip(paths, inside, strict=True):
        key = folder, _folded(path[-1])
        if key in taken:
            for number in count(1):
                name = _numbered(path[-1], number)
                key = folder, _folded(name)
                if key not in taken:
                    path = (*path[:-1], name)
                    break
                most -= 1
                if most < 0:
                    return None
        taken.add(key)
        answer.append(path)
    return answer


def _numbered(name: str, number: int) -> str:
    """A name with a number before its extension, and cut before that if it would be too long for a file."""
    stem, dot, extension = name.rpartition(".")
    if not dot:
        stem, extension = extension, ""
    ending = f".{number}{dot}{extension}"
    return stem.encode()[: _LONGEST - len(ending.encode())].decode(errors="ignore") + ending


def _folded(name: str) -> str:
    if name.isascii():
        return name.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
