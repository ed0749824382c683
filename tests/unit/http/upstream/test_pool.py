"""Who is chosen, and what is learnt."""

from __future__ import annotations

from collections import Counter

from netsuite.http.upstream.balance import BoundedHash, LeastRequests, RoundRobin
from netsuite.http.upstream.breaker import BreakerLimits
from netsuite.http.upstream.budget import RetryBudget
from netsuite.http.upstream.health import Health
from netsuite.http.upstream.pool import Pool, Server


def pool(*servers, balance=None, **more):
    said = []
    made = Pool("web", servers, balance, changed=lambda pool, server, what: said.append((server.name, what)), **more)
    return made, said


def ask(pool, now=0.0, key=b"", well=True, tried=()):
    server = pool.choose(key, now, tried)
    if server is None:
        return None
    pool.begin(server, now)
    pool.settle(server, well, now, "it broke")
    pool.release(server)
    return server.name


def test_round_robin_is_smooth():
    web, _ = pool(Server("a", weight=5), Server("b"), Server("c"))
    assert "".join(ask(web) for _ in range(14)) == "aabacaa" * 2


def test_least_requests():
    a, b = Server("a"), Server("b", weight=2)
    web, _ = pool(a, b, balance=LeastRequests())
    a.under_way, b.under_way = 1, 2
    assert web.choose(b"", 0.0) is b
    b.under_way = 4
    assert web.choose(b"", 0.0) is a
    a.under_way = b.under_way = 0
    b.weight = 1
    assert {ask(web), ask(web)} == {"a", "b"}


def test_backups_only_when_nobody_else_is_there():
    web, _ = pool(Server("a", health=Health(fall=1)), Server("b", backup=True))
    assert {ask(web) for _ in range(10)} == {"a"}
    web.checked(web.servers[0], False, 0.0, "status 500")
    assert ask(web) == "b"


def test_a_server_that_was_tried_is_not_chosen_again():
    a, b = Server("a"), Server("b")
    web, _ = pool(a, b)
    assert web.choose(b"", 0.0, (a,)) is b
    assert web.choose(b"", 0.0, (a, b)) is None


def test_failures_open_and_a_probe_closes_and_it_is_said_once_each():
    a, b = Server("a", breaker=BreakerLimits(failures=2, open_time=5.0)), Server("b")
    web, said = pool(a, b)
    for _ in range(2):
        assert ask(web, well=False, tried=(b,)) == "a"
    assert said == [("a", "is not asked for 5 s: it broke")]
    assert {ask(web, 1.0) for _ in range(10)} == {"b"}
    assert web.available(1.0) == 1
    assert "a" in {ask(web, 6.0) for _ in range(10)}
    assert said[1:] == [("a", "answers again")]


def test_all_down():
    web, said = pool(Server("a"), Server("b"))
    for server in web.servers:
        web.checked(server, False, 0.0, "refused")
    assert web.choose(b"", 0.0) is None
    assert said == [("a", "is down: refused"), ("b", "is down: refused")]
    assert [server.state for server in web.servers] == ["down", "down"]


def test_rise_and_fall():
    health = Health(rise=2, fall=3)
    assert [health.checked(well) for well in (True, False, False, True, False, False, False)] == [False] * 6 + [True]
    assert not health.up
    assert [health.checked(well) for well in (True, False, True, True)] == [False, False, False, True]
    assert health.up


def test_the_first_check_decides_alone():
    health = Health(rise=2, fall=3)
    assert health.checked(False)
    assert not health.up


def test_slow_start():
    a, b = Server("a", health=Health(rise=1, fall=1)), Server("b")
    web, _ = pool(a, b, slow_start=10.0)
    web.checked(a, False, 0.0)
    web.checked(a, True, 100.0)
    shares = [Counter(ask(web, 100.0 + after) for _ in range(1000))["a"] / 1000 for after in (0.0, 5.0, 10.0)]
    assert [round(share, 2) for share in shares] == [0.09, 0.33, 0.5]


def test_the_bound_of_loads_holds_and_a_key_stays_where_it_was_otherwise():
    servers = [Server(name) for name in "abcd"]
    web, _ = pool(*servers, balance=BoundedHash(1.25))
    home = web.choose(b"hot", 0.0)
    assert {web.choose(b"hot", 0.0) for _ in range(10)} == {home}
    for _ in range(100):
        web.begin(web.choose(b"hot", 0.0), 0.0)
    assert max(server.under_way for server in servers) <= 32
    assert home.under_way == max(server.under_way for server in servers)


def test_retries_are_a_share_of_the_requests():
    budget = RetryBudget(0.2, a_second=0.0)
    assert sum(budget.retry(0.0) for _ in range(100)) == 10, "what is saved up"
    for _ in range(50):
        budget.request()
    assert sum(budget.retry(0.0) for _ in range(100)) in (9, 10)
    assert not RetryBudget(0.0).retry(5.0)


def test_retries_come_back_with_time():
    budget = RetryBudget(0.2)
    while budget.retry(10.0):
        pass
    assert not budget.retry(10.5)
    assert budget.retry(11.5)


def test_choices_do_not_depend_on_the_process():
    """Several workers, and a restart, send a key to the same server."""
    servers = [Server(f"http://10.0.0.{n}:80") for n in range(5)]
    web, _ = pool(*servers, balance=BoundedHash(2.0))
    assert [servers.index(web.choose(b"/%d" % n, 0.0)) for n in range(8)] == [3, 0, 0, 0, 1, 3, 4, 0]


def test_round_robin_is_a_balance_of_its_own():
    assert pool(Server("a"), balance=RoundRobin())[0].choose(b"", 0.0).name == "a"
