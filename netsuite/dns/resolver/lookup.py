"""The resolver as the suite's other servers see it: names in, records in presentation form out."""

from __future__ import annotations

from ipaddress import ip_address

import dns.exception
import dns.rdata
import dns.rdataclass
import dns.rdatatype
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from netsuite.dns.resolver.cache import Entry
from netsuite.dns.resolver.iterator import Result
from netsuite.dns.resolver.local import LocalNames
from netsuite.dns.resolver.recursion import Recursion
from netsuite.dns.wire.codes import ANY, NOERROR, NXDOMAIN
from netsuite.dns.wire.name import from_text, to_text
from netsuite.interfaces import INameResolver, LookupFailed, NameAnswer, Record

__all__ = ["NameLookup"]

_RCODES = {NOERROR: "NOERROR", NXDOMAIN: "NXDOMAIN"}


@implementer(INameResolver)
class NameLookup:
    """Look-ups for servers of this process, through the same cache as everybody's."""

    def __init__(self, clock: IReactorTime, recursion: Recursion, local: LocalNames) -> None:
        self._clock = clock
        self._recursion = recursion
        self._local = local

    async def lookup(self, name: str, rdtype: str) -> NameAnswer:
        """What a name has of a type, CNAMEs followed; LookupFailed if that cannot be found out."""
        try:
            wire = from_text(name).lower()  # lengths are below every letter
            number = int(dns.rdatatype.from_text(rdtype))
        except (ValueError, dns.exception.DNSException) as error:
            raise LookupFailed(f"{name} {rdtype}: {error}") from None
        if 128 <= number < 256 and number != ANY:
            raise LookupFailed(f"{name} {rdtype}: this is no type of records")
        now = self._clock.seconds()
        result = self._local.find(wire, number, now) or self._recursion.known(wire, number, now)
        if result is None:
            waiting: Deferred[Result] = Deferred(lambda _: None)
            self._recursion.resolve(wire, number, lambda found: None if waiting.called else waiting.callback(found))
            result = await waiting
        if result.rcode not in _RCODES:
            raise LookupFailed(f"{name} {rdtype}: {result.error[1] if result.error else 'no answer'}")
        then = self._clock.seconds()
        return NameAnswer(
            _RCODES[result.rcode], tuple(record for entry in result.answer for record in _records(entry, then))
        )

    async def addresses(self, host: str) -> list[str]:
        """All IPv4 and then all IPv6 addresses of a host; a literal is its own address."""
        literal = host.removeprefix("[").removesuffix("]")
        try:
            return [str(ip_address(literal))]
        except ValueError:
            pass
        found: list[str] = []
        failures = []
        waiting = [Deferred.fromCoroutine(self.lookup(host, rdtype)) for rdtype in ("A", "AAAA")]
        for answer in waiting:
            try:
                found += [record.data for record in (await answer).records if record.type in ("A", "AAAA")]
            except LookupFailed as error:
                failures.append(error)
        if failures and not found:
            raise failures[0]
        return found


def _records(entry: Entry, now: float) -> list[Record]:
    kind = dns.rdatatype.RdataType.make(entry.type)
    ttl = max(0, int(entry.expires - now + 0.5))
    owner = to_text(entry.name)
    records = []
    for rdata in entry.rdatas:
        try:
            text = dns.rdata.from_wire(dns.rdataclass.IN, kind, rdata, 0, len(rdata)).to_text()
        except dns.exception.DNSException:
            text = f"\\# {len(rdata)} {rdata.hex()}"
        records.append(Record(owner, dns.rdatatype.to_text(kind), ttl, text))
    return records
