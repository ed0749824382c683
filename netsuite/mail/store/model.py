"""The mail store's whole state, folded from its records one after another.

A record says what was asked for (``["append", user, mailbox, ...]``), not what came of it: UIDs, modseqs and
UIDVALIDITY are given when it is applied, which is in the order in which records became durable. So the records alone
make the state, and the same records make the same state. A record that can no longer be done (its mailbox was
deleted meanwhile) is Refused, then and at every replay, and changes nothing.

Mailboxes are named by their UIDVALIDITY, which is unique in an account and never given twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from netsuite.mail.store.box import Box, spans
from netsuite.mail.store.errors import CannotChange, MailboxExists, NoSuchMailbox, Refused
from netsuite.mail.store.names import INBOX, SEPARATOR, SPECIAL, flagset
from netsuite.mail.store.values import Appeared, Change, Entry, FlagsChanged, Removed, Vanished

__all__ = ["AccountState", "Blob", "Changes", "Model", "Place"]

Place = tuple[int, int] | str
"""Where a message's bytes are: a journal file's number and an offset, or a blob file's name."""

Changes = list[tuple[str, int, Change]]
"""Account, UIDVALIDITY of the mailbox, and what happened there."""

TOKENS: Final = 100_000
"""How many deliveries are remembered."""
REMEMBERED: Final = 14 * 86_400
"""Seconds that a delivery is remembered at most."""


class Blob:
    """A message's bytes: where they are, how many, and in how many places they are seen."""

    __slots__ = ("length", "place", "refs")

    def __init__(self, place: Place, length: int, refs: int = 0) -> None:
        self.place = place
        self.length = length
        self.refs = refs

    @property
    def weight(self) -> int:
        """What it counts for in its journal file, even if it is empty."""
        return self.length or 1


class AccountState:
    """One account's mailboxes, by name and by UIDVALIDITY; ``last`` is the last UIDVALIDITY given."""

    def __init__(self, epoch: int) -> None:
        self.boxes: dict[str, Box] = {}
        self.known: dict[int, Box] = {}
        self.subscribed = {INBOX, *SPECIAL}
        self.last = epoch - 1
        for name, use in {INBOX: None, **SPECIAL}.items():
            self.create(name, 0, use)

    def create(self, name: str, now: int, use: str | None = None) -> Box:
        """A new mailbox."""
        self.last = max(self.last + 1, now)
        return self.put(Box(name, self.last, use))

    def put(self, box: Box) -> Box:
        """Have a mailbox under its name."""
        self.boxes[box.name] = self.known[box.uidvalidity] = box
        return box

    def below(self, name: str) -> list[Box]:
        """The mailboxes below a name."""
        return [box for other, box in self.boxes.items() if other.startswith(name + SEPARATOR)]


class Model:
    """See the module's docstring.

    ``applied`` is the number of the last record; ``live`` the bytes still needed in each journal file; ``dropped``
    collects the blobs that nobody refers to any more, for whoever keeps them to take.
    """

    def __init__(self) -> None:
        self.epoch = 1
        self.applied = 0
        self.accounts: dict[str, AccountState] = {}
        self.blobs: dict[int, Blob] = {}
        self.tokens: dict[str, int] = {}
        self.live: dict[int, int] = {}
        self.dropped: list[tuple[int, Place]] = []

    def account(self, user: str) -> AccountState:
        """An account, which every user has from the beginning: its first mailboxes are the same at every start."""
        state = self.accounts.get(user)
        if state is None:
            state = self.accounts[user] = AccountState(self.epoch)
        return state

    def apply(self, number: int, head: Sequence[Any], place: Place, origin: object = None) -> tuple[Any, Changes]:
        """Do what a record says: what came of it, and what watchers are told. Raises Refused."""
        self.applied = number
        changes: Changes = []
        result = _ACTS[head[0]](self, _Turn(number, place, origin, changes), *head[1:])
        return result, changes

    def replay(self, number: int, head: Sequence[Any], place: Place) -> None:
        """Apply a record again; who asked for it has had the answer."""
        with suppress(Refused):
            self.apply(number, head, place)

    def hold(self, number: int, blob: Blob) -> None:
        """Know a blob."""
        self.blobs[number] = blob
        if not isinstance(blob.place, str):
            self.live[blob.place[0]] = self.live.get(blob.place[0], 0) + blob.weight

    def _box(self, user: str, uidvalidity: int) -> Box:
        box = self.account(user).known.get(uidvalidity)
        if box is None:
            raise NoSuchMailbox("the mailbox is no longer there")
        return box

    def _epoch(self, turn: _Turn, now: int) -> None:
        self.epoch = now

    def _append(
        self, turn: _Turn, user: str, uidvalidity: int, flags: list[str], date: int, length: int, name: str | None
    ) -> int:
        try:
            box = self._box(user, uidvalidity)
        except Refused:
            self._waste(turn, length, name)
            raise
        self._new(turn, length, name)
        return self._appear(turn, user, box, [(length, date, flagset(tuple(flags)), turn.number)])[0].uid

    def _deliver(
        self, turn: _Turn, users: list[str], token: str, now: int, length: int, name: str | None
    ) -> dict[str, int]:
        given: dict[str, int] = {}
        self._new(turn, length, name)
        for user in users:
            key = f"{token}\n{user}"
            if key in self.tokens:
                continue
            self.tokens[key] = now
            box = self.account(user).boxes[INBOX]
            given[user] = self._appear(turn, user, box, [(length, now, frozenset(), turn.number)])[0].uid
        if not given:
            self._release(turn.number, 0)
        while len(self.tokens) > TOKENS or (self.tokens and next(iter(self.tokens.values())) < now - REMEMBERED):
            del self.tokens[next(iter(self.tokens))]
        return given

    def _flags(
        self, turn: _Turn, user: str, uidvalidity: int, uids: list[int], mode: str, flags: list[str], since: int | None
    ) -> tuple[tuple[Entry, ...], tuple[int, ...]]:
        box = self._box(user, uidvalidity)
        changed, failed = box.change(uids, mode, flags, since)
        if changed:
            turn.tell(user, box, FlagsChanged(changed, box.modseq, turn.origin))
        return changed, failed

    def _expunge(self, turn: _Turn, user: str, uidvalidity: int, uids: list[int]) -> tuple[int, ...]:
        gone = self._vanish(turn, user, self._box(user, uidvalidity), uids)
        for entry in gone:
            self._release(entry.blob)
        return tuple(entry.uid for entry in gone)

    def _copy(self, turn: _Turn, user: str, uidvalidity: int, uids: list[int], target: int) -> dict[int, int]:
        box, other = self._box(user, uidvalidity), self._box(user, target)
        return self._also(turn, user, box.select(uids), other)

    def _move(self, turn: _Turn, user: str, uidvalidity: int, uids: list[int], target: int) -> dict[int, int]:
        box, other = self._box(user, uidvalidity), self._box(user, target)
        moved = self._also(turn, user, box.select(uids), other)
        for entry in self._vanish(turn, user, box, spans(moved)):  # not what came by the move itself
            self._release(entry.blob)
        return moved

    def _create(self, turn: _Turn, user: str, name: str, now: int, use: str | None) -> int:
        account = self.account(user)
        if name in account.boxes:
            raise MailboxExists(f"{name} exists already")
        if use is not None and any(box.use == use for box in account.boxes.values()):
            raise CannotChange(f"another mailbox is {use} already")
        return account.create(name, now, use).uidvalidity

    def _delete(self, turn: _Turn, user: str, name: str) -> None:
        account = self.account(user)
        if name == INBOX:
            raise CannotChange("INBOX cannot be deleted")
        box = account.boxes.get(name)
        if box is None:
            if account.below(name):
                raise CannotChange(f"{name} has mailboxes below it")
            raise NoSuchMailbox(f"there is no mailbox {name}")
        del account.boxes[name], account.known[box.uidvalidity]
        for entry in box.messages:
            self._release(entry.blob)
        turn.tell(user, box, Removed(turn.origin))

    def _rename(self, turn: _Turn, user: str, old: str, new: str, now: int) -> None:
        account = self.account(user)
        box = account.boxes.get(old)
        moved = ([box] if box is not None else []) + ([] if old == INBOX else account.below(old))
        if not moved:
            raise NoSuchMailbox(f"there is no mailbox {old}")
        if new == old or (new.startswith(old + SEPARATOR) and old != INBOX):
            raise CannotChange("a mailbox cannot be moved into itself")
        for each in moved:
            if new + each.name[len(old) :] in account.boxes:
                raise MailboxExists(f"{new + each.name[len(old) :]} exists already")
        if old == INBOX:  # its messages move, and it stays (RFC 3501 section 6.3.5)
            inbox, other = account.boxes[INBOX], account.create(new, now)
            everything = [1, inbox.uidnext]
            self._also(turn, user, inbox.select(everything), other)
            for entry in self._vanish(turn, user, inbox, everything):
                self._release(entry.blob)
            return
        for each in moved:
            del account.boxes[each.name]
        for each in moved:
            each.name = new + each.name[len(old) :]
            account.boxes[each.name] = each

    def _subscribe(self, turn: _Turn, user: str, name: str, wanted: bool) -> None:
        subscribed = self.account(user).subscribed
        if wanted:
            subscribed.add(name)
        else:
            subscribed.discard(name)

    def _rehouse(self, turn: _Turn, number: int) -> None:
        """A blob's bytes are here too from now on; where they were may go."""
        blob = self.blobs.get(number)
        if blob is not None:
            self._settle(blob)
            self.hold(number, Blob(turn.place, blob.length, blob.refs))

    def _new(self, turn: _Turn, length: int, name: str | None) -> None:
        self.hold(turn.number, Blob(turn.place if name is None else name, length))

    def _waste(self, turn: _Turn, length: int, name: str | None) -> None:
        self._new(turn, length, name)
        self._release(turn.number, 0)

    def _appear(
        self, turn: _Turn, user: str, box: Box, bodies: Sequence[tuple[int, int, frozenset[str], int]]
    ) -> tuple[Entry, ...]:
        added = box.add(bodies)
        for entry in added:
            self.blobs[entry.blob].refs += 1
        turn.tell(user, box, Appeared(added, box.modseq, turn.origin))
        return added

    def _also(self, turn: _Turn, user: str, entries: Sequence[Entry], other: Box) -> dict[int, int]:
        if not entries:
            return {}
        added = self._appear(
            turn, user, other, [(entry.size, entry.internaldate, entry.flags, entry.blob) for entry in entries]
        )
        return {entry.uid: new.uid for entry, new in zip(entries, added, strict=True)}

    def _vanish(self, turn: _Turn, user: str, box: Box, uids: Sequence[int]) -> tuple[Entry, ...]:
        gone = box.take(uids)
        if gone:
            turn.tell(user, box, Vanished(tuple(entry.uid for entry in gone), box.modseq, turn.origin))
        return gone

    def _release(self, number: int, refs: int = 1) -> None:
        blob = self.blobs[number]
        blob.refs -= refs
        if not blob.refs:
            del self.blobs[number]
            self._settle(blob)
            self.dropped.append((number, blob.place))

    def _settle(self, blob: Blob) -> None:
        if not isinstance(blob.place, str):
            left = self.live[blob.place[0]] - blob.weight
            if left:
                self.live[blob.place[0]] = left
            else:
                del self.live[blob.place[0]]


_ACTS: Final[dict[str, Callable[..., Any]]] = {
    "append": Model._append,
    "copy": Model._copy,
    "create": Model._create,
    "delete": Model._delete,
    "deliver": Model._deliver,
    "epoch": Model._epoch,
    "expunge": Model._expunge,
    "flags": Model._flags,
    "move": Model._move,
    "rehouse": Model._rehouse,
    "rename": Model._rename,
    "subscribe": Model._subscribe,
}
"""What records say, and what is done. Names and meanings are for ever: journals hold them."""


class _Turn:
    """What one record brings with it, and what it changes."""

    __slots__ = ("changes", "number", "origin", "place")

    def __init__(self, number: int, place: Place, origin: object, changes: Changes) -> None:
        self.number = number
        self.place = place
        self.origin = origin
        self.changes = changes

    def tell(self, user: str, box: Box, change: Change) -> None:
        self.changes.append((user, box.uidvalidity, change))
