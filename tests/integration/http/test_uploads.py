"""PUT and DELETE at a real socket: who may, when, and what is there afterwards."""

from __future__ import annotations

import base64
import hashlib
import os
import socket

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.threads import deferToThread

from netsuite.testing.commons import make_commons
from tests.integration.http.serving import Serving

RULES = [
    {"path": "/up", "methods": ["PUT", "DELETE"], "clients": ["loopback"]},
    {"path": "/mine", "methods": ["PUT", "DELETE", "GET"], "users": ["alice"]},
    {"path": "/theirs", "users": ["*"]},
]


def digest(data, name="sha-256"):
    made = hashlib.new(name.replace("-", ""), data).digest()
    return f"{name}=:{base64.b64encode(made).decode()}:".encode()


def basic(name, password):
    return b"Authorization: Basic " + base64.b64encode(f"{name}:{password}".encode())


class Uploads(Serving):
    async def serve_files(self, **settings):
        await self.serve(**{"rule": RULES, **settings})

    def left(self):
        folder = self.root / ".netsuite-uploads"
        return sorted(folder.iterdir()) if folder.exists() else []

    async def put(self, target, body=b"", *lines, method=b"PUT", length=True):
        if length:
            lines = (*lines, b"Content-Length: %d" % len(body))
        return await self.ask(target, *lines, method=method, body=body)

    async def test_a_file_comes_changes_and_goes(self):
        await self.serve_files()
        status, fields, _ = await self.put(b"/up/new/deep/a.txt", b"one")
        self.assertEqual(status, 201)
        self.assertEqual((self.root / "up/new/deep/a.txt").read_bytes(), b"one")
        got, seen, body = await self.ask(b"/up/new/deep/a.txt")
        self.assertEqual((got, body, seen[b"etag"]), (200, b"one", fields[b"etag"]))
        self.assertEqual((await self.put(b"/up/new/deep/a.txt", b"other"))[0], 204)
        # the very next reader sees it
        self.assertEqual((await self.ask(b"/up/new/deep/a.txt"))[2], b"other")
        self.assertEqual((await self.put(b"/up/new/deep/a.txt", method=b"DELETE"))[0], 204)
        self.assertEqual((await self.ask(b"/up/new/deep/a.txt"))[0], 404)
        self.assertEqual((await self.put(b"/up/new/deep/a.txt", method=b"DELETE"))[0], 404)
        self.assertEqual(self.left(), [])

    async def test_in_chunks_and_large(self):
        await self.serve_files()
        data = os.urandom(3 << 20)
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in (data[:1000], data[1000:2000000], data[2000000:]))
        status, _, _ = await self.put(
            b"/up/large", chunks + b"0\r\n\r\n", b"Transfer-Encoding: chunked", digest_line(data), length=False
        )
        self.assertEqual(status, 201)
        self.assertEqual((self.root / "up/large").read_bytes(), data)

    async def test_conditions(self):
        await self.serve_files()
        self.assertEqual((await self.put(b"/up/a", b"1", b"If-Match: *"))[0], 412)
        status, fields, _ = await self.put(b"/up/a", b"1", b"If-None-Match: *")
        self.assertEqual(status, 201)
        self.assertEqual((await self.put(b"/up/a", b"2", b"If-None-Match: *"))[0], 412)
        self.assertEqual((await self.put(b"/up/a", b"2", b'If-Match: "other"'))[0], 412)
        status, newer, _ = await self.put(b"/up/a", b"2", b"If-Match: " + fields[b"etag"])
        self.assertEqual(status, 204)
        self.assertEqual((await self.put(b"/up/a", b"3", b"If-Match: " + fields[b"etag"]))[0], 412)
        old = b"If-Unmodified-Since: Thu, 01 Jan 2015 00:00:00 GMT"
        self.assertEqual((await self.put(b"/up/a", b"3", old))[0], 412)
        self.assertEqual((await self.put(b"/up/a", b"", b'If-Match: "x"', method=b"DELETE"))[0], 412)
        self.assertEqual((self.root / "up/a").read_bytes(), b"2")
        self.assertEqual((await self.put(b"/up/a", b"", b"If-Match: " + newer[b"etag"], method=b"DELETE"))[0], 204)

    async def test_what_is_refused(self):
        await self.serve_files(upload_limit=10_000)
        (self.root / "up/folder").mkdir(parents=True)
        (self.root / "up/file").write_text("x")
        for status, target, body, *lines in (
            (400, b"/up/a", b"x", b"Content-Range: bytes 0-0/10"),
            (415, b"/up/a", b"x", b"Content-Encoding: gzip"),
            (400, b"/up/a", b"x", b"Content-Digest: nonsense"),
            (400, b"/up/a", b"x", b"Content-Digest: " + digest(b"y")),
            (400, b"/up/a", b"x", b"Repr-Digest: " + digest(b"x") + b", " + digest(b"y", "sha-512")),
            (201, b"/up/good", b"x", b"Repr-Digest: " + digest(b"x") + b", md5=:AAAA:"),
            (409, b"/up/folder", b"x"),
            (409, b"/up/file/below", b"x"),
            (405, b"/up/folder/", b"x"),
            (405, b"/up/.hidden", b"x"),
            (404, b"/up/../a", b"x"),
            (404, b"/up/%2e%2e/a", b"x"),
            (414, b"/up/" + b"n" * 300, b"x"),
            (413, b"/up/a", b"x" * 10_001),
            (405, b"/a", b"x"),
            (405, b"/index.html", b"x"),
            (405, b"/uppish", b"x"),
        ):
            got, fields, _ = await self.put(target, body, *lines)
            self.assertEqual(got, status, (target, lines))
            if got == 405:
                self.assertEqual(fields[b"allow"], b"GET, HEAD, OPTIONS")
        self.assertFalse((self.root / "up/a").exists())
        await self.settled()
        self.assertEqual(self.left(), [])

    async def test_chunks_beyond_the_limit(self):
        await self.serve_files(upload_limit=1000, body_limit=5000)
        chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (1001, b"x" * 1001)
        got = await self.put(b"/up/a", chunks, b"Transfer-Encoding: chunked", length=False)
        self.assertEqual(got[0], 413)
        await self.settled()
        self.assertEqual(self.left(), [])

    async def test_allow_tells_the_truth(self):
        await self.serve_files()
        for target, allowed in (
            (b"/up/a", b"GET, HEAD, OPTIONS, PUT, DELETE"),
            (b"/up/", b"GET, HEAD, OPTIONS"),
            (b"/mine/a", b"GET, HEAD, OPTIONS, PUT, DELETE"),
            (b"/other", b"GET, HEAD, OPTIONS"),
            (b"*", b"GET, HEAD, OPTIONS"),
        ):
            status, fields, _ = await self.ask(target, method=b"OPTIONS")
            self.assertEqual((status, fields[b"allow"]), (204, allowed), target)
        self.assertEqual((await self.ask(b"/up/a", method=b"POST"))[0], 405)
        self.assertEqual((await self.ask(b"/up/a", method=b"BREW"))[0], 501)

    async def test_users(self):
        await self.serve_files()
        await self.commons.identity.add("alice", "apple")
        await self.commons.identity.add("bob", "banana")
        status, fields, _ = await self.put(b"/mine/a", b"1")
        self.assertEqual(status, 401)
        self.assertEqual(fields[b"www-authenticate"], b'Basic realm="example.test", charset="UTF-8"')
        self.assertEqual((await self.put(b"/mine/a", b"1", basic("alice", "wrong")))[0], 401)
        self.assertEqual((await self.put(b"/mine/a", b"1", basic("bob", "banana")))[0], 403)
        self.assertEqual((await self.put(b"/mine/a", b"1", b"Authorization: Basic !"))[0], 401)
        self.assertEqual((await self.put(b"/mine/a", b"1", basic("alice", "apple")))[0], 201)
        self.assertEqual((await self.ask(b"/mine/a"))[0], 401)
        self.assertEqual((await self.ask(b"/%6dine/a"))[0], 401)
        self.assertEqual((await self.ask(b"/x/../mine/a"))[0], 404)
        status, fields, body = await self.ask(b"/mine/a", basic("alice@example.test", "apple"))
        self.assertEqual((status, body, fields[b"cache-control"]), (200, b"1", b"private"))
        self.assertEqual(self.service.server.hot.hits, 0)
        (self.root / "theirs").mkdir()
        (self.root / "theirs/x").write_text("x")
        self.assertEqual((await self.ask(b"/theirs/x"))[0], 401)
        self.assertEqual((await self.ask(b"/theirs/x", basic("bob", "banana")))[2], b"x")
        self.assertEqual((await self.put(b"/theirs/x", b"y", basic("bob", "banana")))[0], 405)

    async def test_too_many_failures(self):
        await self.serve_files()
        await self.commons.identity.add("alice", "apple")
        got = [(await self.put(b"/mine/a", b"", basic("alice", f"wrong{n}")))[0] for n in range(20)]
        self.assertIn(429, got)
        status, fields, _ = await self.put(b"/mine/a", b"1", basic("alice", "apple"))
        self.assertEqual(status, 429)
        self.assertGreaterEqual(int(fields[b"retry-after"]), 1)

    async def test_100_continue_is_said_only_to_who_may(self):
        await self.serve_files()

        def run(target, condition=b""):
            with socket.create_connection(("127.0.0.1", self.port), 20) as client:
                client.sendall(
                    b"PUT %b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n%b\r\n"
                    % (target, condition)
                )
                first = client.recv(1000)
                if first.startswith(b"HTTP/1.1 100 "):
                    client.sendall(b"abc")
                    first += client.recv(1000)
                return first

        got = await deferToThread(run, b"/up/a")
        self.assertTrue(got.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\n"), got)
        self.assertTrue((await deferToThread(run, b"/a")).startswith(b"HTTP/1.1 405 "))
        self.assertTrue((await deferToThread(run, b"/mine/a")).startswith(b"HTTP/1.1 401 "))
        self.assertTrue((await deferToThread(run, b"/up/a", b"If-None-Match: *\r\n")).startswith(b"HTTP/1.1 412 "))

    async def test_an_upload_that_breaks_off_leaves_nothing(self):
        await self.serve_files()

        def run():
            with socket.create_connection(("127.0.0.1", self.port), 20) as client:
                client.sendall(b"PUT /up/a HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\n" + b"x" * 1_000_000)

        await deferToThread(run)
        await self.settled(lambda: self.service.server.requests == 1)
        await self.settled()
        self.assertEqual(self.left(), [])
        self.assertFalse((self.root / "up").exists())

    async def test_an_upload_that_is_given_up_while_it_begins(self):
        await self.serve_files()
        (changes,) = self.service.pages._changes
        await (await changes.uploads.begin([b"up", b"x"])).commit(lambda found: True)
        await self.settled()
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(20):
            begun = Deferred.fromCoroutine(changes.uploads.begin([b"up", b"x"]))
            begun.addErrback(lambda failure: failure.trap(CancelledError) and None)
            begun.cancel()
        await self.settled()
        await self.settled()
        self.assertEqual(self.left(), [])
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)

    async def test_what_a_crash_left_is_removed_at_the_start(self):
        await self.serve_files()
        await self.stop()
        (self.root / ".netsuite-uploads").mkdir(exist_ok=True)
        (self.root / ".netsuite-uploads/0123").write_text("half")
        self.commons = make_commons(self.root.parent / "data", reactor)
        self.start()
        self.assertEqual(self.left(), [])

    async def test_readers_see_the_old_file_until_the_new_one_is_whole(self):
        await self.serve_files()
        await self.put(b"/up/a", b"old")
        steps = []

        def run():
            with socket.create_connection(("127.0.0.1", self.port), 20) as client:
                client.sendall(b"PUT /up/a HTTP/1.1\r\nHost: a\r\nContent-Length: 600000\r\n\r\n" + b"n" * 599_999)
                with socket.create_connection(("127.0.0.1", self.port), 20) as reader:
                    reader.sendall(b"GET /up/a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                    while piece := reader.recv(65536):
                        steps.append(piece)
                client.sendall(b"n")
                return client.recv(1000)

        self.assertTrue((await deferToThread(run)).startswith(b"HTTP/1.1 204 "))
        self.assertTrue(b"".join(steps).endswith(b"\r\n\r\nold"))
        self.assertEqual((await self.ask(b"/up/a"))[2], b"n" * 600_000)

    async def test_of_many_at_once_each_is_whole_and_one_creates(self):
        await self.serve_files()
        bodies = [bytes([65 + n]) * 300_000 for n in range(8)]
        waiting = [Deferred.fromCoroutine(self.put(b"/up/a", body, b"If-None-Match: *")) for body in bodies]
        got = sorted([(await each)[0] for each in waiting])
        self.assertEqual(got, [201, *[412] * 7])
        self.assertIn((self.root / "up/a").read_bytes(), bodies)

    async def test_a_link_that_leads_outside(self):
        await self.serve_files()
        outside = self.root.parent / "outside"
        outside.mkdir()
        (self.root / "up").mkdir()
        (self.root / "up/leak").symlink_to(outside)
        self.assertEqual((await self.put(b"/up/leak/a", b"x"))[0], 409)
        self.assertEqual(list(outside.iterdir()), [])

    async def test_a_disk_without_space(self):
        await self.serve_files(upload_limit=1 << 60)
        status, *_ = await self.ask(b"/up/a", b"Content-Length: %d" % (1 << 59), b"Expect: 100-continue", method=b"PUT")
        self.assertEqual(status, 507)


def digest_line(data):
    return b"Content-Digest: " + digest(data, "sha-512")
