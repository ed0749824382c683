"""The clients of the trackers that a torrent names: ``http:``, ``https:`` and ``udp:``.

Where internal trackers are refused, a name is resolved first and what it leads to is looked at. What a tracker says is
shown to people, so it is kept short and free of control characters.

Known weakness: over HTTP one address family is announced, the one by which the tracker was reached.

Implements: BEP 3 and 15 (as clients), BEP 7 (by UDP, both families), BEP 41
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final
from urllib.parse import urlsplit

from twisted.internet.defer import Deferred, DeferredList

from netsuite.bittorrent.metainfo import Metainfo
from netsuite.bittorrent.peer.announcer import AnnounceFailed, Tracker, plain
from netsuite.bittorrent.peer.udptracker import UdpTrackers
from netsuite.bittorrent.wire.announce import Announce, AnnounceReply, Failure, announce_url, read_reply
from netsuite.common.access import is_internal
from netsuite.common.commons import Runtime
from netsuite.interfaces import HttpFailed, IHttpClient, INameResolver, InternalTarget, LookupFailed

__all__ = ["HttpTracker", "Trackers", "UdpTracker"]

REPLY: Final = 1 << 20
"""Bytes that a tracker's reply may have: some 170,000 peers."""
TIMEOUT: Final = 30.0
_USUAL_PORT: Final = 80
_ALLOWED: Final = "peer.internal_trackers = true allows that"


class HttpTracker:
    """A tracker over HTTP or HTTPS."""

    def __init__(self, url: str, client: IHttpClient, *, guarded: bool) -> None:
        self.url = url
        self._client = client
        self._guarded = guarded

    async def announce(self, announce: Announce) -> AnnounceReply:
        """Its answer; raises AnnounceFailed."""
        asked = announce_url(self.url, announce)
        try:
            reply = await self._client.get(asked, limit=REPLY, timeout=TIMEOUT, guarded=self._guarded)
        except InternalTarget as refused:
            raise AnnounceFailed(f"{refused}: {_ALLOWED}") from None
        except HttpFailed as failed:
            raise AnnounceFailed(str(failed)) from None
        try:
            return _taken(read_reply(reply.body))
        except ValueError as error:
            what = f"it answers with HTTP status {reply.status}" if reply.status != 200 else str(error)
            raise AnnounceFailed(what) from None


class UdpTracker:
    """A tracker over UDP, asked by each of its address families that we have too."""

    def __init__(
        self, url: str, udp: UdpTrackers, resolver: INameResolver, *, families: Collection[int], guarded: bool
    ) -> None:
        self.url = url
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or _USUAL_PORT
        self._target = parts.path + (f"?{parts.query}" if parts.query else "")
        self._udp = udp
        self._resolver = resolver
        self._families = families
        self._guarded = guarded

    async def announce(self, announce: Announce) -> AnnounceReply:
        """Its answer, what the families brought put together; raises AnnounceFailed."""
        places = [(address, self._port) for address in await self._addresses()]
        asked = [Deferred.fromCoroutine(self._udp.announce(place, announce, self._target)) for place in places]
        outcomes: list[tuple[bool, Any]] = await DeferredList(asked, consumeErrors=True)
        replies: list[AnnounceReply] = [outcome for good, outcome in outcomes if good]
        if not replies:
            outcomes[0][1].raiseException()
        return replies[0]._replace(peers=[peer for reply in replies for peer in reply.peers])

    async def _addresses(self) -> list[str]:
        """The first address of each family; AnnounceFailed if there is none."""
        try:
            found = await self._resolver.addresses(self._host)
        except LookupFailed as failed:
            raise AnnounceFailed(str(failed)) from None
        allowed = [address for address in found if not (self._guarded and is_internal(address))]
        if found and not allowed:
            raise AnnounceFailed(f"{self._host} leads to an internal address: {_ALLOWED}")
        firsts: dict[int, str] = {}
        for address in allowed:
            firsts.setdefault(6 if ":" in address else 4, address)
        usable = [address for family, address in firsts.items() if family in self._families]
        if not usable:
            raise AnnounceFailed(f"{self._host} has no address that can be reached from here")
        return usable


class Trackers:
    """Makes the clients of trackers, and owns what they share: the HTTP client, the resolver, the sockets.

    ``guarded`` refuses internal addresses; ``families`` are those that we listen on.
    """

    def __init__(self, runtime: Runtime, *, guarded: bool) -> None:
        self.udp = UdpTrackers(runtime)
        self.families: set[int] = {4}
        self._guarded = guarded
        self._client: IHttpClient | None = None
        self._resolver: INameResolver | None = None

    def join(self, client: IHttpClient | None, resolver: INameResolver | None) -> None:
        """Take what other services provide."""
        self._client = client
        self._resolver = resolver

    def tiers(self, metainfo: Metainfo) -> list[list[Tracker]]:
        """The clients of a torrent's trackers; those that we cannot speak to (``wss:`` ...) are left out."""
        tiers = (filter(None, map(self._client_of, tier)) for tier in metainfo.trackers)
        return [tier for tier in map(list, tiers) if tier]

    async def close(self) -> None:
        """Close the sockets."""
        await self.udp.close()

    def _client_of(self, url: str) -> Tracker | None:
        try:
            parts = urlsplit(url)
            scheme, usable = parts.scheme, bool(parts.hostname) and parts.port != 0
        except ValueError:
            return None
        if not usable:
            return None
        if scheme in ("http", "https") and self._client is not None:
            return HttpTracker(url, self._client, guarded=self._guarded)
        if scheme == "udp" and self._resolver is not None:
            return UdpTracker(url, self.udp, self._resolver, families=self.families, guarded=self._guarded)
        return None


def _taken(said: AnnounceReply | Failure) -> AnnounceReply:
    if isinstance(said, Failure):
        raise AnnounceFailed(plain(said.reason), said.retry_in)
    return said._replace(warning=plain(said.warning))
