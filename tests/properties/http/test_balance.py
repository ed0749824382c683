"""Weights are kept, a server that leaves moves its own keys only, and the bound of loads holds."""

from __future__ import annotations

from collections import Counter

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from netsuite.http.upstream.balance import BoundedHash, LeastRequests, RoundRobin
from netsuite.http.upstream.pool import Pool, Server

weights = st.lists(st.integers(1, 20), min_size=1, max_size=8)


def servers(of):
    return [Server(f"s{index}", weight=weight) for index, weight in enumerate(of)]


@given(weights)
def test_round_robin_gives_each_exactly_its_weight(of):
    pool = Pool("p", servers(of), RoundRobin())
    counted = Counter(pool.choose(b"", 0.0).name for _ in range(3 * sum(of)))
    assert counted == {f"s{index}": 3 * weight for index, weight in enumerate(of)}


@given(weights, st.integers(1, 60))
def test_round_robin_is_never_far_from_its_weights(of, turns):
    pool = Pool("p", servers(of), RoundRobin())
    counted = Counter(pool.choose(b"", 0.0).name for _ in range(turns))
    for index, weight in enumerate(of):
        assert abs(counted[f"s{index}"] - turns * weight / sum(of)) < len(of)


@given(weights, st.integers(1, 200))
def test_least_requests_fill_by_weight(of, requests):
    pool = Pool("p", servers(of), LeastRequests())
    for _ in range(requests):
        pool.begin(pool.choose(b"", 0.0), 0.0)
    for one in pool.servers:
        for other in pool.servers:
            assert one.under_way / one.weight <= (other.under_way + 1) / other.weight


@given(weights, st.data())
def test_a_server_that_leaves_moves_its_own_keys_only(of, data):
    assume(len(of) > 1)
    pool = Pool("p", servers(of), BoundedHash(1000.0))
    keys = [b"%d" % n for n in range(100)]
    before = {key: pool.choose(key, 0.0) for key in keys}
    gone = data.draw(st.sampled_from(pool.servers))
    gone.health.up = False
    for key, home in before.items():
        now = pool.choose(key, 0.0)
        assert now is not gone
        if home is not gone:
            assert now is home


@given(weights, st.floats(1.01, 3.0), st.lists(st.tuples(st.binary(max_size=3), st.integers(0, 9)), max_size=200))
def test_the_bound_holds_whatever_comes_and_goes(of, bound, requests):
    pool = Pool("p", servers(of), BoundedHash(bound))
    total = sum(of)
    for key, leaving in requests:
        chosen = pool.choose(key, 0.0)
        pool.begin(chosen, 0.0)
        under_way = sum(server.under_way for server in pool.servers)
        assert chosen.under_way <= bound * under_way * chosen.weight / total + 1
        if leaving < 3:
            busy = [server for server in pool.servers if server.under_way]
            pool.release(busy[leaving % len(busy)])


@settings(max_examples=20)
@given(st.lists(st.integers(1, 5), min_size=2, max_size=4))
def test_keys_are_spread_by_weight(of):
    pool = Pool("p", servers(of), BoundedHash(1000.0))
    counted = Counter(pool.choose(b"/page/%d" % n, 0.0).name for n in range(4000))
    for index, weight in enumerate(of):
        share = weight / sum(of)
        assert abs(counted[f"s{index}"] / 4000 - share) < 0.06


@given(st.lists(st.tuples(st.sampled_from(["ask", "fail", "check", "wait"]), st.integers(0, 3)), max_size=60))
def test_a_pool_counts_right_whatever_happens(steps):
    pool = Pool("p", servers([1, 2, 3, 4]), slow_start=2.0)
    now, held = 0.0, []
    for step, which in steps:
        now += 0.1
        if step == "wait":
            now += which
            for server in held[:which]:
                pool.release(server)
            del held[:which]
        elif step == "check":
            pool.checked(pool.servers[which], which % 2 == 0, now)
        elif (server := pool.choose(b"k%d" % which, now)) is not None:
            assert server.health.up
            assert server.breaker.permits(now)
            pool.begin(server, now)
            held.append(server)
            pool.settle(server, step == "ask", now)
        else:
            assert pool.available(now) == 0
    assert sum(server.under_way for server in pool.servers) == len(held)
