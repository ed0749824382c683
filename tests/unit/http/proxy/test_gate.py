"""The proxy's gate at its public door: log-in, access list, guard of internal targets, limits."""

from __future__ import annotations

from base64 import b64encode
from datetime import datetime

import pytest
from pydantic import ValidationError

from netsuite.http.proxy.settings import ProxySettings
from netsuite.testing.network import START
from tests.integration.http.scripted import reply
from tests.unit.http.proxy.stage import CLIENT, INSIDE, ORIGIN, PASSWORD, Stage, close_all

FRESH = "Cache-Control: max-age=3600"
DAY = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


def basic(name="alice", password=PASSWORD):
    return "Proxy-Authorization: Basic " + b64encode(f"{name}:{password}".encode()).decode()


@pytest.fixture(autouse=True)
def closed():
    yield
    close_all()


@pytest.fixture
def stage(tmp_path):
    return lambda **settings: Stage(tmp_path, **settings)


class TestLogIn:
    def test_who_says_nothing_is_asked(self, stage):
        proxy = stage(users=True)
        talk = proxy.ask(host=proxy.proxy_host)
        assert talk.status == 407
        assert talk.header("proxy-authenticate") == 'Basic realm="netsuite", charset="UTF-8"'
        assert proxy.origin.requests == []
        assert not talk.closed

    def test_who_logs_in_is_served_and_the_password_goes_nowhere(self, stage):
        proxy = stage(users=True)
        talk = proxy.ask("http://origin.test/", basic(), host=proxy.proxy_host)
        assert (talk.status, talk.body) == (200, b"hello")
        head = proxy.origin.requests[0][0]
        token = basic().rpartition(" ")[2]
        assert "uthorization" not in head and token not in head
        logged = str(proxy.commons.journal.recent())
        assert "http://origin.test/" in logged
        assert token not in logged and PASSWORD not in logged

    @pytest.mark.parametrize(
        "field",
        [
            basic(password="wrong"), basic("nobody"), "Proxy-Authorization: Basic", "Proxy-Authorization: Basic !!!",
            "Proxy-Authorization: Bearer abc", "Proxy-Authorization: Basic " + b64encode(b"no colon").decode(),
            "Proxy-Authorization: Basic " + b64encode(b"\xff:\xff").decode(), basic() + ", " + basic(),
            "Authorization" + basic().removeprefix("Proxy-Authorization"),
        ],
    )  # fmt: skip
    def test_what_does_not_let_in(self, stage, field):
        proxy = stage(users=True)
        assert proxy.ask("http://origin.test/", field, host=proxy.proxy_host).status == 407
        assert proxy.origin.requests == []

    def test_in_clear_from_elsewhere_no_password_is_asked_for_or_looked_at(self, stage):
        proxy = stage(users=True)
        for fields in ((), (basic(),)):
            talk = proxy.ask("http://origin.test/", *fields)
            assert (talk.status, talk.header("proxy-authenticate")) == (403, None)

    def test_except_loopback(self, stage):
        proxy = stage(users="except-loopback")
        assert proxy.ask(host=proxy.proxy_host).status == 200
        assert proxy.ask("http://origin.test/", basic(password="x"), host=proxy.proxy_host).status == 407
        assert proxy.ask().status == 403

    def test_where_nobody_need_log_in_nothing_is_checked(self, stage):
        proxy = stage()
        assert proxy.server.gate is None
        assert proxy.ask("http://origin.test/", basic(password="x")).status == 200
        assert "roxy-" not in proxy.origin.requests[0][0]

    def test_guesses_must_wait(self, stage):
        proxy = stage(users=True)
        statuses = [
            proxy.ask("http://origin.test/", basic("bob", str(n)), host=proxy.proxy_host).status for n in range(12)
        ]
        assert statuses[:10] == [407] * 10
        talk = proxy.ask("http://origin.test/", basic("bob"), host=proxy.proxy_host)
        assert (talk.status, int(talk.header("retry-after")) >= 1) == (429, True)
        proxy.network.advance(600)
        assert proxy.ask("http://origin.test/", basic("bob"), host=proxy.proxy_host).status == 200

    def test_a_password_is_checked_once_in_a_while(self, stage):
        proxy = stage(users=True)
        for _ in range(5):
            assert proxy.ask("http://origin.test/", basic(), host=proxy.proxy_host).status == 200
        assert [event["outcome"] for event in proxy.commons.journal.recent(name="auth")] == ["ok"]
        proxy.network.advance(31)
        assert proxy.ask("http://origin.test/", basic(), host=proxy.proxy_host).status == 200
        assert [event["outcome"] for event in proxy.commons.journal.recent(name="auth")] == ["ok"] * 2

    def test_a_tunnel_wants_a_log_in_too(self, stage):
        proxy = stage(users=True)
        assert proxy.ask("origin.test:80", method="CONNECT", host=proxy.proxy_host).status == 407
        talk = proxy.ask("origin.test:80", basic(), method="CONNECT", host=proxy.proxy_host)
        assert talk.status == 200
        talk.say(b"GET /in HTTP/1.1\r\nHost: a\r\n\r\n")
        assert proxy.until(lambda: talk.data.endswith(b"hello"))

    def test_what_selects_an_answer_is_no_password(self, stage):
        """An origin never saw it, whatever its Vary says; so it is kept nowhere."""
        proxy = stage(users=True)
        varies = reply(b"kept", FRESH, "Vary: Proxy-Authorization")
        proxy.origin.script = lambda side: [side.say(varies) for _ in proxy.origin.heads(side)]
        for who in ("alice", "bob"):
            assert proxy.ask("http://origin.test/x", basic(who), host=proxy.proxy_host).body == b"kept"
        assert len(proxy.origin.requests) == 1

    def test_what_one_user_brought_is_not_given_to_who_may_not_ask(self, stage):
        proxy = stage(users=True)
        proxy.origin.script = lambda side: [side.say(reply(b"kept", FRESH)) for _ in proxy.origin.heads(side)]
        for _ in range(2):
            assert proxy.ask("http://origin.test/x", basic(), host=proxy.proxy_host).body == b"kept"
        assert len(proxy.origin.requests) == 1
        assert proxy.ask("http://origin.test/x", host=proxy.proxy_host).status == 407


class TestAccessList:
    def test_a_refusal_names_the_rule(self, stage):
        proxy = stage(rule=[{"name": "no origin", "action": "deny", "hosts": [".origin.test"]}, {"action": "allow"}])
        for target, method in (("http://www.origin.test/", "GET"), ("origin.test:443", "CONNECT")):
            talk = proxy.ask(target, method=method)
            assert talk.status == 403
            assert b"the rule no origin" in talk.body
            assert talk.header("proxy-status") == "netsuite; error=http_request_denied"
        assert proxy.ask("http://other.test/").status == 200

    def test_other_ways_to_write_a_host_are_refused_alike(self, stage):
        proxy = stage(rule=[{"action": "deny", "hosts": [".origin.test", ORIGIN]}])
        number = int.from_bytes(bytes(map(int, ORIGIN.split("."))), "big")
        for host in ("ORIGIN.test", "origin.test.", "origin.test:80", ORIGIN, str(number), hex(number),
                     f"[::ffff:{ORIGIN}]", f"{ORIGIN}."):  # fmt: skip
            assert proxy.ask(f"http://{host}/").status == 403, host
        assert proxy.origin.requests == []

    def test_users_methods_ports_and_paths(self, stage):
        rules = [
            {"action": "allow", "users": ["alice"], "hosts": ["origin.test"], "methods": ["GET"]},
            {"action": "allow", "paths": ["/public/*"], "ports": [80]},
        ]
        proxy = stage(rule=rules, otherwise="deny")

        def status(target, *fields, method="GET"):
            return proxy.ask(target, *fields, method=method, host=proxy.proxy_host).status

        assert status("http://origin.test/") == 407
        assert status("http://origin.test/", basic("bob")) == 403
        assert status("http://origin.test/", basic()) == 200
        assert status("http://origin.test/", basic(), method="HEAD") == 403
        assert status("http://other.test/public/a") == 200
        assert status("http://other.test:81/public/a") == 403
        assert status("http://other.test/public/../a") == 403
        assert status("http://other.test/a") == 403
        assert status("origin.test:443", method="CONNECT") == 403

    def test_times(self, stage):
        now = datetime.fromtimestamp(START)
        minute = now.hour * 60 + now.minute
        hours = f"{DAY[now.weekday()]} {now:%H:%M}-{(minute + 10) % 1440 // 60:02}:{(minute + 10) % 60:02}"
        proxy = stage(rule=[{"action": "deny", "times": [hours]}])
        assert proxy.ask().status == 403
        proxy.network.advance(600)
        assert proxy.ask().status == 200

    def test_a_name_that_leads_into_a_network_is_refused_before_any_byte(self, stage):
        proxy = stage(rule=[{"action": "deny", "hosts": ["10.0.0.0/8"]}], internal_targets=True)
        for host in ("inside.test", "both.test", INSIDE, "[64:ff9b::a00:5]"):
            assert proxy.ask(f"http://{host}/").status == 403, host
        assert proxy.ask("http://origin.test/").status == 200
        assert proxy.inside.sides == []

    def test_the_addresses_that_were_judged_are_those_connected_to(self, stage):
        proxy = stage(rule=[{"action": "deny", "hosts": ["10.0.0.0/8"]}], internal_targets=True)
        answers = iter([[ORIGIN], [INSIDE], [ORIGIN], [INSIDE]])

        async def turning(host):
            return next(answers)

        proxy.names.addresses = turning
        assert proxy.ask("http://turning.test/").status == 200
        assert proxy.ask("http://turning.test/").status == 403
        assert proxy.ask("turning.test:80", method="CONNECT").status == 200
        assert proxy.inside.sides == []

    def test_a_name_without_an_address_is_not_looked_up_again_for_another_answer(self, stage):
        proxy = stage(rule=[{"action": "deny", "hosts": ["10.0.0.0/8"]}], internal_targets=True)
        answers = iter([[], [INSIDE]])

        async def turning(host):
            return next(answers)

        proxy.names.addresses = turning
        assert proxy.ask("http://turning.test/").status == 502
        assert proxy.inside.sides == []

    def test_a_reverse_proxy_has_rules_and_no_users(self, stage):
        proxy = stage(origin="http://origin.test", rule=[{"action": "deny", "paths": ["/admin*"]}])
        assert proxy.ask("/admin/x").status == 403
        assert proxy.ask("/%61dmin").status == 403
        assert proxy.ask("/x").status == 200
        with pytest.raises(ValidationError, match="reverse proxy"):
            ProxySettings(origin="http://a", users=True)
        with pytest.raises(ValidationError, match="rule mine"):
            ProxySettings(origin="http://a", rule=[{"name": "mine", "action": "allow", "users": ["alice"]}])


INSIDERS = [
    "inside.test", "INSIDE.test.", INSIDE, "localhost", "127.0.0.1", "127.1", "2130706433", "0x7f000001",
    "017700000001", "0", "0.0.0.0", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]",
    "[::ffff:0:7f00:1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "169.254.169.254", "[fe80::1]", "[fd00::1]",
    "192.0.0.192", "167772165",
]  # fmt: skip


class TestInternalTargets:
    @pytest.mark.parametrize("host", INSIDERS)
    def test_no_way_to_write_it_leads_a_stranger_inside(self, stage, host):
        proxy = stage()
        for target, method in ((f"http://{host}/", "GET"), (f"{host}:80", "CONNECT"), (f"http://{host}/", "POST")):
            assert proxy.ask(target, method=method).status == 403, method
        assert proxy.inside.sides == proxy.local.sides == []

    def test_a_name_with_an_address_inside_is_connected_outside_only(self, stage):
        proxy = stage()
        assert proxy.ask("http://both.test/").status == 200
        assert proxy.inside.sides == []

    def test_a_name_that_turns_inside_between_look_ups_leads_nobody_there(self, stage):
        proxy = stage()
        answers = iter([[ORIGIN], [INSIDE]])

        async def turning(host):
            return next(answers)

        proxy.names.addresses = turning
        assert proxy.ask("http://turning.test/").status == 200
        proxy.network.advance(60)  # the kept connection is gone
        assert proxy.ask("http://turning.test/2").status == 403
        assert proxy.inside.sides == []

    @pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Away", "308 Away"])
    def test_a_redirect_is_handed_on_and_judged_when_it_is_followed(self, stage, status):
        proxy = stage()
        there = reply(b"", "Location: http://inside.test/", FRESH, status=status)
        proxy.origin.script = lambda side: [side.say(there) for _ in proxy.origin.heads(side)]
        talk = proxy.ask()
        assert (talk.status, talk.header("location")) == (int(status[:3]), "http://inside.test/")
        assert proxy.ask(talk.header("location")).status == 403
        assert proxy.inside.sides == []

    def test_all_may_be_reached_where_that_is_said(self, stage):
        proxy = stage(internal_targets=True)
        assert proxy.ask("http://inside.test/").status == 200
        assert len(proxy.inside.requests) == 1


SHORT = [
    ({"rule": [{"action": "deny", "hosts": ["other.test"]}, {"action": "deny", "methods": ["PUT"]}]}, True),
    ({"rule": [{"action": "deny", "paths": ["/x"], "ports": [81]}], "otherwise": "allow"}, True),
    ({"rule": [{"action": "deny", "clients": ["192.0.2.0/24"]}]}, False),
    ({"rule": [{"action": "deny", "times": ["mon"]}, {"action": "allow"}], "otherwise": "allow"}, False),
    ({"rule": [{"action": "allow", "users": ["alice"], "hosts": ["other.test"]}]}, False),
    ({"rule": [{"action": "deny", "hosts": ["10.0.0.0/8"]}]}, False),
    ({"limits": {"requests": 100}}, False),
    ({"users": "except-loopback"}, False),
]


@pytest.mark.parametrize(("settings", "short"), SHORT)
def test_only_what_the_message_alone_decides_is_answered_by_the_short_way(stage, settings, short):
    """Hits that are recognised by their bytes are not judged again; whoever may not have them must not get them so."""
    proxy = stage(**settings)
    proxy.origin.script = lambda side: [side.say(reply(b"kept", FRESH)) for _ in proxy.origin.heads(side)]
    host = proxy.proxy_host if "users" in settings else None
    for _ in range(4):
        proxy.ask(host=host)
    assert (proxy.server.shortcuts.hot.hits > 0) is short


class TestLimits:
    def test_requests_a_second_and_bursts(self, stage):
        proxy = stage(limits={"requests": 1, "burst": 3})
        assert [proxy.ask().status for _ in range(3)] == [200] * 3
        talk = proxy.ask()
        assert (talk.status, talk.header("retry-after")) == (429, "1")
        proxy.network.advance(1)
        assert [proxy.ask().status for _ in range(2)] == [200, 429]

    def test_each_address_has_its_own(self, stage):
        proxy = stage(limits={"requests": 1, "burst": 1})
        assert [proxy.ask().status, proxy.ask().status] == [200, 429]
        assert proxy.ask(host=proxy.proxy_host).status == 200

    def test_a_user_has_one_wherever_from(self, stage):
        proxy = stage(users=True, limits={"requests": 1, "burst": 2})
        for who, expected in (("alice", [200, 200, 429]), ("bob", [200, 200, 429])):
            asked = [proxy.ask("http://origin.test/", basic(who), host=proxy.proxy_host).status for _ in range(3)]
            assert asked == expected

    def test_requests_at_once(self, stage):
        proxy = stage(limits={"concurrent": 2})
        proxy.origin.script = lambda side: None
        held = [proxy.ask(f"http://origin.test/{n}", seconds=1) for n in range(2)]
        talk = proxy.ask()
        assert (talk.status, talk.header("retry-after")) == (429, "1")
        held[0].transport.abortConnection()
        proxy.network.advance(1)
        proxy.origin.script = proxy.origin.greet
        assert proxy.ask().status == 200

    def test_a_tunnel_counts_until_it_is_closed(self, stage):
        proxy = stage(limits={"concurrent": 1})
        tunnel = proxy.ask("origin.test:80", method="CONNECT")
        assert (tunnel.status, proxy.ask().status) == (200, 429)
        tunnel.transport.loseConnection()
        proxy.network.advance(1)
        assert proxy.ask().status == 200

    def test_a_refusal_or_a_failure_leaves_nothing_behind(self, stage):
        proxy = stage(limits={"concurrent": 1})
        for target in ("http://nowhere.test/", "http://inside.test/", "/origin-form", "http://origin.test:0/"):
            assert proxy.ask(target).status in (400, 403, 502)
        assert proxy.ask(method="HEAD").status == 200
        assert proxy.ask().status == 200

    def test_bytes_a_second(self, stage):
        proxy = stage(limits={"bytes_per_second": 10_000})
        proxy.origin.script = lambda side: [side.say(reply(b"x" * 50_000)) for _ in proxy.origin.heads(side)]
        began = proxy.network.clock.seconds()
        talk = proxy.ask(seconds=30)
        took = proxy.network.clock.seconds() - began
        assert len(talk.body) == 50_000
        assert 4 <= took <= 6
        began = proxy.network.clock.seconds()
        proxy.ask(method="POST", body=b"y" * 20_000, seconds=30)
        assert proxy.network.clock.seconds() - began >= 1.5

    def test_a_hit_counts_like_any_other(self, stage):
        proxy = stage(limits={"requests": 1, "burst": 2})
        proxy.origin.script = lambda side: [side.say(reply(b"kept", FRESH)) for _ in proxy.origin.heads(side)]
        assert [proxy.ask().status for _ in range(3)] == [200, 200, 429]
        assert len(proxy.origin.requests) == 1


def test_who_may_connect_at_all_is_asked_first(tmp_path):
    proxy = Stage(tmp_path, allow=["loopback"])
    assert proxy.ask().data == b""
    assert proxy.ask(host=proxy.proxy_host).status == 200
    assert CLIENT not in str(proxy.origin.requests)
