"""multipart/byteranges: what is written is read back however it is cut; what leaves doubts is refused."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from netsuite.http.wire.byteranges import Byteranges, Malformed, byteranges_boundary, parse_content_range
from netsuite.http.wire.ranges import content_range, multipart_parts

WHOLE = bytes(range(256)) * 2 + b"\r\n--B\r\nContent-Range: bytes 0-1/5\r\n\r\n--B--\r\n"
SPANS = st.lists(
    st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(1, 200)).map(lambda p: (p[0], min(len(WHOLE), sum(p)))),
    min_size=1,
    max_size=5,
)


def written(spans, boundary=b"B", kind=b"text/plain"):
    heads = multipart_parts(spans, len(WHOLE), kind, boundary)
    return b"".join(head + WHOLE[a:b] for head, (a, b) in zip(heads, spans, strict=False)) + heads[-1]


def read(data, cuts=(), boundary=b"B"):
    parser = Byteranges(boundary)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for first, stop in pairwise(edges):
        parser.feed(data[first:stop])
    return parser


@given(SPANS, st.lists(st.integers(0, 2000), max_size=12), st.sampled_from([None, b"text/plain"]))
def test_what_is_written_is_read_back(spans, cuts, kind):
    parser = read(written(spans, kind=kind), cuts)
    assert parser.complete
    assert (parser.size, parser.content_type) == (len(WHOLE), kind)
    assert parser.parts == [(span, WHOLE[slice(*span)]) for span in spans]


@given(SPANS)
def test_byte_by_byte_is_the_same(spans):
    data = written(spans)
    assert read(data, range(len(data))).parts == read(data).parts


@given(SPANS, st.integers(0, 3000), st.integers(0, 255))
def test_a_changed_byte_is_refused_or_harmless(spans, at, value):
    data = bytearray(written(spans))
    data[at % len(data)] = value
    try:
        parser = read(bytes(data), [at])
    except Malformed:
        return
    for (first, stop), content in parser.parts:
        assert len(content) == stop - first


@given(st.binary(max_size=400) | st.lists(st.sampled_from(
    [b"\r\n", b"--B", b"--B--", b"Content-Range: bytes 0-3/9", b"Content-Range: bytes 0-0/*", b"abcd", b":", b" "]
), max_size=30).map(b"".join), st.lists(st.integers(0, 400), max_size=5))  # fmt: skip
@example(b"--B\r\n\r\nabcd", [])
def test_anything_at_all(data, cuts):
    outcomes = []
    for each in ((), cuts):
        try:
            parser = read(data, each)
            outcomes.append((parser.complete, parser.parts))
        except Malformed:
            outcomes.append(None)
    assert outcomes[0] == outcomes[1]


PART = b"--B\r\nContent-Range: bytes 0-3/9\r\n\r\nabcd\r\n"


@pytest.mark.parametrize(
    "data",
    [
        b"x" * 2000,
        b"--B--\r\n",
        b"--Bx\r\nContent-Range: bytes 0-3/9\r\n\r\nabcd\r\n--B--",
        b"--B\r\nContent-Type: a/b\r\n\r\nabcd\r\n--B--",
        b"--B\r\nContent-Range: bytes 3-0/9\r\n\r\nabcd\r\n--B--",
        b"--B\r\nContent-Range: bytes 0-3/9\r\nContent-Range: bytes 0-3/9\r\n\r\nabcd\r\n--B--",
        b"--B\r\nContent-Range bytes 0-3/9\r\n\r\nabcd\r\n--B--",
        b"--B\r\nContent-Range: bytes 0-2/9\r\n\r\nabcd\r\n--B--",
        b"--B\r\nA: " + b"b" * 9000 + b"\r\n\r\n",
        b"--B" + b" " * 2000,
        PART + b"--B\r\nContent-Range: bytes 4-5/8\r\n\r\nef\r\n--B--",
        PART + b"--B\r\nContent-Type: a/b\r\nContent-Range: bytes 4-5/9\r\n\r\nef\r\n--B--",
        PART * 65,
    ],
)
def test_doubtful_bodies_are_refused(data):
    with pytest.raises(Malformed):
        read(data)


@given(st.integers(0, 10**17), st.integers(1, 10**6), st.integers(0, 10**6))
def test_content_range_is_read_back(first, count, more):
    span, size = (first, first + count), first + count + more
    assert parse_content_range(content_range(span, size)) == (span, size)
    assert parse_content_range(b"bytes %d-%d/*" % (first, first + count - 1)) == (span, None)


@pytest.mark.parametrize(
    "value",
    [b"", b"bytes", b"bytes 0-3", b"bytes 0-3/", b"bytes */9", b"bytes */*", b"bytes=0-3/9", b"bytes 3-2/9",
     b"bytes 0-9/9", b"bytes  0-3/9", b"bytes -3/9", b"lines 0-3/9", b"bytes 0-3/9, bytes 4-5/9", b"bytes +0-3/9",
     b"bytes 0-3/1" + b"0" * 18],
)  # fmt: skip
def test_content_ranges_that_say_nothing(value):
    assert parse_content_range(value) is None


@pytest.mark.parametrize(
    ("value", "boundary"),
    [
        (b"multipart/byteranges; boundary=B", b"B"),
        (b'Multipart/ByteRanges ; BOUNDARY="a b"', b"a b"),
        (b"multipart/byteranges", None),
        (b"multipart/byteranges; boundary=", None),
        (b"multipart/byteranges; boundary=B; boundary=C", None),
        (b'multipart/byteranges; boundary="b "', None),
        (b"multipart/byteranges; boundary=" + b"b" * 71, None),
        (b"multipart/mixed; boundary=B", None),
        (b"text/plain", None),
    ],
)
def test_boundaries(value, boundary):
    assert byteranges_boundary(value) == boundary
