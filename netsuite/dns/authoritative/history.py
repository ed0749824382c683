"""The versions of a zone: a journal of changes that survives anything, and a base that they are applied to.

A change is durable before its version is served. At a start the base is read, either the zone's master file, as long as
that is as it was, or a snapshot that we wrote, and what the journal has after it is applied; what it has before it is
kept too, so that older versions can be had by undoing, and other servers can be told what changed (RFC 1995).

Several changes may be on their way to the disk: each is worked out against the version that the one before it makes
(``head``), and one sync makes all of them durable. If that fails, none of them has been.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from netsuite.common.errors import StartError
from netsuite.common.storage.files import FileLayer, Files
from netsuite.common.storage.journal import Journal
from netsuite.common.storage.records import Damaged, frame, scan
from netsuite.dns.authoritative.assembly import Assembly
from netsuite.dns.authoritative.change import BadChange, Change, decoded, encoded
from netsuite.dns.authoritative.zone import Zone
from netsuite.dns.wire.name import to_text

__all__ = ["Base", "History", "NoSuchVersion"]

_log = Logger()

_SEGMENT: Final = 4 << 20
_KEEP: Final = 32 << 20
_HEARING: Final = 10.0
"""Seconds between two notes of when a primary was heard of."""

Defer = Callable[..., Deferred[Any]]


class NoSuchVersion(Exception):
    """A serial that is not, or no longer, among the versions kept."""


class Base(NamedTuple):
    """What changes are applied to: ``digest`` of the master file, or ``""`` for our snapshot, and its serial.

    ``seen`` is the digest of the master file as it was last taken into account, where a snapshot is the base; the
    journal's records up to number ``skip`` belong to versions that are forgotten.
    """

    digest: str
    serial: int
    seen: str = ""
    skip: int = 0


class History:
    """The versions of one zone.

    ``folder`` is its own. ``commit`` runs what must be in order, one at a time, in a thread; ``work`` what may take
    long. ``keep`` is about how many bytes of changes stay, the newest always. Without ``durable``, as in the
    workers of a site, nothing is read or written. ``served`` is called with each version,
    once it is durable.
    """

    def __init__(
        self,
        folder: Path,
        name: bytes,
        commit: Defer,
        work: Defer,
        *,
        files: FileLayer | None = None,
        keep: int = _KEEP,
        durable: bool = True,
        served: Callable[[Zone, Change], None],
    ) -> None:
        self.name = name
        self.changes: list[Change] = []
        self.base: Base | None = None
        self.folder = folder
        self._files: FileLayer = files or Files()
        self._work = work
        self._keep = keep
        self._durable = durable
        self._served = served
        self._commits = commit
        self._journal = self._fresh_journal()
        self._open = False
        self._numbers: list[int] = []  # the journal's number of each change's last record
        self._zone: Zone | None = None
        self._head: Zone | None = None
        self._waiting: list[tuple[Change, Zone, Deferred[None]]] = []
        self._flying = False
        self._settled: list[Deferred[None]] = []
        self._heard = -_HEARING
        self.snapping = False
        self._seen_meanwhile: str | None = None

    def _fresh_journal(self) -> Journal:
        return Journal(self.folder, "changes", self._commits, files=self._files, segment=_SEGMENT)

    @property
    def zone(self) -> Zone:
        """The version that is served."""
        assert self._zone is not None
        return self._zone

    @property
    def head(self) -> Zone:
        """The version that the changes under way will make."""
        return self._head or self.zone

    def exchange(self, zone: Zone) -> None:
        """Have the version that is served in another form, while no change is under way."""
        assert self._head is None
        self._zone = zone

    # At a start

    def exists(self) -> bool:
        """Whether anything was ever kept."""
        return self._durable and "state" in self._names()

    def known_base(self) -> Base | None:
        """What the changes start from, without opening anything; None if nothing was ever kept."""
        if not self.exists():
            return None
        try:
            state = json.loads(self._files.read(self.folder / "state"))
            return Base(state["digest"], state["serial"], state["seen"], state["skip"])
        except (ValueError, KeyError, TypeError) as error:
            raise StartError(f"{self.folder / 'state'} is damaged ({error}): restore it from a backup") from None

    def start(self, zone: Zone | None, digest: str = "") -> Zone:
        """Read everything; blocks. The version to serve.

        ``zone`` is the master file's and ``digest`` the file's, if the base is that file or nothing was ever kept.
        """
        base = self.known_base()
        try:
            if base is not None and zone is None:
                zone = self._snapshot(base.serial)
            if zone is None:
                raise StartError(f"zone {to_text(self.name)} has neither a file nor a snapshot in {self.folder}")
            if base is not None:
                self._read(base.skip)
                for change in self._after(base.serial):
                    zone = change.applied(zone)
        except (Damaged, BadChange, ValueError, OSError) as error:
            raise StartError(f"the versions of zone {to_text(self.name)} cannot be read: {error}") from error
        self.base = base or Base(digest, zone.serial)
        self._zone = zone
        return zone

    def _names(self) -> list[str]:
        try:
            return self._files.names(self.folder)
        except FileNotFoundError:
            return []

    def _read(self, skip: int) -> None:
        for number, record in self._journal.open(max(self._first(), skip)):
            for change in decoded(record):
                self.changes.append(change)
                self._numbers.append(number)
        self._open = True

    def _first(self) -> int:
        """One less than the number of the journal's oldest record; older files were dropped with their changes."""
        numbers = [int(name[8:]) for name in self._names() if name.startswith("changes.") and name[8:].isdigit()]
        return min(numbers, default=1) - 1

    def _after(self, serial: int) -> list[Change]:
        """The changes behind the version of a serial; StartError if the chain does not reach it."""
        for index, change in enumerate(self.changes):
            if change.before == serial:
                return self.changes[index:]
        if not self.changes or self.changes[-1].after == serial:
            return []
        raise StartError(f"{self.folder} has changes, none of which belongs to serial {serial}: restore a backup")

    def _snapshot(self, serial: int) -> Zone:
        path = self.folder / f"snapshot.{serial}"
        found = scan(self._files.read(path), 1, last=False)
        (change,) = decoded(b"".join(record for _, record in found.records))
        if change.after != serial:
            raise BadChange(f"{path} is of serial {change.after}")
        assembly = Assembly(self.name, str(path))
        for record in change.additions:
            assembly.add(*record)
        return assembly.zone()

    @property
    def started(self) -> bool:
        """Whether there is any version."""
        return self._zone is not None

    def begin(self, zone: Zone) -> Deferred[None]:
        """The first version ever, of which there is no file."""
        self._files.make_folder(self.folder)
        self._files.sync_folder(self.folder.parent)
        self._zone = zone
        self.base = Base("", zone.serial)

        def failed(failure: Failure) -> Failure:
            self._zone = None
            self.base = None
            return failure

        return self.snapshot().addErrback(failed)

    def replace(self, zone: Zone) -> Deferred[None]:
        """A version that is not told by its changes: what was before it is forgotten."""
        old, self._zone = self._zone, zone
        skip = self._journal.next_number - 1 if self._open else 0

        def done(_: None) -> None:
            self.changes.clear()
            self._numbers.clear()

        def failed(failure: Failure) -> Failure:
            self._zone = old
            return failure

        return self.snapshot(skip=skip).addCallbacks(done, failed)

    # Changes

    def append(self, change: Change, zone: Zone) -> Deferred[None]:
        """Make a change of ``head`` durable, then serve ``zone``, its outcome; fails as the journal does.

        With it fail those that came after it and stand on it.
        """
        if not self._durable:
            self._zone = zone
            self._served(zone, change)
            return succeed(None)
        if not self._open:
            self._begin()
        self._head = zone
        durable: Deferred[None] = Deferred()
        self._waiting.append((change, zone, durable))
        if not self._flying:
            self._commit()
        return durable

    def _commit(self) -> None:
        """All that waits becomes one record: all of it is durable, or none."""
        batch, self._waiting = self._waiting, []
        self._flying = True

        def over(result: Any) -> None:
            self._flying = False
            if isinstance(result, Failure):
                self._head = None
                late, self._waiting = self._waiting, []
                for _, _, durable in (*batch, *late):
                    durable.errback(result)
                self._tell_settled()
                return
            for change, zone, durable in batch:
                self.changes.append(change)
                self._numbers.append(result)
                self._zone = zone
                self._served(zone, change)
                durable.callback(None)
            if self._waiting:
                self._commit()
            else:
                self._head = None
                self._trim()
                self._tell_settled()

        self._journal.append(b"".join(encoded(change) for change, _, _ in batch)).addBoth(over)

    def _tell_settled(self) -> None:
        settled, self._settled = self._settled, []
        for each in settled:
            each.callback(None)

    def _begin(self) -> None:
        """The first change ever: say what it starts from."""
        assert self.base is not None
        self._files.make_folder(self.folder)
        self._files.sync_folder(self.folder.parent)
        self._write_state(self.base)
        for _ in self._journal.open():
            raise StartError(f"{self.folder} has changes of another zone: move them away")
        self._open = True

    def rebase(self, base: Base) -> None:
        """The version that is served is the master file's, from now on: blocks for a moment."""
        self.base = base
        if self._open:
            self._write_state(base)
            self._drop_snapshots(keep=None)

    @property
    def seen(self) -> str:
        """The digest of the master file as it was last taken into account."""
        return self.base.seen if self.base is not None else ""

    def see(self, digest: str) -> None:
        """The master file, as it is now, is in the version that is served; blocks for a moment."""
        assert self.base is not None
        if self.snapping:
            self._seen_meanwhile = digest
            return
        self.base = self.base._replace(seen=digest)
        self._write_state(self.base)

    def begin_anew(self) -> None:
        """Forget every version; the next start has nothing to go by."""
        if self._open:
            self._open = False
            self._journal.drop()
            self._journal = self._fresh_journal()
        for name in self._names():
            if name == "state" or name.startswith(("snapshot.", "changes.")):
                self._files.remove(self.folder / name)
        self._files.sync_folder(self.folder)
        self.changes.clear()
        self._numbers.clear()
        self.base = None

    def peek(self) -> list[Change]:
        """The changes that are kept, read before anything is started."""
        self._read(self.base.skip if self.base is not None else 0)
        found = list(self.changes)
        self.changes.clear()
        self._numbers.clear()
        self._journal.drop()
        self._journal = self._fresh_journal()
        self._open = False
        return found

    def append_at_once(self, change: Change, zone: Zone) -> None:
        """The same as :meth:`append` at a start, when nothing else goes on; blocks."""
        if not self._open:
            self._begin()
        self._numbers.append(self._journal.place_at_once(encoded(change)).number)
        self.changes.append(change)
        self._zone = zone

    # For copies

    def hear(self, now: float) -> None:
        """A primary has said at a Unix time that this is what there is; kept for the next start, now and then."""
        if self._durable and self._zone is not None and now >= self._heard + _HEARING:
            self._heard = now
            # Losing it to a full disk is no harm: the copy expires a little earlier.
            self._work(self._write, "heard", str(int(now)).encode()).addErrback(lambda _: None)

    def heard(self) -> float | None:
        """When a primary last said so; None if that is not known."""
        try:
            return float(int(self._files.read(self.folder / "heard")))
        except (OSError, ValueError):
            return None

    def _write_state(self, base: Base) -> None:
        self._write("state", json.dumps(base._asdict()).encode())

    def _write(self, name: str, data: bytes) -> None:
        path = self.folder / name
        draft = path.with_name(f"{name}.new")
        files = self._files
        files.remove(draft)
        file = files.create(draft)
        try:
            if file.append([data]) < len(data):
                raise OSError(f"{draft}: a write was cut short")
            file.sync()
        finally:
            file.close()
        files.rename(draft, path)
        files.sync_folder(self.folder)

    # Snapshots, and what they make dispensable

    def snapshot(self, seen: str | None = None, skip: int | None = None) -> Deferred[None]:
        """Write the version that is served, and start from it from now on; in a thread.

        ``seen`` is the master file's digest, if that was the base; ``skip`` as in :class:`Base`.
        """
        zone = self.zone
        assert self.base is not None
        base = Base("", zone.serial, self.base.seen if seen is None else seen, self.base.skip if skip is None else skip)
        self.snapping = True

        def over(result: Any) -> Any:
            self.snapping = False
            if not isinstance(result, Failure):
                self.base = base
                if self._seen_meanwhile is not None:
                    self.see(self._seen_meanwhile)
            self._seen_meanwhile = None
            return result

        done: Deferred[None] = self._work(self._write_snapshot, zone, base).addBoth(over)
        return done

    def _write_snapshot(self, zone: Zone, base: Base) -> None:
        files = self._files
        files.make_folder(self.folder)
        path = self.folder / f"snapshot.{zone.serial}"
        draft = path.with_suffix(".new")
        files.remove(draft)
        file = files.create(draft)
        try:
            whole = Change(0, zone.serial, (), list(zone.records()), 0, "")
            chunks = frame(1, encoded(whole), 0)
            if file.append(chunks) < sum(map(len, chunks)):
                raise OSError(f"{draft}: a write was cut short")
            file.sync()
        finally:
            file.close()
        files.rename(draft, path)
        files.sync_folder(self.folder)
        self._write_state(base)
        self._drop_snapshots(keep=path.name)

    def _drop_snapshots(self, keep: str | None) -> None:
        for name in self._names():
            if name.startswith("snapshot.") and name != keep:
                self._files.remove(self.folder / name)

    def _trim(self) -> None:
        """Forget the oldest changes beyond what is kept, as soon as a snapshot does not need them."""
        size = 0
        kept = len(self.changes)
        while kept and (size <= self._keep or kept == len(self.changes)):
            kept -= 1
            size += self.changes[kept].size
        if size <= self._keep or self.snapping:
            return
        if self.base is not None and any(change.before == self.base.serial for change in self.changes[: kept + 1]):
            self.snapshot().addErrback(self._complain)
            return
        number = self._numbers[kept]
        del self.changes[:kept], self._numbers[:kept]
        self._work(self._journal.forget, number).addErrback(self._complain)

    def _complain(self, failure: Failure) -> None:
        _log.error(
            "the versions of zone {zone} take more and more room: {why}", zone=to_text(self.name), why=failure.value
        )

    # Older versions

    def recall(self, change: Change) -> None:
        """A change is known that led to the version that was started from; it is kept in memory only."""
        self.changes.insert(0, change)
        self._numbers.insert(0, 0)

    def since(self, serial: int) -> list[Change] | None:
        """The changes that lead from a version to the one that is served; None if it is not known."""
        if serial == self.zone.serial:
            return []
        for index in range(len(self.changes) - 1, -1, -1):
            if self.changes[index].before == serial:
                return self.changes[index:]
        return None

    def version(self, serial: int) -> Zone:
        """An older version; raises NoSuchVersion."""
        changes = self.since(serial)
        if changes is None:
            raise NoSuchVersion(f"zone {to_text(self.name)} has no version {serial} any more")
        zone = self.zone
        for change in reversed(changes):
            zone = change.undone(zone)
        return zone

    async def close(self) -> None:
        """Let what is under way become durable."""
        while self._flying:
            settled: Deferred[None] = Deferred()
            self._settled.append(settled)
            await settled
        if self._open:
            self._open = False
            await self._journal.close()
