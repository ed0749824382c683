"""The doors between rooms: zope interfaces, and the plain values that pass through them.

Families (dns, http, upper, admin ...) never import one another. Each offers what it can do by an
interface named here, and asks ``commons.offers`` for what it needs. This module imports nothing
of netsuite.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from twisted.application.service import IService
from zope.interface import Attribute, Interface

__all__ = [
    "Address",
    "Health",
    "HttpFailed",
    "HttpReply",
    "IControlled",
    "IDnsAnswers",
    "IHttpApplication",
    "IHttpClient",
    "IHttpRequest",
    "IHttpServer",
    "IImmediateHttpApplication",
    "IMailDelivery",
    "INameResolver",
    "INetsuiteService",
    "IOffers",
    "IPrefetcher",
    "ISite",
    "IWebSocket",
    "InternalTarget",
    "LookupFailed",
    "NameAnswer",
    "Record",
]


class Address(NamedTuple):
    """Where a service can be reached.

    ``kind`` is what to speak there (``udp``, ``tcp``, ``quic``, ``http``, ``https``, ``h3``, ``unix``); ``hint`` is one
    line that a person can type to try it, or empty.
    """

    kind: str
    host: str
    port: int
    hint: str = ""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.kind}:{host}:{self.port}" if self.kind != "unix" else f"unix:{self.host}"


class Health(NamedTuple):
    """Whether a service can do its work now, and if not, why, in words for its operator."""

    ok: bool
    detail: str = ""


class IOffers(Interface):
    """What services provide to one another."""

    def provide(interface: Any, provider: Any, name: str) -> None:
        """Offer ``provider`` (which provides ``interface``) under a table's name."""

    def find(interface: Any, name: str | None = None) -> Any:
        """The provider of an interface, or None; by table name where several provide it."""


class INetsuiteService(IService):
    """A server of the suite, as ``build(settings, commons)`` makes it.

    The root calls, in this order: ``register`` on all, ``join`` on all, ``check`` on all, ``open`` on all (bind,
    listen, and whatever else can fail at once), ``startService`` (accept), later ``drain`` and ``stopService``.
    ``--check`` ends after ``check``.
    """

    workers: str = Attribute("""``"any"`` if each worker process may run a copy, ``"one"`` if only the parent may.""")

    def register(offers: IOffers) -> None:
        """Offer what this service provides; nothing is open yet."""

    def join(offers: IOffers) -> None:
        """Take the handles of other services; nothing is open yet."""

    def check() -> None:
        """Read and check what can be without opening or writing anything (zones, folders); raises StartError."""

    def open() -> None:
        """Bind and listen without accepting, take locks; raises StartError."""

    def addresses() -> Sequence[Address]:
        """Where it can be reached, once open."""

    def health() -> Health:
        """Whether it can do its work now."""

    def figures() -> Sequence[tuple[str, float]]:
        """Live counters for the admin page: ``(what, how many)``, in display order."""

    def reload() -> Awaitable[Sequence[str]]:
        """SIGHUP: take changed zones or certificates; answers one line for each thing done or refused."""

    def drain(deadline: float) -> Awaitable[None]:
        """Accept nothing new, finish what is in flight, at the latest by ``deadline`` (clock time)."""


class ISite(Interface):
    """The running site as a whole, offered by its root under the name ``suite``."""

    version: str = Attribute("netsuite's own version")
    started: float | None = Attribute("when all services were started (clock time), or None before that")

    def services() -> Sequence[INetsuiteService]:
        """The services in the order in which they are started."""


class IControlled(Interface):
    """What the ``netsuite`` command asks by ``DATA/control.sock``; offered under the word that it answers to."""

    def asked(request: Mapping[str, Any]) -> Awaitable[Mapping[str, Any]]:
        """The fields of the answer, fit for JSON, as is the request.

        Raises StartError with one line for the person who asked.
        """


class IHttpRequest(Interface):
    """A request, as applications see it; header names are in lower case."""

    method: bytes = Attribute("the method's token")
    path: bytes = Attribute("the path of the target, percent-encoding as sent, without the query")
    query: bytes | None = Attribute("what follows ``?``, or None")
    headers: Sequence[tuple[bytes, bytes]] = Attribute("(name, value) in order of arrival")
    scheme: str = Attribute("``http`` or ``https``")
    authority: bytes = Attribute("host and port that the client named")
    peer: tuple[str, int] = Attribute("the client's address")

    def header(name: bytes) -> bytes | None:
        """The value of a field, several lines joined by a comma; None if absent."""


HttpAnswer = tuple[int, list[tuple[bytes, bytes]], bytes | AsyncIterator[bytes]]
"""Status, fields (lower-case names; Date, framing and connection fields are the server's own), body.

The 101 that :meth:`IHttpServer.websocket` makes turns the connection into something else: the body is then what we say.
"""


class IHttpApplication(Interface):
    """Something that answers HTTP requests, mounted on an :class:`IHttpServer`."""

    def handle(request: IHttpRequest, body: AsyncIterator[bytes]) -> Any:
        """An :data:`HttpAnswer` or a coroutine of one; an exception becomes a 500."""


class IImmediateHttpApplication(IHttpApplication):
    """An application that has some answers at once, and whose clients come for one each (a tracker's announces).

    On ports of its own the server may then answer at the door, and close.
    """

    immediate_fields: Sequence[tuple[bytes, bytes]] = Attribute("the header fields of every such answer")

    def immediately(target: bytes, host: str) -> bytes | None:
        """The body of a 200 to a GET of this target from this address, or None to have :meth:`handle` asked."""


class IWebSocket(Interface):
    """A conversation of messages with one client (RFC 6455): texts as ``str``, all else as ``bytes``."""

    protocol: str | None = Attribute("the subprotocol that was agreed")
    close_code: int | None = Attribute("how it ended, once it has; 1006 if without a word")

    def __aiter__() -> AsyncIterator[str | bytes]:
        """The messages of the client, until it closes."""

    def send(message: str | bytes) -> Awaitable[None]:
        """Send a message; waits while the client does not read."""

    def close(code: int = 1000, reason: str = "") -> Awaitable[None]:
        """Say good-bye."""


class IHttpServer(Interface):
    """The suite's HTTP server, for those who have an application to show."""

    def mount(path: str, app: IHttpApplication) -> None:
        """Answer every request whose path is ``path`` or lies below ``path + '/'``."""

    def listen(
        name: str,
        addresses: Sequence[str],
        app: IHttpApplication,
        *,
        setting: str | None = None,
        rule: Any = None,
        concurrency: Any = None,
    ) -> Callable[[], Sequence[Address]]:
        """Give an application ports of its own; called in ``join``, opened with the server.

        ``setting`` is the key that names the addresses (``NAME.listen``); ``rule`` says who may connect and
        ``concurrency`` how many may at once (see ``netsuite.common.access``).
        Answers what tells where they are, once open (``kind`` is ``http``, ``https`` or ``unix``, without hints).
        """

    def websocket(
        request: IHttpRequest,
        body: AsyncIterator[bytes],
        talk: Callable[[IWebSocket], Awaitable[None]],
        *,
        protocols: Sequence[str] = (),
        origins: Sequence[str] = (),
        limit: int = 1 << 20,
    ) -> HttpAnswer:
        """The answer that makes a request a WebSocket, on which ``talk`` is run; else a refusal.

        ``protocols`` are the subprotocols to choose from; ``origins`` whose pages may connect besides our own (``*``:
        any); ``limit`` bounds a message, in bytes.
        """


class HttpReply(NamedTuple):
    """A whole response, as an :class:`IHttpClient` got it; field names are in lower case."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes


class HttpFailed(Exception):
    """No whole response could be had; the text says why in one line."""


class InternalTarget(HttpFailed):
    """The target has an internal address, and those are guarded."""


class IHttpClient(Interface):
    """Fetches small resources, for servers that must ask the web (a tracker, say)."""

    def get(
        url: str,
        *,
        limit: int,
        timeout: float,
        headers: Sequence[tuple[bytes, bytes]] = (),
        guarded: bool = False,
    ) -> Awaitable[HttpReply]:
        """The response to a GET, whatever its status, after at most five redirects; raises HttpFailed.

        The body has at most ``limit`` bytes and the whole takes at most ``timeout`` seconds. ``guarded`` refuses
        internal targets (loopback and private addresses), also where a name or a redirect leads there, with
        InternalTarget.
        """


class IPrefetcher(Interface):
    """A cache that can be told what will be asked for soon."""

    def prefetch(urls: Sequence[str]) -> int:
        """Fetch these into the cache, as clients would ask for them, without waiting; how many were taken.

        The rest is dropped: if prefetching is off, or too much waits already.
        """


class IDnsAnswers(Interface):
    """Something that answers DNS messages in wire format (RFC 1035)."""

    def answer(
        query: bytes, peer: tuple[str, int], stream: bool, private: bool = False
    ) -> bytes | Awaitable[bytes | None] | None:
        """The response to a query; None to stay silent.

        ``stream`` lifts UDP's size limit; ``private`` says that the path is encrypted, so that padding helps.
        """


class IMailDelivery(Interface):
    """Where mail for the people of this site goes."""

    def accepts(address: str) -> bool:
        """Whether somebody here has this address; cheap, to be asked at RCPT TO."""

    def deliver(message: bytes, sender: str, recipients: Sequence[str], token: str) -> Awaitable[None]:
        """Put a message (trace fields included, as they shall be seen) into the recipients' mailboxes.

        It is durable when this returns; until then it may be tried again, for the same ``token`` and recipient are
        delivered once. All recipients get it or none does; it raises for one who is not here, and for a full disk.
        """


class Record(NamedTuple):
    """One resource record in presentation form: ``name`` absolute, with its last dot; ``data`` as in a master file."""

    name: str
    type: str
    ttl: int
    data: str


class NameAnswer(NamedTuple):
    """What a name has: ``rcode`` in words (``NOERROR``, ``NXDOMAIN``), records with CNAMEs followed.

    ``status`` is ``secure`` or ``insecure`` (a bogus answer raises LookupFailed).
    """

    rcode: str
    records: tuple[Record, ...]
    status: Literal["secure", "insecure"] = "insecure"


class LookupFailed(Exception):
    """No answer could be had: servers silent, answers bogus, or budget spent."""


class INameResolver(Interface):
    """Names to records, for every server that must find another host."""

    def lookup(name: str, rdtype: str) -> Awaitable[NameAnswer]:
        """What a name has of a type; raises LookupFailed."""

    def addresses(host: str) -> Awaitable[list[str]]:
        """The IPv4 and IPv6 addresses of a host, literals included; empty if it has none; raises LookupFailed."""
