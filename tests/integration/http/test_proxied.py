"""Ports behind a balancer: whose word counts, and what becomes of the rest."""

from __future__ import annotations

import socket
import ssl

from twisted.internet.threads import deferToThread

from netsuite.sansio.proxyheader import LOCAL_V2, v1, v2
from tests.integration.http.scripted import connect
from tests.integration.http.test_proxy import FRESH, ProxyCase

CLIENT, ASKED = ("192.0.2.9", 4321), ("198.51.100.1", 80)
REQUEST = b"GET /who HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"


class Proxied(ProxyCase):
    def behind(self, listen="proxied:127.0.0.1:0", **settings):
        self.proxy = self.serve(origin=self.origin.url, listen=[listen], **settings)
        self.port = self.proxy.addresses()[0].port
        return self.proxy

    async def said(self, *pieces):
        client = await connect(self.reactor, self.port)
        for piece in pieces:
            client.transport.write(piece)
        await client.until(lambda c: c.closed)
        return client.data

    async def test_the_announced_client_counts(self):
        self.behind()
        for header in (v1(CLIENT, ASKED), v2(CLIENT, ASKED, alpn="h2", server_name="a.test")):
            self.assertTrue(
                (await self.said(header + REQUEST.replace(b"/who", b"/%d" % len(header)))).endswith(b"hello")
            )
            self.assertIn("X-Forwarded-For: 192.0.2.9", self.origin.seen[-1][0])
        self.assertEqual(self.commons.journal.recent(1)[0]["client"], "192.0.2.9")

    async def test_byte_by_byte(self):
        self.behind()
        whole = v2(CLIENT, ASKED) + REQUEST
        client = await connect(self.reactor, self.port)
        client.transport.setTcpNoDelay(True)
        for index in range(len(whole)):
            client.transport.write(whole[index : index + 1])
            await deferToThread(lambda: None)
        await client.until(lambda c: c.closed)
        self.assertTrue(client.data.endswith(b"hello"))

    async def test_the_balancer_for_itself(self):
        self.behind()
        self.assertTrue((await self.said(LOCAL_V2 + REQUEST)).endswith(b"hello"))
        self.assertIn("X-Forwarded-For: 127.0.0.1", self.origin.seen[-1][0])

    async def test_rules_and_limits_are_for_the_announced(self):
        self.behind(allow=["192.0.2.0/24"], connections_per_address=1)
        self.assertEqual(await self.said(v1(("203.0.113.1", 1), ASKED) + REQUEST), b"")
        held = await connect(self.reactor, self.port)
        held.transport.write(v1(CLIENT, ASKED))
        other = v1(("192.0.2.10", 1), ASKED)
        while not self.proxy.server.factory.adapters:
            await deferToThread(lambda: None)
        self.assertEqual(await self.said(v1(CLIENT, ASKED) + REQUEST), b"")
        self.assertTrue((await self.said(other + REQUEST)).endswith(b"hello"))
        held.transport.loseConnection()

    async def test_who_announces_nobody_is_not_let_in(self):
        self.behind()
        for first in (REQUEST, b"PROXY TCP4 nonsense\r\n" + REQUEST, b"\x16\x03\x01\x02\0"):
            self.assertEqual(await self.said(first), b"")
        self.assertEqual(self.origin.seen, [])
        self.assertEqual(self.proxy.server.factory.refused, 3)

    async def test_who_is_not_trusted_is_not_let_in(self):
        self.commons.access.balancers = self.commons.access.rule(["10.0.0.0/8"])
        self.behind()
        self.assertEqual(await self.said(v1(CLIENT, ASKED) + REQUEST), b"")

    async def test_an_announcement_elsewhere_is_garbage(self):
        answer = await self.said_to(self.services[0].addresses()[0].port, v1(CLIENT, ASKED) + REQUEST)
        self.assertTrue(answer.startswith(b"HTTP/1.1 400"))

    async def said_to(self, port, *pieces):
        self.port = port
        return await self.said(*pieces)

    async def test_before_tls(self):
        self.behind("proxied:secure:127.0.0.1:0")
        context = ssl.create_default_context(cafile=self.commons.certificates.ca_path)
        port = self.port

        def fetch():
            with socket.create_connection(("127.0.0.1", port), 10) as plain:
                plain.sendall(v2(CLIENT, ASKED))
                with context.wrap_socket(plain, server_hostname="localhost") as secure:
                    secure.sendall(REQUEST)
                    data = b""
                    while piece := secure.recv(65536):
                        data += piece
                    return data

        self.assertTrue((await deferToThread(fetch)).endswith(b"hello"))
        self.assertIn("X-Forwarded-For: 192.0.2.9", self.origin.seen[-1][0])
        self.assertIn("X-Forwarded-Proto: https", self.origin.seen[-1][0])

    async def test_what_we_send_is_what_we_read(self):
        """Two proxies: the first announces its client to the second."""
        behind = self.behind(name="inner")
        front = self.serve(
            pool=[{"name": "inner", "servers": [f"http://127.0.0.1:{behind.addresses()[0].port}"], "send_proxy": "v2"}],
            listen=["proxied:127.0.0.1:0"],
        )
        self.port = front.addresses()[0].port
        self.script = lambda side, head, body: side.say(
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n%b\r\n\r\nok" % FRESH.encode()
        )
        self.assertTrue((await self.said(v1(CLIENT, ASKED) + REQUEST)).endswith(b"ok"))
        self.assertIn("X-Forwarded-For: 192.0.2.9", self.origin.seen[-1][0])
