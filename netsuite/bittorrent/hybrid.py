"""Whether the two parts of a hybrid torrent tell of the same files, so that peers of either version get the same.

Implements: BEP 52 (file tree, piece layers, upgrade path).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeAlias

from netsuite.bittorrent.errors import MetainfoError
from netsuite.bittorrent.files import File, resolved
from netsuite.bittorrent.paths import component

__all__ = ["check"]

_BLOCK: Final = 16384
_HASH: Final = 32
_DEEPEST: Final = 100
_NO_HASH: Final = bytes(_HASH)


def check(info: dict[bytes, Any], layers: object, piece_length: int, name: str, files: Sequence[File]) -> None:
    """Compare with the files of the version 1 part; raises MetainfoError."""
    if piece_length < _BLOCK or piece_length & (piece_length - 1):
        raise MetainfoError("version 2 needs pieces of a power of two, and of 16 KiB at least")
    tree = info[b"file tree"]
    single = not isinstance(info.get(b"files"), list)
    leaves = list(_leaves(tree, () if single else (name,), 0))
    theirs = resolved([File(path, 0, length, link=link) for path, length, link, _ in leaves])
    ours = [file for file in files if not file.pad]
    if _told(ours) != _told(theirs) or any(file.length and file.offset % piece_length for file in ours):
        raise MetainfoError("its version 1 and version 2 parts differ in their files")
    if isinstance(layers, dict):
        _check_layers(layers, piece_length, {root: size for _, size, _, root in leaves if size > piece_length})


def _told(files: Sequence[File]) -> list[tuple[object, ...]]:
    """What must be the same: empty files make no difference to anybody."""
    return [(file.path, file.length, file.link) for file in files if file.length or file.link]


Leaf: TypeAlias = tuple[tuple[str, ...], int, tuple[str, ...] | None, bytes]


def _leaves(tree: dict[bytes, Any], above: tuple[str, ...], depth: int) -> Iterator[Leaf]:
    """The files of the tree: path, length, the target of a link, and the root of its tree of hashes."""
    if depth > _DEEPEST:
        raise MetainfoError("the file tree is too deep")
    for key, branch in tree.items():
        if not key or not isinstance(branch, dict):
            raise MetainfoError("the file tree is broken")
        path = (*above, component(key) or "_")
        if list(branch) != [b""]:
            yield from _leaves(branch, path, depth + 1)
        elif isinstance(branch[b""], dict):
            yield _leaf(branch[b""], path)
        else:
            raise MetainfoError("the file tree is broken")


def _leaf(entry: dict[bytes, Any], path: tuple[str, ...]) -> Leaf:
    attributes = entry.get(b"attr")
    attributes = attributes if isinstance(attributes, bytes) else b""
    if b"p" in attributes:
        raise MetainfoError("the file tree has a pad file")
    length, link = entry.get(b"length"), None
    if b"l" in attributes:
        length = 0
        target = entry.get(b"symlink path")
        if isinstance(target, list) and all(isinstance(each, bytes) for each in target):
            link = (path[0], *(component(each) or "_" for each in target if each not in (b".", b"..")))
    if not isinstance(length, int) or length < 0:
        raise MetainfoError("the file tree has a file without a length")
    root = entry.get(b"pieces root", b"")
    if length and (not isinstance(root, bytes) or len(root) != _HASH or root == _NO_HASH):
        raise MetainfoError("the file tree has a file without a hash")
    return path, length, link, root


def _check_layers(layers: dict[bytes, Any], piece_length: int, files: dict[bytes, int]) -> None:
    """Whether each piece layer belongs to a file and is what that file's root is the hash of."""
    filler = _NO_HASH
    for _ in range((piece_length // _BLOCK).bit_length() - 1):
        filler = hashlib.sha256(filler + filler).digest()
    for root, layer in layers.items():
        pieces = -(-files.pop(root, 0) // piece_length)
        if not pieces or not isinstance(layer, bytes) or len(layer) != pieces * _HASH or _top(layer, filler) != root:
            raise MetainfoError("a piece layer is not that of a file")


def _top(layer: bytes, filler: bytes) -> bytes:
    """The root over a layer of hashes, filled up to a power of two."""
    row = [layer[at : at + _HASH] for at in range(0, len(layer), _HASH)]
    while len(row) > 1:
        if len(row) % 2:
            row.append(filler)
        row = [hashlib.sha256(row[at] + row[at + 1]).digest() for at in range(0, len(row), 2)]
        filler = hashlib.sha256(filler + filler).digest()
    return row[0]
