"""A zone that is at home here: from its master file, and from then on from all that was changed.

While nobody changes it but its file, the file is the truth and is read at every start. After the first change by
update or roll-back the versions that we keep are the truth; the file counts again when it has been edited and has a
later serial, and what it then says is one more version.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger

from netsuite.common.commons import Commons
from netsuite.common.errors import StartError
from netsuite.common.threads import Threads
from netsuite.dns.authoritative.assembly import load
from netsuite.dns.authoritative.change import Change, difference, later, next_serial, with_serial
from netsuite.dns.authoritative.history import Base, NoSuchVersion
from netsuite.dns.authoritative.notify import Notifier
from netsuite.dns.authoritative.permission import Grant
from netsuite.dns.authoritative.settings import ZoneSettings
from netsuite.dns.authoritative.tended import Publish, Tended
from netsuite.dns.authoritative.update import Refused, Update, execute
from netsuite.dns.authoritative.zone import Zone, ZoneError
from netsuite.dns.wire import codes

__all__ = ["Primary"]

_log = Logger()


class Primary(Tended):
    """One zone that is at home here."""

    def __init__(
        self, settings: ZoneSettings, commons: Commons, threads: Threads, notifier: Notifier, publish: Publish
    ) -> None:
        super().__init__(settings, commons, threads, notifier, publish)
        assert settings.file is not None
        self.file: Path = settings.file
        self._grants = [
            Grant(grant.key, grant.allow, grant.names, grant.types, commons.access) for grant in settings.update
        ]
        self._file_zone: Zone | None = None
        self._snapshot_due = False

    # From the file

    def read(self) -> Zone:
        """The master file's version; raises ZoneError. Blocks."""
        self._file_zone = load(self.name, self.file)
        return self._file_zone

    def open(self) -> None:
        """Find what was changed since the file was written, and serve it; raises StartError. Blocks."""
        zone = self._file_zone or self.read()
        digest = digest_of(zone)
        base = self.history.known_base()
        if base is None or base.digest == digest:
            zone = self.history.start(zone, digest)
        elif base.digest:
            zone = self._edited_while_away(zone, digest, base)
        else:
            zone = self._after_snapshot(zone, digest)
        self.serve(zone)

    def _edited_while_away(self, zone: Zone, digest: str, base: Base) -> Zone:
        """The file is not the one that changes were based on, and of that one we have no copy."""
        if any(not change.source.startswith("file") for change in self.history.peek()):
            raise StartError(
                f"zone {self.title}: {self.file} was edited, but changes are kept that belong to it as it was: put it "
                f"back, or move {self.history.folder} away to do without them"
            )
        _log.info("zone {zone}: its file was edited while nobody watched; older versions are gone", zone=self.title)
        self.history.begin_anew()
        return self.history.start(zone, digest)

    def _after_snapshot(self, zone: Zone, digest: str) -> Zone:
        """Our versions are the truth; the file counts if it was edited since."""
        current = self.history.start(None)
        if self.history.seen == digest:
            return current
        if not later(zone.serial, current.serial):
            self.trouble = self._not_later(zone, current)
            _log.warn("{words}", words=self.trouble)
            return current
        change = difference(current, zone, int(self._clock.seconds()), f"file {self.file.name}")
        self.history.append_at_once(change, zone)
        self.history.see(digest)
        return zone

    def _not_later(self, zone: Zone, current: Zone) -> str:
        return (
            f"zone {self.title}: {self.file} was edited, but its serial {zone.serial} is not later than "
            f"{current.serial}, which is served: raise it"
        )

    def reload(self) -> Deferred[str | None]:
        """Take the file if it was edited; a line for the operator. Fails with ZoneError if it cannot be served."""
        if self._file_zone is not None and self._file_zone.is_current():
            return succeed(None)
        return Deferred.fromCoroutine(self._reload())

    async def _reload(self) -> str:
        return await self._edited(*await self._threads.run(self._reread))

    def _reread(self) -> tuple[Zone, str]:
        zone = load(self.name, self.file)
        return zone, digest_of(zone)

    async def _edited(self, zone: Zone, digest: str) -> str:
        current = self.history.head
        says = f"zone {self.title} serial {zone.serial}, {zone.count} records"
        if zone.serial == current.serial and set(zone.records()) == set(current.records()):
            self._file_zone = zone
            return f"{says}, as before"
        if later(zone.serial, current.serial):
            change = difference(current, zone, int(self._clock.seconds()), f"file {self.file.name}")
            await self.history.append(change, zone)
            if self.history.snapping or (self.history.base is not None and not self.history.base.digest):
                self.history.see(digest)
            else:
                self.history.rebase(Base(digest, zone.serial))
        elif self._is_changed_here():
            raise ZoneError(self._not_later(zone, current))
        else:
            # A zone that only its file changes: whoever forgets the serial is served all the same.
            self.history.begin_anew()
            self.serve(self.history.start(zone, digest))
            says += f", although that serial is not later than {current.serial}: others will not copy it"
        self._file_zone = zone
        self.trouble = None
        return says

    def _is_changed_here(self) -> bool:
        """Whether there is more to it than its file says."""
        base = self.history.base
        if base is not None and not base.digest:
            return True
        return any(not change.source.startswith("file") for change in self.history.changes)

    # By update

    def grants(self, host: str, key: bytes | None) -> Callable[[bytes, int], bool] | None:
        """What somebody may change."""
        found = [permits for grant in self._grants if (permits := grant.to(host, key)) is not None]
        if not found:
            return None
        return lambda owner, rdtype: any(permits(owner, rdtype) for permits in found)

    def update(self, update: Update) -> Deferred[None]:
        """Carry out a dynamic update, durably; fails with Refused."""
        head = self.history.head
        try:
            change = execute(head, update, self.settings.serial, self._clock.seconds())
            if change is None:
                return succeed(None)
            zone = change.applied(head)
        except Refused as refused:
            return fail(refused)
        except ZoneError as error:
            return fail(Refused(codes.REFUSED, str(error)))
        return self._change(change, zone)

    def _change(self, change: Change, zone: Zone) -> Deferred[None]:
        durable = self.history.append(change, zone)
        return durable.addCallback(self._changed)

    def _changed(self, _: Any) -> None:
        """From the first change on, do without the file."""
        base = self.history.base
        if base is not None and base.digest and not self.history.snapping:
            seen = base.digest
            self.history.snapshot(seen).addErrback(self._complain)

    def _complain(self, failure: Any) -> None:
        why = failure.getErrorMessage()
        self.trouble = f"zone {self.title}: no copy could be written ({why}); keep {self.file} as it is"
        _log.error("{words}", words=self.trouble)

    def rollback(self, serial: int, source: str) -> Deferred[Change]:
        """Make a new version that says what an older one said; fails with NoSuchVersion."""
        head = self.history.head
        try:
            if head is not self.history.zone:
                raise NoSuchVersion(f"zone {self.title} is being changed: ask again")
            old = self.history.version(serial)
        except NoSuchVersion as error:
            return fail(error)
        now = self._clock.seconds()
        fresh = next_serial(head.serial, self.settings.serial, now)
        soa = old.soa.rdatas[0]
        zone = old.changed(
            [(self.name, codes.SOA, soa)], [(self.name, codes.SOA, old.soa.ttl, with_serial(soa, fresh))]
        )
        change = difference(head, zone, int(now), f"rollback to {serial} by {source}")
        return self._change(change, zone).addCallback(lambda _: change)


def digest_of(zone: Zone) -> str:
    """A hash over the files that a zone was read from."""
    found = hashlib.sha256()
    for path in sorted(zone.sources):
        found.update(str(path.name).encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()
