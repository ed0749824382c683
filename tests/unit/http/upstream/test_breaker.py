"""When a server is not asked, and when again."""

from __future__ import annotations

from netsuite.http.upstream.breaker import NEVER_OPENS, Breaker, BreakerLimits, Circuit

LIMITS = BreakerLimits(failures=3, open_time=2.0, longest=7.0)


def opened(limits=LIMITS):
    breaker = Breaker(limits)
    for _ in range(3):
        breaker.failed(100.0)
    assert breaker.circuit is Circuit.OPEN
    return breaker


def test_it_opens_after_so_many_in_a_row():
    breaker = Breaker(LIMITS)
    assert [breaker.failed(0.0) for _ in range(3)] == [False, False, True]
    assert not breaker.permits(1.9)
    assert breaker.opened == 1


def test_a_success_between_begins_the_row_anew():
    breaker = Breaker(LIMITS)
    for _ in range(5):
        breaker.failed(0.0)
        breaker.failed(0.0)
        breaker.succeeded(0.0)
    assert breaker.circuit is Circuit.CLOSED


def test_half_of_many_is_too_much_even_if_not_in_a_row():
    breaker = Breaker(BreakerLimits(failures=5, volume=20, share=0.5, window=10.0))
    for _ in range(9):
        breaker.succeeded(1.0)
        breaker.failed(1.0)
    assert breaker.circuit is Circuit.CLOSED
    breaker.succeeded(1.0)
    assert breaker.failed(1.0)


def test_what_lies_before_the_window_is_forgotten():
    breaker = Breaker(BreakerLimits(failures=5, volume=20, share=0.5, window=10.0))
    for turn in range(100):
        breaker.succeeded(turn * 1.5)
        breaker.failed(turn * 1.5)
    assert breaker.circuit is Circuit.CLOSED


def test_one_probe_at_a_time():
    breaker = opened()
    assert breaker.permits(102.0)
    breaker.begun(102.0)
    assert not breaker.permits(102.0)
    assert breaker.succeeded(102.5)
    assert breaker.permits(102.5)


def test_each_failed_probe_doubles_the_wait_up_to_the_longest():
    breaker, waits, now = opened(), [], 100.0
    for _ in range(4):
        waits.append(breaker.until - now)
        now = breaker.until
        breaker.begun(now)
        assert not breaker.failed(now), "no news"
    assert waits == [2.0, 4.0, 7.0, 7.0]


def test_a_probe_that_says_nothing_is_repeated_at_once():
    breaker = opened()
    breaker.begun(102.0)
    breaker.unsettled(102.5)
    assert breaker.permits(102.5)


def test_answers_to_earlier_requests_change_nothing_while_it_is_open():
    breaker = opened()
    assert not breaker.succeeded(100.5)
    assert not breaker.failed(100.5)
    assert breaker.until == 102.0


def test_a_health_check_closes_it():
    breaker = opened()
    breaker.reset()
    assert breaker.permits(100.0)


def test_one_that_never_opens():
    breaker = Breaker(NEVER_OPENS)
    assert not any(breaker.failed(0.0) for _ in range(1000))
    assert breaker.permits(0.0)
