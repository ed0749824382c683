"""Torrent files: what is in them, as far as a peer needs it, and refused unless it can be trusted with a disk.

Torrents are read that the common clients read, although some break rules: keys out of order, numbers with leading
zeros, and bytes behind the end are overlooked, since the info-hash covers the bytes as they stand and nothing is lost.
What counts is refused: a missing or nonsensical length, pieces that do not fit the lengths, files without a name. For
one with a version 2 part as well (a hybrid), both parts must tell of the same files, strictly bencoded; it is then
used by its version 1 part. One without a version 1 part is refused as :class:`VersionTwoOnly`.

Implements: BEP 3 (metainfo files), BEP 12 (tiers), BEP 19 (web seeds, as data), BEP 27 (the private flag), BEP 47 (pad
files and links), BEP 52 (to tell versions apart, and that the parts of a hybrid agree).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import attrs

from netsuite.bittorrent import hybrid
from netsuite.bittorrent.errors import MetainfoError, VersionTwoOnly
from netsuite.bittorrent.files import File, resolved
from netsuite.bittorrent.paths import component, distinct
from netsuite.bittorrent.wire.bencode import BencodeError, Dictionary, decode

__all__ = ["File", "Metainfo", "MetainfoError", "VersionTwoOnly", "is_tracker", "is_web_seed", "parse", "read"]

LARGEST: Final = 64 << 20
"""Bytes of a torrent file: room for the hashes of all the pieces that there may be."""
MOST_PIECES: Final = 1 << 21
LONGEST_PIECE: Final = 0x7FFF * 16384
LONGEST_FILE: Final = (2**30 - 1) * 16384 - 1
LONGEST: Final = 2**48 - 1
DEEPEST: Final = 100
MOST_RENAMED: Final = 500

_HASH: Final = 20
_PAD_NAME: Final = "_____padding_file_"
_TRACKER: Final = re.compile(r"(?:https?|udp|wss?)://[!-~]+", re.IGNORECASE)
_WEB_SEED: Final = re.compile(r"(?:https?|ftp)://[^\s/]", re.IGNORECASE)
_URL_CHARACTERS: Final = ":/?#[]@!$&'()*+,;=%-._~"


@attrs.frozen
class Metainfo:
    """A torrent. ``pieces`` are the SHA-1 hashes of its pieces, 20 bytes each; ``trackers`` are tiers of URLs.

    ``length`` counts pad files; ``info`` is the part that the info-hash is the hash of, as it stands in the file;
    ``hybrid`` says that there is a version 2 part, which is not used.
    """

    info_hash: bytes
    name: str
    piece_length: int
    pieces: bytes = attrs.field(repr=False)
    length: int
    files: tuple[File, ...]
    private: bool = False
    trackers: tuple[tuple[str, ...], ...] = ()
    web_seeds: tuple[str, ...] = ()
    comment: str = ""
    created_by: str = ""
    creation_date: int | None = None
    hybrid: bool = False
    info: bytes = attrs.field(default=b"", repr=False)

    @property
    def piece_count(self) -> int:
        """How many pieces there are."""
        return len(self.pieces) // _HASH

    def piece_size(self, index: int) -> int:
        """How many bytes a piece has: the last may be shorter."""
        return min(self.piece_length, self.length - index * self.piece_length)

    def piece_hash(self, index: int) -> bytes:
        """A piece's SHA-1 hash."""
        return self.pieces[_HASH * index : _HASH * index + _HASH]


def is_tracker(url: str) -> bool:
    """Whether this may be a tracker's URL."""
    return _TRACKER.fullmatch(url) is not None


def is_web_seed(url: str) -> bool:
    """Whether this may be the URL of a server that has the files too."""
    return _WEB_SEED.match(url) is not None


def read(path: Path) -> Metainfo:
    """The torrent in a file; raises OSError, or MetainfoError whose text does not name the file."""
    with path.open("rb") as file:
        return parse(file.read(LARGEST + 1))


def parse(data: bytes) -> Metainfo:
    """Read a torrent file's bytes; raises MetainfoError and nothing else."""
    if len(data) > LARGEST:
        raise MetainfoError(f"larger than {LARGEST >> 20} MiB")
    try:
        whole = decode(data, strict=False)
    except BencodeError as error:
        raise MetainfoError(f"not a torrent: {error}") from error
    if not isinstance(whole, Dictionary):
        raise MetainfoError("not a torrent: no dictionary")
    info = whole.get(b"info")
    if not isinstance(info, Dictionary):
        raise MetainfoError("not a torrent: it has no info dictionary")
    raw = data[info.start : info.end]
    version = _version(info, raw)
    piece_length = _integer(info, b"piece length")
    if not 0 < piece_length <= LONGEST_PIECE:
        raise MetainfoError("the piece length is missing, or out of bounds")
    info_hash = hashlib.sha1(raw, usedforsecurity=False).digest()
    name, files = _content(info, info_hash)
    length = files[-1].offset + files[-1].length
    _fit(length, piece_length, info.get(b"pieces"))
    if version == 2:
        hybrid.check(info, whole.get(b"piece layers"), piece_length, name, files)
    _distinguish(files)
    return Metainfo(
        info_hash=info_hash,
        name=name,
        piece_length=piece_length,
        pieces=info[b"pieces"],
        length=length,
        files=tuple(files),
        private=_integer(info, b"private", 0) != 0,
        trackers=tuple(_trackers(whole)),
        web_seeds=tuple(_web_seeds(whole, folder=len(files) > 1)),
        comment=_text(whole, b"comment"),
        created_by=_text(whole, b"created by"),
        creation_date=_date(whole),
        hybrid=version == 2,
        info=raw,
    )


def _version(info: Dictionary, raw: bytes) -> int:
    """1, or 2 for a hybrid."""
    version = _integer(info, b"meta version")
    if version > 0:
        try:
            decode(raw)
        except BencodeError as error:
            raise MetainfoError(f"the info dictionary is not strictly bencoded: {error}") from error
    if version > 2:
        raise MetainfoError(f"version {version} of torrents is not known")
    tree = isinstance(info.get(b"file tree"), dict)
    if tree != (version == 2):
        raise MetainfoError("the version does not fit the file tree")
    told = isinstance(info.get(b"files"), list) or b"length" in info
    if version == 2 and not (told and isinstance(info.get(b"pieces"), bytes)):
        raise VersionTwoOnly("a version 2 torrent without a version 1 part (BEP 52); only version 1 can be used")
    return 2 if version == 2 else 1


def _content(info: Dictionary, info_hash: bytes) -> tuple[str, list[File]]:
    """The torrent's name and its files, links resolved, paths safe and as yet perhaps equal."""
    given = _either(info, b"name", bytes)
    if given is None:
        raise MetainfoError("it has no name")
    name = component(given)
    listed = info.get(b"files")
    if not isinstance(listed, list):
        if not name:
            raise MetainfoError("its name is no file name")
        return name, [_file(info, (name,), 0, ())]
    name = name or ("_" if not given else info_hash.hex())
    files: list[File] = []
    end = 0
    for each in listed:
        if not isinstance(each, Dictionary):
            raise MetainfoError("a file is no dictionary")
        file = _file(each, _path(each, name), end, (name,))
        end += file.length
        files.append(file)
    if not files:
        raise MetainfoError("it has no files")
    return name, resolved(files) if any(file.link for file in files) else files


def _path(file: Dictionary, name: str) -> tuple[str, ...]:
    given = _either(file, b"path", list)
    if given and len(given) > DEEPEST:
        raise MetainfoError(f"a path has more than {DEEPEST} components")
    if given:
        return (name, *(component(each) or "_" for each in _strings(given)))
    if b"p" in _attributes(file):
        return (".pad", str(_integer(file, b"length")))
    raise MetainfoError("a file has no path")


def _file(entry: Dictionary, path: tuple[str, ...], offset: int, root: tuple[str, ...]) -> File:
    """One file; ``root`` is what a link's target is under."""
    attributes = _attributes(entry)
    link = None
    length = _integer(entry, b"length")
    if b"l" in attributes:
        length = 0
        target = entry.get(b"symlink path")
        if isinstance(target, list):
            way = [component(each) or "_" for each in _strings(target) if each not in (b".", b"..")]
            link = (*root, *way) if way else None
    if not 0 <= length <= LONGEST_FILE:
        raise MetainfoError("a file's length is missing, or out of bounds")
    if offset + length > LONGEST:
        raise MetainfoError("the files are too large together")
    pad = b"p" in attributes or _PAD_NAME in "/".join(path)
    return File(path, offset, length, pad, link, b"x" in attributes)


def _distinguish(files: list[File]) -> None:
    """Give every file that goes to a disk a path of its own."""
    places = [place for place, file in enumerate(files) if not file.pad]
    paths = distinct([files[place].path for place in places], MOST_RENAMED)
    if paths is None:
        raise MetainfoError("too many files have the same path")
    for place, path in zip(places, paths, strict=True):
        if files[place].path != path:
            files[place] = attrs.evolve(files[place], path=path)


def _fit(length: int, piece_length: int, pieces: object) -> None:
    if not length:
        raise MetainfoError("its files are all empty")
    if (count := -(-length // piece_length)) > MOST_PIECES:
        raise MetainfoError(f"{count} pieces are more than {MOST_PIECES}")
    if not isinstance(pieces, bytes):
        raise MetainfoError("it has no piece hashes")
    if len(pieces) != count * _HASH:
        raise MetainfoError(f"{count} pieces need {count * _HASH} bytes of hashes, not {len(pieces)}")


def _trackers(whole: Dictionary) -> Iterator[tuple[str, ...]]:
    """The tiers (BEP 12), or the one tracker of old; what is no tracker's URL is left out."""
    listed = whole.get(b"announce-list")
    found = False
    for tier in listed if isinstance(listed, list) else []:
        urls = tuple(dict.fromkeys(filter(None, map(_tracker, tier if isinstance(tier, list) else []))))
        if urls:
            found = True
            yield urls
    if not found and (url := _tracker(whole.get(b"announce"))):
        yield (url,)


def _tracker(url: object) -> str:
    if not isinstance(url, bytes):
        return ""
    text = url.decode("latin-1").lstrip(" \t\n\r\f\v")
    return text if is_tracker(text) else ""


def _web_seeds(whole: Dictionary, *, folder: bool) -> Iterator[str]:
    """The servers that have the files too (BEP 19), ready to have a path appended if there are several files."""
    listed = whole.get(b"url-list")
    seen = set()
    for each in listed if isinstance(listed, list) else [listed]:
        if isinstance(each, bytes):
            url = quote(each, safe=_URL_CHARACTERS)
            url += "/" if folder and not url.endswith("/") else ""
            if is_web_seed(url) and url not in seen:
                seen.add(url)
                yield url


def _date(whole: Dictionary) -> int | None:
    date = _integer(whole, b"creation date")
    return date if date >= 0 else None


def _integer(holder: Dictionary, key: bytes, default: int = -1) -> int:
    value = holder.get(key)
    return value if isinstance(value, int) else default


def _text(holder: Dictionary, key: bytes) -> str:
    value = _either(holder, key, bytes)
    return "" if value is None else value.decode(errors="replace")


def _either(holder: Dictionary, key: bytes, kind: type) -> Any:
    """A value of that kind under a key, or better, under the key's UTF-8 twin."""
    for each in (holder.get(key + b".utf-8"), holder.get(key)):
        if isinstance(each, kind):
            return each
    return None


def _attributes(entry: Dictionary) -> bytes:
    value = entry.get(b"attr")
    return value if isinstance(value, bytes) else b""


def _strings(given: list[Any]) -> list[bytes]:
    if not all(isinstance(each, bytes) for each in given):
        raise MetainfoError("a path is not made of strings")
    return given
