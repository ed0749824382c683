"""The heap clock does what Twisted's does, in the same order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from netsuite.testing.timeline import Timeline

TIMES = st.integers(0, 12).map(lambda quarters: quarters / 4)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("call"), TIMES, st.one_of(st.none(), TIMES)),
        st.tuples(st.sampled_from(["cancel", "reset", "delay"]), st.integers(0, 30), TIMES),
        st.tuples(st.just("advance"), TIMES, st.none()),
    ),
    max_size=40,
)


def history(clock: Clock, steps: list[tuple[str, float, float | None]]) -> list[tuple[float, int]]:
    """What is called when; several at one time in the order of their numbers."""
    calls, called = [], []

    def call(after, then):
        number = len(calls)

        def happens(number):
            called.append((clock.seconds(), number))
            if then is not None:
                call(then, None)

        calls.append(clock.callLater(after, happens, number))

    for what, one, other in steps:
        if what == "call":
            call(one, other)
        elif what == "advance":
            clock.advance(one)
        elif one < len(calls) and calls[one].active():
            if what == "cancel":
                calls[one].cancel()
            else:
                getattr(calls[one], what)(other)
    expected = sorted(each.getTime() for each in calls if each.active())
    assert sorted(each.getTime() for each in clock.getDelayedCalls()) == expected
    clock.advance(100)
    clock.advance(100)
    assert not clock.getDelayedCalls()
    return called


@given(STEPS)
def test_it_does_what_the_clock_does(steps):
    one, other = history(Timeline(), steps), history(Clock(), steps)
    assert sorted(one) == sorted(other)
    assert [time for time, _ in one] == [time for time, _ in other]


@given(st.lists(TIMES, max_size=20))
def test_equal_times_happen_in_the_order_in_which_they_were_asked_for(times):
    clock, called = Timeline(), []
    for number, time in enumerate(times):
        if number % 2:
            clock.at(time, called.append, (number,))
        else:
            clock.callLater(time, called.append, number)
    while (following := clock.following()) is not None:
        clock.advance(following - clock.seconds())
    assert called == sorted(range(len(times)), key=lambda number: times[number])


def test_what_follows_is_never_something_cancelled_or_put_off():
    clock = Timeline()
    verifyObject(IReactorTime, clock)
    assert clock.following() is None
    first, second = clock.callLater(1, int), clock.callLater(2, int)
    assert clock.following() == 1
    first.delay(5)
    assert clock.following() == 2
    second.cancel()
    assert clock.following() == 6
    first.reset(3)
    assert clock.following() == 3
    clock.advance(3)
    assert clock.following() is None
