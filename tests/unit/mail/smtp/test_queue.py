"""The queue: what was accepted is delivered or sent back, on a clock that the test turns."""

from __future__ import annotations

import email
import errno
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from netsuite.common.storage.journal import JournalBroken, StorageFull
from netsuite.mail.smtp.queued import WAITING
from netsuite.testing.faults import FaultyFiles
from tests.unit.mail.smtp.queues import (
    FOLDER,
    GOOD,
    LATER,
    MESSAGE,
    NEVER,
    Carrier,
    Down,
    QueueLimits,
    Retries,
    Site,
)

DAY = 86400


def test_a_message_is_delivered_and_forgotten():
    site = Site().start()
    ident = site.accept(["b@b.test"])
    assert site.carrier.carried == [(ident, "a@a.test", "b@b.test", MESSAGE)]
    assert site.queue.entries == {}
    site.pass_time(1)
    assert site.crash().queue.entries == {}


def test_nothing_is_acknowledged_before_it_is_durable():
    held = []
    site = Site(commit=lambda function, *arguments: held.append((function, arguments)) or Deferred())
    done = []
    site.queue.accept("x", "a@a.test", ["b@b.test"], MESSAGE, size=1).addBoth(done.append)
    assert not done
    assert held


def test_recipients_are_tried_by_destination():
    site = Site().start()
    site.accept(["a@one.test", "b@two.test", "c@one.test", "a@one.test"])
    assert sorted(recipients for _, recipients in site.carrier.tried) == [("a@one.test", "c@one.test"), ("b@two.test",)]


def test_what_is_put_off_is_tried_again_and_again_for_five_days():
    began = time.monotonic()
    site = Site(carrier=Carrier(lambda address: LATER if address == "b@b.test" else GOOD)).start()
    ident = site.accept(["b@b.test"])
    tries = []
    arrived = site.clock.seconds()
    while ident in site.queue.entries:
        tries.append(site.clock.seconds() - arrived)
        site.clock.advance(site.queue.entries[ident].due - site.clock.seconds())
    site.pass_time(1)
    assert [seconds / 60 for seconds in tries[:8]] == [0, 5, 15, 35, 75, 155, 315, 555]
    assert tries[-1] < 5 * DAY <= site.clock.seconds() - arrived < 5 * DAY + 5
    (report,) = [content for _, sender, who, content in site.carrier.carried if (sender, who) == ("", "a@a.test")]
    assert b"too old" in report
    assert site.crash().queue.entries == {}
    assert time.monotonic() - began < 5


def test_only_who_waits_is_tried_again():
    replies = {"b@b.test": LATER, "c@b.test": GOOD}
    site = Site(carrier=Carrier(lambda address: replies[address])).start()
    site.accept(["b@b.test", "c@b.test"])
    site.pass_time(1)
    replies["b@b.test"] = GOOD
    later = site.crash().start()
    later.pass_time(300)
    assert [recipients for _, recipients in site.carrier.tried] == [("b@b.test", "c@b.test"), ("b@b.test",)]
    assert later.queue.entries == {}


def test_a_refusal_goes_back_to_the_sender():
    site = Site(carrier=Carrier(lambda address: NEVER if "no" in address else GOOD)).start()
    site.accept(["no@b.test", "yes@b.test"])
    (report,) = [content for _, sender, _, content in site.carrier.carried if sender == ""]
    parsed = email.message_from_bytes(report)
    assert parsed.get_content_type() == "multipart/report"
    assert parsed.get_param("report-type") == "delivery-status"
    text, status, header = parsed.get_payload()
    assert "no@b.test" in text.get_payload()
    assert "yes@b.test" not in report.decode()
    assert status.get_content_type() == "message/delivery-status"
    whole, each = status.get_payload()
    assert whole["Reporting-MTA"] == "dns; mx.test"
    assert (each["Final-Recipient"], each["Action"], each["Status"]) == ("rfc822; no@b.test", "failed", "5.1.1")
    assert each["Diagnostic-Code"] == "smtp; 550 5.1.1 nobody"
    assert "Subject: hello" in header.get_payload()
    assert "How are you" not in report.decode()
    assert (parsed["Auto-Submitted"], parsed["To"]) == ("auto-replied", "<a@a.test>")


def test_a_report_is_never_reported():
    site = Site(carrier=Carrier(lambda address: NEVER)).start()
    site.accept(["b@b.test"])
    site.pass_time(1)
    assert [recipients for _, recipients in site.carrier.tried] == [("b@b.test",), ("a@a.test",)]
    assert site.queue.entries == {}


def test_a_destination_that_is_down_rests():
    down = Down(LATER)
    site = Site(carrier=Carrier(lambda address: down)).start()
    for _ in range(50):
        site.accept(["b@b.test"])
    assert len(site.carrier.tried) == 1
    assert all(entry.recipients[0].said for entry in site.queue.entries.values())
    site.accept(["b@c.test"])
    assert len(site.carrier.tried) == 2
    site.carrier.says = lambda address: GOOD
    assert site.queue.flush() == 51
    assert site.queue.entries == {}


def test_flush_of_one():
    site = Site(carrier=Carrier(lambda address: LATER)).start()
    first, second = site.accept(["b@b.test"]), site.accept(["b@b.test"])
    site.carrier.says = lambda address: GOOD
    assert site.queue.flush(second) == 1
    assert list(site.queue.entries) == [first]


def test_limits_of_a_destination_and_of_all():
    waiting = []

    def says(address):
        waiting.append(Deferred())
        return waiting[-1]

    site = Site(carrier=Carrier(says), limits=QueueLimits(deliveries=5, per_destination=2)).start()
    for at in range(20):
        site.accept([f"b@{at % 4}.test"])
    assert site.queue.active == len(waiting) == 5
    for at in range(20):
        waiting[at].callback(GOOD)
        assert site.queue.active <= 5
    assert site.queue.entries == {}


def test_thousands_that_end_at_once_do_not_pile_up():
    site = Site()
    for at in range(3000):
        site.accept([f"b@{at % 7}.test"])
    site.start()
    assert site.queue.entries == {}
    assert len(site.carrier.carried) == 3000


def test_a_carrier_that_breaks_is_a_reason_to_try_again():
    site = Site(carrier=Carrier(lambda address: ValueError("oops"))).start()
    ident = site.accept(["b@b.test"])
    assert site.queue.entries[ident].recipients[0].state == WAITING


def test_a_full_disk_refuses_and_recovers():
    files = FaultyFiles(capacity=3000)
    site = Site(files, Carrier(lambda address: LATER)).start()
    taken = [site.accept(["b@b.test"]) for _ in range(20)]
    good = [ident for ident in taken if isinstance(ident, str)]
    assert good
    assert all(each.check(StorageFull) for each in taken if not isinstance(each, str))
    assert set(site.queue.entries) == set(good)
    assert site.queue.broken
    files.capacity = None
    assert isinstance(site.accept(["b@b.test"]), str)
    assert not site.queue.broken
    assert set(good) <= set(site.crash().queue.entries)


def test_a_sync_that_fails_ends_accepting():
    files = FaultyFiles()
    site = Site(files).start()
    files.fail_at = {number: OSError(errno.EIO, "Input/output error") for number in range(1, 1000)}
    assert site.accept(["b@b.test"]).check(JournalBroken, StorageFull)
    assert site.carrier.carried == []


def test_the_journal_stays_small():
    site = Site(carrier=Carrier(lambda address: LATER if "stay" in address else GOOD), segment=20_000)
    site.queue.ledger.garbage = 50_000
    site.start()
    stays = {site.accept(["stay@b.test"]) for _ in range(5)}
    for _ in range(1000):
        site.accept(["go@c.test"])
        site.pass_time(0.03, 0.03)
    held = sum(len(site.files.read(FOLDER / name)) for name in site.files.names(FOLDER) if name.startswith("journal"))
    assert held < 200_000
    after = site.crash(Carrier())
    assert set(after.queue.entries) == stays
    after.start()
    after.queue.flush()
    assert {content for *_, content in after.carrier.carried} == {MESSAGE}


def test_what_does_not_fit_into_memory_is_read_from_the_journal():
    site = Site(carrier=Carrier(lambda address: LATER), segment=20_000).start()
    site.queue.ledger.garbage = 20_000
    site.queue.spool._room = 500
    texts = {site.accept(["b@b.test"], message=text): text for text in (b"%d" % n * 100 + b"\r\n" for n in range(20))}
    for _ in range(300):
        site.queue.flush()
        site.pass_time(0.03, 0.03)
    assert len(site.queue.spool._placed) > 10
    site.carrier.says = lambda address: GOOD
    some = list(texts)[-3:]
    for ident in some:
        site.queue.flush(ident)
    site.pass_time(1)
    after = site.crash()
    after.start()
    after.queue.flush()
    assert after.queue.entries == {}
    assert {ident: content for ident, _, _, content in site.carrier.carried} == texts


def test_ten_thousand_wait_through_a_restart():
    site = Site()
    for at in range(10_000):
        site.accept([f"b@{at}.test"], message=MESSAGE + b"x" * 100)
    began = time.monotonic()
    after = site.crash()
    assert len(after.queue.entries) == 10_000
    assert time.monotonic() - began < 10


def test_stop_waits_for_what_is_under_way():
    answer = Deferred()
    site = Site(carrier=Carrier(lambda address: answer)).start()
    site.accept(["b@b.test"])
    stopped = []
    site.queue.stop().addCallback(stopped.append)
    assert not stopped
    answer.callback(GOOD)
    assert stopped


@pytest.mark.parametrize(("attempts", "seconds"), [(1, 300), (2, 600), (6, 9600), (7, 14400), (1000, 14400)])
def test_pauses(attempts, seconds):
    assert Retries().pause(attempts) == seconds


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 1 << 30),
    st.lists(st.sampled_from(["accept", "accept", "wait", "crash", "fail", "full"]), min_size=4, max_size=40),
)
def test_every_acknowledged_message_survives_any_crash(seed, story):
    """Power cuts and failing disks at random moments: delivered or reported in the end, one duplicate a cut at most."""
    rng = random.Random(seed)
    answers = [GOOD, GOOD, LATER, NEVER, Down(LATER)]
    carrier = Carrier(lambda address: GOOD if "@a.test" in address else rng.choice(answers))
    site = Site(carrier=carrier, seed=seed).start()
    promised, cuts = {}, 1
    for number, what in enumerate(story):
        if what == "accept":
            who = [f"r{number}@{place}.test" for place in range(rng.randrange(1, 4))]
            ident = site.accept(who, f"s{number}@a.test")
            if isinstance(ident, str):
                promised[ident] = (f"s{number}@a.test", who)
        elif what == "wait":
            site.pass_time(rng.choice([0.01, 1, 400]), 50)
        elif what == "crash":
            cuts += 1
            site = site.crash(seed=rng.randrange(1 << 30)).start()
        elif what == "fail":
            at = site.files.operations + rng.randrange(1, 7)
            site.files.fail_at[at] = OSError(errno.EIO, "Input/output error")
        else:
            used = sum(len(site.files.read(FOLDER / name)) for name in site.files.names(FOLDER))
            site.files.capacity = used + rng.randrange(800)
    site.files.capacity = None
    answers[:] = [GOOD, NEVER]
    site = site.crash(seed=rng.randrange(1 << 30)).start()
    site.pass_time(4 * 3600 + 120, 60)
    assert site.queue.entries == {}
    for ident, (sender, who) in promised.items():
        for recipient in who:
            got = [each for each in carrier.carried if each[0] == ident and each[2] == recipient]
            reports = [each for each in carrier.carried if each[2] == sender and recipient.encode() in each[3]]
            assert got or reports, f"{recipient} of {ident} is lost"
            assert len(got) <= 1 + cuts
