"""What happened, as typed events: access logs, JSON logs, the live page and tests read them.

A server asks once for a *kind* (:meth:`Journal.kind`) and gets a callable that costs one append.
Events wait in memory and are turned into lines in batches (every second, or when there are many),
which one thread of its own appends to ``DATA/logs/KIND.log``, so a slow disk never holds up the
reactor. What cannot be kept (a full disk, a thread that is far behind) is dropped, counted and
said once. :meth:`Journal.reopen` is for log rotation.

For rare events and for people there is ``twisted.logger``; this is for the many and for programs.
"""

from __future__ import annotations

import json
import os
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from netsuite.common.datadir import DataDirectory
from netsuite.common.errors import StartError
from netsuite.common.metrics import Metrics

__all__ = ["Journal", "Kind", "Record"]

Event = tuple[Any, ...]
"""When it happened (the clock's seconds), then the kind's fields."""
Record = Callable[..., None]

BATCH: Final = 256
"""Events of one kind that are turned into lines at once, at the latest."""
PERIOD: Final = 1.0
"""Seconds after which what is there is written."""
BEHIND: Final = 8 << 20
"""Bytes that may wait for a slow disk; more is dropped."""


class Kind:
    """One sort of event: its name, its fields, how to write it down, and its last events."""

    __slots__ = ("count", "fields", "line", "name", "path", "recent", "waiting")

    def __init__(
        self, name: str, fields: Sequence[str], line: Callable[[Event], str], path: Path | None, ring: int
    ) -> None:
        self.name = name
        self.fields = tuple(fields)
        self.line = line
        self.path = path
        self.count = 0
        self.waiting: list[Event] = []
        self.recent: deque[Event] = deque(maxlen=ring)


class Journal:
    """The events of a site.

    ``folder`` is where the files go (``DATA/logs`` if None); ``paths`` says otherwise for single kinds, where None
    means no file; without ``files`` there are none at all. ``as_json`` writes each event as one JSON object instead of
    its kind's own line. ``ring`` is how many events of each kind :meth:`recent` remembers.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        data: DataDirectory,
        *,
        folder: Path | None = None,
        paths: Mapping[str, Path | None] | None = None,
        files: bool = True,
        as_json: bool = False,
        ring: int = 512,
    ) -> None:
        self.clock = clock
        self.data = data
        self._folder = folder if folder is not None else data.at("logs")
        self._paths = dict(paths or {})
        self._files = files
        self._as_json = as_json
        self._ring = ring
        self._kinds: dict[str, Kind] = {}
        self._dropped = 0
        self._trouble = ""
        self._timer: IDelayedCall | None = None
        self._writer = _Writer()

    def kind(self, name: str, fields: Sequence[str], line: Callable[[Event], str]) -> Record:
        """What to call with the values of ``fields`` each time such an event happens.

        ``line`` gets ``(time, *values)``. It is called in batches, soon after; control characters in what it answers
        are escaped, so that an event stays one line. ValueError if another kind has the name and other fields.
        """
        path = self._paths.get(name, self._folder / f"{name}.log") if self._files else None
        kind = self._kinds.get(name)
        if kind is None:
            kind = self._kinds[name] = Kind(name, fields, line, path, self._ring)
        elif kind.fields != tuple(fields):
            raise ValueError(f"journal kind {name!r} was made before with fields {kind.fields}")
        waiting = kind.waiting
        seconds, take = self.clock.seconds, self._take

        def record(*values: Any) -> None:
            waiting.append((seconds(), *values))
            if len(waiting) >= BATCH:
                take(kind)

        return record

    def recent(self, count: int = 50, name: str | None = None) -> list[dict[str, Any]]:
        """The last events, newest first, as dictionaries with ``time``, ``kind`` and the fields."""
        kinds = self._kinds.values() if name is None else [kind for kind in self._kinds.values() if kind.name == name]
        found = [(event, kind) for kind in kinds for event in [*kind.recent, *kind.waiting][-count:]]
        found.sort(key=lambda pair: pair[0][0], reverse=True)
        return [_as_dict(kind, event) for event, kind in found[:count]]

    def counts(self) -> dict[tuple[str, ...], int]:
        """How many events of each kind there were."""
        return {(kind.name,): kind.count + len(kind.waiting) for kind in self._kinds.values()}

    def dropped(self) -> int:
        """How many events could not be written."""
        return self._dropped + self._writer.dropped

    def measure(self, metrics: Metrics) -> None:
        """Offer the counts as metrics."""
        metrics.add("netsuite_journal_events", "Events recorded, by kind.", "counter", self.counts, ("kind",))
        metrics.add("netsuite_journal_dropped", "Events that could not be written.", "counter", self.dropped)

    def start(self) -> None:
        """Begin to write; StartError if a kind's folder takes no files."""
        for folder in {kind.path.parent for kind in self._kinds.values() if kind.path is not None}:
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise StartError(
                    f"cannot make the log folder {folder} ({error.strerror}): set another data folder with common.data"
                ) from error
            if not os.access(folder, os.W_OK | os.X_OK):
                raise StartError(f"cannot write in the log folder {folder}: mend its permissions, or set common.data")
        if self._timer is None:
            self._timer = self.clock.callLater(PERIOD, self._tick)

    def flush(self) -> None:
        """Hand what waits to the writing thread."""
        for kind in self._kinds.values():
            if kind.waiting:
                self._take(kind)

    def reopen(self) -> None:
        """Close the files; the next event opens them anew (whoever rotates logs has renamed them)."""
        self.flush()
        self._writer.reopen()

    def stop(self, patience: float = 5.0) -> None:
        """Write what is left and end; after ``patience`` seconds a stuck disk is left alone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.flush()
        self._writer.stop(patience)
        self._say_trouble()

    def _tick(self) -> None:
        self._timer = self.clock.callLater(PERIOD, self._tick)
        self.flush()
        self._say_trouble()

    def _say_trouble(self) -> None:
        trouble = self._writer.trouble
        if trouble == self._trouble:
            return
        if trouble:
            self._log.warn("events are dropped: {trouble}", trouble=trouble)
        else:
            self._log.info("events are written again; {count} were dropped", count=self.dropped())
        self._trouble = trouble

    def _take(self, kind: Kind) -> None:
        events = kind.waiting[:]
        kind.waiting.clear()
        kind.recent.extend(events)
        kind.count += len(events)
        if kind.path is None:
            return
        lines = []
        for event in events:
            try:
                line = json.dumps(_as_dict(kind, event), default=str) if self._as_json else kind.line(event)
            except Exception:
                self._dropped += 1
                self._log.failure("an event of kind {kind} cannot be written down", kind=kind.name)
                continue
            lines.append(line if line.isprintable() else _escaped(line))
        if lines:
            self._writer.put(kind.path, ("\n".join(lines) + "\n").encode("utf-8", "backslashreplace"), len(lines))


def _as_dict(kind: Kind, event: Event) -> dict[str, Any]:
    return {"time": event[0], "kind": kind.name, **dict(zip(kind.fields, event[1:], strict=False))}


def _escaped(line: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


class _Writer:
    """The thread that appends; ``trouble`` is why it cannot, or empty."""

    def __init__(self) -> None:
        self.dropped = 0
        self.trouble = ""
        self._queue: SimpleQueue[tuple[Path, bytes, int] | str] = SimpleQueue()
        self._behind = 0
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._files: dict[Path, int] = {}
        self._torn: set[Path] = set()

    def put(self, path: Path, data: bytes, events: int) -> None:
        """Have a batch appended; dropped if too much waits already."""
        with self._lock:
            if self._behind + len(data) > BEHIND:
                self.dropped += events
                return
            self._behind += len(data)
        self._queue.put((path, data, events))
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="netsuite journal", daemon=True)
            self._thread.start()

    def reopen(self) -> None:
        """Close the files after what was put so far."""
        if self._thread is not None:
            self._queue.put("reopen")

    def stop(self, patience: float) -> None:
        """End after what was put so far."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put("stop")
            thread.join(patience)

    def _run(self) -> None:
        while True:
            # everything that waits becomes one write a file: under load this thread seldom gets its turn
            work = self._queue.get()
            batches: dict[Path, list[tuple[bytes, int]]] = {}
            while not isinstance(work, str):
                path, data, events = work
                batches.setdefault(path, []).append((data, events))
                if self._queue.empty():
                    break
                work = self._queue.get()
            for path, batch in batches.items():
                self._write(path, b"".join(data for data, _ in batch), sum(events for _, events in batch))
            if isinstance(work, str):
                for descriptor in self._files.values():
                    os.close(descriptor)
                self._files.clear()
                if work == "stop":
                    return

    def _write(self, path: Path, data: bytes, events: int) -> None:
        try:
            self._append(path, data)
            self.trouble = ""
        except OSError as error:
            self.trouble = f"cannot write {path} ({error.strerror})"
            with self._lock:
                self.dropped += events
        with self._lock:
            self._behind -= len(data)

    def _append(self, path: Path, data: bytes) -> None:
        descriptor = self._files.get(path)
        if descriptor is None:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
            self._files[path] = descriptor
        if path in self._torn:
            data = b"\n" + data
        written = 0
        try:
            while written < len(data):
                written += os.write(descriptor, data[written:])
        finally:
            # a line that a full disk cut is ended before the next one begins
            if written == len(data):
                self._torn.discard(path)
            elif written and data[written - 1 : written] != b"\n":
                self._torn.add(path)
