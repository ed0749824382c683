"""What a set of zones answers to a query: bytes in, bytes out, no clock and no sockets.

How a name is looked for is in :mod:`netsuite.dns.authoritative.search`; EDNS is RFC 6891.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from netsuite.dns.authoritative.prompt import Prompt
from netsuite.dns.authoritative.search import Note, Search
from netsuite.dns.authoritative.spread import Spread
from netsuite.dns.authoritative.zone import Zone
from netsuite.dns.wire import codes
from netsuite.dns.wire.edns import NOT_AUTHORITATIVE, NOT_READY, extended_error, opt, padded
from netsuite.dns.wire.name import ROOT, labels, parent
from netsuite.dns.wire.query import Query, Refusal, error, parse
from netsuite.dns.wire.writer import Writer

__all__ = ["Answers"]

_STREAM_LIMIT: Final = 65535
_TRANSFERS: Final = (codes.AXFR, codes.IXFR)
_NOT_OURS: Final = extended_error(NOT_AUTHORITATIVE)
_NO_VERSION: Final = extended_error(NOT_READY, "this zone has no current copy here")


class Answers:
    """Zones by name, and the answers they give.

    ``udp_size`` is the largest answer sent over UDP (and what our OPT records announce); ``minimal`` leaves out
    of positive answers what the client can do without (RFC 6604 and referrals apart). ``rcodes`` counts what
    was answered here. ``prompts`` are the short cuts for datagrams and streams, good where answers are minimal; they
    hear of zones by :meth:`serve` and :meth:`drop`. ``spread`` says how addresses share out load, if they do;
    ``varied`` whether the last answer was so made: it is not to be remembered.
    """

    __slots__ = (
        "_dnssec_opt",
        "_opt",
        "_withdrawn",
        "minimal",
        "prompts",
        "rcodes",
        "spread",
        "udp_size",
        "varied",
        "zones",
    )

    def __init__(
        self,
        zones: Iterable[Zone] = (),
        *,
        minimal: bool = True,
        udp_size: int = 1232,
        spread: Spread | None = None,
    ) -> None:
        self.zones: dict[bytes, Zone] = {zone.name: zone for zone in zones}
        self.minimal = minimal
        self.udp_size = udp_size
        self.rcodes = [0] * 24
        self.spread = spread
        self.varied = False
        self.prompts = tuple(
            Prompt(self.rcodes, udp_size=udp_size, stream=stream, spread=spread) for stream in (False, True)
        )
        for prompt in self.prompts:
            prompt.serve(self.zones)
        self._withdrawn: set[bytes] = set()
        self._opt = opt(udp_size)
        self._dnssec_opt = opt(udp_size, dnssec=True)

    def serve(self, zone: Zone) -> None:
        """Answer from a zone, in place of the version that was there, from now on."""
        self.zones[zone.name] = zone
        self._withdrawn.discard(zone.name)
        self._tell()

    def drop(self, name: bytes) -> None:
        """Answer from a zone no more; KeyError if it is not there."""
        del self.zones[name]
        self._tell()

    def forget(self, name: bytes) -> None:
        """A zone is not ours any more, whether there was a version of it or not."""
        self._withdrawn.discard(name)
        if name in self.zones:
            self.drop(name)

    def withdraw(self, name: bytes) -> None:
        """A zone stays ours, but there is no version of it to answer from: SERVFAIL, until :meth:`serve`."""
        if name in self.zones:
            del self.zones[name]
        self._withdrawn.add(name)
        self._tell()

    def _tell(self) -> None:
        """Let the short cuts know; what is above a zone that is withdrawn is for the careful way to tell apart."""
        zones = {} if any(self._nearest(name) for name in self._withdrawn) else self.zones
        for prompt in self.prompts:
            prompt.serve(zones)

    def answer(self, data: bytes, stream: bool = False) -> bytes | None:
        """The response to a query, None for what gets none; ``stream`` lifts UDP's size limit."""
        query = parse(data, self.udp_size)
        if query is None:
            return None
        if isinstance(query, Refusal):
            self.rcodes[query.rcode] += 1
            return query.response
        return self.respond(data, query, stream)

    def respond(
        self,
        data: bytes,
        query: Query,
        stream: bool = False,
        options: bytes = b"",
        block: int = 0,
        note: Note | None = None,
    ) -> bytes:
        """The response to a query that is read already.

        ``options`` go into its OPT record; with ``block``, padding fills it up to a multiple of so many bytes.
        ``note`` hears of the steps of the search.
        """
        self.varied = False
        if not query.edns:
            edns = b""
        elif options:
            edns = opt(self.udp_size, dnssec=query.dnssec, options=options)
        else:
            edns = self._dnssec_opt if query.dnssec else self._opt
        zone = None
        if query.rdclass == codes.CLASS_IN and query.type not in _TRANSFERS:
            zone = self._zone(query.name, query.type)
        failed = codes.REFUSED if zone is None else codes.NOERROR
        if self._withdrawn and query.rdclass == codes.CLASS_IN and self._is_withdrawn(query.name, zone):
            failed = codes.SERVFAIL
        if zone is None or failed:
            self.rcodes[failed] += 1
            if edns:
                why = _NOT_OURS if failed == codes.REFUSED else _NO_VERSION
                edns = opt(self.udp_size, dnssec=query.dnssec, options=options + why)
            response = error(data, failed, question=query.question, edns=edns)
        else:
            limit = _STREAM_LIMIT if stream else min(query.size, self.udp_size)
            # CD is a validator's business: authoritative answers leave it clear, as other servers do.
            flags = codes.QR | codes.AA | (query.flags & codes.RD)
            writer = Writer(data[:2], query.question, flags, limit, len(edns))
            search = Search(
                writer,
                self._zone,
                query.type,
                minimal=self.minimal,
                stream=stream,
                dnssec=query.dnssec,
                note=note,
                spread=self.spread,
            )
            rcode = search.run(zone, query.question)
            self.varied = search.varied
            writer.flags |= rcode
            self.rcodes[rcode] += 1
            response = writer.finish(edns)
        return padded(response, len(response) - len(edns), block) if block and edns else response

    def version(self, query: Query) -> bytes:
        """What the ZONEVERSION option says of the zone that answers (RFC 9660): labels of its name, its serial."""
        zone = self._zone(query.name, query.type)
        if zone is None:
            return b""
        return bytes((len(labels(zone.name)), 0)) + zone.serial.to_bytes(4, "big")

    def _zone(self, name: bytes, rdtype: int) -> Zone | None:
        """The nearest zone above a name; DS at a zone's own name is its parent's to answer, where we have it."""
        zone = self._nearest(name)
        if rdtype == codes.DS and zone is not None and zone.name == name and name != ROOT:
            return self._nearest(parent(name)) or zone
        return zone

    def _is_withdrawn(self, name: bytes, zone: Zone | None) -> bool:
        """Whether a name belongs to a zone that is withdrawn, below the zone that would answer else."""
        while name not in self._withdrawn:
            if name == ROOT or (zone is not None and name == zone.name):
                return False
            name = parent(name)
        return True

    def _nearest(self, name: bytes) -> Zone | None:
        zones = self.zones
        while True:
            zone = zones.get(name)
            if zone is not None or name == ROOT:
                return zone
            name = name[name[0] + 1 :]
