"""Random life of a mail store: against a plain model, and through whatever a disk does."""

from __future__ import annotations

import errno
from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from twisted.internet.defer import Deferred, ensureDeferred, maybeDeferred
from twisted.python.failure import Failure

from netsuite.common.errors import StartError
from netsuite.common.storage.records import Damaged, scan
from netsuite.mail.store import JournalBroken, MailboxExists, Refused, StorageFull
from netsuite.mail.store.snapshot import decode, encode, freeze
from netsuite.testing.faults import FaultyFiles
from tests.unit.mail.store.stores import ALICE, FOLDER, disk_store, memory_store, now, picture

NAMES = st.sampled_from(["INBOX", "Sent", "a", "a/b", "b"])
UIDS = st.sets(st.integers(1, 12), max_size=6)
FLAGS = st.sets(st.sampled_from(["\\Seen", "\\Deleted", "work"]))
SIZES = st.sampled_from([0, 1, 40, 99, 100, 101, 300])


class StoreMachine(RuleBasedStateMachine):
    """A store on disk, its twin in memory, and a dict of lists."""

    @initialize()
    def begin(self):
        self.files = FaultyFiles()
        self.store = disk_store(self.files, inline=100, segment=400, every=6)
        self.twin = memory_store()
        names = [folder.name for folder in self.store.account(ALICE).list()]
        self.plain = {name: {} for name in names}
        self.next = dict.fromkeys(names, 1)
        self.number = 0
        self.validities = set()

    def both(self, act):
        outcomes = []
        for store in (self.store, self.twin):
            try:
                outcomes.append(now(act(store.account(ALICE))))
            except Refused as refused:
                outcomes.append(type(refused))
        assert outcomes[0] == outcomes[1]
        return outcomes[0]

    @rule(name=NAMES, size=SIZES, flags=FLAGS)
    def append(self, name, size, flags):
        self.number += 1
        data = (b"%d:" % self.number * size)[:size]
        if name in self.plain:
            uid = self.both(lambda account: account.mailbox(name).append(data, flags))
            assert uid == self.next[name]
            self.next[name] += 1
            self.plain[name][uid] = (data, flags)

    @rule(name=NAMES, uids=UIDS, mode=st.sampled_from(["set", "add", "remove"]), flags=FLAGS)
    def change(self, name, uids, mode, flags):
        if name in self.plain:
            self.both(lambda account: account.mailbox(name).change_flags(uids, mode, flags))
            for uid in uids & self.plain[name].keys():
                data, old = self.plain[name][uid]
                new = flags if mode == "set" else old | flags if mode == "add" else old - flags
                self.plain[name][uid] = (data, new)

    @rule(name=NAMES, uids=UIDS)
    def expunge(self, name, uids):
        if name in self.plain:
            gone = self.both(lambda account: account.mailbox(name).expunge(uids))
            assert set(gone) == uids & self.plain[name].keys()
            for uid in gone:
                del self.plain[name][uid]

    @rule(name=NAMES, uids=UIDS, other=NAMES, move=st.booleans())
    def transfer(self, name, uids, other, move):
        if name in self.plain and other in self.plain:
            what = "move" if move else "copy"
            pairs = self.both(lambda account: getattr(account.mailbox(name), what)(uids, account.mailbox(other)))
            assert list(pairs) == sorted(uids & self.plain[name].keys())
            for uid, new in pairs.items():
                assert new == self.next[other]
                self.next[other] += 1
                self.plain[other][new] = self.plain[name][uid]
            for uid in pairs if move else ():
                del self.plain[name][uid]

    @rule(token=st.integers(1, 3), size=SIZES)
    def deliver(self, token, size):
        given_ = [now(store.deliver(b"d" * size, [ALICE], str(token))) for store in (self.store, self.twin)]
        assert given_[0] == given_[1]
        if given_[0]:
            assert given_[0] == {ALICE: self.next["INBOX"]}
            self.plain["INBOX"][self.next["INBOX"]] = (b"d" * size, set())
            self.next["INBOX"] += 1

    @rule(name=NAMES)
    def create(self, name):
        def act(account):
            async def validity():
                return (await account.create(name)).uidvalidity

            return validity()

        outcome = self.both(act)
        if name in self.plain:
            assert outcome is MailboxExists
        else:
            assert outcome not in self.validities
            self.validities.add(outcome)
            self.plain[name], self.next[name] = {}, 1

    @rule(name=NAMES)
    def delete(self, name):
        outcome = self.both(lambda account: account.delete(name))
        if name in self.plain and name != "INBOX":
            del self.plain[name], self.next[name]
            assert outcome is None
        else:
            assert issubclass(outcome, Refused)

    @rule(old=NAMES, new=NAMES)
    def rename(self, old, new):
        outcome = self.both(lambda account: account.rename(old, new))
        if outcome is not None:
            assert issubclass(outcome, Refused)
            return
        if old == "INBOX":
            self.plain[new] = dict(enumerate(self.plain[old].values(), 1))
            self.next[new] = len(self.plain[new]) + 1
            self.plain[old] = {}
            return
        for table in (self.plain, self.next):
            for name in [name for name in table if name == old or name.startswith(old + "/")]:
                table[new + name[len(old) :]] = table.pop(name)

    @rule(crash=st.booleans(), snapshots=st.sampled_from(["kept", "newest damaged", "tried without"]))
    def restart(self, crash, snapshots):
        before = picture(self.store)
        if crash:
            self.files = self.files.crashed()
        else:
            now(self.store.close())
        index = FOLDER / "index"
        if snapshots == "newest damaged" and (len(self.files.names(index)) > 1 or self.whole()):
            for name in self.files.names(index)[-1:]:
                self.files._node(index / name).data[-1] ^= 1
        elif snapshots == "tried without" and self.whole():
            for name in self.files.names(index):
                self.files.remove(index / name)
        self.store = disk_store(self.files, inline=100, segment=400, every=6)
        assert picture(self.store) == before

    def whole(self):
        """Whether no journal file was removed yet."""
        folder = FOLDER / "journal"
        names = self.files.names(folder)
        follows = 1
        for name in names:
            first = int(name.rpartition(".")[2])
            if first != follows:
                return False
            follows += len(scan(self.files.read(folder / name), first, last=name == names[-1]).records)
        return True

    @precondition(lambda self: hasattr(self, "store"))
    @invariant()
    def all_the_same(self):
        seen = picture(self.store, [ALICE])
        assert seen == picture(self.twin, [ALICE])
        held = {
            name: {entry[0]: (data, set(entry[3])) for entry, data in box[6]}
            for (_, name), box in seen.items()
            if name != "folders"
        }
        assert held == self.plain
        model = self.store._model
        assert encode(freeze(decode(encode(freeze(model))))) == encode(freeze(model))
        again = decode(encode(freeze(model)))
        assert (again.live, {n: b.refs for n, b in again.blobs.items()}) == (
            model.live,
            {n: b.refs for n, b in model.blobs.items()},
        )


TestStore = StoreMachine.TestCase
TestStore.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


class Thread:
    """Runs what it was given when it is told to."""

    def __init__(self):
        self.waiting = []

    def __call__(self, function, *arguments):
        result = Deferred()
        self.waiting.append((function, arguments, result))
        return result

    def run(self):
        while self.waiting:
            function, arguments, result = self.waiting.pop(0)
            maybeDeferred(function, *arguments).chainDeferred(result)


STEPS = st.one_of(
    st.tuples(st.just("append"), SIZES),
    st.tuples(st.just("deliver"), SIZES),
    st.tuples(st.just("seen"), st.integers(1, 8)),
    st.tuples(st.just("expunge"), st.integers(1, 8)),
    st.tuples(st.just("run"), st.just(0)),
    st.tuples(st.just("crash"), st.just(0)),
)


class Crashes:
    """Steps on a store whose disk fails; keeps what was acknowledged."""

    def __init__(self, seed, failures):
        self.files = FaultyFiles(seed)
        self.files.fail_at = {at: OSError(number, "injected") for at, number in failures.items()}
        self.thread = Thread()
        self.asked = []
        self.messages = {}
        self.expunged = set()
        self.maybe_expunged = set()
        self.seen = set()
        self.told_uidnext = 1
        self.number = 0
        self.start()

    def start(self):
        while True:
            with suppress(StartError):
                self.store = disk_store(self.files, self.thread, self.thread, inline=100, segment=600, every=4)
                break
        self.inbox = self.store.account(ALICE).mailbox("INBOX")

    def step(self, what, size):
        self.number += 1
        data = (b"%d:" % self.number * (size + 1))[: max(size, 4)]
        if what == "append":
            self.ask(what, data, self.inbox.append(data))
        elif what == "deliver":
            self.ask(what, data, self.store.deliver(data, [ALICE], str(self.number)))
        elif what == "seen":
            self.ask(what, size, self.inbox.change_flags([size], "add", ["\\Seen"]))
        elif what == "expunge":
            self.ask(what, size, self.inbox.expunge([size]))
        elif what == "run":
            self.thread.run()
            self.note()
        else:
            self.crash()

    def ask(self, what, detail, call):
        answer = ensureDeferred(call)
        found = []
        answer.addBoth(found.append)
        self.asked.append((what, detail, found))

    def note(self):
        for what, detail, found in self.asked:
            if not found:
                continue
            if isinstance(found[0], Failure):
                assert found[0].check(StorageFull, JournalBroken), found[0]
                if what == "expunge" and found[0].check(JournalBroken):
                    self.maybe_expunged.add(detail)  # nobody knows
            elif what == "append":
                assert found[0] not in self.messages, "a UID is given once"
                self.messages[found[0]] = detail
            elif what == "deliver":
                self.messages[found[0][ALICE]] = detail
            elif what == "seen":
                self.seen |= {entry.uid for entry in found[0][0]}
            elif what == "expunge":
                self.expunged |= set(found[0])
        self.asked = [each for each in self.asked if not each[2]]
        self.told_uidnext = max(self.told_uidnext, self.inbox.uidnext)

    def crash(self):
        left = {
            at - self.files.operations: each for at, each in self.files.fail_at.items() if at > self.files.operations
        }
        self.thread.waiting.clear()
        self.note()
        pending = [(what, detail) for what, detail, _ in self.asked]
        self.asked.clear()
        validity = self.inbox.uidvalidity
        self.files = self.files.crashed()
        self.files.fail_at = left
        self.start()
        assert self.inbox.uidvalidity == validity, "nobody knows another one"
        self.maybe_expunged |= {detail for what, detail in pending if what == "expunge"}
        self.check()

    def check(self):
        assert self.inbox.uidnext >= self.told_uidnext
        there = {entry.uid: entry for entry in self.inbox.messages}
        for uid, data in self.messages.items():
            if uid in self.expunged:
                assert uid not in there
            elif uid in there:
                assert self.read(uid) == data
                assert uid not in self.seen or "\\Seen" in there[uid].flags
            else:
                assert uid in self.maybe_expunged, f"message {uid} is lost"
        for uid in there.keys() - self.messages.keys():
            self.messages[uid] = self.read(uid)
        for uid in self.messages.keys() - there.keys():
            self.expunged.add(uid)
        self.told_uidnext = self.inbox.uidnext

    def read(self, uid):
        found = []
        ensureDeferred(self.inbox.read(uid)).addBoth(found.append)
        self.thread.run()
        assert not isinstance(found[0], Failure), found[0]
        return found[0]


@settings(deadline=None, max_examples=250)
@given(
    st.integers(0, 1 << 20),
    st.lists(STEPS, min_size=15, max_size=60),
    st.dictionaries(st.integers(4, 120), st.sampled_from([errno.EIO, errno.ENOSPC]), max_size=4),
)
def test_whatever_fails_what_was_acknowledged_is_there(seed, steps, failures):
    life = Crashes(seed, failures)
    for what, size in steps:
        life.step(what, size)
    life.thread.run()
    life.note()
    life.crash()
    life.crash()


@given(st.binary(max_size=200))
def test_no_bytes_are_a_snapshot_by_accident(data):
    with suppress(Damaged):
        decode(data)
        raise AssertionError("not damaged")


@given(st.integers(0, 1 << 20), st.integers(1, 255))
def test_a_changed_snapshot_is_noticed(at, flip):
    store = memory_store()
    now(store.account(ALICE).mailbox("INBOX").append(b"x", ["\\Seen"]))
    data = bytearray(encode(freeze(store._model)))
    data[at % len(data)] ^= flip
    with suppress(Damaged):
        decode(bytes(data))
        raise AssertionError("not damaged")
