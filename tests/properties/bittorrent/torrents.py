"""Torrent files for properties: generated from names and numbers that matter, and the corpus with bytes changed."""

from __future__ import annotations

from random import Random

from hypothesis import strategies as st

from netsuite.bittorrent.wire.bencode import encode
from tests.vectors.torrent_corpus import torrents as corpus

NAMES = [
    b"a", b"A", b"b", b"a.txt", b"A.TXT", b"a.1.txt", b"a.1", b"..", b".", b"", b"/", b"a/b", b"\\", b"\0", b"x\x01y",
    b"\x7f", b"\xc2\x85", b"\xff", b"\xe2\x82", b"\xe2\x82a", b"\xc3\xa9", b"\xc3\x89", b"e\xcc\x81",
    b"\xe2\x80\xae..", b"\xe2\x80\x8b", b"_", b".h", b"n.", b"c" * 245 + b".txt", b"c" * 300,
    b"\xf0\x9f\x98\x80" * 70, b"\xff" * 300, b"_____padding_file_1",
]  # fmt: skip


def rarely(unusual: st.SearchStrategy, usual: st.SearchStrategy) -> st.SearchStrategy:
    """One time in thirty, something that should not be there."""
    return st.sampled_from(range(30)).flatmap(lambda number: usual if number else unusual)


names = st.sampled_from(NAMES) | st.binary(max_size=6)
odd = st.sampled_from([-1, 2**44, 2**62, b"x", [], {}, [1]])
paths = rarely(odd, st.lists(names, min_size=1, max_size=3))
lengths = rarely(odd, st.sampled_from([0, 1, 5, 16384, 20000, 2**33]))
plain = st.fixed_dictionaries({"length": lengths, "path": paths})
files = plain | st.fixed_dictionaries(
    {"length": lengths, "path": paths},
    optional={
        "path.utf-8": paths,
        "attr": st.sampled_from([b"l", b"l", b"p", b"x", b"h", b"px", 3]),
        "symlink path": paths,
    },
)
PIECE = 1 << 22


@st.composite
def generated(draw: st.DrawFn) -> bytes:
    """A torrent of which most parts are sound, so that it is often accepted."""
    listed = draw(st.lists(files, min_size=1, max_size=6))
    info = {"name": draw(rarely(odd, names)), "piece length": draw(rarely(odd, st.just(PIECE)))}
    info |= draw(rarely(_more, st.just({})))
    if draw(rarely(st.just(False), st.just(True))):
        info["files"] = listed
        total = sum(_length(each) for each in listed)
    else:
        info.update(draw(files))
        total = _length(info)
    info["pieces"] = bytes(20 * (-(-total // PIECE) + draw(rarely(st.just(1), st.just(0)))))
    return encode({"info": info, **draw(rarely(_around, st.just({})) | _around)})


_more = st.fixed_dictionaries(
    {},
    optional={
        "private": st.sampled_from([0, 1, 2, -1, b"1"]),
        "meta version": st.sampled_from([-1, 0, 1, 2, 3, b"2"]),
        "name.utf-8": names | odd,
        "file tree": st.sampled_from([{}, 3]),
    },
)
_around = st.fixed_dictionaries(
    {},
    optional={
        "announce": names | st.just(b"http://a/announce"),
        "announce-list": st.lists(st.lists(names | st.just(b"udp://a:1"), max_size=2) | odd, max_size=2) | odd,
        "url-list": names | st.lists(names | st.just(b"http://a/b c"), max_size=2) | odd,
        "comment": names | odd,
        "creation date": odd,
    },
)


def _length(file: dict) -> int:
    length = file.get("length")
    link = b"l" in file["attr"] if isinstance(file.get("attr"), bytes) else False
    return length if isinstance(length, int) and 0 < length < 2**44 and not link else 0


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A file of the corpus with a few bytes changed, removed or added, anywhere alike."""
    rng = Random(draw(st.integers(0, 2**32)))
    data = bytearray(rng.choice(_SEEDS))
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(4)
        if kind == 0:
            data[at : at + 1] = rng.randbytes(1)
        elif kind == 1:
            data[at : at + 1] = bytes([rng.choice(b"0123456789ilde:-/.")])
        elif kind == 2:
            del data[at : at + rng.choice((1, 1, 2, 5, 20))]
        else:
            data[at:at] = rng.choice(_TOKENS)
    return bytes(data)


_TOKENS = [
    b"e", b"l", b"d", b"i0e", b"i-1e", b"i01e", b"le", b"de", b"0:", b"1:a", b"2:..", b"1:/", b"4:attr1:l",
    b"4:attr1:p", b"6:lengthi5e", b"4:pathl1:ae", b"12:symlink pathl1:ae", b"12:meta versioni2e", b"7:privatei1e",
]  # fmt: skip
_SEEDS = [data for data in (path.read_bytes() for path in corpus()) if len(data) < 2000] or [
    encode({"info": {"name": "a", "length": 1, "piece length": 16384, "pieces": bytes(20)}})
]
