"""The clients of the trackers that a torrent names: ``http:``, ``https:`` and ``udp:``.

Known weakness: over HTTP one address family is announced, the one by which the tracker was reached.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final
from urllib.parse import urlsplit

from twisted.internet.defer import Deferred, DeferredList

from netsuite.bittorrent.peer.announcer import AnnounceFailed
from netsuite.bittorrent.peer.udptracker import UdpTrackers
from netsuite.bittorrent.wire.announce import Announce, AnnounceReply, Failure, announce_url, read_reply
from netsuite.interfaces import HttpFailed, IHttpClient, INameResolver, LookupFailed

__all__ = ["HttpTracker", "Trackers", "UdpTracker"]

REPLY: Final = 1 << 20
"""Bytes that a tracker's reply may have: some 170,000 peers."""
TIMEOUT: Final = 60.0


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
        except HttpFailed as failed:
            raise AnnounceFailed(str(failed)) from None
        try:
            said = read_reply(reply.body)
        except ValueError as error:
            what = f"answers HTTP status {reply.status}" if reply.status != 200 else f"does not answer as a tracker: {error}"
            raise AnnounceFailed(what) from None
        if isinstance(said, Failure):
            raise AnnounceFailed(said.reason, said.retry_in)
        return said


class UdpTracker:
    """A tracker over UDP, asked by each of its address families that we have too."""

    def __init__(
        self, url: str, udp: UdpTrackers, resolver: INameResolver, *, families: Collection[int], guarded: bool
    ) -> None:
        self.url = url
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._target = (parts.path or "") + (f"?{parts.query}" if parts.query else "")
        self._udp = udp
        self._resolver = resolver
        self._families = families
        self._guarded = guarded

    async def announce(self, announce: Announce) -> AnnounceReply:
        """Its answer, or those of both families in one; raises AnnounceFailed."""
        asked = [
            Deferred.fromCoroutine(self._udp.announce((address, self._port), announce, self._target))
            for address in await self._addresses()
        ]
        answers = await DeferredList(asked, consumeErrors=True)
        replies = [result for good, result in answers if good]
        if not replies:
            answers[0][1].raiseException()

    async def _addresses(self) -> list[str]:
        """One address a family."""
        try:
            found = await self._resolver.addresses(self._host)
        except LookupFailed as failed:
            raise AnnounceFailed(str(failed)) from None
        if not found:
            raise AnnounceFailed(f"{self._host} has no address")
