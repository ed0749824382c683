"""What catalogs that we copy make of us: their members are copied too, and dropped when they are no members any more.

Every version of a catalog leads to one comparison of what all catalogs name with what there is. A zone belongs to the
catalog that named it first, and moves to another one only if the first says so (the property coo, RFC 9432 section
4.4.1); a new label means a new zone: its data are dropped, and it is copied afresh.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger

from netsuite.common.errors import StartError
from netsuite.common.threads import Threads
from netsuite.dns.authoritative.catalog import BadCatalog, Member, members
from netsuite.dns.authoritative.secondary import Secondary
from netsuite.dns.authoritative.settings import ZoneSettings
from netsuite.dns.authoritative.tended import Tended, folder_name
from netsuite.dns.authoritative.zone import Zone
from netsuite.dns.wire.name import to_text

__all__ = ["Catalogs"]

_log = Logger()

Join = Callable[[Tended, ZoneSettings, str], "Secondary | None"]
Leave = Callable[[Tended], Awaitable[None]]


class _Held(NamedTuple):
    """A member that there is."""

    catalog: Secondary
    label: bytes
    settings: ZoneSettings
    tended: Secondary


class Catalogs:
    """The members of all catalogs that are copied.

    ``join(catalog, settings, place)`` makes a zone, or None where there is one of its name already, and ``leave`` ends
    one; ``data`` is the folder that ``place`` lies in. ``troubles`` has a line for each catalog that is not acted upon.
    """

    def __init__(self, join: Join, leave: Leave, threads: Threads, data: Path) -> None:
        self.troubles: dict[str, str] = {}
        self._join = join
        self._leave = leave
        self._threads = threads
        self._data = data
        self._lock = DeferredLock()
        self._named: dict[Secondary, dict[bytes, Member]] = {}
        self._held: dict[bytes, _Held] = {}
        self._swept: set[Secondary] = set()
        self._closed = False

    def changed(self, catalog: Secondary, zone: Zone) -> None:
        """A catalog has a new version."""
        self.troubles.pop(catalog.title, None)
        most = catalog.settings.members
        try:
            found = members(zone)
            found.pop(catalog.name, None)
            if len(found) > most:
                raise BadCatalog(f"it names {len(found)} zones, more than {most}: raise members in its [[dns.zone]]")
        except BadCatalog as error:
            self.troubles[catalog.title] = f"catalog {catalog.title}: {error}; its zones stay as they were"
            _log.warn("{words}", words=self.troubles[catalog.title])
            return
        self._named[catalog] = found
        done = self._lock.run(lambda: Deferred.fromCoroutine(self._compare()))
        done.addErrback(lambda failure: _log.failure("catalog {zone}", failure, zone=catalog.title))

    def close(self) -> None:
        """Act upon nothing any more."""
        self._closed = True

    def _claims(self) -> dict[bytes, tuple[Secondary, Member]]:
        """Which catalog has each zone, of those that name it."""
        naming: dict[bytes, dict[bytes, tuple[Secondary, Member]]] = {}
        for catalog, found in self._named.items():
            for name, member in found.items():
                naming.setdefault(name, {})[catalog.name] = catalog, member
        claims = {}
        for name, all_of_them in naming.items():
            held = self._held.get(name)
            claim = all_of_them.get(held.catalog.name) if held is not None else None
            if claim is None:
                claim = next(iter(all_of_them.values()))
            taker = claim[1].owner
            claims[name] = all_of_them.get(taker, claim) if taker is not None else claim
        return claims

    async def _compare(self) -> None:
        if self._closed:
            return
        claims = self._claims()
        gone: list[Path] = []
        for name, held in list(self._held.items()):
            claim = claims.get(name)
            if claim is not None and (claim[0], claim[1].label, _settings(*claim)) == held[:3]:
                continue
            await self._leave(held.tended)
            del self._held[name]
            folder = self._data / held.tended.place
            if claim is None or claim[1].label != held.label:
                _log.info("zone {zone}: catalog {of} has dropped it", zone=to_text(name), of=held.catalog.title)
                gone.append(folder)
            elif claim[0] is not held.catalog and folder.is_dir():
                moved = self._data / _place(*claim)
                moved.parent.mkdir(0o700, parents=True, exist_ok=True)
                folder.replace(moved)
        for name, claim in claims.items():
            if name not in self._held and not self._closed:
                self._add(name, *claim)
        for catalog in self._named.keys() - self._swept:
            self._swept.add(catalog)
            gone += self._strays(catalog)
        if gone:
            await self._threads.run(_remove, gone)

    def _add(self, name: bytes, catalog: Secondary, member: Member) -> None:
        settings = _settings(catalog, member)
        try:
            tended = self._join(catalog, settings, _place(catalog, member))
        except StartError as error:
            self.troubles[catalog.title] = f"catalog {catalog.title}: {error}"
            _log.error("{words}", words=self.troubles[catalog.title])
            return
        if tended is None:
            _log.warn("zone {zone}: catalog {of} names it, but it is here", zone=to_text(name), of=catalog.title)
            return
        self._held[name] = _Held(catalog, member.label, settings, tended)

    def _strays(self, catalog: Secondary) -> Iterable[Path]:
        """What is left of members that were dropped while nobody watched."""
        there = self._data / catalog.place / "members"
        known = {self._data / held.tended.place for held in self._held.values()}
        return [path for path in there.iterdir() if path not in known] if there.is_dir() else []


def _settings(catalog: Secondary, member: Member) -> ZoneSettings:
    """How a member is copied: as its catalog is, or as its first group that the catalog's settings know says."""
    of = catalog.settings
    known = {group.name: group for group in of.group}
    group = next((known[name] for name in member.groups if name in known), None)
    return ZoneSettings.model_construct(
        name=to_text(member.name),
        primary=(group.primary if group is not None else []) or of.primary,
        transfer=of.transfer if group is None else group.transfer,
        notify=of.notify if group is None else group.notify,
        listen=of.listen,
        view=of.view,
    )


def _place(catalog: Secondary, member: Member) -> str:
    """Where a member's data lie, other than those of a zone of its name with another label."""
    mark = hashlib.blake2b(member.name + member.label, digest_size=8).hexdigest()
    return f"{catalog.place}/members/{folder_name(member.name)[:200]}~{mark}"


def _remove(folders: Iterable[Path]) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
