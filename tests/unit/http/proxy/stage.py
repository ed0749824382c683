"""The real proxy on the in-memory network, between scripted origins and clients that write what they like."""

from __future__ import annotations

from typing import ClassVar

from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol
from zope.interface import implementer

from netsuite.http.proxy.service import build
from netsuite.http.proxy.settings import ProxySettings
from netsuite.interfaces import INameResolver
from netsuite.testing.commons import make_commons
from netsuite.testing.fakes import KnownNames
from netsuite.testing.identity import memory_identity
from netsuite.testing.network import Network
from tests.integration.http.scripted import reply

PROXY, CLIENT, ORIGIN, INSIDE = "93.184.216.34", "8.8.4.4", "151.101.0.9", "10.0.0.5"
NAMES = {
    "origin.test": [ORIGIN],
    "www.origin.test": [ORIGIN],
    "other.test": ["151.101.0.10"],
    "inside.test": [INSIDE],
    "both.test": [ORIGIN, INSIDE],
}
PASSWORD = "correct horse"


@implementer(IHalfCloseableProtocol)
class Talk(Protocol):
    """A client's connection: ``data`` so far, ``ended`` once the other side has, ``closed`` once all is over."""

    def __init__(self):
        self.data = b""
        self.ended = self.closed = False

    def dataReceived(self, data):
        self.data += data

    def readConnectionLost(self):
        self.ended = True

    def writeConnectionLost(self):
        pass

    def connectionLost(self, reason):
        self.ended = self.closed = True

    def say(self, data):
        self.transport.write(data)

    @property
    def statuses(self):
        """The status of each response, if all have their bodies by Content-Length."""
        found, rest = [], self.data
        while rest.startswith(b"HTTP/"):
            head, _, rest = rest.partition(b"\r\n\r\n")
            found.append(int(head.split()[1]))
            for line in head.split(b"\r\n")[1:]:
                if line.lower().startswith(b"content-length:"):
                    rest = rest[int(line.split(b":")[1]) :]
        return found

    @property
    def status(self):
        return int(self.data.split()[1])

    def header(self, name):
        """A field of the first response; None if it has none."""
        for line in self.data.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]:
            found, _, value = line.partition(":")
            if found.lower() == name:
                return value.strip()
        return None

    @property
    def body(self):
        return self.data.partition(b"\r\n\r\n")[2]


@implementer(IHalfCloseableProtocol)
class Side(Talk):
    """One connection at an origin."""

    def connectionMade(self):
        self.origin = self.factory.origin
        self.origin.sides.append(self)

    def dataReceived(self, data):
        super().dataReceived(data)
        self.origin.script(self)

    def readConnectionLost(self):
        super().readConnectionLost()
        if self.origin.closes:
            self.transport.loseConnection()


class Origin:
    """``script(side)`` is called whenever something has come; by default every whole head is answered with hello.

    It closes when the other side ends, unless ``closes`` is false.
    """

    def __init__(self, host, port=80):
        self.sides = []
        self.requests = []
        self.script = self.greet
        self.closes = True
        factory = Factory.forProtocol(Side)
        factory.origin = self
        host.listenTCP(port, factory)

    def heads(self, side):
        """The heads that have come, as text; what they announce of bodies is taken along."""
        while b"\r\n\r\n" in side.data:
            head, _, rest = side.data.partition(b"\r\n\r\n")
            length = 0
            for line in head.split(b"\r\n")[1:]:
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
                elif name.lower() == b"transfer-encoding":
                    end = rest.find(b"0\r\n\r\n")
                    length = end + 5 if end >= 0 else 1 << 62
            if len(rest) < length:
                return
            side.data = rest[length:]
            self.requests.append((head.decode("latin-1"), rest[:length]))
            yield head.decode("latin-1")

    def greet(self, side):
        for _ in self.heads(side):
            side.say(reply(b"hello"))


class Stage:
    """A proxy at PROXY:10081 (``secure`` adds TLS at 10443), origins, and clients at CLIENT or wherever they say.

    alice and bob are users of the site. It is closed at the end of a ``with``, or by :func:`close_all`.
    """

    standing: ClassVar[list[Stage]] = []

    def __init__(self, folder, *, names=NAMES, seed=0, **settings):
        self.network = Network(seed=seed)
        self.proxy_host = self.network.host(PROXY)
        self.client_host = self.network.host(CLIENT)
        self.origin_host = self.network.host(ORIGIN, "151.101.0.10")
        self.inside_host = self.network.host(INSIDE)
        self.names = KnownNames(names)
        commons = make_commons(folder, self.proxy_host)
        identity = memory_identity(self.proxy_host, {"alice": PASSWORD, "bob": PASSWORD}, journal=commons.journal)
        object.__setattr__(commons, "identity", identity)
        self.commons = commons
        commons.offers.provide(INameResolver, self.names, "names")
        settings = {"listen": ["0.0.0.0:10081"], "connect_ports": [80, 443, 8443], **settings}
        self.service = build(ProxySettings.model_validate(settings), commons)
        self.service.join(commons.offers)
        self.service.open()
        self.service.startService()
        self.server = self.service.server
        self.standing.append(self)
        self.talks = []
        self.origin = Origin(self.origin_host)
        self.inside = Origin(self.inside_host)
        self.local = Origin(self.proxy_host)

    def connect(self, host=None, port=10081):
        """A connection from a host, by default the client's."""
        host = host or self.client_host
        at = "127.0.0.1" if host is self.proxy_host else PROXY
        endpoint = TCP4ClientEndpoint(host, at, port)
        talk = self.network.result(endpoint.connect(Factory.forProtocol(Talk)))
        self.talks.append(talk)
        return talk

    def close(self):
        """Everybody leaves."""
        self.standing.remove(self)
        for talk in [*self.talks, *self.origin.sides, *self.inside.sides, *self.local.sides]:
            if not talk.closed:
                talk.transport.abortConnection()
        self.service.stopService()
        self.network.advance(90)  # whoever waits for something finds that it does not come

    def __enter__(self):
        return self

    def __exit__(self, *problem):
        self.close()

    def ask(self, target="http://origin.test/", *fields, method="GET", body=b"", host=None, seconds=5):
        """One request on a connection of its own, and what became of it within some seconds."""
        talk = self.connect(host)
        lines = [f"{method} {target} HTTP/1.1", "Host: origin.test", *fields]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        talk.say("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        self.until(lambda: talk.closed or _whole(talk.data), seconds)
        return talk

    def until(self, condition, seconds=5):
        """Let time pass until something holds, or that long."""
        try:
            self.network.until(condition, seconds)
        except AssertionError:
            return False
        return True


def close_all():
    """Close every stage that stands."""
    for stage in list(Stage.standing):
        stage.close()


def _whole(data):
    head, blank, body = data.partition(b"\r\n\r\n")
    if not blank:
        return False
    for line in head.split(b"\r\n")[1:]:
        if line.lower().startswith(b"content-length:"):
            return len(body) >= int(line.split(b":")[1])
    return True
