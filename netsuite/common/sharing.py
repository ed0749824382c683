"""Sockets that this process did not open for itself alone.

Where a site runs workers, every process of it serves the same ports: for each address of a shared
table the parent opens one SO_REUSEPORT socket per process *before* the start is reported, keeps
the first and hands the others down, so that a bind failure is the parent's and a worker that dies
is replaced without losing its queue of connections.

Listeners ask :meth:`Sharing.socket`; it answers None where they are on their own. ``inherited:``
sockets have a name: what the parent or systemd (``LISTEN_FDNAMES``) called them.
"""

from __future__ import annotations

import os
import socket
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Final, Literal, Protocol, TypedDict

from twisted.internet.defer import succeed
from twisted.python.systemd import ListenFDs

from netsuite.common import datagram
from netsuite.common.errors import StartError
from netsuite.common.metrics import Family
from netsuite.interfaces import Health

__all__ = [
    "BACKLOG",
    "GONE",
    "Crew",
    "Group",
    "Key",
    "Report",
    "Sharing",
    "Transport",
    "inherited_socket",
    "open_socket",
]

Transport = Literal["tcp", "udp"]
Socket = socket.socket
Key = tuple[Transport, str, int]
Group = list[Socket]
"""One address's sockets for the workers, in the order of their index (from 1)."""

BACKLOG: Final = 1024
"""Clients that the kernel keeps until they are accepted."""


def open_socket(kind: Transport, host: str, port: int, *, shared: bool = False) -> Socket:
    """A non-blocking socket bound to an address, and listening if ``kind`` is tcp; raises OSError.

    IPv6 sockets take IPv6 only, so that ``0.0.0.0`` and ``[::]`` may stand side by side. ``shared`` lets others bind
    the same address (SO_REUSEPORT).
    """
    what = socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM
    family, _, _, _, address = socket.getaddrinfo(host, port, type=what, flags=socket.AI_PASSIVE)[0]
    if kind == "udp":
        return datagram.bound_socket(str(address[0]), port, share=shared)
    made = socket.socket(family, what)
    try:
        made.setblocking(False)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.bind(address)
        made.listen(BACKLOG)
    except BaseException:
        made.close()
        raise
    return made


def inherited_socket(descriptor: int) -> Socket:
    """The socket behind a descriptor that was handed to this process.

    It must not block *before* it is dup()ed: Python would make the duplicate block, and with it everyone's.
    """
    made = socket.socket(fileno=descriptor)
    made.setblocking(False)
    return made


GONE: Final = -1
"""Where the reports of all workers that are gone are found, among those that have an index."""


class Report(TypedDict):
    """What a worker has counted: its metrics, and its services' figures by their names."""

    metrics: list[Family]
    figures: dict[str, list[tuple[str, float]]]


class Crew(Protocol):
    """The worker processes, for those who show the site."""

    def reports(self) -> Awaitable[Mapping[int, Report]]:
        """What each has counted, by its index; what those had that are gone is under GONE."""

    def control(self, word: str, request: Mapping[str, Any]) -> Awaitable[Mapping[int, Mapping[str, Any]]]:
        """What each answers to a request like the ``netsuite`` command's (``ok``, or ``error``), by its index."""

    def health(self) -> Health:
        """Whether all of them accept."""

    def figures(self) -> Sequence[tuple[str, float]]:
        """How many there are, and how often one was replaced."""


class Sharing:
    """Which of how many processes this is, and the sockets it got from its parent.

    ``index`` is 0 in the parent (or where there are no workers), ``count`` the number of processes that serve,
    ``tables`` those whose ports are shared: the suite's root fills it in before anything is opened.
    """

    def __init__(
        self,
        index: int = 0,
        count: int = 1,
        tables: Collection[str] = (),
        sockets: Mapping[Key, list[Socket]] | None = None,
        named: Mapping[str, Socket] | None = None,
    ) -> None:
        self.index = index
        self.count = count
        self.tables = set(tables)
        self.groups: list[tuple[Key, Group]] = []
        self.taken: dict[str, Socket] = {}
        """Sockets with a name that a shared table listens on: workers get them too, and accept from the same queue."""
        self.crew: Crew | None = None
        """The other processes, as their parent knows them once they are started."""
        self.parent: Callable[[str, Mapping[str, Any]], Awaitable[Mapping[str, Any]]] | None = None
        """In a worker: asks the parent's service of that word, as the ``netsuite`` command does."""
        self._sockets: defaultdict[Key, list[Socket]] = defaultdict(list)
        for key, inherited in (sockets or {}).items():
            self._sockets[key].extend(inherited)
        self._named = dict(named or {})
        for handed in self._named.values():
            handed.setblocking(False)

    def gather(self) -> Awaitable[Mapping[int, Report]]:
        """What the other processes have counted, by their index (those that are gone under GONE)."""
        return succeed({}) if self.crew is None else self.crew.reports()

    def shares(self, table: str) -> bool:
        """Whether all processes serve the ports of a table."""
        return self.count > 1 and table in self.tables

    def socket(self, kind: Transport, host: str, port: int) -> Socket | None:
        """A socket of this process for an address that all serve; None where there is one process only.

        Asking again for the same address answers the next such socket (port 0 may be wanted several times). In the
        parent it binds one for each process and raises OSError; in a worker it raises StartError for what the parent
        did not hand down.
        """
        if self.count == 1:
            return None
        key: Key = (kind, host, port)
        if self.index:
            if not self._sockets[key]:
                raise StartError(f"worker {self.index} got no socket for {kind} {host}:{port} from its parent")
            return self._sockets[key].pop(0)
        # sockets that share a port do not notice another site of the same user on it; one that does not share does
        with open_socket(kind, host, port) as probe:
            port = probe.getsockname()[1]
        group: Group = []
        try:
            for _ in range(self.count):
                group.append(open_socket(kind, host, port, shared=True))
        except BaseException:
            for made in group:
                made.close()
            raise
        self.groups.append((key, group[1:]))
        return group[0]

    def named(self, name: str, table: str = "") -> Socket | None:
        """A socket that was handed to this process under a name (systemd's ``FileDescriptorName=``); None if none."""
        if name in self._named:
            found = self._named[name].dup()
        else:
            descriptor = ListenFDs.fromEnvironment().inheritedNamedDescriptors().get(name)
            if descriptor is None:
                return None
            found = inherited_socket(os.dup(descriptor))
        if self.shares(table) and not self.index:
            self.taken[name] = found.dup()
        return found

    def close(self) -> None:
        """Close what is held for others and was not taken."""
        for _, group in self.groups:
            for held in group:
                held.close()
        self.groups.clear()
        for left in self._sockets.values():
            for held in left:
                held.close()
            left.clear()
        for table in (self._named, self.taken):
            for held in table.values():
                held.close()
            table.clear()
