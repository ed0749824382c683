"""The disk tier as it was: the last checkpoint, then what the segments and the marks say that came later."""

from __future__ import annotations

import os

from netsuite.common.datadir import DataDirectory
from netsuite.http.disk.checkpoint import Checkpoint
from netsuite.http.disk.index import Place
from netsuite.http.disk.log import CHECKPOINT, Log
from netsuite.http.disk.marks import TARGET, VARIANT, Mark, MarkLog
from netsuite.http.disk.segments import FIRST, FOOTER_ROW, Found, Segment, numbered

__all__ = ["recover"]


def recover(log: Log) -> None:
    """Fill a log from its folder, which is made if it is not there; raises StartError.

    Where the checkpoint or the marks are not whole, what is in the folder is removed.
    """
    folder: DataDirectory = log.folder
    path = folder.folder()
    data = folder.read(CHECKPOINT)
    known = Checkpoint.decoded(data) if data is not None else None
    log.marks = MarkLog(path)
    found = log.marks.read()
    if known is None or found is None:
        for stray in (*path.glob("*.seg"), *path.glob("*.marks")):
            stray.unlink()
        log.marks = MarkLog(path)
        log.marks.begin()
        folder.write(CHECKPOINT, log.state().encoded())
        return
    log.sequence = known.sequence
    log.secret = known.secret
    log.index = known.loaded()
    later = _segments(log, known)
    marks = [mark for mark in found if mark.sequence > known.sequence]
    log.standing = [*known.standing, *(mark for mark in marks if mark.kind not in (TARGET, VARIANT))]
    _replay(log, later, marks)
    if log.active is not None:
        # what a crash left behind the end must not be taken for what is written there next
        os.ftruncate(log.active.descriptor, log.active.end)
    log.used = sum(segment.size for segment in log.segments.values())
    log.marks.begin()


def _segments(log: Log, known: Checkpoint) -> list[Found]:
    """Open what is there; what was written since the checkpoint."""
    files = numbered(log.folder.path)
    log.last_number = max((*files, *(note.number for note in known.segments)), default=0)
    later: list[Found] = []
    for note in known.segments:
        segment = Segment(log.folder.path, note.number, name=bytes.fromhex(note.name))
        if files.pop(note.number, None) is None or not _opened(segment):
            continue
        segment.size, segment.end, segment.oldest = note.size, note.end, note.oldest
        if note.number == known.open:
            segment.rows = bytearray(known.rows)
            later += _scanned(log, segment)
        _add(log, segment)
    for number in sorted(files):
        segment = Segment(log.folder.path, number)
        if not _opened(segment):
            segment.unlink()
            continue
        try:
            record, head = segment.only_head()
        except ValueError:
            later += _scanned(log, segment)
        else:
            segment.name = head.name
            segment.size = segment.end = os.fstat(segment.descriptor).st_size
            later.append((head.name, head.sequence, Place(number, record, head.length).packed()))
        _add(log, segment)
    return later


def _opened(segment: Segment) -> bool:
    try:
        segment.open()
    except (OSError, ValueError):
        return False
    return True


def _add(log: Log, segment: Segment) -> None:
    log.segments[segment.number] = segment


def _scanned(log: Log, segment: Segment) -> list[Found]:
    """What follows in a shared segment; the log goes on where that ends, if it is the last."""
    found = segment.scan(max(segment.end, FIRST))
    for name, sequence, place in found:
        segment.rows += FOOTER_ROW.pack(name, place)
        segment.oldest = min(segment.oldest, sequence)
    segment.size = log.capacity
    if log.active is not None:
        log.active.size = log.active.end + len(log.active.rows)
    log.active = segment
    return found


def _replay(log: Log, later: list[Found], marks: list[Mark]) -> None:
    """Bring the index up to date."""
    targets = {mark.payload: mark.sequence for mark in marks if mark.kind == TARGET}
    variants = {mark.payload: mark.sequence for mark in marks if mark.kind == VARIANT}
    for target in targets:
        for row in log.index.variants(target):
            log.index.remove(row.name)
    for name in variants:
        log.index.remove(name)
    newest: dict[bytes, int] = {}
    for name, sequence, place in later:
        log.sequence = max(log.sequence, sequence)
        purged = max(targets.get(name[:6], 0), variants.get(name, 0)) if marks else 0
        if sequence > purged and sequence >= newest.get(name, 0):
            newest[name] = sequence
            log.index.put(name, place)
    log.sequence = max([log.sequence, *(mark.sequence for mark in marks)])
