"""Applications under paths, at a real socket: WSGI, twisted.web, our own; and what goes wrong with them."""

from __future__ import annotations

import ast
import socket
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from netsuite.common.errors import StartError
from netsuite.http.origin.mounts import load
from tests.integration.http import mounted
from tests.integration.http.serving import Serving

MODULE = "tests.integration.http.mounted"
MOUNTS = [
    {"path": "/wsgi", "app": f"{MODULE}:checked", "threads": 2, "queue": 1},
    {"path": "/loose", "app": f"{MODULE}:unchecked"},
    {"path": "/twisted", "app": f"{MODULE}:tree", "kind": "twisted"},
    {"path": "/own", "app": f"{Path(mounted.__file__)}:Own", "kind": "netsuite"},
]


class Mounts(Serving):
    async def serve_mounts(self, **settings):
        await self.serve(mount=MOUNTS, **settings)
        mounted.closed.clear()
        mounted.go_on.clear()

    async def test_what_wsgi_is_told(self):
        await self.serve_mounts()
        _, _, body = await self.ask(
            b"/wsgi/environ?a=%20b", b"X-Many: 1", b"X-Many: 2", b"Cookie: a=b", b"Proxy: http://evil", b"X_Y: z"
        )
        told = ast.literal_eval(body.decode())
        self.assertEqual(
            (told["SCRIPT_NAME"], told["PATH_INFO"], told["QUERY_STRING"]), ("/wsgi", "/environ", "a=%20b")
        )
        self.assertEqual((told["SERVER_PROTOCOL"], told["wsgi.url_scheme"]), ("HTTP/1.1", "http"))
        self.assertEqual((told["HTTP_X_MANY"], told["HTTP_COOKIE"]), ("1,2", "a=b"))
        self.assertEqual(
            (told["SERVER_NAME"], told["SERVER_PORT"], told["REMOTE_ADDR"]), ("localhost", "80", "127.0.0.1")
        )
        self.assertNotIn("HTTP_PROXY", told)
        self.assertNotIn("HTTP_X_Y", told)
        self.assertNotIn("REMOTE_USER", told)

    async def test_wsgi_answers(self):
        await self.serve_mounts()
        chunked = b"5\r\nhello\r\n4\r\n\nyou\r\n0\r\n\r\n"
        for expected, target, sent, *lines in (
            ((200, b"abc"), b"/wsgi/echo", b"abc"),
            ((200, b"hello\nyou"), b"/wsgi/echo", chunked, b"Transfer-Encoding: chunked"),
            ((200, b"A\nB"), b"/wsgi/lines", b"a\nb"),
            ((200, b"one two three"), b"/wsgi/write", b""),
            ((503, b"not now"), b"/wsgi/recovers", b""),
            ((404, b"nothing here"), b"/wsgi/other", b""),
            ((404, b"nothing here"), b"/wsgi", b""),
            ((204, b""), b"/wsgi/nothing", b""),
        ):
            if not lines:
                lines = [b"Content-Length: %d" % len(sent)]
            status, _, body = await self.ask(target, *lines, method=b"POST", body=sent)
            self.assertEqual((status, body), expected, target)
        status, _, body = await self.ask(b"/wsgi/other", method=b"HEAD")
        self.assertEqual((status, body), (404, b""))
        self.assertEqual((await self.ask(b"/wsgix"))[0], 404)

    async def test_wsgi_bodies_stream_both_ways(self):
        await self.serve_mounts()
        data = bytes(range(256)) * 8000
        status, fields, body = await self.ask(
            b"/wsgi/through", b"Content-Length: %d" % len(data), method=b"POST", body=data
        )
        self.assertEqual(status, 200)
        self.assertEqual(fields[b"transfer-encoding"], b"chunked")
        self.assertTrue(body == data)
        self.assertEqual(len(mounted.closed), 1)

    async def test_wsgi_failures(self):
        await self.serve_mounts()
        self.assertEqual((await self.ask(b"/wsgi/raises"))[0], 500)
        for target in (b"/loose/splits", b"/loose/text", b"/loose/mute"):
            self.assertEqual((await self.ask(target))[0], 500, target)
        got = await self.raw(b"GET /wsgi/late HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertIn(b"3\r\none\r\n", got)
        self.assertFalse(got.endswith(b"0\r\n\r\n"))
        self.assertEqual(len(mounted.closed), 1)
        got = await self.raw(b"GET /loose/short HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertNotIn(b"\r\n\r\nshort" + b"HTTP", got)
        self.assertGreaterEqual(len(self.flushLoggedErrors()), 5)

    async def test_a_client_that_leaves_ends_the_application(self):
        await self.serve_mounts()

        def run():
            with socket.create_connection(("127.0.0.1", self.port), 20) as client:
                client.sendall(b"GET /wsgi/endless HTTP/1.1\r\nHost: a\r\n\r\n")
                client.recv(100_000)

        await deferToThread(run)
        await self.settled(lambda: mounted.closed)

    async def test_an_application_never_runs_far_ahead(self):
        await self.serve_mounts()
        with socket.create_connection(("127.0.0.1", self.port), 20) as client:
            client.sendall(b"GET /wsgi/endless HTTP/1.1\r\nHost: a\r\n\r\n")
            before = -1
            while before != self.service.server.factory.bytes_out:
                before = self.service.server.factory.bytes_out
                for _ in range(20):
                    await self.settled(lambda: True)
            self.assertLess(before, 16 << 20)
        await self.settled(lambda: mounted.closed)

    async def test_more_requests_than_threads(self):
        await self.serve_mounts()
        waiting = [Deferred.fromCoroutine(self.ask(b"/wsgi/waits")) for _ in range(3)]
        await self.settled(lambda: self.service.server.requests == 3)
        status, fields, _ = await self.ask(b"/wsgi/waits")
        self.assertEqual((status, fields[b"retry-after"]), (503, b"1"))
        mounted.go_on.set()
        self.assertEqual([(await each)[2] for each in waiting], [b"went on"] * 3)

    async def test_bodies_beyond_the_limit(self):
        await self.serve_mounts(body_limit=1000)
        for target in (b"/wsgi/echo", b"/twisted/form"):
            got = await self.ask(target, b"Content-Length: 1001", method=b"POST", body=b"x" * 1001)
            self.assertEqual(got[0], 413)

    async def test_a_whole_framework(self):
        from flask import Flask, request

        app = Flask("test")
        app.secret_key = "x"

        @app.route("/hello/<name>", methods=["GET", "POST"])
        def hello(name):
            from flask import session

            session["visits"] = session.get("visits", 0) + 1
            return f"{name} {request.form.get('field')} {session['visits']} {request.script_root}"

        mounted.flask = app
        self.addCleanup(delattr, mounted, "flask")
        await self.serve(mount=[{"path": "/f", "app": f"{MODULE}:flask"}])
        form = b"Content-Type: application/x-www-form-urlencoded"
        status, fields, body = await self.ask(
            b"/f/hello/you", form, b"Content-Length: 9", method=b"POST", body=b"field=val"
        )
        self.assertEqual((status, body), (200, b"you val 1 /f"))
        cookie = b"Cookie: " + fields[b"set-cookie"].partition(b";")[0]
        self.assertEqual((await self.ask(b"/f/hello/you", cookie))[2], b"you None 2 /f")

    async def test_resources(self):
        await self.serve_mounts()
        for target in (b"/twisted", b"/twisted/"):
            status, fields, body = await self.ask(target)
            self.assertEqual((status, body), (200, b"the root"))
        status, fields, body = await self.ask(b"/twisted/form/x?a=1&a=2", b"Cookie: seen=no")
        said = ast.literal_eval(body.decode())
        self.assertEqual(said, ([b"twisted", b"form"], [b"x"], {b"a": [b"1", b"2"]}, b"no", False))
        self.assertEqual(fields[b"set-cookie"], b"seen=yes; HttpOnly")
        self.assertEqual(fields[b"server"], b"netsuite")
        self.assertEqual(sum(line.lower().startswith(b"date:") for line in self.lines), 1)
        form = b"Content-Type: application/x-www-form-urlencoded"
        _, _, body = await self.ask(b"/twisted/form", form, b"Content-Length: 7", method=b"POST", body=b"a=1&b=2")
        self.assertEqual(body, repr(([(b"a", [b"1"]), (b"b", [b"2"])], 7)).encode())
        status, fields, body = await self.ask(b"/twisted/form", method=b"HEAD")
        self.assertEqual((status, body), (200, b""))
        self.assertEqual((await self.ask(b"/twisted/none"))[0], 404)
        self.assertEqual((await self.ask(b"/twisted/form", method=b"PATCH"))[0], 501)
        self.assertEqual((await self.ask(b"/twisted/raises"))[0], 500)
        self.flushLoggedErrors(RuntimeError)

    async def test_static_files_of_twisted(self):
        await self.serve_mounts()
        whole = Path(mounted.__file__).read_bytes()
        status, fields, body = await self.ask(b"/twisted/file")
        self.assertEqual((status, body), (200, whole))
        self.assertEqual(fields[b"content-length"], b"%d" % len(whole))
        status, fields, body = await self.ask(b"/twisted/folder/mounted.py", b"Range: bytes=10-19")
        self.assertEqual((status, body), (206, whole[10:20]))
        status, *_ = await self.ask(b"/twisted/file", b"If-Modified-Since: " + fields[b"last-modified"])
        self.assertEqual(status, 304)

    async def test_a_resource_that_is_not_done_yet(self):
        await self.serve_mounts()
        mounted.Slow.ended.clear()
        asked = Deferred.fromCoroutine(self.ask(b"/twisted/slow"))
        await self.settled(lambda: mounted.Slow.waiting)
        mounted.Slow.waiting.pop().callback(None)
        self.assertEqual((await asked)[2], b"begin end")
        self.assertEqual(mounted.Slow.ended, [None])
        with socket.create_connection(("127.0.0.1", self.port), 20) as client:
            client.sendall(b"GET /twisted/slow HTTP/1.1\r\nHost: a\r\n\r\n")
            await self.settled(lambda: mounted.Slow.waiting)
        await self.settled(lambda: len(mounted.Slow.ended) == 2)
        self.assertEqual(mounted.Slow.ended[1].type.__name__, "ConnectionDone")
        mounted.Slow.waiting.clear()

    async def test_a_push_producer_is_held_back(self):
        await self.serve_mounts()
        mounted.Pusher.pauses = mounted.Pusher.stopped = 0
        self.assertEqual(len((await self.ask(b"/twisted/push"))[2]), 10_000_000)
        self.assertGreater(mounted.Pusher.pauses, 3)
        with socket.create_connection(("127.0.0.1", self.port), 20) as client:
            client.sendall(b"GET /twisted/push HTTP/1.1\r\nHost: a\r\n\r\n")
            await deferToThread(client.recv, 1000)
        await self.settled(lambda: mounted.Pusher.stopped)

    async def test_our_own(self):
        await self.serve_mounts()
        self.assertEqual((await self.ask(b"/own/x"))[2], b"own /own/x")
        self.assertEqual((await self.ask(b"/"))[2], b"home")

    async def test_rules_hold_for_applications(self):
        rules = [{"path": "/wsgi", "users": ["alice"]}, {"path": "/own", "clients": ["192.0.2.0/24"]}]
        await self.serve_mounts(rule=rules)
        await self.commons.identity.add("alice", "apple")
        self.assertEqual((await self.ask(b"/wsgi/environ"))[0], 401)
        self.assertEqual((await self.ask(b"/own"))[0], 403)
        _, _, body = await self.ask(b"/wsgi/environ", b"Authorization: Basic YWxpY2U6YXBwbGU=")
        self.assertEqual(ast.literal_eval(body.decode())["REMOTE_USER"], "alice@example.test")

    def test_what_cannot_be_loaded(self):
        for name, words in (
            ("no.such.module:app", "cannot be loaded (ModuleNotFoundError"),
            ("/nonexistent.py:app", "cannot be loaded (FileNotFoundError"),
            (f"{MODULE}:none", f"there is no none in {MODULE}"),
        ):
            with self.assertRaises(StartError) as caught:
                load(name)
            self.assertIn(words, str(caught.exception))

    async def test_what_is_no_application(self):
        for kind in ("wsgi", "twisted", "netsuite"):
            with self.assertRaises(StartError) as caught:
                await self.serve(mount=[{"path": "/x", "app": f"{MODULE}:not_an_application", "kind": kind}])
            self.assertIn("http.mount.app", str(caught.exception))
            self.service = None
