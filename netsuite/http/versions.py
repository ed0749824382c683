"""The versions of HTTP that our servers speak, on one set of limits and one hot path.

Under TLS the version is chosen by ALPN; in clear by how the client begins (RFC 9113 section 3.3: prior knowledge).
HTTP/3 has ports of its own, over QUIC.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from netsuite.http.hotpath import HotPath
from netsuite.http.wire.framing import Http1Limits
from netsuite.http.wire.http1 import ServerConnection
from netsuite.http.wire.http2 import Http2Connection
from netsuite.http.wire.messages import Fields
from netsuite.sansio.connection import Channel, Connection
from netsuite.sansio.dates import format_date

if TYPE_CHECKING:
    from netsuite.common.listen import StreamListener
    from netsuite.common.quicport import MachineOf, QuicListener

__all__ = ["SERVER", "Versions", "kind"]

SERVER = (b"server", b"netsuite")


class Versions:
    """Makes the machine of a connection: HTTP/1.1, or HTTP/2 where the client asks for it.

    ``upgrades`` names the protocols that its application may switch to, in lower case, and ``extended`` those that it
    may switch to on a stream of HTTP/2 (RFC 8441), where the handshake of WebSocket has no key.
    """

    def __init__(
        self,
        seconds: Callable[[], float],
        limits: Http1Limits,
        hot: HotPath,
        upgrades: frozenset[bytes] = frozenset(),
        *,
        extended: frozenset[bytes] = frozenset(),
    ) -> None:
        self._upgrades = upgrades
        self._extended = extended
        self._seconds = seconds
        self._limits = limits
        self._hot = hot

    def http1(self, channel: Channel) -> ServerConnection:
        """HTTP/1.1; in clear it hands over to HTTP/2 at that version's preface."""
        http2 = self.http2 if channel.tls is None else None
        return ServerConnection(
            channel, self._limits, now=self._seconds(), standing=_standing, upgrades=self._upgrades, http2=http2
        )

    def http2(self, channel: Channel) -> Http2Connection:
        """HTTP/2 from its preface on."""
        return Http2Connection(
            channel,
            self._limits,
            now=self._seconds(),
            standing=_standing_fields,
            hits=self._hot.frames,
            upgrades=self._extended,
        )

    def over_quic(self) -> tuple[str, MachineOf]:
        """HTTP/3, as ``stream_listener`` wants it."""
        from netsuite.http.http3 import ALPN, Http3Connection

        return ALPN, lambda quic: Http3Connection(quic, self._seconds, self._limits, standing=_standing_fields)

    @property
    def alpn(self) -> Mapping[str, Callable[[Channel], Connection] | None]:
        """What TLS listeners offer, as StreamFactory wants it."""
        return {"h2": self.http2, "http/1.1": None}


def kind(listener: StreamListener | QuicListener) -> str:
    """What to speak to a listener, as addresses say it."""
    if listener.spec.quic:
        return "h3"
    return "unix" if listener.spec.form == "unix" else "https" if listener.secure else "http"


def _standing(now: float) -> bytes:
    """The field lines of what the machine says by itself."""
    return b"Date: %b\r\nServer: netsuite\r\n" % format_date(now)


def _standing_fields(now: float) -> Fields:
    return [(b"date", format_date(now)), SERVER]
