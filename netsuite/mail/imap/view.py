"""A mailbox as one session sees it: message sequence numbers, and the news that the client has not been told.

The numbers change only when the client is told so: new messages count from their EXISTS on, expunged ones until their
EXPUNGE, which must wait while a command that uses the numbers is under way (RFC 3501 sections 2.3.1.2, 5.2, 5.5 and
7.4.1).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence

from netsuite.mail.imap.flags import flag_text
from netsuite.mail.imap.wire.cursor import STAR, Ranges
from netsuite.mail.store import Appeared, Change, Entry, FlagsChanged, Mailbox, Removed, Vanished

__all__ = ["NoSuchNumber", "View"]


class NoSuchNumber(Exception):
    """A message sequence number that is not in use."""


class View:
    """A selected mailbox; ``told`` is called when there is news, ``recent`` are the UIDs that are so for it."""

    def __init__(self, mailbox: Mailbox, told: Callable[[], object], *, read_only: bool, recent_from: int) -> None:
        self.mailbox = mailbox
        self.read_only = read_only
        self.removed = False
        self.uids = [entry.uid for entry in mailbox.messages]
        self.recent = set(self.uids[bisect_left(self.uids, recent_from) :])
        self._told = told
        self._appeared: list[int] = []
        self._gone: set[int] = set()
        self._flags: set[int] = set()
        self._stop = mailbox.watch(self._changed)

    def close(self) -> None:
        """Look no more."""
        self._stop()

    @property
    def news(self) -> bool:
        """Whether there is something to tell."""
        return bool(self._appeared or self._gone or self._flags or self.removed)

    def resolve(self, ranges: Ranges, *, uid: bool) -> list[int]:
        """The places (sequence numbers less one) of a set, ascending. Raises NoSuchNumber."""
        uids, count = self.uids, len(self.uids)
        if not count:
            if not uid and any(high != STAR for _, high in ranges):
                raise NoSuchNumber
            return []
        spans: list[tuple[int, int]] = []
        for first, last in ranges:
            if uid:
                low, high = min(first, uids[-1]) if last == STAR else first, last
                spans.append((bisect_left(uids, low), bisect_right(uids, high)))
            else:
                low = min(first, count) if last == STAR else first
                high = count if last == STAR else last
                if high > count:
                    raise NoSuchNumber
                spans.append((low - 1, high))
        made: list[int] = []
        done = 0
        for begin, end in sorted(spans):  # however often a number is named, it counts once
            made += range(max(begin, done), end)
            done = max(done, end)
        return made

    def entries(self, places: Sequence[int]) -> list[tuple[int, Entry]]:
        """Sequence numbers with their messages; those that are gone already are left out."""
        messages = self.mailbox.messages
        if not self._gone and not self._appeared and len(messages) == len(self.uids):
            return [(place + 1, messages[place]) for place in places]
        found = ((place + 1, self.mailbox.find(self.uids[place])) for place in places)
        return [(number, entry) for number, entry in found if entry is not None]

    def number(self, uid: int) -> int | None:
        """The sequence number of a UID."""
        place = bisect_left(self.uids, uid)
        return place + 1 if place < len(self.uids) and self.uids[place] == uid else None

    def known(self, uids: Iterable[int]) -> None:
        """The client has been told of these messages' flags just now."""
        self._flags.difference_update(uids)

    def tell(self, *, expunges: bool, modseqs: bool, recent: Callable[[int], bool]) -> bytes:
        """The responses for all news that may be told now; ``recent`` says whether a new UID is so for this session."""
        made: list[bytes] = []
        if expunges and self._gone:
            gone, self._gone = self._gone, set()
            self._flags -= gone
            self.recent -= gone
            self._appeared = [uid for uid in self._appeared if uid not in gone]
            places = [place for uid in gone if (place := self.number(uid)) is not None]
            for place in sorted(places, reverse=True):
                made.append(b"* %d EXPUNGE\r\n" % place)
                del self.uids[place - 1]
        if self._appeared:
            self.recent.update(uid for uid in self._appeared if recent(uid))
            self.uids += self._appeared
            self._appeared = []
            made.append(b"* %d EXISTS\r\n* %d RECENT\r\n" % (len(self.uids), len(self.recent)))
        if self._flags:
            flags, self._flags = self._flags, set()
            for uid in sorted(flags):
                number, entry = self.number(uid), self.mailbox.find(uid)
                if number is not None and entry is not None:
                    made.append(self.flags_line(number, entry, modseqs=modseqs))
        return b"".join(made)

    def flags_line(self, number: int, entry: Entry, *, modseqs: bool, flags: bool = True) -> bytes:
        """The FETCH response that tells a message's flags."""
        items = [b"UID %d" % entry.uid]
        if flags:
            items.append(b"FLAGS " + flag_text(entry.flags, recent=entry.uid in self.recent))
        if modseqs:
            items.append(b"MODSEQ (%d)" % entry.modseq)
        return b"* %d FETCH (%b)\r\n" % (number, b" ".join(items))

    def _changed(self, change: Change) -> None:
        if isinstance(change, Appeared):
            self._appeared += [entry.uid for entry in change.entries]
        elif isinstance(change, Vanished):
            self._gone.update(change.uids)
        elif isinstance(change, FlagsChanged):
            if change.origin is self:
                return
            self._flags.update(entry.uid for entry in change.entries)
        elif isinstance(change, Removed):
            self.removed = True
        self._told()
