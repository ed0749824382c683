"""The authoritative server as a service of the suite."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool

from netsuite.common.commons import Commons
from netsuite.common.errors import StartError
from netsuite.common.listen import DatagramListener, StreamListener
from netsuite.common.service import NetsuiteService
from netsuite.dns.authoritative.assembly import load
from netsuite.dns.authoritative.courtesy import Courtesy
from netsuite.dns.authoritative.server import AuthoritativeServer
from netsuite.dns.authoritative.settings import DnsSettings, ZoneSettings
from netsuite.dns.authoritative.zone import Zone, ZoneError
from netsuite.dns.cookies import SECRET_LENGTH, Cookies
from netsuite.dns.wire.name import to_text
from netsuite.interfaces import Address, Health, IDnsAnswers, IOffers

__all__ = ["DnsService", "build"]


class _Place:
    """One address: its server, its listeners, and the zones it was told to serve."""

    def __init__(self, text: str, settings: DnsSettings, commons: Commons, courtesy: Courtesy) -> None:
        self.text = text
        self.server = server = AuthoritativeServer(settings, commons, text, courtesy)
        self.zones: list[ZoneSettings] = []
        self.stream = StreamListener(text, server.factory, commons, "dns.listen", alpn=("dot",))
        plain = not self.stream.secure and self.stream.spec.form in ("address", "inherited")
        self.datagrams = (
            DatagramListener(
                text, server.answer_datagram, commons, "dns.listen", memo=server.port_memo, prompt=server.port_prompt
            )
            if plain
            else None
        )

    def open(self) -> None:
        """Bind both; a port 0 is chosen by TCP and then taken for UDP too."""
        self.stream.open()
        if self.datagrams is not None:
            self.datagrams.follow(self.stream)
            self.datagrams.open()

    def accept(self) -> None:
        """Answer."""
        self.stream.accept()
        if self.datagrams is not None:
            self.datagrams.accept()

    def received(self) -> int:
        """Datagrams so far."""
        port = self.datagrams.datagrams if self.datagrams is not None else None
        return port.received if port is not None else self.server.datagrams

    async def drain(self, deadline: float) -> None:
        """Take nothing new, answer what has come."""
        await self.stream.close()
        if self.datagrams is not None:
            await self.datagrams.close()
        await self.server.factory.drain(deadline)


class DnsService(NetsuiteService):
    """Serves each zone on the table's addresses, or on its own."""

    def __init__(self, settings: DnsSettings, commons: Commons) -> None:
        super().__init__("dns", commons)
        self.settings = settings
        self._courtesy = Courtesy(nsid=settings.nsid.encode(), idle=settings.idle)
        self._places: dict[str, _Place] = {}
        for text in settings.listen:
            self._place(text)
        for zone in settings.zone:
            for text in settings.listen if zone.listen is None else zone.listen:
                self._place(text).zones.append(zone)
        self._zones: dict[tuple[bytes, Path], Zone] = {}
        self._broken: dict[str, str] = {}
        metrics = commons.metrics
        metrics.add("netsuite_dns_queries", "Queries received.", "counter", self._queries, labels=("transport",))
        metrics.add("netsuite_dns_answers", "Answers by response code.", "counter", self._rcodes, labels=("rcode",))
        metrics.add("netsuite_dns_limited", "Answers over UDP cut or dropped by rate.", "counter", self._limited)
        metrics.add("netsuite_dns_dropped", "Datagrams dropped for want of room.", "counter", self._dropped)
        metrics.add("netsuite_dns_zones", "Zones served.", "gauge", lambda: len(settings.zone), per_process=True)

    def _place(self, text: str) -> _Place:
        place = self._places.get(text)
        if place is None:
            place = self._places[text] = _Place(text, self.settings, self.commons, self._courtesy)
        return place

    def register(self, offers: IOffers) -> None:
        """Offers the answers of the table's first address."""
        if self.settings.listen:
            offers.provide(IDnsAnswers, self._places[self.settings.listen[0]].server, "dns")

    def check(self) -> None:
        """Read the zones."""
        for zone in self.settings.zone:
            try:
                self._serve(zone, load(zone.origin, zone.file))
            except ZoneError as error:
                raise StartError(f"{error}; see [[dns.zone]] {zone.name}") from error

    def open(self) -> None:
        """Find the secret of our cookies, bind and listen."""
        self._courtesy.cookies = Cookies(*self._secrets())
        for place in self._places.values():
            place.open()

    def _secrets(self) -> list[bytes]:
        if self.settings.cookie_secrets:
            return [bytes.fromhex(secret) for secret in self.settings.cookie_secrets]
        kept = self.commons.data.keep("dns-cookie-secret", self.commons.rng.randbytes(SECRET_LENGTH))
        if len(kept) != SECRET_LENGTH:
            raise StartError(f"{self.commons.data.at('dns-cookie-secret')} has not {SECRET_LENGTH} bytes: delete it")
        return [kept]

    def _serve(self, settings: ZoneSettings, zone: Zone) -> None:
        self._zones[settings.origin, settings.file] = zone
        for place in self._places.values():
            if settings in place.zones:
                place.server.replace(zone)

    def startService(self) -> None:
        """Accept."""
        super().startService()
        for place in self._places.values():
            place.accept()

    def addresses(self) -> Sequence[Address]:
        """Both sockets of every address, each with a query to try."""
        found = []
        for place in self._places.values():
            stream = place.stream
            name = place.zones[0].name if place.zones else "example.test"
            try_it = f"dig @{stream.host} -p {stream.port} {name} SOA"
            if place.datagrams is not None:
                found.append(Address("udp", place.datagrams.host, place.datagrams.port, try_it))
            found.append(Address("tcp", stream.host, stream.port, f"{try_it} {'+tls' if stream.secure else '+tcp'}"))
        return found

    def health(self) -> Health:
        """Well while it runs and every zone is as its file says."""
        if not self.running:
            return Health(False, "not running")
        if self._broken:
            return Health(False, "; ".join(f"zone {name} is old: {why}" for name, why in self._broken.items()))
        return Health(True, f"{len(self.settings.zone)} zones")

    def figures(self) -> Sequence[tuple[str, float]]:
        """Queries by transport, answers by response code, connections now."""
        queries = self._queries()
        connections = sum(len(place.server.factory.adapters) for place in self._places.values())
        return (
            ("zones", len(self.settings.zone)),
            ("queries over UDP", queries["udp",]),
            ("queries over TCP", queries["tcp",]),
            *((f"answers {rcode}", count) for (rcode,), count in self._rcodes().items()),
            ("answers limited by rate", self._limited()),
            ("connections", connections),
        )

    def reload(self) -> Awaitable[Sequence[str]]:
        """Read zones whose files have changed, each in a thread, and swap them in; a broken one stays as it was."""
        return Deferred.fromCoroutine(self._reload())

    async def _reload(self) -> list[str]:
        lines = []
        reactor = self.commons.reactor
        for settings in self.settings.zone:
            if self._zones[settings.origin, settings.file].is_current() and settings.name not in self._broken:
                continue
            try:
                zone = await deferToThreadPool(reactor, reactor.getThreadPool(), load, settings.origin, settings.file)
            except ZoneError as error:
                self._broken[settings.name] = str(error)
                lines.append(f"zone {settings.name} stays as it was: {error}")
                continue
            self._broken.pop(settings.name, None)
            self._serve(settings, zone)
            lines.append(f"zone {to_text(zone.name)} serial {zone.serial}, {zone.count} records")
        return lines

    def drain(self, deadline: float) -> Awaitable[None]:
        """Take nothing new; queries that have come are still answered."""
        return Deferred.fromCoroutine(self._drain(deadline))

    async def _drain(self, deadline: float) -> None:
        for place in self._places.values():
            await place.drain(deadline)

    def _queries(self) -> dict[tuple[str, ...], int]:
        places = self._places.values()
        return {
            ("udp",): sum(place.received() for place in places),
            ("tcp",): sum(place.server.messages for place in places),
        }

    def _dropped(self) -> int:
        listeners = (place.datagrams for place in self._places.values() if place.datagrams is not None)
        return sum(listener.datagrams.dropped for listener in listeners if listener.datagrams is not None)

    def _limited(self) -> int:
        return sum(place.server.rate.limited for place in self._places.values() if place.server.rate is not None)

    def _rcodes(self) -> dict[tuple[str, ...], int]:
        total: dict[tuple[str, ...], int] = {}
        for place in self._places.values():
            for rcode, count in place.server.rcodes().items():
                total[rcode,] = total.get((rcode,), 0) + count
        return total


def build(settings: DnsSettings, commons: Commons) -> DnsService:
    """The ``[dns]`` table's service."""
    return DnsService(settings, commons)
