"""What a query's EDNS options ask for besides the answer, and what is said to it.

COOKIE (RFC 7873, RFC 9018), NSID (RFC 5001), edns-tcp-keepalive (RFC 7828), padding (RFC 7830, RFC 8467), ZONEVERSION
(RFC 9660). Options that we do not know are skipped (RFC 6891 section 6.1.2).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from netsuite.dns.cookies import Cookies
from netsuite.dns.wire import edns

__all__ = ["Courtesy", "Said"]

_BLOCK: Final = 468
_STANDING: Final = 3600.0


class Said(NamedTuple):
    """What is said to a query's options: our own, whether its cookie proves its address, and the block to pad to."""

    options: bytes
    proven: bool
    block: int


class Courtesy:
    """Answers options for one server.

    ``nsid`` is the server's identifier, empty for none; ``idle`` the seconds that a silent TCP connection stays open.
    Without ``cookies`` (they need the data directory) those of clients are passed over.
    """

    __slots__ = ("_keepalive", "_nsid", "cookies")

    def __init__(self, cookies: Cookies | None = None, *, nsid: bytes = b"", idle: float = 20.0) -> None:
        self.cookies = cookies
        self._nsid = edns.option(edns.NSID, nsid) if nsid else b""
        self._keepalive = edns.option(edns.KEEPALIVE, min(round(idle * 10), 65535).to_bytes(2, "big"))

    def say(
        self, options: bytes, host: str, now: float, *, stream: bool, private: bool, version: Callable[[], bytes]
    ) -> Said | None:
        """What to say to options, or None if they break their own rules (FORMERR).

        ``now`` is Unix time; ``private`` says that the path is encrypted; ``version`` what ZONEVERSION shall carry.
        """
        asked = edns.find(options)
        said = b""
        proven = False
        cookie = asked.get(edns.COOKIE)
        if cookie is not None and self.cookies is not None:
            shown = self.cookies.show(cookie, host, now)
            if shown is None:
                return None
            proven, said, _ = shown
        if edns.NSID in asked:
            said += self._nsid
        keepalive = asked.get(edns.KEEPALIVE)
        if keepalive is not None and stream:
            if keepalive:
                return None
            said += self._keepalive
        if asked.get(edns.ZONEVERSION) == b"" and (found := version()):
            said += edns.option(edns.ZONEVERSION, found)
        return Said(said, proven, _BLOCK if private and edns.PADDING in asked else 0)

    def standing(self, options: bytes, host: str, now: float) -> tuple[bytes, bool, float] | None:
        """What is said to these options in any of a client's datagrams: our own, whether it is proven, and until when.

        None where that depends on more, or the options break their own rules. ``now`` is Unix time.
        """
        asked = edns.find(options)
        if edns.ZONEVERSION in asked:
            return None
        until = now + _STANDING
        said = b""
        proven = False
        cookie = asked.get(edns.COOKIE)
        if cookie is not None and self.cookies is not None:
            shown = self.cookies.show(cookie, host, now)
            if shown is None:
                return None
            proven, said, until = shown
        return said + self._nsid if edns.NSID in asked else said, proven, until
