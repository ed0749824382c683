"""The way to a domain: a configured route, or its MX records in their order (RFC 5321 section 5.1, RFC 7505)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import ip_address
from random import Random

from netsuite.common.access import is_internal
from netsuite.interfaces import INameResolver, LookupFailed
from netsuite.mail.smtp.wire.replies import Reply

__all__ = ["Place", "Routes", "Unroutable", "parse_route"]

Place = tuple[str, int]
_MOST_HOSTS = 20


class Unroutable(Exception):
    """There is no way to a domain, now or at all: what to note for its recipients."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(str(reply))
        self.reply = reply


def parse_route(text: str) -> tuple[str, Place]:
    """``DOMAIN=HOST:PORT`` (``*`` is every domain without a route of its own); raises ValueError."""
    domain, found, place = text.partition("=")
    host, colon, port = place.strip().rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not found or not domain.strip() or not colon or not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"{text!r} is no route; write DOMAIN=HOST:PORT, such as example.test=192.0.2.25:25")
    return domain.strip().lower().removesuffix("."), (host, int(port))


class Routes:
    """Finds the addresses of the servers that take a domain's mail, the best first.

    ``port`` is where MX hosts listen; ``name`` and ``own()`` are this server's own name and places, to which mail is
    never relayed; ``guarded`` refuses MX hosts at internal addresses.
    """

    def __init__(
        self,
        routes: Mapping[str, Place],
        resolver: Callable[[], INameResolver],
        rng: Random,
        *,
        name: str,
        port: int = 25,
        own: Callable[[], set[Place]] = set,
        guarded: bool = False,
    ) -> None:
        self._routes = dict(routes)
        self._resolver = resolver
        self._rng = rng
        self._name = name.lower()
        self._port = port
        self._own = own
        self._guarded = guarded

    def destination(self, domain: str) -> str:
        """What limits and outages of a domain are counted under: its route, or its name."""
        route = self._routes.get(domain) or self._routes.get("*")
        return f"{route[0]}:{route[1]}" if route else domain

    async def places(self, domain: str) -> list[Place]:
        """Addresses and ports to try in turn; raises Unroutable."""
        try:
            route = self._routes.get(domain) or self._routes.get("*")
            if route is not None:
                found = [(address, route[1]) for address in await self._resolver().addresses(route[0])]
                if not found:
                    raise Unroutable(Reply(451, f"the route's host {route[0]} has no address", "4.4.4"))
                return found
            return await self._by_records(domain)
        except LookupFailed as failed:
            raise Unroutable(Reply(451, f"name lookup failed: {failed}", "4.4.3")) from None

    async def _by_records(self, domain: str) -> list[Place]:
        if domain.startswith("["):
            return self._allowed(domain, [self._literal(domain)])
        answer = await self._resolver().lookup(domain, "MX")
        if answer.rcode == "NXDOMAIN":
            raise Unroutable(Reply(550, f"the domain {domain} does not exist", "5.1.2"))
        hosts = self._in_order([record.data for record in answer.records if record.type == "MX"])
        if hosts == [(0, ".")]:
            raise Unroutable(Reply(556, f"the domain {domain} takes no mail (null MX)", "5.1.10"))
        without_mx = not hosts
        if without_mx:
            hosts = [(0, domain)]
        ours = [preference for preference, host in hosts if host == self._name]
        if ours:
            # nobody less preferred than ourselves may get it: they would send it back
            hosts = [(preference, host) for preference, host in hosts if preference < min(ours)]
            if not hosts:
                raise Unroutable(Reply(554, f"mail for {domain} loops back to this server", "5.4.6"))
        places, trouble = [], ""
        for _, host in hosts[:_MOST_HOSTS]:
            try:
                places += [(address, self._port) for address in await self._resolver().addresses(host)]
            except LookupFailed as failed:
                trouble = str(failed)
        if not places and trouble:
            raise LookupFailed(trouble)
        if not places and without_mx:
            raise Unroutable(Reply(550, f"the domain {domain} has neither MX nor address", "5.1.2"))
        if not places:
            raise Unroutable(Reply(451, f"no mail server of {domain} has an address", "4.4.4"))
        return self._allowed(domain, places)

    def _allowed(self, domain: str, places: list[Place]) -> list[Place]:
        """Without ourselves, and without what is internal if that is guarded."""
        own = self._own()
        others = []
        for place in places:
            if place in own:
                break
            others.append(place)
        if not others:
            raise Unroutable(Reply(554, f"mail for {domain} loops back to this server", "5.4.6"))
        if self._guarded:
            others = [place for place in others if not is_internal(place[0])]
            if not others:
                raise Unroutable(Reply(550, f"the mail servers of {domain} have internal addresses only", "5.4.4"))
        return others

    def _in_order(self, texts: list[str]) -> list[tuple[int, str]]:
        """By preference; equal ones in random order."""
        hosts = []
        for text in texts:
            preference, _, host = text.partition(" ")
            if preference.isdigit() and host.strip():
                hosts.append((int(preference), host.strip().lower().removesuffix(".") or "."))
        self._rng.shuffle(hosts)
        return sorted(hosts, key=lambda each: each[0])

    @staticmethod
    def _literal(domain: str) -> Place:
        try:
            return str(ip_address(domain.strip("[]").removeprefix("IPv6:"))), 25
        except ValueError:
            raise Unroutable(Reply(550, f"{domain} is no address", "5.1.2")) from None
