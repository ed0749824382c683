"""Files in several codings, chosen by what clients take; folders shown as pages and as JSON."""

from __future__ import annotations

import gzip
import json
import os

import pytest

from netsuite.http.origin.files import Files
from netsuite.http.server import Memorable
from netsuite.http.wire.acceptance import IDENTITY, choose_coding, qualities, quality_of_type
from tests.unit.http.test_files import Visitor

TEXT = b"body { color: red }\n" * 40
HUGE = os.urandom(300_000)
AVAILABLE = [(b"br", 10), (b"zstd", 12), (b"gzip", 14)]


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, IDENTITY),
        (b"", IDENTITY),
        (b"gzip", b"gzip"),
        (b"GZIP", b"gzip"),
        (b"x-gzip", b"gzip"),
        (b"gzip, deflate, br, zstd", b"br"),
        (b"gzip;q=1.0, br;q=0.9", b"gzip"),
        (b"gzip;q=0.5, br;q=0", b"gzip"),
        (b"*", b"br"),
        (b"*;q=0.5, br;q=0", b"zstd"),
        (b"br;q=0, zstd;q=0, gzip;q=0", IDENTITY),
        (b"deflate", IDENTITY),
        (b"identity", IDENTITY),
        (b"gzip;q=0.2, identity", IDENTITY),
        (b"gzip;q=0.5, identity;q=0.5", b"gzip"),
        (b"identity;q=0", None),
        (b"identity;q=0, gzip", b"gzip"),
        (b"*;q=0", None),
        (b"*;q=0, identity;q=0.1", IDENTITY),
        (b"gzip;q=nonsense", IDENTITY),
        (b"gzip;q=1.5", IDENTITY),
    ],
)
def test_which_coding(accept, chosen):
    assert choose_coding(accept, AVAILABLE) == chosen


def test_qualities():
    assert qualities(b'a;q=0.5, b, c ; q=0.123, d;x=";,";q=0, a;q=0.7') == {b"a": 700, b"b": 1000, b"c": 123, b"d": 0}
    assert quality_of_type(None, b"text/html") == 1000
    assert quality_of_type(b"text/*;q=0.3, */*;q=0.1", b"text/html") == 300
    assert quality_of_type(b"text/*;q=0.3, */*;q=0.1", b"application/json") == 100
    assert quality_of_type(b"text/plain", b"text/html") == 0


@pytest.fixture
def site(tmp_path):
    root = tmp_path / "site"
    root.mkdir()
    (root / "style.css").write_bytes(TEXT)
    (root / "style.css.gz").write_bytes(gzip.compress(TEXT))
    (root / "style.css.br").write_bytes(b"as if by brotli")
    (root / "plain.txt").write_bytes(TEXT)
    (root / "huge.bin").write_bytes(HUGE)
    (root / "huge.bin.gz").write_bytes(gzip.compress(HUGE))
    (root / "small.txt").write_bytes(b"small")
    (root / "old.txt").write_bytes(TEXT)
    (root / "old.txt.gz").write_bytes(gzip.compress(b"older"))
    os.utime(root / "old.txt.gz", (1000, 1000))
    (root / "leak.txt").write_bytes(TEXT)
    (root / "leak.txt.gz").symlink_to("/etc/hostname")
    (root / "b\"<&>'#?%").write_bytes(b"x")
    (root / "folder").mkdir()
    return root


@pytest.fixture
def visit(site):
    return Visitor(site)


def test_what_lies_beside_a_file_is_sent_in_its_place(visit):
    assert visit.get(b"/style.css") == 200
    plain = visit.fields
    assert visit.answer == TEXT
    assert plain[b"vary"] == b"accept-encoding"
    assert b"content-encoding" not in plain
    tags = {plain[b"etag"]}
    for accept, coding in ((b"gzip, br", b"br"), (b"gzip", b"gzip")):
        assert visit.get(b"/style.css", accept_encoding=accept) == 200
        assert visit.fields[b"content-encoding"] == coding
        assert visit.fields[b"content-type"] == b"text/css; charset=utf-8"
        assert visit.fields[b"vary"] == b"accept-encoding"
        tags.add(visit.fields[b"etag"])
    assert gzip.decompress(visit.answer) == TEXT
    assert len(tags) == 3
    assert visit.get(b"/style.css", accept_encoding=b"gzip", if_none_match=visit.fields[b"etag"]) == 304
    assert visit.fields[b"vary"] == b"accept-encoding"
    assert visit.get(b"/style.css", accept_encoding=b"br", if_none_match=plain[b"etag"]) == 200
    assert visit.get(b"/style.css", accept_encoding=b"br", range=b"bytes=0-1") == 206
    assert (visit.answer, visit.fields[b"content-range"]) == (b"as", b"bytes 0-1/15")
    assert visit.get(b"/style.css.gz") == 200
    assert visit.fields[b"content-type"] == b"application/gzip"


def test_files_without_siblings_do_not_vary(visit):
    assert visit.get(b"/plain.txt", accept_encoding=b"gzip, br") == 200
    assert visit.answer == TEXT
    assert b"vary" not in visit.fields


@pytest.mark.parametrize("path", [b"/style.css", b"/plain.txt"])
def test_406_only_where_identity_is_refused(visit, path):
    assert visit.get(path, accept_encoding=b"deflate") == 200
    assert visit.get(path, accept_encoding=b"deflate, identity;q=0") == 406
    assert visit.fields[b"vary"] == b"accept-encoding"
    assert visit.get(path, accept_encoding=b"deflate, *;q=0") == 406


def test_large_ones(visit):
    assert visit.get(b"/huge.bin", b"HEAD", accept_encoding=b"gzip") == 200
    assert int(visit.fields[b"content-length"]) != len(HUGE)
    assert visit.get(b"/huge.bin", b"HEAD") == 200
    assert int(visit.fields[b"content-length"]) == len(HUGE)
    before = len(os.listdir("/proc/self/fd"))
    for accept in (b"gzip", b"br", b"identity;q=0, br"):
        for _ in range(2):
            visit.get(b"/huge.bin", b"HEAD", accept_encoding=accept)
            visit.files.forget()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_sibling_that_is_older_or_leads_outside_is_not_used(visit):
    for path in (b"/old.txt", b"/leak.txt"):
        assert visit.get(path, accept_encoding=b"gzip") == 200
        assert visit.answer == TEXT
        assert b"content-encoding" not in visit.fields


def test_siblings_that_come_change_and_go_are_seen_within_a_second(visit, site):
    assert visit.get(b"/plain.txt", accept_encoding=b"gzip") == 200
    assert b"content-encoding" not in visit.fields
    for content in (b"first", b"second"):
        (site / "plain.txt.gz").write_bytes(gzip.compress(content))
        visit.network.advance(1.1)
        assert visit.get(b"/plain.txt", accept_encoding=b"gzip") == 200
        assert gzip.decompress(visit.answer) == content
    (site / "plain.txt.gz").unlink()
    visit.network.advance(1.1)
    assert visit.get(b"/plain.txt", accept_encoding=b"gzip") == 200
    assert visit.answer == TEXT


def test_a_listing_is_escaped_sized_and_dated(site):
    visit = Visitor(site, listing=True, index=())
    assert visit.get(b"/") == 200
    page = visit.answer.decode()
    assert 'href="./b%22%3C%26%3E%27%23%3F%25">b&quot;&lt;&amp;&gt;&#x27;#?%</a>' in page
    assert '<data value="800">800 B</data>' in page
    assert '<data value="300000">300 kB</data>' in page
    assert page.index('href="./folder/"') < page.index('href="./huge.bin"') < page.index('href="./plain.txt"')
    assert '<time datetime="1970-01-01T00:16:40Z">1970-01-01 00:16</time>' in page
    assert visit.fields[b"vary"] == b"accept"
    assert visit.get(b"/folder/") == 200
    assert b'href="../"' in visit.answer


def test_a_listing_as_json(site):
    visit = Visitor(site, listing=True, index=())
    assert visit.get(b"/", accept=b"application/json") == 200
    assert visit.fields[b"content-type"] == b"application/json"
    found = {entry["name"]: entry for entry in json.loads(visit.answer)}
    assert found["plain.txt"]["size"] == 800
    assert found["folder"] == {
        "name": "folder", "href": "./folder/", "type": "directory", "modified": found["folder"]["modified"],
    }  # fmt: skip
    assert visit.get(b"/", accept=b"text/html, application/json;q=0.9") == 200
    assert visit.fields[b"content-type"].startswith(b"text/html")


def test_an_answer_with_siblings_stands_for_a_second(visit, site):
    answer = ask(visit.files, b"/style.css")
    assert isinstance(answer, Memorable)
    assert answer.valid()
    (site / "style.css.zst").write_bytes(b"new")
    assert not answer.valid()


def ask(files: Files, path):
    from netsuite.http.wire import Request

    return files.handle(Request(b"GET", path, [], path=path), None)
