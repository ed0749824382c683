"""WebSocket through the proxy: wsproto in clear and by CONNECT under TLS, Chromium on a stream of HTTP/2."""

from __future__ import annotations

import socket
import ssl

from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.threads import deferToThread
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Request, TextMessage

from tests.integration.http.scripted import reply
from tests.interop.http.test_repositories import RepositoryCase

PAGE = b"""<!doctype html><title>waiting</title><script>
const talk = new WebSocket(location.origin.replace("http", "ws") + "/chat", "upper");
talk.onopen = () => talk.send("hello");
talk.onmessage = event => { document.title = event.data + " by " + talk.protocol; talk.close(); };
talk.onerror = () => document.title = "failed";
// the browser's virtual time stands still while something is fetched, not while a WebSocket is waited for
(async () => { for (let n = 0; n < 2000 && document.title == "waiting"; n++) await fetch("/?" + n); })();
</script>"""


class Upper(Protocol):
    """Serves the page, and answers each message of a WebSocket in capitals."""

    def connectionMade(self):
        self.machine = None
        self.data = b""
        self.factory.sides.append(self)

    def connectionLost(self, reason):
        self.factory.sides.remove(self)

    def dataReceived(self, data):
        if self.machine is None:
            self.data += data
            while b"\r\n\r\n" in self.data and self.machine is None:
                head, _, rest = self.data.partition(b"\r\n\r\n")
                self.factory.heads.append(head.decode().lower())
                if b"\r\nupgrade: websocket" not in head.lower():
                    self.data = rest
                    self.transport.write(reply(PAGE, "Content-Type: text/html"))
                else:
                    self.machine = WSConnection(ConnectionType.SERVER)
                    data = self.data
        if self.machine is None:
            return
        self.machine.receive_data(data)
        for event in self.machine.events():
            if isinstance(event, Request):
                self.transport.write(self.machine.send(AcceptConnection(subprotocol="upper")))
            elif isinstance(event, TextMessage):
                self.transport.write(self.machine.send(TextMessage(event.data.upper())))
            elif isinstance(event, CloseConnection):
                self.transport.write(self.machine.send(event.response()))
                self.transport.loseConnection()


class WebSockets(RepositoryCase):
    async def start(self):
        await super().start()
        self.factory = Factory.forProtocol(Upper)
        self.factory.sides, self.factory.heads = [], []
        self.port = await TCP4ServerEndpoint(self.reactor, 0, interface="127.0.0.1").listen(self.factory)
        self.upper = f"127.0.0.1:{self.port.getHost().port}"

    async def stop(self):
        await self.port.stopListening()
        for side in list(self.factory.sides):
            side.transport.abortConnection()
        await super().stop()

    def talk(self, raw, host, path="/chat", *, absolute=""):
        """A conversation by wsproto over a socket that stands."""
        machine = WSConnection(ConnectionType.CLIENT)

        def heard():
            while True:
                for event in machine.events():
                    return event
                data = raw.recv(65536)
                machine.receive_data(data or None)

        asked = machine.send(Request(host, path, subprotocols=["upper"]))
        raw.sendall(asked.replace(b"GET " + path.encode(), f"GET {absolute}{path}".encode()))
        accepted = heard()
        raw.sendall(machine.send(TextMessage("hello " * 5000)))
        said = ""
        while True:
            event = heard()
            said += event.data
            if event.message_finished:
                break
        raw.sendall(machine.send(CloseConnection(1000)))
        return accepted.subprotocol, said, type(heard())

    expected = ("upper", "HELLO " * 5000, CloseConnection)

    async def test_in_clear_by_a_whole_url_and_before_a_server(self):
        def forward():
            with socket.create_connection(("127.0.0.1", self.forward.addresses()[0].port), 10) as raw:
                return self.talk(raw, self.upper, absolute=f"http://{self.upper}")

        self.assertEqual(await deferToThread(forward), self.expected)
        before = self.serve(origin=f"http://{self.upper}").addresses()[0].port

        def reverse():
            with socket.create_connection(("127.0.0.1", before), 10) as raw:
                return self.talk(raw, f"127.0.0.1:{before}")

        self.assertEqual(await deferToThread(reverse), self.expected)

    async def test_by_connect_through_a_proxy_under_tls(self):
        secure = self.serve(listen=["secure:127.0.0.1:0"]).addresses()[0].port
        context = ssl.create_default_context(cafile=str(self.commons.certificates.ca_path))

        def tunnelled():
            with (
                socket.create_connection(("127.0.0.1", secure), 10) as clear,
                context.wrap_socket(clear, server_hostname="localhost") as raw,
            ):
                raw.sendall(f"CONNECT {self.upper} HTTP/1.1\r\nHost: {self.upper}\r\n\r\n".encode())
                head = b""
                while b"\r\n\r\n" not in head:
                    head += raw.recv(1)
                return self.talk(raw, self.upper)

        self.assertEqual(await deferToThread(tunnelled), self.expected)

    async def test_a_tunnel_under_tls_whose_client_ends_its_side(self):
        """close_notify ends a half: what the other side still says comes all the same."""
        (self.root / "page").write_text("hello")
        secure = self.serve(listen=["secure:127.0.0.1:0"]).addresses()[0].port
        where = self.url.removeprefix("http://")
        asked = f"CONNECT {where} HTTP/1.1\r\nHost: {where}\r\n\r\nGET /page HTTP/1.0\r\nHost: a\r\n\r\n"

        def talk():
            context = ssl.create_default_context(cafile=str(self.commons.certificates.ca_path))
            arriving, leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = context.wrap_bio(arriving, leaving, server_hostname="localhost")
            with socket.create_connection(("127.0.0.1", secure), 10) as raw:
                while True:
                    try:
                        tls.do_handshake()
                        break
                    except ssl.SSLWantReadError:
                        raw.sendall(leaving.read())
                        arriving.write(raw.recv(65536))
                tls.write(asked.encode())
                try:
                    tls.unwrap()
                except ssl.SSLError:
                    pass
                raw.sendall(leaving.read())
                got = b""
                while True:
                    try:
                        got += tls.read(65536)
                    except ssl.SSLWantReadError:
                        data = raw.recv(65536)
                        if not data:
                            return got
                        arriving.write(data)
                    except ssl.SSLError:
                        return got

        said = await deferToThread(talk)
        self.assertTrue(said.startswith(b"HTTP/1.1 200 OK\r\n"), said)
        self.assertTrue(said.endswith(b"hello"), said)

    async def test_a_browser_on_a_stream_of_http2(self):
        secure = self.serve(listen=["secure:127.0.0.1:0"], origin=f"http://{self.upper}").addresses()[0].port
        document = await self.run_it(
            "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
            "--disable-background-networking", "--disable-component-update", "--ignore-certificate-errors",
            f"--user-data-dir={self.home}/chromium", "--virtual-time-budget=5000", "--dump-dom",
            f"https://localhost:{secure}/",
        )  # fmt: skip
        self.assertIn(b"<title>HELLO by upper</title>", document)
        (chat,) = [head for head in self.factory.heads if head.startswith("get /chat ")]
        self.assertIn("via: 2.0 ", chat)
