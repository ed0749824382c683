"""The tracker over HTTP, as an application of the suite's HTTP server.

What is asked is told by the last part of the path, ``announce`` or ``scrape``, so that trackers can stand below any
path. Refusals are answers of status 200, as peers expect them.

Implements: BEP 3 (trackers), BEP 7, BEP 21, BEP 23, BEP 24, BEP 31, BEP 48
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterator
from typing import Final

from zope.interface import implementer

from netsuite.bittorrent.tracker.desk import DENIED, NO_ROOM, NOT_SERVED, TOO_OFTEN, Desk, sort_of
from netsuite.bittorrent.tracker.group import FACTS
from netsuite.bittorrent.tracker.swarm import DOWNLOADER, LEAVING, WIDTHS, Swarm
from netsuite.bittorrent.wire.announce import (
    Announce,
    Event,
    Failure,
    Tally,
    announce_reply,
    dictionary_peers,
    failure_reply,
    packed_address,
    read_announce,
    read_scrape,
    scrape_reply,
)
from netsuite.common.access import Rule
from netsuite.interfaces import HttpAnswer, IHttpRequest, IImmediateHttpApplication

__all__ = ["TrackerApplication"]

FULL_SCRAPE: Final = 10_000
"""Swarms that a scrape of everything tells of."""

_FIELDS: Final = [(b"content-type", b"text/plain"), (b"cache-control", b"no-store")]
_MEMO: Final = 65536
_EMPTY: Final = Tally(0, 0, 0, 0)
_DISABLED: Final = Failure("the scrape names no torrent", math.inf)


@implementer(IImmediateHttpApplication)
class TrackerApplication:
    """Answers announces and scrapes; ``announces``, ``scrapes`` and ``failures`` count."""

    def __init__(self, desk: Desk, trusted: Rule) -> None:
        self._desk = desk
        self._trusted = trusted
        self._sources: dict[str, bytes] = {}
        self.announces = self.scrapes = self.failures = 0

    immediate_fields = _FIELDS

    def immediately(self, target: bytes, host: str) -> bytes | None:
        """The reply to an everyday announce; None for whatever else is asked, or has to be refused."""
        path, _, query = target.partition(b"?")
        if not path.endswith(b"/announce"):
            return None
        source = self._sources.get(host)
        if source is None:
            source = packed_address(host.encode())
            if source is None or not self._desk.rule.permits(host):
                return None
            if len(self._sources) >= _MEMO:
                self._sources.clear()
            self._sources[host] = source
        announce = read_announce(query)
        if isinstance(announce, Failure) or announce.ip or not self._desk.permits(source):
            return None
        reply = self.announce(announce, source)
        return None if isinstance(reply, Failure) else reply

    def handle(self, request: IHttpRequest, body: AsyncIterator[bytes]) -> HttpAnswer:
        """The answer to a request."""
        if request.method not in (b"GET", b"HEAD"):
            return 405, [*_FIELDS, (b"allow", b"GET, HEAD")], b"announces and scrapes are asked for with GET\n"
        last = request.path.rpartition(b"/")[2]
        if last not in (b"announce", b"scrape"):
            return 404, list(_FIELDS), b"this is a tracker: it answers /announce and /scrape\n"
        said = self._said(request, last)
        if isinstance(said, Failure):
            self.failures += 1
            said = failure_reply(said)
        return 200, list(_FIELDS), said

    def _said(self, request: IHttpRequest, what: bytes) -> bytes | Failure:
        host = request.peer[0]
        believed = self._trusted.permits(host)
        source = self._source(request, host, believed)
        if source is None or not self._desk.rule.permits(host):
            return DENIED
        if not self._desk.permits(source):
            return TOO_OFTEN
        if what == b"scrape":
            return self.scrape(request.query)
        announce = read_announce(request.query or b"")
        if isinstance(announce, Failure):
            return announce
        if believed and announce.ip:
            source = packed_address(announce.ip) or source
        return self.announce(announce, source)

    def _source(self, request: IHttpRequest, host: str, believed: bool) -> bytes | None:
        """The address that is registered: the one that a trusted proxy names, else the one that asks."""
        if believed:
            forwarded = request.header(b"x-forwarded-for")
            if forwarded is not None:
                return packed_address(forwarded.rpartition(b",")[2].strip())
        return packed_address(host.partition("%")[0].encode())

    def announce(self, announce: Announce, source: bytes) -> bytes | Failure:
        """The reply to an announce from an address."""
        desk, info_hash = self._desk, announce.info_hash
        swarms = desk.swarms
        if swarms.find(info_hash) is None and not desk.torrents.serves(info_hash):
            return NOT_SERVED
        self.announces += 1
        family = 0 if len(source) == 4 else 1
        left, event = announce.left, announce.event
        sort = DOWNLOADER if left and not event else sort_of(left, event)
        ident = announce.peer_id + (announce.key or 0).to_bytes(4, "big")
        entry = source + announce.port.to_bytes(2, "big")
        known = swarms.announce(info_hash, family, entry, ident, sort, event is Event.COMPLETED)
        if known is None and sort != LEAVING:
            return NO_ROOM
        swarm, place = known or (Swarm(), -1)
        numwant = announce.numwant
        count = desk.usual if numwant < 0 else min(numwant, desk.most)
        own = swarms.sample(swarm, family, sort, place, count)
        others: bytes | bytearray = b""
        if len(own) < count * WIDTHS[family]:
            others = swarms.sample(swarm, 1 - family, sort, -1, count - len(own) // WIDTHS[family])
        four, six = (others, own) if family else (own, others)
        if announce.compact:
            peers = b"%d:%b" % (len(four), bytes(four))
        else:
            found = [*_named(swarm, 0, four), *_named(swarm, 1, six)]
            peers, six = dictionary_peers(found, ids=not announce.no_peer_id), b""
        return announce_reply(desk.interval(), desk.least, swarm.tally(), source, peers, six)

    def scrape(self, query: bytes | None) -> bytes | Failure:
        """The reply to a scrape."""
        desk = self._desk
        hashes = read_scrape(query, desk.settings.most_scraped)
        if isinstance(hashes, Failure):
            return hashes
        swarms = desk.swarms
        if not hashes:
            if not desk.settings.full_scrape:
                return _DISABLED
            hashes = [info_hash for (info_hash, _), _ in zip(swarms, range(FULL_SCRAPE), strict=False)]
        self.scrapes += 1
        found = []
        for info_hash in hashes:
            swarm = swarms.find(info_hash)
            found.append((info_hash, _EMPTY if swarm is None else swarm.tally()))
        return scrape_reply(found)


def _named(swarm: Swarm, family: int, entries: bytes | bytearray) -> Iterator[tuple[bytes, int, bytes]]:
    """Address, port and peer id of each packed entry."""
    width = WIDTHS[family]
    groups = [group for group in swarm.groups[family * 3 : family * 3 + 3] if group is not None]
    for at in range(0, len(entries), width):
        entry = bytes(entries[at : at + width])
        for group in groups:
            place = group.place(entry)
            if place >= 0:
                ident = bytes(group.facts[place * FACTS : place * FACTS + 20])
                yield entry[:-2], int.from_bytes(entry[-2:], "big"), ident
                break
