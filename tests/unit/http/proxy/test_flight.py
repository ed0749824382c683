"""A flight is read by several at their own pace, keeps to its window, and ends when nobody wants it."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from netsuite.common.body import BodyFailed
from netsuite.http.proxy.flight import Flight, Landing


def started(coroutine):
    return Deferred.fromCoroutine(coroutine)


def result(deferred):
    found = []
    deferred.addBoth(found.append)
    return found[0] if found else None


async def drain(reader):
    return b"".join([chunk async for chunk in reader])


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def flight(clock):
    return Flight(clock, 10, b"lane")


def test_all_who_wait_are_told_and_read_everything(flight):
    waiting = [started(flight.landed(n == 0, None)) for n in range(3)]
    flight.share("response", 6, True)
    assert [result(each) for each in waiting] == [Landing.READ] * 3
    flight.add(b"abc")
    late = started(drain(flight.reader()))
    early = started(drain(flight.reader()))
    flight.add(b"def")
    flight.end((), flight.content())
    assert (result(early), result(late)) == (b"abcdef", b"abcdef")


def test_what_is_for_its_asker_alone(flight):
    other, asker = started(flight.landed(False, None)), started(flight.landed(True, None))
    assert flight.hand_over("response", object())
    assert (result(other), result(asker)) == (Landing.ALONE, Landing.TAKE)


def test_nobody_is_there_to_take_it(flight):
    assert not flight.hand_over("response", object())


def test_who_waits_too_long_is_released(flight, clock):
    waiting = started(flight.landed(False, 5))
    clock.advance(5)
    assert waiting.called
    assert result(waiting) is None
    assert flight.waiters == 0
    assert clock.getDelayedCalls() == []


def test_a_body_that_breaks_off_is_seen_to(flight):
    flight.share("response", 6, True)
    reading = started(drain(flight.reader()))
    flight.add(b"abc")
    flight.break_off("the origin left")
    assert result(reading).check(BodyFailed)


def test_a_span_is_cut_out_of_the_chunks(flight):
    flight.share("response", 9, True)
    reading = started(drain(flight.reader().span(2, 7)))
    for chunk in (b"012", b"345", b"678"):
        flight.add(chunk)
    flight.end()
    assert result(reading) == b"23456"


def test_beyond_its_window_it_waits_for_the_slowest_who_is_cut_in_the_end(flight, clock):
    flight.share("response", None, True)
    quick, slow = flight.reader(), flight.reader()
    reading = started(drain(quick))
    flight.add(b"x" * 20)
    flight.narrow()
    room = started(flight.room())
    assert not room.called
    assert flight.retained == 20
    clock.advance(10)
    assert room.called
    assert flight.retained == 0
    assert result(started(drain(slow))).check(BodyFailed)
    flight.end()
    assert result(reading) == b"x" * 20


@pytest.mark.parametrize(
    ("length", "arrived", "cancelled"),
    [
        (None, 10, False),
        (None, 300_000, True),
        (100_000, 10, False),
        (10_000_000, 10, True),
        (1_000_000, 800_000, False),
    ],
)
def test_when_the_last_reader_leaves(flight, length, arrived, cancelled):
    calls = []
    flight.cancelled_by(lambda: calls.append(True))
    flight.share("response", length, True)
    reader = flight.reader()
    flight.add(b"x" * arrived)
    result(started(reader.aclose()))
    assert bool(calls) is cancelled
