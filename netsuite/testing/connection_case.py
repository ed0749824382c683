r"""The same properties for every protocol machine, for one subclass.

A subclass says how to make the machine, what a valid peer says to it and how its owner answers::

    class TestUpper(ConnectionCase):
        def make(self): return UpperServer()
        def conversations(self): return [b"hello\n", b"a\nb\n"]
        def answer(self, message): return [Line(message.stream, message.text.upper())]

and gets a test for each property of :mod:`netsuite.sansio.connection`. pytest collects such a class as it is; for
unittest and trial, ``unittest.TestCase`` is mixed in. Needs hypothesis.
"""

from __future__ import annotations

import itertools
import unittest
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from netsuite.sansio.connection import (
    NEED_DATA,
    PAUSED,
    Abandon,
    Close,
    Connection,
    Data,
    Drain,
    End,
    Event,
    Failed,
    Item,
    Upgrade,
)

__all__ = ["ConnectionCase", "Conversation", "Owner"]

START: Final = 1_800_000_000.0
_CHUNK: Final = 4096
_IDENTITY: Final[Any] = object.__eq__
_TICKS: Final = 20


class Conversation(NamedTuple):
    """What a valid peer says.

    ``opening`` is what the machine sends before it hears anything (a client's requests); ``peer`` is what a machine
    of the other role sends first, so that it understands what is written to it.
    """

    input: bytes
    opening: tuple[Item, ...] = ()
    peer: tuple[Item, ...] = ()


class Owner:
    """Drives one machine as the stream adapter would, and notes what happens.

    A message is answered by ``answer``: at once, or at its End if it has a body. With ``withholds`` set, nothing is
    answered and nothing consumed until :meth:`release`.
    """

    def __init__(self, machine: Connection, answer: Callable[[Event], Iterable[Item]], *, withholds: bool = False):
        self.machine = machine
        self.now = START
        self.events: list[Event] = []
        self.sent: list[Item] = []
        self.written = bytearray()
        self.closed = False
        self.upgraded = False
        self.tail = b""
        self.withholds = withholds
        self.owed: dict[int, list[Event]] = {}  # by stream, messages whose End is awaited or whose answer is withheld
        self.paused = False
        self._answer = answer
        self._unconsumed: list[tuple[int, int]] = []
        self._withheld: list[list[Item]] = []
        self._fed = 0

    @property
    def over(self) -> bool:
        """Whether the machine has said Close or Upgrade."""
        return self.closed or self.upgraded

    def open(self, items: Iterable[Item]) -> None:
        """Send what opens the conversation."""
        for item in items:
            self.send(item)
        self.pull()

    def feed(self, data: bytes) -> None:
        """Let bytes arrive (``b""`` is the end of input); after an Upgrade they are the next machine's."""
        if self.upgraded:
            self.tail += data
        elif not self.closed:
            self._fed += len(data)
            self.machine.receive(data, self.now)
            self.pull()

    def tick(self, now: float) -> None:
        """Let time pass."""
        self.now = now
        if not self.over:
            self.machine.tick(now)
            self.pull()

    def send(self, item: Item) -> None:
        """Send an item."""
        self.sent.append(item)
        self.machine.send(item, self.now)

    def pull(self) -> None:
        """Take all events there are, and what is to be written."""
        while not self.over:
            event = self.machine.next_event()
            if event is NEED_DATA or event is PAUSED:
                self.paused = event is PAUSED
                break
            self._take(event)
            if len(self.events) > 1000 + 8 * self._fed:
                raise AssertionError(f"{len(self.events)} events from {self._fed} bytes: does it ever end?")
        self.written += b"".join(self.machine.outgoing())

    def release(self) -> None:
        """Consume and answer all that was withheld."""
        self.withholds = False
        unconsumed, self._unconsumed = self._unconsumed, []
        for stream, count in unconsumed:
            self.machine.consumed(count, stream)
        withheld, self._withheld = self._withheld, []
        for item in itertools.chain.from_iterable(withheld):
            self.send(item)
        self.pull()

    def _take(self, event: Event) -> None:
        last = self.events[-1] if self.events else None
        if type(event) is Data and type(last) is Data and last.stream == event.stream:
            self.events[-1] = Data(event.stream, last.data + event.data)
        else:
            self.events.append(event)
        if type(event) is Data:
            if self.withholds:
                self._unconsumed.append((event.stream, len(event.data)))
            else:
                self.machine.consumed(len(event.data), event.stream)
        elif type(event) is End:
            for message in self.owed.pop(event.stream, ()):
                self._reply(message)
        elif type(event) is Failed:
            self.owed.pop(event.stream, None)
        elif type(event) is Close:
            self.closed = True
        elif type(event) is Upgrade:
            self.upgraded = True
            self.tail = event.tail
        elif getattr(event, "has_body", False):
            self.owed.setdefault(event.stream, []).append(event)
        else:
            self._reply(event)

    def _reply(self, message: Event) -> None:
        items = list(self._answer(message))
        if self.withholds:
            if items:
                self._withheld.append(items)
            return
        for item in items:
            self.send(item)

    @property
    def withheld(self) -> int:
        """How many answers are held back."""
        return len(self._withheld)


class ConnectionCase:
    """Properties of a Connection; a subclass supplies the first three methods, and the fourth if there is a peer."""

    max_examples = 100
    """How many examples hypothesis tries for each property."""

    backlog_limit = 256 * 1024
    """Bytes that may lie unparsed or unconsumed before the owner stops reading."""

    most_owed = 1024
    """Messages that the machine may hand over while none is answered."""

    patience = 900.0
    """Seconds after which a peer that dribbles its first message must be given up."""

    def make(self) -> Connection:
        """A fresh machine."""
        raise NotImplementedError

    def conversations(self) -> Sequence[bytes | Conversation]:
        """What valid peers say, at least one; the more kinds of messages, the better."""
        raise NotImplementedError

    def answer(self, message: Event) -> Iterable[Item]:
        """What the owner sends when this message (and its body) has arrived; Part and Finish included."""
        return ()

    def make_peer(self) -> Connection | None:
        """A machine of the other role that understands what is written, or None."""
        return None

    def view(self, event: Event) -> object:
        """What is compared of an event; an event without ``==`` is compared by its attributes."""
        if type(event) is Upgrade:
            return ("Upgrade", event.filter)
        if getattr(type(event), "__eq__", None) is not _IDENTITY:
            return event
        names = {name for kind in type(event).__mro__ for name in getattr(kind, "__slots__", ())}
        names |= set(getattr(event, "__dict__", ()))
        public = sorted(name for name in names if not name.startswith("_"))
        return (type(event), [(name, getattr(event, name, None)) for name in public])

    def views(self, event: Event) -> Sequence[object]:
        """The same of an event that is a batch, whose bounds depend on how the input was cut: what is in it."""
        return (self.view(event),)

    # What a subclass has no need to look at.

    def _views(self, owner: Owner) -> list[object]:
        return [view for event in owner.events for view in self.views(event)]

    def _all(self) -> list[Conversation]:
        return [c if isinstance(c, Conversation) else Conversation(c) for c in self.conversations()]

    def _owner(self, conversation: Conversation, *, withholds: bool = False) -> Owner:
        owner = Owner(self.make(), self.answer, withholds=withholds)
        owner.open(conversation.opening)
        return owner

    def _run(self, conversation: Conversation, chunks: Iterable[bytes]) -> tuple[list[object], bytes, object]:
        owner = self._owner(conversation)
        for chunk in chunks:
            owner.feed(chunk)
        tail = next((owner.tail for e in owner.events if type(e) is Upgrade and e.filter is None), None)
        return self._views(owner), bytes(owner.written), tail

    def _try(self, check: Callable[..., None], *strategies: st.SearchStrategy[Any], examples: int = 0) -> None:
        decorate: Any = given(*strategies)
        settings(max_examples=examples or self.max_examples, deadline=None)(decorate(check))()

    def test_a_fresh_machine_is_idle_and_silent(self) -> None:
        """Nothing is buffered, owed or written before anything happened, unless the protocol greets."""
        machine = self.make()
        _hold(machine.backlog() == 0, "a fresh machine has a backlog")
        _hold(machine.room() > 0, "a fresh machine has no room")
        machine.tick(START)
        machine.outgoing()
        _hold(machine.outgoing() == [], "outgoing() handed the same bytes over twice")

    def test_any_split_gives_the_same(self) -> None:
        """Events (adjacent Data joined) and output do not depend on how the input was cut."""
        whole = [(c, self._run(c, [c.input])) for c in self._all()]

        def check(pair: tuple[Conversation, tuple[Any, ...]], cuts: list[int]) -> None:
            conversation, expected = pair
            got = self._run(conversation, _cut(conversation.input, cuts))
            _same(got, expected, f"input cut at {sorted(set(cuts))}")

        for pair in whole:
            check(pair, list(range(len(pair[0].input))))
        self._try(check, st.sampled_from(whole), st.lists(st.integers(0, 1 << 12), max_size=12))

    def test_a_finished_conversation_leaves_nothing(self) -> None:
        """When all was read and answered, the machine is idle, or the connection is over."""
        for conversation in self._all():
            owner = self._owner(conversation)
            owner.feed(conversation.input)
            if not owner.over:
                _hold(owner.machine.idle, f"not idle after {conversation.input[:80]!r} was read and answered")
                _hold(owner.machine.backlog() == 0, f"a backlog after {conversation.input[:80]!r}")
                before = owner.machine.deadline()
                owner.machine.touched(START + 1)
                after = owner.machine.deadline()
                _hold(before is None or after is None or after >= before, "touched() brought the deadline nearer")

    def test_a_half_read_message_is_not_idle(self) -> None:
        """Idle means that nothing is buffered."""
        for conversation in self._all():
            owner = self._owner(conversation)
            for at in range(len(conversation.input)):
                owner.feed(conversation.input[at : at + 1])
                if owner.over:
                    break
                backlog = owner.machine.backlog()
                _hold(backlog >= 0, f"a backlog of {backlog}")
                _hold(backlog == 0 or not owner.machine.idle, f"idle with {backlog} bytes buffered, {at + 1} bytes in")

    def test_no_input_raises(self) -> None:
        """Neither noise nor damaged, spliced and truncated input raises, whatever the order of time and bytes."""

        def check(conversation: Conversation, chunks: list[bytes], waits: list[float]) -> None:
            owner = self._owner(conversation)
            for number, chunk in enumerate(chunks):
                owner.feed(chunk)
                if number < len(waits):
                    owner.tick(owner.now + waits[number])
            owner.feed(b"")
            self._is_quiet(owner)

        everything = self._all()
        noise = st.lists(st.binary(min_size=1), max_size=6)
        damaged = _damaged([c.input for c in everything])
        self._try(check, st.sampled_from(everything), noise | damaged, st.lists(st.floats(0, 100), max_size=4))

    def test_the_end_of_input_closes(self) -> None:
        """``b""`` at every point of a conversation ends in Close once all is answered, and nothing follows."""
        for conversation in self._all():
            for at in range(len(conversation.input) + 1):
                owner = self._owner(conversation)
                if at:
                    owner.feed(conversation.input[:at])
                owner.feed(b"")
                _hold(owner.over, f"no Close after {at} bytes of {conversation.input[:80]!r} and the end of input")
                self._is_quiet(owner)

    def test_a_stalled_peer_is_given_up(self) -> None:
        """While half a message is read there is a deadline, and ticking it ends in Close."""
        for conversation in self._all():
            for at in range(len(conversation.input)):
                owner = self._owner(conversation)
                if at:
                    owner.feed(conversation.input[:at])
                nothing_awaited = owner.over or owner.machine.idle
                if nothing_awaited:
                    continue
                where = f"{at} bytes into {conversation.input[:80]!r}"
                for _ in range(_TICKS):
                    deadline = owner.machine.deadline()
                    if deadline is None:
                        raise AssertionError(f"no deadline {where}")
                    owner.tick(max(deadline, owner.now))
                    if owner.over:
                        break
                else:
                    raise AssertionError(f"{_TICKS} deadlines passed {where}, and the peer is still waited for")
                self._is_quiet(owner)

    def test_a_tick_before_the_deadline_changes_nothing(self) -> None:
        """A tick that comes early (the owner's timer may) neither closes nor writes."""
        for conversation in self._all():
            for at in range(len(conversation.input)):
                owner = self._owner(conversation)
                if at:
                    owner.feed(conversation.input[:at])
                deadline = None if owner.over else owner.machine.deadline()
                if deadline is not None and deadline > owner.now:
                    events, written = len(owner.events), len(owner.written)
                    owner.tick(owner.now + (deadline - owner.now) / 2)
                    quiet = len(owner.events) == events and len(owner.written) == written
                    _hold(quiet, f"an early tick acted, {at} bytes into {conversation.input[:80]!r}")

    def test_a_dribbling_peer_is_given_up(self) -> None:
        """Single bytes just before each deadline do not keep a first message open for longer than ``patience``."""
        for conversation in self._all():
            owner = self._owner(conversation)
            before = len(owner.events)
            for at in range(len(conversation.input)):
                owner.feed(conversation.input[at : at + 1])
                if owner.over or len(owner.events) > before:
                    break
                deadline = owner.machine.deadline()
                if deadline is not None:
                    owner.tick(max(owner.now, deadline - 0.001))
                waited = owner.now - START
                _hold(owner.over or waited <= self.patience, f"after {waited:.0f} s a first message is still half read")

    def test_a_flood_is_held_back(self) -> None:
        """While answers and bodies wait, the backlog tells the owner to stop reading; nothing is lost meanwhile."""
        for conversation in self._all():
            owner = self._owner(conversation, withholds=True)
            flood = conversation.input * (_CHUNK // len(conversation.input) + 1)
            fed: list[bytes] = []
            while not owner.over and owner.machine.backlog() < self.backlog_limit:
                owner.feed(flood)
                fed.append(flood)
                few = owner.withheld <= self.most_owed
                _hold(few, f"{owner.withheld} messages were handed over while none is answered")
                if len(fed) * len(flood) > 4 * self.backlog_limit:
                    taken = f"{len(fed) * len(flood)} bytes taken while an answer is owed, and no backlog"
                    _hold(not owner.withheld, taken)
                    break
            owner.release()
            prompt = self._run(conversation, fed)
            got = self._views(owner)
            _same((got, bytes(owner.written), None), (prompt[0], prompt[1], None), "answers that were late")

    def test_what_never_ends_is_refused(self) -> None:
        """No input makes the unparsed buffer grow beyond ``backlog_limit``, however it goes on."""

        def check(conversation: Conversation, at: int, filler: bytes) -> None:
            owner = self._owner(conversation)
            if prefix := conversation.input[: at % len(conversation.input)]:
                owner.feed(prefix)
            chunk = filler * (16 * _CHUNK // len(filler))
            for _ in range(0, 2 * self.backlog_limit + len(chunk), len(chunk)):
                owner.feed(chunk)
                if owner.over:
                    break
                backlog = owner.machine.backlog()
                _hold(backlog <= self.backlog_limit, f"a backlog of {backlog} bytes, and everything was taken")

        fillers = st.sampled_from([b"a", b"\x00", b"\xff", b"\r\n", b"\n", b" ", b"1", b"a:b\r\n", b",", b'"', b"%"])
        inputs = st.sampled_from(self._all()), st.integers(0, 1 << 12), fillers | st.binary(min_size=1)
        self._try(check, *inputs, examples=self.max_examples // 4 + 1)

    def test_an_abandoned_answer_is_said_or_closes(self) -> None:
        """Abandon in an answer's place, or in the middle of it, is written in the protocol's words, or closes."""
        for conversation in self._all():
            for kept in range(_longest(self, conversation)):
                owner = self._owner(conversation)

                def answer(message: Event, kept: int = kept) -> list[Item]:
                    items = list(self.answer(message))
                    return [*items[:kept], Abandon(message.stream, "it failed")] if len(items) > kept else items

                owner._answer = answer
                owner.feed(conversation.input)
                if any(type(item) is Abandon for item in owner.sent):
                    _hold(bool(owner.written) or owner.over, f"Abandon after {kept} items: silence, and no Close")
                self._is_quiet(owner)

    def test_a_drain_ends_in_close(self) -> None:
        """Drain closes an idle machine at once, and any other when what is in flight is finished or given up."""
        for conversation in self._all():
            for at in range(len(conversation.input) + 1):
                owner = self._owner(conversation)
                if at:
                    owner.feed(conversation.input[:at])
                if owner.over:
                    continue
                was_idle = owner.machine.idle
                owner.send(Drain())
                owner.pull()
                if conversation.input[at:] and not was_idle:
                    owner.feed(conversation.input[at:])
                for _ in range(0 if was_idle else _TICKS):
                    deadline = None if owner.over else owner.machine.deadline()
                    owner.tick(owner.now if deadline is None else max(deadline, owner.now))
                _hold(owner.over, f"drained {at} bytes into {conversation.input[:80]!r}, and no Close")
                self._is_quiet(owner)

    def test_what_is_written_parses_back(self) -> None:
        """A machine of the other role reads all that is written, to the last byte."""
        if self.make_peer() is None:
            raise unittest.SkipTest("this machine has no peer")
        for conversation in self._all():
            owner = self._owner(conversation)
            owner.feed(conversation.input)
            peer_machine = self.make_peer()
            assert peer_machine is not None
            peer = Owner(peer_machine, lambda message: ())
            peer.open(conversation.peer)
            if owner.written:
                peer.feed(bytes(owner.written))
            if owner.closed:
                peer.feed(b"")
            failures = [event for event in peer.events if type(event) is Failed]
            _hold(not failures, f"{failures} from what was written after {conversation.input[:80]!r}")
            _hold(
                peer.over or peer.machine.backlog() == 0, f"{peer.machine.backlog()} bytes of what was written unread"
            )
            self.check_read_back(owner.sent, peer.events)

    def check_read_back(self, sent: Sequence[Item], received: Sequence[Event]) -> None:
        """Compare what was sent with what the peer read; a subclass may look closer."""
        _hold(not sent or bool(received), f"{sent} was sent and nothing was read")

    def _is_quiet(self, owner: Owner) -> None:
        """After Close there are no more events and no exceptions."""
        if not owner.closed:
            return
        machine = owner.machine
        for data in (b"more", None, b""):
            if data is None:
                machine.tick(owner.now + 1e6)
            else:
                machine.receive(data, owner.now)
            event = machine.next_event()
            _hold(event is NEED_DATA or event is PAUSED, f"{event} after Close")
            machine.outgoing()
            machine.deadline()
            machine.backlog()
            machine.room()


def _hold(condition: object, fault: str) -> None:
    if not condition:
        raise AssertionError(fault)


def _same(got: tuple[Any, ...], expected: tuple[Any, ...], why: str) -> None:
    for name, one, other in zip(("events", "output", "tail"), got, expected, strict=True):
        if one != other:
            raise AssertionError(f"other {name} with {why}:\n  {one!r}\ninstead of\n  {other!r}")


def _longest(case: ConnectionCase, conversation: Conversation) -> int:
    """How many items the longest answer in a conversation has."""
    longest = 0

    def answer(message: Event) -> list[Item]:
        nonlocal longest
        items = list(case.answer(message))
        longest = max(longest, len(items))
        return items

    owner = Owner(case.make(), answer)
    owner.open(conversation.opening)
    owner.feed(conversation.input)
    return longest


def _cut(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    """The pieces of data between cuts (taken modulo its length), none of them empty."""
    at = [*sorted({cut % len(data) for cut in cuts} | {0}), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(at) if start < end]


@st.composite
def _damaged(draw: st.DrawFn, inputs: Sequence[bytes]) -> list[bytes]:
    """Chunks of a valid input into which something was put, or out of which something was cut."""
    data = bytearray(draw(st.sampled_from(inputs)))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.sampled_from((0, 0, 1, 1, 2, 4, 16, 1 << 20))))
        kind = draw(st.integers(0, 3))
        if kind == 0:
            data[start:end] = draw(st.binary(max_size=8))
        elif kind == 1:
            data[start:end] = draw(st.sampled_from((b"\r\n", b"\n", b" ", b":", b"0", b"-1", b"\xff\xff", b"\0", b",")))
        elif kind == 2:
            data[start:end] = data[start:end] * 2
        else:
            data[start:end] = draw(st.sampled_from(inputs))[:64]
    whole = bytes(data)
    return _cut(whole, draw(st.lists(st.integers(0, 1 << 12), max_size=4))) if whole else []
