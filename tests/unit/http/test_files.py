"""Static files: what is found, what is hidden, conditions and ranges."""

from __future__ import annotations

import os

import pytest

from netsuite.http.origin.files import Files
from netsuite.http.origin.tree import Tree, segments
from netsuite.http.server import Memorable
from netsuite.http.wire import Request
from netsuite.testing.commons import make_commons
from netsuite.testing.network import Network


@pytest.fixture
def site(tmp_path):
    root = tmp_path / "site"
    (root / "folder").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / ".hidden").mkdir()
    (root / ".well-known").mkdir()
    (root / "index.html").write_text("<h1>home</h1>")
    (root / "folder" / "index.html").write_text("folder")
    (root / "a b.txt").write_text("spaced")
    (root / "digits.txt").write_text("0123456789")
    (root / "data.unknown").write_bytes(b"\0\1")
    (root / "archive.tar.gz").write_bytes(b"\x1f\x8b")
    (root / ".secret").write_text("secret")
    (root / ".hidden" / "file").write_text("secret")
    (root / ".well-known" / "security.txt").write_text("ask")
    (root / "empty" / "<x>.txt").write_text("x")
    (tmp_path / "outside.txt").write_text("outside")
    (root / "leak.txt").symlink_to(tmp_path / "outside.txt")
    (root / "leak").symlink_to(tmp_path)
    (root / "inner.txt").symlink_to("digits.txt")
    (root / "loop").symlink_to("loop")
    os.mkfifo(root / "pipe")
    return root


class Visitor:
    """Asks a Files application, and moves its clock."""

    def __init__(self, root, **options):
        self.network = Network()
        self.host = self.network.host("192.0.2.1")
        self.files = Files(make_commons(root.parent / "data", self.host), root, **options)

    def get(self, path, method=b"GET", **fields):
        headers = [(name.replace("_", "-").encode(), value) for name, value in fields.items()]
        target, _, query = path.partition(b"?")
        request = Request(method, path, headers, path=target, query=query or None)
        status, fields, body = self.files.handle(request, None)[:3]
        self.fields = dict(fields)
        self.answer = body
        return status


@pytest.fixture
def visit(site):
    return Visitor(site)


NOWHERE = b"""
/missing /../outside.txt /%2e%2e/outside.txt /folder/../digits.txt /folder/./index.html /.secret * //digits.txt /pipe
/folder%2findex.html /folder%5cindex.html /..%5coutside.txt /digits.txt%00 /digits.txt%00.html /%2esecret /.hidden/file
/folder//index.html /digits.txt/ /leak.txt /leak/outside.txt /loop /empty/ /.%2e/outside.txt /%252e%252e/outside.txt
/%c0%ae%c0%ae/outside.txt /folder/%2e%2e%2f%2e%2e /folder\\x
"""


@pytest.mark.parametrize("path", [*NOWHERE.split(), b"/" + b"a" * 5000])
def test_what_does_not_exist(visit, path):
    assert visit.get(path) == 404
    assert b"outside" not in visit.answer
    assert b"secret" not in visit.answer


@pytest.mark.parametrize(
    ("path", "body", "kind"),
    [
        (b"/", b"<h1>home</h1>", b"text/html; charset=utf-8"),
        (b"/digits.txt", b"0123456789", b"text/plain; charset=utf-8"),
        (b"/digits.txt?q", b"0123456789", b"text/plain; charset=utf-8"),
        (b"/d%69gits.txt", b"0123456789", b"text/plain; charset=utf-8"),
        (b"/a%20b.txt", b"spaced", b"text/plain; charset=utf-8"),
        (b"/inner.txt", b"0123456789", b"text/plain; charset=utf-8"),
        (b"/folder/", b"folder", b"text/html; charset=utf-8"),
        (b"/data.unknown", b"\0\1", b"application/octet-stream"),
        (b"/archive.tar.gz", b"\x1f\x8b", b"application/gzip"),
        (b"/.well-known/security.txt", b"ask", b"text/plain; charset=utf-8"),
    ],
)
def test_what_exists(visit, path, body, kind):
    for _ in range(2):
        assert visit.get(path) == 200
        assert visit.answer == body
        assert visit.fields[b"content-type"] == kind
    assert visit.get(path, b"HEAD") == 200


def test_a_folder_without_its_slash(visit):
    assert visit.get(b"/folder") == 301
    assert visit.fields[b"location"] == b"/folder/"
    assert visit.get(b"/folder?a=b") == 301
    assert visit.fields[b"location"] == b"/folder/?a=b"


def test_a_listing_escapes_and_hides(site):
    visit = Visitor(site, listing=True, index=())
    assert visit.get(b"/empty/") == 200
    assert b'href="./%3Cx%3E.txt">&lt;x&gt;.txt<' in visit.answer
    assert visit.get(b"/") == 200
    assert b"secret" not in visit.answer
    assert b"hidden" not in visit.answer
    assert b"pipe" not in visit.answer


def test_methods(visit):
    for method in (b"POST", b"PUT", b"DELETE", b"PATCH"):
        assert visit.get(b"/digits.txt", method) == 405
        assert visit.fields[b"allow"] == b"GET, HEAD, OPTIONS"
    assert visit.get(b"/digits.txt", b"OPTIONS") == 204


def test_settings_for_types_and_age(site):
    visit = Visitor(site, types={"unknown": "text/x-known"}, max_age=60)
    assert visit.get(b"/data.unknown") == 200
    assert visit.fields[b"content-type"] == b"text/x-known; charset=utf-8"
    assert visit.fields[b"cache-control"] == b"max-age=60"


def test_conditions(visit):
    visit.get(b"/digits.txt")
    etag, modified = visit.fields[b"etag"], visit.fields[b"last-modified"]
    old = b"Thu, 01 Jan 1970 00:00:00 GMT"
    assert not etag.startswith(b"W/")
    assert visit.get(b"/digits.txt", if_none_match=etag) == 304
    assert visit.answer == b""
    assert visit.fields == {b"etag": etag, b"last-modified": modified}
    assert visit.get(b"/digits.txt", if_none_match=b'"x", W/' + etag) == 304
    assert visit.get(b"/digits.txt", if_none_match=b'"x"', if_modified_since=modified) == 200
    assert visit.get(b"/digits.txt", if_modified_since=modified) == 304
    assert visit.get(b"/digits.txt", if_modified_since=old) == 200
    assert visit.get(b"/digits.txt", if_modified_since=b"yesterday") == 200
    assert visit.get(b"/digits.txt", if_match=b'"x"') == 412
    assert visit.get(b"/digits.txt", if_match=etag) == 200
    assert visit.get(b"/digits.txt", if_unmodified_since=old) == 412
    assert visit.get(b"/digits.txt", if_match=etag, if_unmodified_since=old) == 200


@pytest.mark.parametrize(
    ("asked", "status", "body", "content_range"),
    [
        (b"bytes=0-3", 206, b"0123", b"bytes 0-3/10"),
        (b"bytes=8-", 206, b"89", b"bytes 8-9/10"),
        (b"bytes=-3", 206, b"789", b"bytes 7-9/10"),
        (b"bytes=5-500", 206, b"56789", b"bytes 5-9/10"),
        (b"bytes=-500", 206, b"0123456789", b"bytes 0-9/10"),
        (b"bytes=10-", 416, None, b"bytes */10"),
        (b"bytes=-0", 416, None, b"bytes */10"),
        (b"bytes=3-1", 200, b"0123456789", None),
        (b"lines=1-2", 200, b"0123456789", None),
        (b"bytes=x", 200, b"0123456789", None),
    ],
)
def test_ranges(visit, asked, status, body, content_range):
    assert visit.get(b"/digits.txt", range=asked) == status
    assert body is None or visit.answer == body
    assert visit.fields.get(b"content-range") == content_range
    assert visit.get(b"/digits.txt", b"HEAD", range=asked) == 200


def test_several_ranges(visit):
    assert visit.get(b"/digits.txt", range=b"bytes=0-1,8-9") == 206
    kind, _, boundary = visit.fields[b"content-type"].partition(b"boundary=")
    assert kind == b"multipart/byteranges; "
    parts = visit.answer.split(b"--" + boundary)
    assert [part.partition(b"\r\n\r\n")[2] for part in parts[1:3]] == [b"01\r\n", b"89\r\n"]
    assert parts[3] == b"--\r\n"
    assert b"Content-Range: bytes 8-9/10" in parts[2]


def test_if_range(visit):
    visit.get(b"/digits.txt")
    etag = visit.fields[b"etag"]
    assert visit.get(b"/digits.txt", range=b"bytes=0-1", if_range=etag) == 206
    assert visit.get(b"/digits.txt", range=b"bytes=0-1", if_range=b'"other"') == 200
    assert visit.get(b"/digits.txt", range=b"bytes=0-1", if_range=b"W/" + etag) == 200


def test_a_changed_file_is_seen_within_a_second(visit, site):
    visit.get(b"/digits.txt")
    before = visit.fields[b"etag"]
    answer = visit.files.handle(Request(b"GET", b"/", [], path=b"/digits.txt"), None)
    assert isinstance(answer, Memorable)
    assert answer.valid()
    (site / "digits.txt").write_text("changed")
    assert not answer.valid()
    visit.network.advance(1.1)
    assert visit.get(b"/digits.txt") == 200
    assert visit.answer == b"changed"
    assert visit.fields[b"etag"] != before
    (site / "digits.txt").unlink()
    visit.network.advance(1.1)
    assert visit.get(b"/digits.txt") == 404


def test_a_link_that_comes_to_lead_outside_is_refused(visit, site):
    assert visit.get(b"/inner.txt") == 200
    (site / "inner.txt").unlink()
    (site / "inner.txt").symlink_to(site.parent / "outside.txt")
    visit.network.advance(1.1)
    assert visit.get(b"/inner.txt") == 404


def test_segments():
    assert segments(b"/") == [b""]
    assert segments(b"/a/b%20c/") == [b"a", b"b c", b""]
    assert segments(b"/a//") is None
    assert segments(b"x") is None


def test_a_tree_opens_nothing_outside(site):
    tree = Tree(site)
    assert tree.open(tree.place([b"..", b"outside.txt"])) is None
    assert tree.open(tree.place([b"leak.txt"])) is None
    descriptor = tree.open(tree.place([b"inner.txt"]))
    assert os.read(descriptor, 100) == b"0123456789"
    os.close(descriptor)
