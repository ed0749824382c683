"""In-memory twins of what services ask for; each keeps its contract in :mod:`netsuite.testing.contracts`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from typing import Final

from zope.interface import implementer

from netsuite.interfaces import INameResolver, LookupFailed, NameAnswer, Record

__all__ = ["KnownNames"]

_TTL: Final = 3600
_LONGEST_LABEL: Final = 63
_LOCALHOST: Final = ("127.0.0.1", "::1")


@implementer(INameResolver)
class KnownNames:
    """A resolver that knows a dictionary, and ``localhost``.

    ``names`` holds for each name its addresses; ``records`` for each name and type what it has, in presentation form;
    looking up one of ``broken`` fails. CNAMEs are not followed.
    """

    def __init__(
        self,
        names: Mapping[str, Iterable[str]] | None = None,
        *,
        records: Mapping[tuple[str, str], Iterable[str]] | None = None,
        broken: Iterable[str] = (),
    ) -> None:
        self._records: dict[tuple[str, str], list[str]] = {}
        for name, addresses in {"localhost": _LOCALHOST, **(names or {})}.items():
            for address in addresses:
                rdtype = "AAAA" if ip_address(address).version == 6 else "A"
                self._records.setdefault((_key(name), rdtype), []).append(address)
        for (name, rdtype), data in (records or {}).items():
            self._records.setdefault((_key(name), rdtype.upper()), []).extend(data)
        self._broken = {_key(name) for name in broken}
        self.asked: list[tuple[str, str]] = []
        """Every name and type that was looked up."""

    async def lookup(self, name: str, rdtype: str) -> NameAnswer:
        """What the dictionary has."""
        rdtype = rdtype.upper()
        self.asked.append((name, rdtype))
        if any(not 0 < len(label) <= _LONGEST_LABEL for label in _key(name).split(".")) or _key(name) in self._broken:
            raise LookupFailed(f"{name} {rdtype}: no answer")
        known = self._records.get((_key(name), rdtype), ())
        found = tuple(Record(f"{_key(name)}.", rdtype, _TTL, data) for data in known)
        exists = any(each == _key(name) for each, _ in self._records)
        return NameAnswer("NOERROR" if exists else "NXDOMAIN", found)

    async def addresses(self, host: str) -> list[str]:
        """A literal, or what the dictionary has, IPv4 first."""
        try:
            return [str(ip_address(host.removeprefix("[").removesuffix("]")))]
        except ValueError:
            answers = [await self.lookup(host, rdtype) for rdtype in ("A", "AAAA")]
            return [record.data for answer in answers for record in answer.records]


def _key(name: str) -> str:
    return name.lower().removesuffix(".")
