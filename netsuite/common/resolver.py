"""Names to addresses by the operating system: what our servers ask where the site has no resolver of its own."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool
from zope.interface import implementer

from netsuite.interfaces import INameResolver, LookupFailed, NameAnswer, Record

__all__ = ["SystemResolver"]

_THREADS: Final = 8
_WAITING: Final = 256
_FAMILIES: Final = {"A": socket.AF_INET, "AAAA": socket.AF_INET6}
_NOTHING: Final = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}


@implementer(INameResolver)
class SystemResolver:
    """``getaddrinfo`` in threads of its own; the first look-up starts them, :meth:`stop` ends them.

    At most 256 look-ups wait; more fail at once. Known weakness: the system tells neither how long an answer is valid
    nor other types than addresses, and a look-up cannot be cut short.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._pool = ThreadPool(0, _THREADS, name="netsuite names")
        self._waiting = 0

    async def lookup(self, name: str, rdtype: str) -> NameAnswer:
        """The addresses of a name; LookupFailed for types other than A and AAAA."""
        family = _FAMILIES.get(rdtype.upper())
        if family is None:
            raise LookupFailed(
                f"{name} {rdtype}: the system finds addresses only; add a [resolver], or set common.resolver"
            )
        found = await self._ask(name, family)
        records = tuple(Record(f"{name.rstrip('.')}.", rdtype.upper(), 0, address) for address in found)
        return NameAnswer("NOERROR" if records else "NXDOMAIN", records)

    async def addresses(self, host: str) -> list[str]:
        """All addresses of a host, in the system's order of preference."""
        literal = host.removeprefix("[").removesuffix("]")
        try:
            return [str(ip_address(literal))]
        except ValueError:
            return await self._ask(host, socket.AF_UNSPEC)

    async def _ask(self, host: str, family: int) -> list[str]:
        if self._waiting >= _WAITING:
            raise LookupFailed(f"{host}: too many look-ups are waiting for the system's resolver")
        if not self._pool.started:
            self._pool.start()
        self._waiting += 1
        answer: Deferred[Sequence[Any]] = deferToThreadPool(
            self._reactor, self._pool, socket.getaddrinfo, host, None, family, socket.SOCK_STREAM
        )
        try:
            found = await answer
        except socket.gaierror as error:
            if error.errno in _NOTHING:
                return []
            raise LookupFailed(f"{host}: {error.strerror}") from error
        except (OSError, ValueError) as error:  # ValueError: no host name at all, such as one of 64 letters
            raise LookupFailed(f"{host}: {error}") from error
        finally:
            self._waiting -= 1
        return list(dict.fromkeys(address[0] for *_, address in found))

    def stop(self) -> None:
        """End the threads; waits for look-ups that are under way."""
        if self._pool.started:
            self._pool.stop()
