"""Hybrid torrents: used by their version 1 part if the version 2 part tells of the same files (BEP 52)."""

from __future__ import annotations

import hashlib

import pytest

from netsuite.bittorrent.hybrid import check
from netsuite.bittorrent.metainfo import MetainfoError, VersionTwoOnly, parse
from tests.unit.bittorrent.torrents import PIECE, torrent

ROOT = bytes(range(32))
LAYER = [hashlib.sha256(bytes([each])).digest() for each in range(3)]
ZERO = bytes(32)


def pair(left, right):
    return hashlib.sha256(left + right).digest()


TOP = pair(pair(LAYER[0], LAYER[1]), pair(LAYER[2], ZERO))
"""Pieces of 16 KiB are single blocks, so that a missing one counts as zeros."""


def leaf(length, root=ROOT, **more):
    return {"": {"length": length, "pieces root": root, **more}}


FILES = (
    {"length": 2 * PIECE + 1, "path": ["big"]},
    {"length": PIECE - 1, "path": ["1"], "attr": "p"},
    {"length": 1, "path": ["d", "small"]},
)
TREE = {"big": leaf(2 * PIECE + 1, TOP), "d": {"small": leaf(1)}}


def hybrid(*files, tree=None, layers=None, **changes):
    around = {"piece layers": layers} if layers is not None else {}
    changes = {"meta_version": 2, "file_tree": TREE if tree is None else tree, **changes}
    return torrent(*(files or FILES), around=around, **changes)


def test_a_folder():
    read = parse(hybrid(layers={TOP: b"".join(LAYER)}))
    assert read.hybrid
    assert [("/".join(file.path), file.offset, file.pad) for file in read.files] == [
        ("t/big", 0, False),
        ("t/1", 2 * PIECE + 1, True),
        ("t/d/small", 3 * PIECE, False),
    ]


def test_without_piece_layers():
    assert parse(hybrid()).hybrid


def test_one_file():
    assert parse(torrent(meta_version=2, file_tree={"a": leaf(1)})).hybrid


def test_links_and_empty_files():
    files = (*FILES, {"attr": "l", "path": ["l"], "symlink path": ["big"]}, {"length": 0, "path": ["z"]})
    link = {"": {"attr": "l", "symlink path": ["big"]}}
    read = parse(hybrid(*files, tree={**TREE, "l": link, "z": {"": {"length": 0}}}))
    assert read.files[3].link == ("t", "big")


@pytest.mark.parametrize(
    ("tree", "reason"),
    [
        ({"big": leaf(2 * PIECE + 1)}, "differ in their files"),
        ({**TREE, "more": leaf(1)}, "differ in their files"),
        ({**TREE, "big": leaf(2 * PIECE)}, "differ in their files"),
        ({"big": TREE["big"], "d": {"Small": leaf(1)}}, "differ in their files"),
        ({**TREE, "l": {"": {"attr": "l", "symlink path": ["big"]}}}, "differ in their files"),
        ({**TREE, "": {}}, "the file tree is broken"),
        ({**TREE, "x": 3}, "the file tree is broken"),
        ({**TREE, "x": {"": 3}}, "the file tree is broken"),
        ({**TREE, "x": {"": {}, "y": {}}}, "the file tree is broken"),
        ({**TREE, "x": {"": {"length": 1, "attr": "p"}}}, "has a pad file"),
        ({**TREE, "x": {"": {}}}, "without a length"),
        ({**TREE, "x": {"": {"length": -1}}}, "without a length"),
        ({**TREE, "x": {"": {"length": 1}}}, "without a hash"),
        ({**TREE, "x": leaf(1, ZERO)}, "without a hash"),
        ({**TREE, "x": leaf(1, ROOT[:31])}, "without a hash"),
    ],
)
def test_trees_that_do_not_fit(tree, reason):
    with pytest.raises(MetainfoError, match=reason):
        parse(hybrid(tree=tree))


def test_files_begin_with_a_piece():
    files = ({"length": 1, "path": ["a"]}, {"length": 1, "path": ["b"]})
    with pytest.raises(MetainfoError, match="differ in their files"):
        parse(hybrid(*files, tree={"a": leaf(1), "b": leaf(1)}))


@pytest.mark.parametrize(
    "layers",
    [
        {TOP: b"".join(LAYER[:2])},
        {TOP: b"".join(LAYER) + ZERO},
        {TOP: b"".join(reversed(LAYER))},
        {TOP: 3},
        {ROOT: ROOT},
        {ROOT[:5]: b"".join(LAYER)},
        {TOP: b"".join(LAYER), ROOT: b""},
    ],
)
def test_layers_that_do_not_fit(layers):
    with pytest.raises(MetainfoError, match="a piece layer is not that of a file"):
        parse(hybrid(layers=layers))


@pytest.mark.parametrize("length", [8192, PIECE + 1, 3 * PIECE])
def test_piece_lengths_of_version_2(length):
    with pytest.raises(MetainfoError, match="power of two"):
        parse(torrent(meta_version=2, file_tree={"a": leaf(1)}, piece_length=length))


def test_a_layer_of_larger_pieces_is_filled_with_the_hash_of_empty_pieces():
    empty = pair(ZERO, ZERO)
    top = pair(pair(LAYER[0], LAYER[1]), pair(LAYER[2], empty))
    data = torrent(
        meta_version=2, file_tree={"a": leaf(5 * PIECE, top)}, length=5 * PIECE, piece_length=2 * PIECE,
        pieces=bytes(60), around={"piece layers": {top: b"".join(LAYER)}},
    )  # fmt: skip
    assert parse(data).hybrid


def test_the_info_dictionary_is_strict():
    data = torrent(meta_version=2, file_tree={"a": leaf(1)}).replace(b"12:meta versioni2e", b"12:meta versioni02e")
    with pytest.raises(MetainfoError, match="not strictly bencoded: the number at byte"):
        parse(data)


def test_a_tree_that_is_too_deep():
    tree: dict = {}
    for _ in range(110):
        tree = {b"d": tree}
    with pytest.raises(MetainfoError, match="the file tree is too deep"):
        check({b"file tree": tree}, None, PIECE, "t", [])


def test_without_hashes_of_version_1():
    with pytest.raises(VersionTwoOnly):
        parse(torrent(meta_version=2, file_tree={"a": leaf(1)}, pieces=None))
