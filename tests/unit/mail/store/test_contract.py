"""What both stores do, the one on disk and its twin in memory."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netsuite.mail.store import (
    Appeared,
    BadName,
    CannotChange,
    Delivery,
    FlagsChanged,
    LimitReached,
    Limits,
    MailboxExists,
    MemoryStore,
    NoSuchMailbox,
    NoSuchMessage,
    Removed,
    UnknownRecipient,
    Vanished,
)
from netsuite.mail.store.box import spans
from netsuite.mail.store.log import MemoryLog
from netsuite.testing.faults import FaultyFiles
from tests.unit.mail.store.stores import ALICE, BOB, clock, disk_store, memory_store, now, picture

SMALL = Limits(mailboxes=8, name=20, depth=3, message=1000, flags=3, flag=10)


class People:
    """Alice and Bob, whatever the case."""

    def canonical(self, name):
        return name.lower()

    def exists(self, address):
        return address.lower() in (ALICE, BOB)


class StoreContract:
    """Tests of a store; ``make`` gives one, and ``again`` the same store after a restart."""

    def make(self, **options):
        raise NotImplementedError

    def again(self, **options):
        raise NotImplementedError

    @pytest.fixture
    def store(self):
        return self.make()

    @pytest.fixture
    def alice(self, store):
        return store.account(ALICE)

    @pytest.fixture
    def inbox(self, alice):
        return alice.mailbox("INBOX")

    def test_everyone_has_mailboxes_from_the_beginning(self, alice):
        assert [(folder.name, folder.use) for folder in alice.list()] == [
            ("INBOX", None),
            ("Archive", "\\Archive"),
            ("Drafts", "\\Drafts"),
            ("Junk", "\\Junk"),
            ("Sent", "\\Sent"),
            ("Trash", "\\Trash"),
        ]
        assert all(folder.selectable and folder.subscribed and not folder.children for folder in alice.list())
        assert alice.mailbox_for("\\Junk").name == "Junk"
        assert alice.mailbox_for("\\Flagged") is None
        assert (alice.user, len(alice.subscriptions)) == (ALICE, 6)

    def test_inbox_is_inbox_in_any_case(self, alice):
        assert alice.mailbox("iNbOx").name == "INBOX"
        now(alice.create("inbox/Work"))
        assert alice.mailbox("Inbox/Work").name == "INBOX/Work"
        assert alice.mailbox("INBOX/work") is None

    def test_messages_get_ascending_uids(self, inbox):
        assert [now(inbox.append(text)) for text in (b"one", b"two", b"")] == [1, 2, 3]
        assert [(entry.uid, entry.size) for entry in inbox.messages] == [(1, 3), (2, 3), (3, 0)]
        assert (inbox.uidnext, inbox.size, inbox.highestmodseq) == (4, 6, 4)
        assert [now(inbox.read(uid)) for uid in (1, 2, 3)] == [b"one", b"two", b""]
        assert inbox.find(2).size == 3
        assert inbox.find(9) is None

    @pytest.mark.parametrize("size", [10, 101, 900])
    def test_pieces_of_a_message(self, store, inbox, size):
        data = bytes(n % 251 for n in range(size))
        uid = now(inbox.append(data))
        for _ in range(2):
            assert now(inbox.read(uid, 3, 4)) == data[3:7]
            assert now(inbox.read(uid, 5)) == data[5:]
            assert now(inbox.read(uid, 0, 5000)) == data
            assert now(inbox.read(uid, size + 5, 7)) == b""
            store._bytes.drop(inbox.messages[0].blob)
        with pytest.raises(NoSuchMessage):
            now(inbox.read(99))

    def test_flags_and_dates_are_kept(self, inbox):
        now(inbox.append(b"x", ["\\seen", "$Forwarded", "\\Recent"], 123456789))
        (entry,) = inbox.messages
        assert entry.flags == {"\\Seen", "$Forwarded"}
        assert entry.internaldate == 123456789
        now(inbox.append(b"y"))
        assert inbox.messages[1].internaldate == 1_700_000_000
        assert (inbox.count("\\Seen"), inbox.flags) == (1, {"\\Seen", "$Forwarded"})

    def test_flags_change(self, inbox):
        for _ in range(4):
            now(inbox.append(b"x", ["\\Seen"]))
        changed, failed = now(inbox.change_flags([1, 3, 77], "add", ["\\FLAGGED"]))
        assert [(entry.uid, entry.modseq) for entry in changed] == [(1, 6), (3, 6)]
        assert failed == ()
        assert inbox.messages[0].flags == {"\\Seen", "\\Flagged"}
        now(inbox.change_flags([1, 2], "set", ["work"]))
        now(inbox.change_flags([3], "remove", ["\\Seen", "\\Deleted"]))
        assert [set(entry.flags) for entry in inbox.messages] == [{"work"}, {"work"}, {"\\Flagged"}, {"\\Seen"}]
        assert (inbox.count("work"), inbox.count("\\Seen")) == (2, 1)

    def test_what_is_so_already_is_no_change(self, inbox):
        now(inbox.append(b"x", ["\\Seen"]))
        before = inbox.highestmodseq
        assert now(inbox.change_flags([1], "add", ["\\Seen"])) == ((), ())
        assert now(inbox.expunge([5])) == ()
        assert inbox.highestmodseq == before

    def test_conditional_change(self, inbox):
        for _ in range(3):
            now(inbox.append(b"x"))
        changed, failed = now(inbox.change_flags([1, 2, 3], "add", ["\\Seen"], 3))
        assert [entry.uid for entry in changed] == [1, 2]
        assert failed == (3,)

    def test_expunge(self, inbox):
        for _ in range(30):
            now(inbox.append(b"x", ["\\Deleted"]))
        assert now(inbox.expunge([2, 3, 99])) == (2, 3)
        assert now(inbox.expunge(range(10, 30, 2))) == tuple(range(10, 30, 2))
        assert [entry.uid for entry in inbox.messages] == [1, *range(4, 10), *range(11, 30, 2), 30]
        assert (inbox.uidnext, inbox.size, inbox.count("\\Deleted")) == (31, 18, 18)
        assert now(inbox.append(b"new")) == 31
        with pytest.raises(NoSuchMessage):
            now(inbox.read(2))

    def test_copy_and_move(self, alice, inbox):
        trash = alice.mailbox("Trash")
        for text in (b"one", b"two", b"big" * 100):
            now(inbox.append(text, ["\\Seen"], 5))
        assert now(inbox.copy([3, 1, 8], trash)) == {1: 1, 3: 2}
        assert now(inbox.move([2, 3], trash)) == {2: 3, 3: 4}
        assert [entry.uid for entry in inbox.messages] == [1]
        assert [now(trash.read(uid)) for uid in (1, 2, 3, 4)] == [b"one", b"big" * 100, b"two", b"big" * 100]
        assert all(entry.flags == {"\\Seen"} and entry.internaldate == 5 for entry in trash.messages)
        now(inbox.expunge([1]))
        assert now(trash.read(1)) == b"one"
        assert now(inbox.copy([9], trash)) == {}

    def test_into_itself(self, inbox):
        now(inbox.append(b"one"))
        assert now(inbox.copy([1], inbox)) == {1: 2}
        assert now(inbox.move([1, 2, 3, 4], inbox)) == {1: 3, 2: 4}
        assert [entry.uid for entry in inbox.messages] == [3, 4]
        assert now(inbox.read(4)) == b"one"

    def test_not_to_another_account(self, store, inbox):
        with pytest.raises(ValueError, match="different accounts"):
            now(inbox.copy([1], store.account(BOB).mailbox("INBOX")))

    def test_watchers_are_told_in_order(self, alice, inbox):
        told, mine = [], object()
        stop = inbox.watch(told.append)
        trash = alice.mailbox("trash") or alice.mailbox("Trash")
        now(inbox.append(b"one", origin=mine))
        now(inbox.change_flags([1], "add", ["\\Seen"]))
        now(inbox.change_flags([1], "add", ["\\Seen"]))
        now(inbox.move([1], trash, origin=mine))
        assert [type(change) for change in told] == [Appeared, FlagsChanged, Vanished]
        assert [change.origin for change in told] == [mine, None, mine]
        assert [change.modseq for change in told] == [2, 3, 4]
        assert told[0].entries[0].uid == told[1].entries[0].uid == told[2].uids[0] == 1
        stop()
        stop()
        now(inbox.append(b"two"))
        assert len(told) == 3

    def test_a_watcher_hears_before_the_caller_and_may_fail(self, inbox):
        told = []

        def failing(change):
            told.append(change)
            raise ZeroDivisionError

        inbox.watch(failing)
        stops = []
        stops.append(inbox.watch(lambda change: stops[0]()))
        assert now(inbox.append(b"one")) == 1
        assert len(told) == 1

    def test_watchers_hear_of_the_end(self, alice):
        box = now(alice.create("Work"))
        told = []
        box.watch(told.append)
        now(box.append(b"x"))
        now(alice.delete("Work"))
        assert told[1:] == [Removed()]
        with pytest.raises(NoSuchMailbox):
            now(box.append(b"x" * 500))
        with pytest.raises(NoSuchMailbox):
            now(box.change_flags([1], "set", []))

    def test_parents_need_not_exist(self, alice):
        now(alice.create("a/b/c"))
        names = [(folder.name, folder.selectable, folder.children) for folder in alice.list()]
        assert ("a", False, True) in names
        assert ("a/b", False, True) in names
        assert ("a/b/c", True, False) in names
        assert alice.mailbox("a/b") is None
        with pytest.raises(CannotChange, match="below"):
            now(alice.delete("a"))
        now(alice.create("a"))
        now(alice.delete("a"))
        assert ("a", False, True) in [(folder.name, folder.selectable, folder.children) for folder in alice.list()]
        now(alice.delete("a/b/c"))
        assert "a" not in [folder.name for folder in alice.list()]

    def test_uidvalidity_is_never_given_twice(self, alice):
        seen = {alice.mailbox(folder.name).uidvalidity for folder in alice.list()}
        for _ in range(5):
            box = now(alice.create("Work"))
            assert box.uidvalidity > max(seen)
            seen.add(box.uidvalidity)
            now(alice.delete("Work"))

    def test_rename(self, alice):
        for name in ("a", "a/b", "ab"):
            now(alice.create(name))
        box = alice.mailbox("a/b")
        now(box.append(b"x"))
        before = box.uidvalidity
        now(alice.subscribe("a/b"))
        now(alice.rename("a", "c/d"))
        assert (box.name, box.uidvalidity) == ("c/d/b", before)
        assert alice.mailbox("c/d/b").uidvalidity == before
        assert alice.mailbox("a") is None
        assert alice.mailbox("ab") is not None
        assert "a/b" in alice.subscriptions
        now(box.append(b"still there"))
        assert len(alice.mailbox("c/d/b").messages) == 2
        now(alice.rename("c", "e"))
        assert alice.mailbox("e/d/b") is not None

    def test_renames_that_are_none(self, alice):
        now(alice.create("a"))
        now(alice.create("x/a"))
        for old, new, problem in (
            ("a", "Sent", MailboxExists),
            ("nothing", "b", NoSuchMailbox),
            ("a", "a/b", CannotChange),
            ("a", "a", CannotChange),
            ("a", "inbox", MailboxExists),
            ("a", "b//c", BadName),
        ):
            with pytest.raises(problem):
                now(alice.rename(old, new))

    def test_rename_of_inbox_moves_its_messages(self, alice, inbox):
        now(alice.create("INBOX/sub"))
        for text in (b"one", b"two"):
            now(inbox.append(text, ["\\Seen"]))
        told = []
        inbox.watch(told.append)
        now(alice.rename("inbox", "Old"))
        assert [now(alice.mailbox("Old").read(uid)) for uid in (1, 2)] == [b"one", b"two"]
        assert (list(inbox.messages), inbox.uidnext) == ([], 3)
        assert alice.mailbox("INBOX").uidvalidity == inbox.uidvalidity
        assert alice.mailbox("INBOX/sub") is not None
        assert told == [Vanished((1, 2), 4)]

    def test_refused_names(self, alice):
        for name in ("", "/", "/a", "a//b", "a*", "a%", "a\nb", "\ud800", "a\x7f"):
            with pytest.raises(BadName):
                now(alice.create(name))
        for name in ("Sent", "inbox"):
            with pytest.raises(MailboxExists):
                now(alice.create(name))
        with pytest.raises(NoSuchMailbox):
            now(alice.delete("nothing"))
        with pytest.raises(CannotChange, match="INBOX"):
            now(alice.delete("inbox"))
        assert now(alice.create("Größe/")).name == "Größe"

    def test_special_use(self, alice):
        with pytest.raises(CannotChange, match="another mailbox"):
            now(alice.create("Sent Mail", "\\Sent"))
        now(alice.delete("Sent"))
        assert now(alice.create("Sent Mail", "\\Sent")).use == "\\Sent"
        now(alice.rename("Sent Mail", "Out"))
        assert alice.mailbox_for("\\Sent").name == "Out"

    def test_subscriptions(self, alice):
        now(alice.subscribe("not/there"))
        now(alice.subscribe("not/there"))
        now(alice.unsubscribe("inbox"))
        now(alice.unsubscribe("never"))
        assert "not/there" in alice.subscriptions
        assert not next(folder for folder in alice.list() if folder.name == "INBOX").subscribed

    def test_limits(self):
        store = self.make(limits=SMALL)
        alice = store.account(ALICE)
        inbox = alice.mailbox("INBOX")
        for call, problem in (
            (lambda: inbox.append(b"x" * 1001), "1000 bytes"),
            (lambda: inbox.append(b"x", ["a", "b", "c", "d"]), "3 flags"),
            (lambda: inbox.append(b"x", ["a" * 11]), "10 characters"),
            (lambda: alice.create("é" * 11), "20 bytes"),
            (lambda: alice.create("a/b/c/d"), "3 levels"),
            (lambda: alice.subscribe("a/b/c/d"), "3 levels"),
            (lambda: store.deliver(b"x" * 1001, [ALICE], "t"), "1000 bytes"),
        ):
            with pytest.raises(LimitReached, match=problem):
                now(call())
        for flag in ("\\Unknown", "a b", "(", "é", ""):
            with pytest.raises(BadName):
                now(inbox.append(b"x", [flag]))
        now(alice.create("a/b"))
        with pytest.raises(LimitReached, match="3 levels"):
            now(alice.rename("a", "c/d/e"))
        now(alice.create("eighth"))
        for call in (lambda: alice.create("ninth"), lambda: alice.rename("INBOX", "ninth")):
            with pytest.raises(LimitReached, match="8 mailboxes"):
                now(call())
        for n in range(10):
            now(alice.subscribe(f"s{n}"))
        with pytest.raises(LimitReached, match="16 subscriptions"):
            now(alice.subscribe("one more"))
        now(inbox.append(b"x" * 1000))

    def test_delivery(self, store, inbox):
        delivery = Delivery(store, People())
        assert delivery.accepts(ALICE)
        assert not delivery.accepts("carol@example.test")
        message = b"Return-Path: <x@y>\r\n\r\nhello\r\n"
        now(delivery.deliver(message, "x@y", [ALICE, ALICE.upper()], "t1"))
        now(delivery.deliver(message, "x@y", [ALICE, BOB], "t1"))
        now(delivery.deliver(message, "x@y", [ALICE, BOB], "t1"))
        now(delivery.deliver(message, "x@y", [ALICE], "t2"))
        assert len(inbox.messages) == 2
        assert now(inbox.read(1)) == message
        bob = store.account(BOB).mailbox("INBOX")
        assert [now(bob.read(entry.uid)) for entry in bob.messages] == [message]
        with pytest.raises(UnknownRecipient, match="carol"):
            now(delivery.deliver(message, "x@y", [ALICE, "carol@example.test"], "t3"))
        assert len(inbox.messages) == 2

    def test_deliveries_are_remembered_for_a_time(self):
        time = clock()
        store = self.make(time=time)
        assert now(store.deliver(b"x", [ALICE], "t")) == {ALICE: 1}
        time.advance(13 * 86_400)
        assert now(store.deliver(b"x", [ALICE], "t")) == {}
        time.advance(2 * 86_400)
        now(store.deliver(b"x", [ALICE], "other"))
        assert store._model.tokens.keys() == {f"other\n{ALICE}"}

    def test_a_parsed_message_is_remembered(self, inbox):
        asked = []

        def parse(data):
            asked.append(data)
            return len(data)

        now(inbox.append(b"hello"))
        assert inbox.parsed_at_once(1, parse) is None
        assert [now(inbox.parsed(1, parse)) for _ in range(3)] == [5, 5, 5]
        assert (inbox.parsed_at_once(1, parse), inbox.parsed_at_once(2, parse)) == (5, None)
        assert asked == [b"hello"]

    def test_everything_is_there_after_a_restart(self, store, alice, inbox):
        for n in range(25):
            now(inbox.append(b"message %d" % n * (n % 13), ["\\Seen", f"k{n % 3}"]))
        now(alice.create("a/b"))
        now(inbox.move(range(3, 9), alice.mailbox("a/b")))
        now(inbox.change_flags(range(1, 20), "add", ["\\Deleted"], 12))
        now(inbox.expunge([1, 2, 20]))
        now(alice.rename("a", "c"))
        now(alice.unsubscribe("Sent"))
        now(store.deliver(b"y" * 300, [ALICE, BOB], "t"))
        before = picture(store)
        after = self.again()
        assert picture(after) == before
        assert now(after.deliver(b"y", [ALICE, BOB], "t")) == {}
        assert now(after.account(ALICE).mailbox("INBOX").append(b"z")) == 27


class TestMemory(StoreContract):
    """In memory."""

    def make(self, **options):
        self._log = MemoryLog()
        return memory_store(self._log, **options)

    def again(self, **options):
        return memory_store(self._log, **options)

    def test_the_short_way(self):
        assert now(MemoryStore(clock()).account(ALICE).mailbox("INBOX").append(b"x")) == 1


class TestDisk(StoreContract):
    """On files, opened again after a power cut."""

    def make(self, **options):
        self._files = FaultyFiles()
        return disk_store(self._files, **options)

    def again(self, **options):
        return disk_store(self._files.crashed(), **options)


@given(st.sets(st.integers(1, 40)))
def test_spans_are_these_uids_and_no_others(uids):
    found = spans(uids)
    assert {uid for a, b in zip(found[::2], found[1::2], strict=True) for uid in range(a, b + 1)} == uids
    assert all(b + 1 < a for b, a in zip(found[1::2], found[2::2], strict=False))
