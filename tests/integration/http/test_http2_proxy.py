"""HTTP/2 in, HTTP/1.1 out: what the origin sees of a request, and tunnels on a stream."""

from __future__ import annotations

from twisted.internet.threads import deferToThread

from tests.integration.http.scripted import reply
from tests.integration.http.test_http2 import Client
from tests.integration.http.test_proxy import ProxyCase


class Translation(ProxyCase):
    async def test_an_upload_is_framed_anew_and_says_its_version(self):
        seen = []

        def script(side, head, body):
            seen.append((head.lower(), body))
            side.say(reply(b"ok"))

        self.script = script

        def talk():
            client = Client(self.port)
            smuggled = b"0\r\n\r\nGET /evil HTTP/1.1\r\nA:\r\n\r"
            fields = [(b"te", b"trailers"), (b"cookie", b"a=b"), (b"cookie", b"c=d"), (b"content-length", b"30")]
            answers = client.answered(client.ask(b"/up", b"POST", fields, body=smuggled))
            client.socket.close()
            return answers

        self.assertEqual(await deferToThread(talk), [(200, b"ok")])
        ((head, body),) = seen
        self.assertIn(b"GET /evil", body if isinstance(body, bytes) else body.encode())
        for line in ("cookie: a=b; c=d\r\n", "via: 2.0 ", "host: 127.0.0.1"):
            self.assertIn(line, head)
        self.assertEqual((head.count("transfer-encoding"), head.count("content-length: 30")), (0, 1))
        self.assertIn("te: trailers\r\n", head)
        self.assertIn("connection: te", head)

    async def test_a_forward_proxy_fetches_and_tunnels(self):
        port = self.serve().addresses()[0].port
        authority = self.origin.url.removeprefix("http://").encode()

        def talk():
            client = Client(port)
            stream = client.h2.get_next_available_stream_id()
            target = [(b":method", b"GET"), (b":scheme", b"http"), (b":authority", authority), (b":path", b"/x")]
            client.h2.send_headers(stream, target, end_stream=True)
            client.flush()
            fetched = client.answered(stream)
            tunnel = client.h2.get_next_available_stream_id()
            client.h2.send_headers(tunnel, [(b":method", b"CONNECT"), (b":authority", authority)])
            client.h2.send_data(tunnel, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            client.flush()
            client.until(lambda: b"hello" in client.bodies.get(tunnel, b""))
            client.socket.close()
            return fetched, client.statuses[tunnel]

        fetched, status = await deferToThread(talk)
        self.assertEqual((fetched, status), ([(200, b"hello")], 200))
