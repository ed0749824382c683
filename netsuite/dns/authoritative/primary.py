"""A zone that is at home here: from its master file, and from then on from all that was changed.

While nobody changes it but its file, the file is the truth and is read at every start. After the first change by
update or roll-back the versions that we keep are the truth; the file counts again when it has been edited and has a
later serial, and what it then says is one more version.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from netsuite.common.commons import Commons
from netsuite.common.errors import StartError
from netsuite.common.threads import Threads
from netsuite.dns.authoritative.assembly import load
from netsuite.dns.authoritative.change import Change, difference, later, next_serial, with_serial
from netsuite.dns.authoritative.crowding import crowd
from netsuite.dns.authoritative.history import Base, NoSuchVersion
from netsuite.dns.authoritative.master import Sources, is_current
from netsuite.dns.authoritative.notify import Notifier
from netsuite.dns.authoritative.parent import Parent, ResolvedParent, ServedParent, Watch
from netsuite.dns.authoritative.permission import Grant, Remote
from netsuite.dns.authoritative.settings import ZoneSettings
from netsuite.dns.authoritative.signed import ZoneSigning
from netsuite.dns.authoritative.signing import due
from netsuite.dns.authoritative.tended import Publish, Tended
from netsuite.dns.authoritative.update import Refused, Update, execute
from netsuite.dns.authoritative.zone import Zone, ZoneError
from netsuite.dns.wire import codes
from netsuite.interfaces import INameResolver

__all__ = ["Primary"]

_log = Logger()

_SOON: Final = 1.0
_OFTEN: Final = 3600.0
_AT_A_TIME: Final = 500


class Primary(Tended):
    """One zone that is at home here."""

    def __init__(
        self,
        settings: ZoneSettings,
        commons: Commons,
        threads: Threads,
        notifier: Notifier,
        publish: Publish,
        resolver: Callable[[], INameResolver | None] = lambda: None,
    ) -> None:
        super().__init__(settings, commons, threads, notifier, publish)
        assert settings.file is not None
        self.file: Path = settings.file
        self._grants = [
            Grant(grant.key, grant.allow, grant.names, grant.types, commons.access) for grant in settings.update
        ]
        # What the file said at the start, until it is served; later only when it was read: zones hold much.
        self._file_zone: Zone | None = None
        self._sources: Sources = {}
        self._signing: ZoneSigning | None = None
        self._renewing: IDelayedCall | None = None
        self._watch: Watch | None = None
        if settings.dnssec != "off":
            place = f"dns/{self.place}/keys"
            signing = ZoneSigning(self.name, commons.data, place, settings.algorithm, settings.dnssec)
            self._signing = signing
            servers = [Remote.parse(text) for text in settings.parent]
            parent: Parent = ServedParent(commons, servers) if servers else ResolvedParent(resolver)
            self._watch = Watch(commons.clock, self.name, parent, signing.waiting, self._parent_has_it)

    # From the file

    def read(self) -> Zone:
        """The master file's version; raises ZoneError. Blocks."""
        zone = self._file_zone = load(self.name, self.file)
        self._sources = zone.sources
        return zone

    def open(self) -> None:
        """Find what was changed since the file was written, and serve it; raises StartError. Blocks."""
        zone = self._file_zone or self.read()
        self._file_zone = None
        if self._signing is not None:
            self._signing.open(self._now())
        digest = digest_of(zone)
        base = self.history.known_base()
        if base is None or base.digest == digest:
            zone = self.history.start(zone, digest)
        elif base.digest:
            zone = self._edited_while_away(zone, digest, base)
        else:
            zone = self._after_snapshot(zone, digest)
        if self._signing is not None and (change := self._toward(zone, zone, "signing")) is not None:
            zone = change.applied(zone)
            self.history.append_at_once(change, zone)
        self.serve(zone)

    def serve(self, zone: Zone) -> None:
        """Serve a version from now on, without telling anybody."""
        if self._signing is not None and zone.signed:
            zone.denier = self._signing.denier(self._now())
        super().serve(zone)

    def start(self) -> None:
        """Begin to renew signatures; from now on a signed zone does without its file."""
        self._settle_soon()
        if self._signing is not None:
            self._changed(None)
            self._renewing = self._clock.callLater(_SOON, self._renew)
        if self._watch is not None:
            self._watch.start()

    async def stop(self) -> None:
        """End it."""
        if self._renewing is not None and self._renewing.active():
            self._renewing.cancel()
        if self._watch is not None:
            self._watch.stop()
        self._signing = None
        await super().stop()

    def _now(self) -> int:
        return int(self._clock.seconds())

    def _toward(self, zone: Zone, wanted: Zone, source: str) -> Change | None:
        """The signed change from a version to one with the data of another."""
        assert self._signing is not None
        return self._signing.toward(zone, list(wanted.records()), self.settings.serial, self._now(), source)

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
        if not later(zone.serial, current.serial) and self._is_changed_here():
            self.trouble = self._not_later(zone, current)
            _log.warn("{words}", words=self.trouble)
            return current
        change, zone = self._step(current, zone)
        self.history.append_at_once(change, zone)
        self.history.see(digest)
        return zone

    def _step(self, current: Zone, wanted: Zone) -> tuple[Change, Zone]:
        """The change from a version to what the file says, and its outcome."""
        source = f"file {self.file.name}"
        if self._signing is not None:
            change = self._toward(current, wanted, source)
            if change is not None:
                return change, change.applied(current)
        return difference(current, wanted, self._now(), source), wanted

    def _not_later(self, zone: Zone, current: Zone) -> str:
        return (
            f"zone {self.title}: {self.file} was edited, but its serial {zone.serial} is not later than "
            f"{current.serial}, which is served: raise it"
        )

    def reload(self) -> Deferred[str | None]:
        """Take the file if it was edited; a line for the operator. Fails with ZoneError if it cannot be served."""
        if is_current(self._sources):
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
        if self._signing is None and zone.serial == current.serial and set(zone.records()) == set(current.records()):
            self._sources = zone.sources
            return f"{says}, as before"
        if later(zone.serial, current.serial) or (self._signing is not None and not self._is_changed_here()):
            change, made = self._step(current, zone)
            await self.history.append(change, made)
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
        self._sources = zone.sources
        self.trouble = None
        return says

    def _is_changed_here(self) -> bool:
        """Whether there is more to it than its file says."""
        base = self.history.base
        if base is not None and not base.digest and self._signing is None:
            return True
        return any(not change.source.startswith(("file", "signing")) for change in self.history.changes)

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
            signing = self._signing
            change = execute(head, update, self.settings.serial, self._now(), signed=signing is not None)
            if change is None:
                return succeed(None)
            if signing is not None:
                change = signing.complete(head, change, self._now())
            zone = change.applied(head)
            if why := crowd(zone, self.settings.most_at_a_name, {owner for owner, *_ in change.additions}):
                raise Refused(codes.REFUSED, why)
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
        source = f"rollback to {serial} by {source}"
        fresh = next_serial(head.serial, self.settings.serial, self._now())
        soa = old.soa.rdatas[0]
        zone = old.changed(
            [(self.name, codes.SOA, soa)], [(self.name, codes.SOA, old.soa.ttl, with_serial(soa, fresh))]
        )
        change = difference(head, zone, self._now(), source)
        if self._signing is not None and (signed := self._toward(head, zone, source)) is not None:
            change = signed
            zone = signed.applied(head)
        return self._change(change, zone).addCallback(lambda _: change)

    # Signatures and keys

    def _renew(self) -> None:
        """Look for signatures that end soon, in a thread; make some of them anew, and come again."""
        signing = self._signing
        if signing is None:
            return
        self._renewing = None
        if signing.forget_retired(self._now()):
            self._rekeyed("signing: a retired key is dropped")
        zone = self.history.head
        found = self._threads.run(due, zone, signing.signer, self._now(), _AT_A_TIME)
        found.addCallback(self._renew_found, zone).addErrback(self._complain_of_signing)

    def _renew_found(self, found: tuple[list[bytes], int], zone: Zone) -> None:
        names, following = found
        signing = self._signing
        if signing is None:
            return
        if names and zone is self.history.head:
            change = signing.renewed(zone, names, self.settings.serial, self._now(), "signing: renewed")
            self.history.append(change, change.applied(zone)).addErrback(self._complain_of_signing)
        elif self.zone is not None:
            self.serve(self.zone)  # with a denier whose signatures are fresh
        wait = min(max(following - self._now(), _SOON), _OFTEN)
        self._renewing = self._clock.callLater(wait, self._renew)

    def _complain_of_signing(self, failure: Failure) -> None:
        if failure.check(CancelledError) is None and self._signing is not None:
            self.trouble = f"zone {self.title}: its signatures are not renewed ({failure.getErrorMessage()})"
            _log.failure("{words}", failure, words=self.trouble)
            self._renewing = self._clock.callLater(_OFTEN, self._renew)

    def _rekeyed(self, source: str) -> Deferred[None]:
        """The keys have changed: so do the key set and what it signs."""
        head = self.history.head
        change = self._toward(head, head, source)
        if change is None:
            return succeed(None)
        return self.history.append(change, change.applied(head))

    def key_lines(self) -> list[str]:
        """The keys, and what the parent shall have of them; raises StartError for a zone that is not signed here."""
        signing = self._signed_here()
        states = [f"key {key.tag} {key.algorithm} {key.state} since {key.since}" for key in signing.keys]
        waits = [self._watch.trouble] if self._watch is not None and self._watch.trouble else []
        return [*states, *signing.ds(), *waits]

    async def roll_over(self, *, parent_has_it: bool) -> list[str]:
        """Publish a new key, or let it sign once the parent has it; raises StartError. The lines of the keys."""
        signing = self._signed_here()
        if parent_has_it:
            await self._parent_has_it()
        else:
            signing.begin_rollover(self._now())
            await self._rekeyed("signing: a new key is published")
            if self._watch is not None:
                self._watch.start()
        return self.key_lines()

    async def _parent_has_it(self) -> None:
        self._signed_here().finish_rollover(self._now())
        await self._rekeyed("signing: a new key signs")
        if self._renewing is not None and self._renewing.active():
            self._renewing.reset(0)

    def _signed_here(self) -> ZoneSigning:
        if self._signing is None:
            raise StartError(f"zone {self.title} is not signed here: set dnssec in its [[dns.zone]]")
        return self._signing


def digest_of(zone: Zone) -> str:
    """A hash over the files that a zone was read from."""
    found = hashlib.sha256()
    for path in sorted(zone.sources):
        found.update(str(path.name).encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()
