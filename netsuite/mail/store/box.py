"""One mailbox's state: messages in UID order, and the numbers that only grow (RFC 3501 section 2.3.1, RFC 7162).

Nothing here knows of disks, clocks or watchers: the same calls in the same order make the same mailbox.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

from netsuite.mail.store.names import flagset
from netsuite.mail.store.values import Entry

__all__ = ["Box", "Spans", "spans"]

Spans = Sequence[int]
"""UIDs as first, last, first, last ... of consecutive ones, ascending."""


def spans(uids: Iterable[int]) -> list[int]:
    """UIDs, each once, as spans."""
    found: list[int] = []
    for uid in sorted(set(uids)):
        if found and found[-1] == uid - 1:
            found[-1] = uid
        else:
            found += (uid, uid)
    return found


class Box:
    """A mailbox. ``tally`` counts the messages by their set of flags, ``size`` their bytes."""

    __slots__ = ("messages", "modseq", "name", "size", "tally", "uidnext", "uidvalidity", "use")

    def __init__(self, name: str, uidvalidity: int, use: str | None = None) -> None:
        self.name = name
        self.use = use
        self.uidvalidity = uidvalidity
        self.uidnext = 1
        self.modseq = 1
        self.messages: list[Entry] = []
        self.tally: dict[frozenset[str], int] = {}
        self.size = 0

    def find(self, uid: int) -> Entry | None:
        """The message of a UID."""
        at = self._at(uid)
        if at < len(self.messages) and self.messages[at].uid == uid:
            return self.messages[at]
        return None

    def select(self, wanted: Spans) -> list[Entry]:
        """The messages of these UIDs that there are."""
        return [entry for begin, end in self._slices(wanted) for entry in self.messages[begin:end]]

    def add(self, bodies: Iterable[tuple[int, int, frozenset[str], int]]) -> tuple[Entry, ...]:
        """New messages of ``(size, internaldate, flags, blob)``, with the next UIDs and one modseq."""
        self.modseq += 1
        added = []
        for size, date, flags, blob in bodies:
            added.append(Entry(self.uidnext, size, date, flags, self.modseq, blob))
            self.uidnext += 1
            self.size += size
            self.tally[flags] = self.tally.get(flags, 0) + 1
        self.messages += added
        return tuple(added)

    def change(
        self, wanted: Spans, mode: str, flags: Sequence[str], unchangedsince: int | None
    ) -> tuple[tuple[Entry, ...], tuple[int, ...]]:
        """Set, add or remove flags: the entries that are different now, and the UIDs left alone.

        Those have changed after modseq ``unchangedsince`` (RFC 7162 section 3.1.3).
        """
        modseq = self.modseq + 1
        given = flagset(tuple(flags))
        becomes: dict[frozenset[str], frozenset[str]] = {}
        changed: list[Entry] = []
        failed: list[int] = []
        for begin, end in self._slices(wanted):
            for at in range(begin, end):
                uid, size, date, old, since, blob = self.messages[at]
                if unchangedsince is not None and since > unchangedsince:
                    failed.append(uid)
                    continue
                new = becomes.get(old)
                if new is None:
                    new = given if mode == "set" else old | given if mode == "add" else old - given
                    new = becomes[old] = flagset(tuple(sorted(new)))
                if new == old:
                    continue
                self._untally(old)
                self.tally[new] = self.tally.get(new, 0) + 1
                entry = self.messages[at] = Entry(uid, size, date, new, modseq, blob)
                changed.append(entry)
        if changed:
            self.modseq = modseq
        return tuple(changed), tuple(failed)

    def take(self, wanted: Spans) -> tuple[Entry, ...]:
        """Remove messages; answers them."""
        pieces = list(self._slices(wanted))
        gone = [entry for begin, end in pieces for entry in self.messages[begin:end]]
        if not gone:
            return ()
        self.modseq += 1
        if len(pieces) > 8:
            uids = {entry.uid for entry in gone}
            self.messages = [entry for entry in self.messages if entry.uid not in uids]
        else:
            for begin, end in reversed(pieces):
                del self.messages[begin:end]
        for entry in gone:
            self._untally(entry.flags)
            self.size -= entry.size
        return tuple(gone)

    def restore(self, messages: list[Entry]) -> None:
        """Have these messages, in an empty mailbox."""
        self.messages = messages
        for entry in messages:
            self.tally[entry.flags] = self.tally.get(entry.flags, 0) + 1
            self.size += entry.size

    def _at(self, uid: int) -> int:
        return bisect_left(self.messages, (uid,))

    def _slices(self, wanted: Spans) -> Iterator[tuple[int, int]]:
        for first, last in zip(wanted[::2], wanted[1::2], strict=True):
            begin, end = self._at(first), self._at(last + 1)
            if begin < end:
                yield begin, end

    def _untally(self, flags: frozenset[str]) -> None:
        left = self.tally[flags] - 1
        if left:
            self.tally[flags] = left
        else:
            del self.tally[flags]
