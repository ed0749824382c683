"""An origin server on a real socket, and a plain client for it."""

from __future__ import annotations

import socket
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from netsuite.http.origin.service import build
from netsuite.http.origin.settings import HttpSettings
from netsuite.testing.commons import make_commons

__all__ = ["Serving"]


class Serving(TestCase):
    """``root`` is its folder, ``commons`` what it was built with."""

    timeout = 60
    service = None

    async def serve(self, clock=None, **settings):
        folder = Path(self.mktemp()).absolute()
        self.root = folder / "site"
        self.root.mkdir(parents=True)
        (self.root / "index.html").write_text("home")
        self.commons = make_commons(folder / "data", reactor, clock=clock)
        self.settings = settings
        self.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.stop()))

    def start(self):
        table = {"listen": ["127.0.0.1:0", "secure:127.0.0.1:0"], "root": self.root, **self.settings}
        self.service = build(HttpSettings.model_validate(table), self.commons)
        self.service.register(self.commons.offers)
        self.service.open()
        self.service.startService()
        self.port = self.service.addresses()[0].port

    async def stop(self):
        service, self.service = self.service, None
        if service is not None:
            await service.drain(reactor.seconds() + 5)
            await service.stopService()
            self.commons.identity.close()

    async def settled(self, condition=None):
        """Let the reactor turn until something holds: by default, that no thread works on an upload."""
        condition = condition or (lambda: not any(each.uploads.threads.busy for each in self.service.pages._changes))
        for _ in range(5):
            turn = Deferred()
            reactor.callLater(0.002, turn.callback, None)
            await turn
        while not condition():
            turn = Deferred()
            reactor.callLater(0.002, turn.callback, None)
            await turn

    def raw(self, data, port=None):
        """Everything the server says to these bytes, until it closes."""

        def run():
            with socket.create_connection(("127.0.0.1", port or self.port), 20) as client:
                client.sendall(data)
                got = b""
                try:
                    while piece := client.recv(1 << 20):
                        got += piece
                except ConnectionResetError:
                    pass
                return got

        return deferToThread(run)

    async def ask(self, target=b"/", *lines, method=b"GET", body=b"", host=b"localhost"):
        """Status, fields (the last of each name) and body of one response."""
        head = [method + b" " + target + b" HTTP/1.1", b"Host: " + host, *lines, b"Connection: close"]
        got = await self.raw(b"\r\n".join(head) + b"\r\n\r\n" + body)
        first, _, rest = got.partition(b"\r\n\r\n")
        status, *fields = first.split(b"\r\n")
        self.lines = fields
        named = {name.lower(): value.strip() for name, _, value in (field.partition(b":") for field in fields)}
        if named.get(b"transfer-encoding") == b"chunked":
            rest = unchunked(rest)
        return int(status.split()[1]), named, rest


def unchunked(data):
    whole = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        whole += data[: int(size, 16)]
        data = data[int(size, 16) + 2 :]
    return whole
