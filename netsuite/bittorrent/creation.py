"""Making a torrent of a file or a folder: the same files give the same bytes, on every machine and at any time.

Implements: BEP 3 (metainfo files), BEP 12 (tiers), BEP 19 (web seeds), BEP 27 (the private flag).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Final

from netsuite import __version__
from netsuite.bittorrent.content import Advanced, digests
from netsuite.bittorrent.errors import CreationError, MetainfoError
from netsuite.bittorrent.files import File
from netsuite.bittorrent.metainfo import is_tracker, is_web_seed, parse
from netsuite.bittorrent.peer.folder import Folder
from netsuite.bittorrent.wire.bencode import encode

__all__ = ["SHORTEST_PIECE", "automatic_piece_length", "contents", "create"]

SHORTEST_PIECE: Final = 1 << 14
_LONGEST_PIECE: Final = 1 << 28
_USUAL: Final = range(15, 25)
_MANY_PIECES: Final = 1500


def automatic_piece_length(length: int) -> int:
    """A piece length for so many bytes: 32 KiB to 16 MiB, for at most 1,500 pieces while that can be."""
    return 1 << next((bits for bits in _USUAL if length >> bits <= _MANY_PIECES), _USUAL[-1])


def contents(source: Path, exclude: Sequence[str] = ()) -> list[File]:
    """What a torrent of a file or folder holds, in the order of the names; raises CreationError.

    All files count, hidden ones as well, but those whose name, or path in the folder, fits one of the shell patterns
    ``exclude``. A symbolic link is an error: peers that cannot be led astray do not follow it.
    """
    if source.is_file():
        return [File((source.name,), 0, source.stat().st_size)]
    files: list[File] = []
    end = 0
    for path, length in _walk(source, (), exclude):
        files.append(File((source.name, *path), end, length))
        end += length
    return files


def create(
    source: Path,
    *,
    trackers: Sequence[Sequence[str]] = (),
    web_seeds: Sequence[str] = (),
    private: bool = False,
    comment: str = "",
    piece_length: int | None = None,
    exclude: Sequence[str] = (),
    files: Sequence[File] | None = None,
    workers: int | None = None,
    advanced: Advanced | None = None,
) -> bytes:
    """A torrent file's bytes for a file or folder; raises CreationError.

    ``trackers`` are tiers of URLs. ``piece_length`` is a power of two from 16 KiB to 256 MiB. ``files`` are the
    ``contents``, if the caller has them already. ``advanced`` is told of the bytes hashed, in the caller's thread.
    """
    source = source.resolve()
    _check(trackers, web_seeds, piece_length)
    files = contents(source, exclude) if files is None else files
    if not files or not (length := files[-1].offset + files[-1].length):
        raise CreationError(f"{source}: there is nothing in it that a torrent could be made of")
    piece_length = piece_length or automatic_piece_length(length)
    info: dict[str, Any] = {"name": source.name, "piece length": piece_length}
    if source.is_dir():
        info["files"] = [{"length": file.length, "path": file.path[1:]} for file in files]
    else:
        info["length"] = length
    if private:
        info["private"] = 1
    urls = [url for tier in trackers for url in tier]
    whole: dict[str, Any] = {"created by": f"netsuite/{__version__}", "info": info}
    if urls:
        whole["announce"] = urls[0]
    if len(urls) > 1:
        whole["announce-list"] = trackers
    if web_seeds:
        whole["url-list"] = web_seeds
    if comment:
        whole["comment"] = comment
    info["pieces"] = bytes(-(-length // piece_length) * 20)
    _readable(whole, files)
    info["pieces"] = b"".join(_hashes(source, files, piece_length, workers, advanced))
    return encode(whole)


def _check(trackers: Sequence[Sequence[str]], web_seeds: Sequence[str], piece_length: int | None) -> None:
    for url in (url for tier in trackers for url in tier):
        if not is_tracker(url):
            raise CreationError(f"{url}: a tracker's URL begins with http://, https:// or udp://, and has no spaces")
    for url in web_seeds:
        if not is_web_seed(url):
            raise CreationError(f"{url}: a web seed's URL begins with http://, https:// or ftp://")
    if piece_length is not None and not (
        SHORTEST_PIECE <= piece_length <= _LONGEST_PIECE and piece_length.bit_count() == 1
    ):
        raise CreationError(f"a piece length is a power of two from 16 KiB to 256 MiB, not {piece_length}")


def _walk(folder: Path, above: tuple[str, ...], exclude: Sequence[str]) -> Iterator[tuple[tuple[str, ...], int]]:
    """The files in a folder, each with its path and length."""
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: os.fsencode(entry.name))
        for entry in entries:
            path = (*above, entry.name)
            if any(fnmatch(entry.name, pattern) or fnmatch("/".join(path), pattern) for pattern in exclude):
                continue
            if entry.is_symlink():
                raise CreationError(f"{entry.path}: a symbolic link is not followed; --exclude it, or put a copy there")
            if entry.is_dir():
                yield from _walk(Path(entry.path), path, exclude)
            elif entry.is_file():
                yield path, entry.stat().st_size
            else:
                raise CreationError(f"{entry.path}: neither a file nor a folder; --exclude it")
    except OSError as problem:
        raise CreationError(f"{problem.filename or folder}: {problem.strerror}") from problem


def _readable(whole: dict[str, Any], files: Sequence[File]) -> None:
    """Whether whoever reads it will give every file the name that it has here."""
    try:
        read = parse(encode(whole)).files
    except UnicodeEncodeError as problem:
        raise CreationError(f"{problem.object!r}: this name is not UTF-8") from problem
    except MetainfoError as problem:
        raise CreationError(f"no torrent can be made of this: {problem}") from problem
    for ours, theirs in zip(files, read, strict=True):
        if ours.path != theirs.path:
            raise CreationError(
                f"{'/'.join(ours.path)!r}: this name is not safe everywhere, or differs from another in the case of "
                f"letters only; peers would call it {'/'.join(theirs.path)!r}"
            )


def _hashes(
    source: Path, files: Sequence[File], piece_length: int, workers: int | None, advanced: Advanced | None
) -> Iterator[bytes]:
    folder = Folder(source.parent)
    try:
        for file in files:
            facts = folder.look(file.path)
            if facts is None or facts.size != file.length:
                raise _changed(source, file)
        found = digests(folder, files, piece_length, workers=workers, advanced=advanced)
        for index, digest in enumerate(found):
            if digest is None:
                at = index * piece_length
                raise _changed(source, next(file for file in files if file.offset + file.length > at))
            yield digest
    except OSError as problem:
        raise CreationError(f"{problem.filename or source}: {problem.strerror}") from problem
    finally:
        folder.close()


def _changed(source: Path, file: File) -> CreationError:
    return CreationError(f"{source.parent.joinpath(*file.path)}: it changes, or cannot be read to its end")
