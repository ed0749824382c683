"""The authoritative server as a service of the suite."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator, Mapping, Sequence
from typing import Final

from twisted.internet.defer import Deferred, DeferredSemaphore

from netsuite.common.commons import Commons
from netsuite.common.errors import StartError
from netsuite.common.listen import DatagramListener, stream_listener
from netsuite.common.service import NetsuiteService
from netsuite.common.storage.journal import JournalBroken, StorageFull
from netsuite.common.threads import Threads
from netsuite.dns.authoritative.catalogs import Catalogs
from netsuite.dns.authoritative.control import ZoneControl
from netsuite.dns.authoritative.courtesy import Courtesy
from netsuite.dns.authoritative.explain import DnsControl
from netsuite.dns.authoritative.notify import Notifier
from netsuite.dns.authoritative.primary import Primary
from netsuite.dns.authoritative.produced import Produced
from netsuite.dns.authoritative.secondary import Secondary
from netsuite.dns.authoritative.server import AuthoritativeServer
from netsuite.dns.authoritative.settings import CatalogSettings, DnsSettings, ZoneSettings
from netsuite.dns.authoritative.tended import Publish, Tended
from netsuite.dns.authoritative.view import View, seen
from netsuite.dns.authoritative.zone import Zone, ZoneError
from netsuite.dns.cookies import SECRET_LENGTH, Cookies
from netsuite.dns.wire.tsig import Key
from netsuite.interfaces import Address, Health, IControlled, IDnsAnswers, INameResolver, IOffers

__all__ = ["DnsService", "build"]


_FETCHES: Final = 64
"""Zones that are copied at a time."""


class _Place:
    """One address: its server, its listeners, and the zones it was told to serve."""

    def __init__(
        self, text: str, settings: DnsSettings, commons: Commons, courtesy: Courtesy, keys: Mapping[bytes, Key]
    ) -> None:
        self.text = text
        self.server = server = AuthoritativeServer(settings, commons, text, courtesy, keys)
        self.zones = settings.zones_at(text)
        self.shown = {
            view.name: {zone.origin.lower(): zone for zone in seen(view.name, self.zones)}
            for view in (server.common, *server.views)
        }
        self.stream = stream_listener(text, server.factory, commons, "dns.listen", alpn=("dot",), quic=server.over_quic)
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
        self._keys = {key.key.name: key.key for key in settings.key}
        self._threads = Threads(commons.reactor, "zones", most=2, waiting=100_000)
        self._fetches = DeferredSemaphore(_FETCHES)
        self._notifier = Notifier(commons, self._keys)
        if settings.catalog or any(zone.primary or zone.update or zone.dnssec != "off" for zone in settings.zone):
            self.workers = "one"  # what changes is with one process
        self._resolver: INameResolver | None = None
        self._places: dict[str, _Place] = {}
        for text in settings.listen:
            self._place(text)
        for zone in settings.all_zones():
            for text in settings.listen if zone.listen is None else zone.listen:
                self._place(text)
        self.control = DnsControl({text: place.server for text, place in self._places.items()})
        self._catalogs = Catalogs(self._join, self._leave, self._threads, commons.data.at("dns"))
        self._tended = [self._tend(zone) for zone in settings.zone]
        self._tended += [self._tend(catalog.as_zone, catalog) for catalog in settings.catalog]
        metrics = commons.metrics
        metrics.add("netsuite_dns_queries", "Queries received.", "counter", self._queries, labels=("transport",))
        metrics.add("netsuite_dns_answers", "Answers by response code.", "counter", self._rcodes, labels=("rcode",))
        metrics.add("netsuite_dns_limited", "Answers over UDP cut or dropped by rate.", "counter", self._limited)
        metrics.add("netsuite_dns_dropped", "Datagrams dropped for want of room.", "counter", self._dropped)
        metrics.add("netsuite_dns_zones", "Zones served.", "gauge", lambda: len(self._tended), per_process=True)

    def _place(self, text: str) -> _Place:
        place = self._places.get(text)
        if place is None:
            place = self._places[text] = _Place(text, self.settings, self.commons, self._courtesy, self._keys)
        return place

    def _views(self) -> Iterator[tuple[_Place, View]]:
        for place in self._places.values():
            for view in (place.server.common, *place.server.views):
                yield place, view

    def _tend(self, settings: ZoneSettings, catalog: CatalogSettings | None = None) -> Tended:
        name = settings.origin.lower()
        views = [view for place, view in self._views() if place.shown[view.name].get(name) == settings]
        common = self.commons, self._threads, self._notifier
        tended: Tended
        if catalog is not None:
            tended = Produced(catalog, *common, _publisher(settings, views))
        elif settings.file is not None:
            tended = Primary(settings, *common, _publisher(settings, views), lambda: self._resolver)
        else:
            shown = _publisher(settings, views)

            def publish(zone: Zone | None) -> None:
                shown(zone)
                if zone is not None and settings.catalog:
                    self._catalogs.changed(secondary, zone)

            tended = secondary = Secondary(settings, *common, publish, self._keys, self._fetches)
        for view in views:
            view.tended[tended.name] = tended
        return tended

    def _join(self, catalog: Tended, settings: ZoneSettings, place: str) -> Secondary | None:
        """A member of a catalog, shown wherever that is and no other zone has its name; None if that is nowhere."""
        name = settings.origin.lower()
        views = [
            view for _, view in self._views() if view.tended.get(catalog.name) is catalog and name not in view.tended
        ]
        if not views:
            return None
        publish = _publisher(settings, views)
        tended = Secondary(
            settings, self.commons, self._threads, self._notifier, publish, self._keys, self._fetches, place
        )
        tended.open()
        self._tended.append(tended)
        for view in views:
            view.tended[name] = tended
        if self.running:
            tended.start()
        return tended

    async def _leave(self, tended: Tended) -> None:
        """A member is one no more."""
        self._tended.remove(tended)
        for _, view in self._views():
            if view.tended.get(tended.name) is tended:
                view.drop(tended.name)
        await tended.stop()

    def register(self, offers: IOffers) -> None:
        """Offers the answers of the table's first address, and to be asked about zones and answers."""
        offers.provide(IControlled, ZoneControl(self._tended), "zone")
        offers.provide(IControlled, self.control, "dns")
        if self.settings.listen:
            offers.provide(IDnsAnswers, self._places[self.settings.listen[0]].server, "dns")

    def join(self, offers: IOffers) -> None:
        """Asks the site's resolver, if there is one, for what parents have of zones that are signed here."""
        self._resolver = offers.find(INameResolver)

    def check(self) -> None:
        """Read the zones."""
        for tended in self._tended:
            if isinstance(tended, Primary):
                try:
                    tended.serve(tended.read())
                except ZoneError as error:
                    raise StartError(f"{error}; see [[dns.zone]] {tended.settings.name}") from error
            else:
                tended.withdraw(f"zone {tended.title} has no version before the start")

    def open(self) -> None:
        """Find the secret of our cookies and what was changed of the zones; bind and listen."""
        self._courtesy.cookies = Cookies(*self._secrets())
        for tended in list(self._tended):
            tended.open()
        for place in self._places.values():
            place.open()

    def _secrets(self) -> list[bytes]:
        if self.settings.cookie_secrets:
            return [bytes.fromhex(secret) for secret in self.settings.cookie_secrets]
        kept = self.commons.data.keep("dns-cookie-secret", self.commons.rng.randbytes(SECRET_LENGTH))
        if len(kept) != SECRET_LENGTH:
            raise StartError(f"{self.commons.data.at('dns-cookie-secret')} has not {SECRET_LENGTH} bytes: delete it")
        return [kept]

    def startService(self) -> None:
        """Accept."""
        super().startService()
        for place in self._places.values():
            place.accept()
        for tended in list(self._tended):
            tended.start()

    def addresses(self) -> Sequence[Address]:
        """Both sockets of every address, each with a query to try."""
        found = []
        for place in self._places.values():
            stream = place.stream
            name = place.zones[0].name if place.zones else "example.test"
            try_it = f"dig @{stream.host} -p {stream.port} {name} SOA"
            if place.datagrams is not None:
                found.append(Address("udp", place.datagrams.host, place.datagrams.port, try_it))
            if stream.spec.quic:
                found.append(Address("quic", stream.host, stream.port, f"k{try_it} +quic"))
                continue
            found.append(Address("tcp", stream.host, stream.port, f"{try_it} {'+tls' if stream.secure else '+tcp'}"))
        return found

    def health(self) -> Health:
        """Well while it runs and every zone is as its file says."""
        if not self.running:
            return Health(False, "not running")
        if troubles := [
            *(tended.trouble for tended in self._tended if tended.trouble),
            *self._catalogs.troubles.values(),
        ]:
            return Health(False, "; ".join(troubles))
        return Health(True, f"{len(self._tended)} zones")

    def figures(self) -> Sequence[tuple[str, float]]:
        """Queries by transport, answers by response code, connections now."""
        queries = self._queries()
        connections = sum(len(place.server.factory.adapters) for place in self._places.values())
        return (
            ("zones", len(self._tended)),
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
        for tended in list(self._tended):
            if not isinstance(tended, Primary):
                continue
            try:
                line = await tended.reload()
            except (ZoneError, StorageFull, JournalBroken) as error:
                tended.trouble = f"zone {tended.title} stays as it was: {error}"
                line = tended.trouble
            if line is not None:
                lines.append(line)
        return lines

    def drain(self, deadline: float) -> Awaitable[None]:
        """Take nothing new; queries that have come are still answered."""
        return Deferred.fromCoroutine(self._drain(deadline))

    async def _drain(self, deadline: float) -> None:
        for place in self._places.values():
            await place.drain(deadline)
        self._notifier.stop()
        self._catalogs.close()
        for tended in list(self._tended):
            await tended.stop()
        self._threads.close()

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


def _publisher(settings: ZoneSettings, views: Sequence[View]) -> Publish:
    """Shows versions of a zone in views."""
    name = settings.origin.lower()

    def publish(zone: Zone | None) -> None:
        for view in views:
            if zone is None:
                view.withdraw(name)
            else:
                view.replace(zone)

    return publish


def build(settings: DnsSettings, commons: Commons) -> DnsService:
    """The ``[dns]`` table's service."""
    return DnsService(settings, commons)
