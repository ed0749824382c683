"""HTTP/1.0 and HTTP/1.1 byte for byte at a real socket, over files: what comes back is compared whole."""

from __future__ import annotations

import os
import re

from netsuite.http.wire import Http1Limits
from tests.integration.http.serving import Serving

MOMENT = 1_000_000_000
MODIFIED = b"Sun, 09 Sep 2001 01:46:40 GMT"
DATE = re.compile(rb"Date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r\n")
ETAG = re.compile(rb'"[0-9a-f]+-[0-9a-f]+-[0-9a-f]+"')

STANDING = b"Date: NOW\r\nServer: netsuite\r\n"
FILE = (
    b"Content-Type: text/plain; charset=utf-8\r\nLast-Modified: "
    + MODIFIED
    + b'\r\nETag: "TAG"\r\nAccept-Ranges: bytes\r\n'
)


def answer(status, fields=b"", body=b"", *, length=True, version=b"1.1"):
    size = b"Content-Length: %d\r\n" % len(body) if length else b""
    return b"HTTP/%b %b\r\n%b%b%b" % (version, status, STANDING, fields, size) + b"CLOSE\r\n" + body


def page(status, detail):
    title = status.decode()
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{title}</title>\n'
        f"<h1>{title}</h1>\n<p>{detail}</p>\n</html>\n"
    ).encode()


def refused(status, reason):
    text = b"%b: %b\n" % (status[:3], reason)
    return b"HTTP/1.1 %b\r\n%bContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nCLOSE\r\n%b" % (
        status,
        STANDING,
        len(text),
        text,
    )


HTML = b"Content-Type: text/html; charset=utf-8\r\n"
ALLOW = b"Allow: GET, HEAD, OPTIONS\r\n"
CASES = [
    ("1.1", b"GET /a.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", answer(b"200 OK", FILE, b"hello")),
    ("1.0", b"GET /a.txt HTTP/1.0\r\n\r\n", answer(b"200 OK", FILE, b"hello")),
    ("1.0 with a host", b"GET /a.txt HTTP/1.0\r\nHost: a\r\n\r\n", answer(b"200 OK", FILE, b"hello")),
    (
        "a whole URL",
        b"GET http://a/a.txt HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n",
        answer(b"200 OK", FILE, b"hello"),
    ),
    (
        "HEAD",
        b"HEAD /a.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        answer(b"200 OK", FILE + b"Content-Length: 5\r\n", length=False),
    ),
    (
        "a range",
        b"GET /a.txt HTTP/1.1\r\nHost: a\r\nRange: bytes=1-3\r\nConnection: close\r\n\r\n",
        answer(b"206 Partial Content", FILE + b"Content-Range: bytes 1-3/5\r\n", b"ell"),
    ),
    (
        "a range that is not there",
        b"GET /a.txt HTTP/1.1\r\nHost: a\r\nRange: bytes=9-\r\nConnection: close\r\n\r\n",
        answer(
            b"416 Range Not Satisfiable",
            HTML + b"Content-Range: bytes */5\r\n",
            page(b"416 Range Not Satisfiable", "The file has 5 bytes."),
        ),
    ),
    (
        "not modified",
        b"GET /a.txt HTTP/1.1\r\nHost: a\r\nIf-Modified-Since: " + MODIFIED + b"\r\nConnection: close\r\n\r\n",
        answer(b"304 Not Modified", b"Last-Modified: " + MODIFIED + b'\r\nETag: "TAG"\r\n', length=False),
    ),
    (
        "a failed condition",
        b'GET /a.txt HTTP/1.1\r\nHost: a\r\nIf-Match: "x"\r\nConnection: close\r\n\r\n',
        answer(
            b"412 Precondition Failed",
            HTML,
            page(b"412 Precondition Failed", "The file is not (any more) what you expected."),
        ),
    ),
    (
        "a folder",
        b"GET /folder?q HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        answer(
            b"301 Moved Permanently",
            HTML + b"Location: /folder/?q\r\n",
            page(b"301 Moved Permanently", "This is a folder; its address ends with a slash."),
        ),
    ),
    (
        "nothing",
        b"GET /none HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        answer(b"404 Not Found", HTML, page(b"404 Not Found", "That is all there is to say.")),
    ),
    (
        "OPTIONS",
        b"OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        answer(b"204 No Content", ALLOW, length=False),
    ),
    (
        "405",
        b"DELETE /a.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        answer(
            b"405 Method Not Allowed",
            HTML + ALLOW,
            page(b"405 Method Not Allowed", "This cannot be done with a file here."),
        ),
    ),
    (
        "501",
        b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n",
        refused(b"501 Not Implemented", b"the method is not known here"),
    ),
    (
        "505",
        b"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
        refused(b"505 HTTP Version Not Supported", b"only HTTP/1.0 and HTTP/1.1 are spoken here"),
    ),
    ("400", b"GET / HTTP/1.1\r\n\r\n", refused(b"400 Bad Request", b"there is no Host")),
    ("414", b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", b"HTTP/1.1 414 URI Too Long\r\n"),
    (
        "431, one long",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 431 Request Header Fields Too Large\r\n",
    ),
    (
        "431, many",
        b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * 300 + b"\r\n",
        b"HTTP/1.1 431 Request Header Fields Too Large\r\n",
    ),
    (
        "two on one connection",
        b"GET /a.txt HTTP/1.1\r\nHost: a\r\n\r\nGET /a.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        answer(b"200 OK", FILE, b"hello").replace(b"CLOSE\r\n", b"\r\n") + answer(b"200 OK", FILE, b"hello"),
    ),
    (
        "1.0 kept alive",
        b"GET /a.txt HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /a.txt HTTP/1.0\r\n\r\n",
        answer(b"200 OK", FILE, b"hello").replace(b"CLOSE", b"Connection: keep-alive\r\n")
        + answer(b"200 OK", FILE, b"hello"),
    ),
]  # fmt: skip


class Exact(Serving):
    async def test_each_answer(self):
        await self.serve()
        (self.root / "a.txt").write_text("hello")
        (self.root / "folder").mkdir()
        os.utime(self.root / "a.txt", (MOMENT, MOMENT))
        for name, sent, expected in CASES:
            got = await self.raw(sent)
            got = ETAG.sub(b'"TAG"', DATE.sub(b"Date: NOW\r\n", got))
            expected = expected.replace(b"CLOSE", b"Connection: close\r\n")
            if expected.count(b"\r\n") == 1:
                self.assertTrue(got.startswith(expected), (name, got[:200]))
                self.assertIn(b"\r\nConnection: close\r\n", got)
            else:
                self.assertEqual(got, expected, name)

    async def test_a_head_that_takes_too_long(self):
        await self.serve(head_time=0.2)
        got = await self.raw(b"GET /a.txt HTTP/1.1\r\nHos")
        expected = refused(b"408 Request Timeout", b"the head took too long")
        self.assertEqual(DATE.sub(b"Date: NOW\r\n", got), expected.replace(b"CLOSE", b"Connection: close\r\n"))

    async def test_a_body_that_is_not_wanted_so_long(self):
        await self.serve(body_limit=10)
        got = await self.raw(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n" + b"x" * 11)
        expected = refused(b"413 Content Too Large", b"the body is longer than 10 bytes")
        self.assertEqual(DATE.sub(b"Date: NOW\r\n", got), expected.replace(b"CLOSE", b"Connection: close\r\n"))

    def test_the_limits_are_those_of_the_cases(self):
        limits = Http1Limits()
        self.assertEqual((limits.target, limits.head, limits.fields), (16 * 1024, 64 * 1024, 256))
