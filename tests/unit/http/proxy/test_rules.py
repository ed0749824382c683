"""Access lists: what each condition fits, the order of rules, and what is asked for first."""

from __future__ import annotations

import pytest

from netsuite.http.proxy.rules import Action, Asked, BadRule, RuleBook, RuleText, hours, normal_path

ASKED = Asked("192.0.2.7", None, b"GET", "www.example.org", 80, b"/news/today", 0)
ALLOW, DENY, WHO, WHERE = Action.ALLOW, Action.DENY, Action.AUTHENTICATE, Action.RESOLVE


def judged(asked=ASKED, addresses=None, action="deny", **conditions):
    return RuleBook([RuleText("r", action, **conditions)]).judge(asked, addresses).action


FITTING = [
    ({}, {}, DENY),
    ({"clients": ["192.0.2.0/24"]}, {}, DENY),
    ({"clients": ["192.0.3.0/24"]}, {}, ALLOW),
    ({"methods": ["GET", "HEAD"]}, {}, DENY),
    ({"methods": ["HEAD"]}, {}, ALLOW),
    ({"hosts": ["www.example.org"]}, {}, DENY),
    ({"hosts": ["WWW.Example.org."]}, {}, DENY),
    ({"hosts": ["example.org"]}, {}, ALLOW),
    ({"hosts": [".example.org"]}, {}, DENY),
    ({"hosts": [".example.org"]}, {"host": "example.org"}, DENY),
    ({"hosts": [".example.org"]}, {"host": "badexample.org"}, ALLOW),
    ({"hosts": [".www.example.org", "*"]}, {"host": "10.0.0.1"}, DENY),
    ({"hosts": ["b\u00fccher.test"]}, {"host": "xn--bcher-kva.test"}, DENY),
    ({"hosts": ["10.0.0.0/8"]}, {"host": "10.1.2.3"}, DENY),
    ({"hosts": ["10.0.0.0/8"]}, {"host": "11.1.2.3"}, ALLOW),
    ({"hosts": ["private"]}, {"host": "192.168.0.1"}, DENY),
    ({"hosts": ["127.0.0.1"]}, {"host": "127.0.0.1"}, DENY),
    ({"hosts": ["2001:db8::/32"]}, {"host": "2001:db8::5"}, DENY),
    ({"hosts": ["10.0.0.0/8"]}, {"host": "64:ff9b::a00:5"}, DENY),
    ({"hosts": ["10.0.0.0/8"]}, {}, WHERE),
    ({"hosts": ["10.0.0.0/8", ".example.org"]}, {}, DENY),
    ({"ports": [80, "8000-8999"]}, {}, DENY),
    ({"ports": ["8000-8999"]}, {"port": 8999}, DENY),
    ({"ports": ["8000-8999"]}, {"port": 9000}, ALLOW),
    ({"paths": ["/news/*"]}, {}, DENY),
    ({"paths": ["/news"]}, {}, ALLOW),
    ({"paths": ["*"]}, {"method": b"CONNECT", "path": None}, ALLOW),
    ({"paths": ["/news/*"]}, {"path": b"/x/..//%6eews/./a"}, DENY),
    ({"paths": ["/news/*"]}, {"path": b"/news;v=1/a"}, DENY),
    ({"paths": ["/news/*"]}, {"path": b"/news%2fa"}, DENY),
    ({"paths": ["/news/*"]}, {"path": b"\\news\\a"}, DENY),
    ({"users": ["alice"]}, {}, WHO),
    ({"users": ["alice"]}, {"user": "alice"}, DENY),
    ({"users": ["alice"]}, {"user": "bob"}, ALLOW),
    ({"users": ["*"]}, {"user": "bob"}, DENY),
    ({"users": ["alice"], "hosts": ["10.0.0.0/8"]}, {"user": "bob"}, ALLOW),
    ({"users": ["alice"], "hosts": ["10.0.0.0/8"]}, {}, WHERE),
    ({"users": ["alice"], "ports": [443]}, {}, ALLOW),
    ({"times": ["mon 00:00-00:01"]}, {}, DENY),
    ({"times": ["mon 00:01-24:00"]}, {}, ALLOW),
]


@pytest.mark.parametrize(("conditions", "change", "expected"), FITTING)
def test_a_condition(conditions, change, expected):
    assert judged(ASKED._replace(**change), **conditions) is expected


def test_the_first_rule_that_fits_decides_and_is_named():
    book = RuleBook(
        [
            RuleText("no news", "deny", paths=["/news/*"], times=["mon"]),
            RuleText("friends", "allow", clients=["192.0.2.0/24"]),
            RuleText("others", "deny"),
        ]
    )
    assert book.judge(ASKED) == (DENY, "no news")
    assert book.judge(ASKED._replace(minute=1440)) == (ALLOW, "friends")
    assert book.judge(ASKED._replace(client="198.51.100.1", minute=1440)) == (DENY, "others")
    assert RuleBook([], otherwise="deny").judge(ASKED) == (DENY, "")


@pytest.mark.parametrize(
    ("action", "addresses", "expected"),
    [
        ("deny", ["10.0.0.1", "8.8.8.8"], DENY),
        ("deny", ["8.8.8.8"], ALLOW),
        ("deny", [], ALLOW),
        ("allow", ["10.0.0.1", "8.8.8.8"], DENY),
        ("allow", ["10.0.0.1", "10.0.0.2"], ALLOW),
        ("allow", [], DENY),
        ("deny", ["fe80::1%eth0", "64:ff9b::a00:1"], DENY),
    ],
)
def test_in_doubt_a_rule_that_denies_fits_and_one_that_allows_does_not(action, addresses, expected):
    other = "deny" if action == "allow" else "allow"
    book = RuleBook([RuleText("r", action, hosts=["10.0.0.0/8"])], otherwise=other)
    assert book.judge(ASKED, addresses).action is expected
    both_forms = RuleBook([RuleText("r", "allow", paths=["/public/*"])], otherwise="deny")
    assert both_forms.judge(ASKED._replace(path=b"/public/../secret")).action is DENY
    assert both_forms.judge(ASKED._replace(path=b"/public/a")).action is ALLOW


TIMES = [
    (["mon-fri 08:00-18:00"], [480, 1079, 4 * 1440 + 600], [479, 1080, 5 * 1440 + 600]),
    (["22:00-06:00"], [0, 359, 1320, 7 * 1440 - 1], [360, 1319]),
    (["sun 22:00-06:00"], [6 * 1440 + 1320, 0, 359], [360, 6 * 1440, 1320]),
    (["sat,sun"], [5 * 1440, 7 * 1440 - 1], [5 * 1440 - 1]),
    (["fri-mon"], [0, 4 * 1440, 6 * 1440], [1440, 3 * 1440]),
    (["Sat sun", "wed 12:00-12:30"], [5 * 1440, 2 * 1440 + 749], [2 * 1440 + 750]),
    (["00:00-24:00"], [0, 7 * 1440 - 1], []),
]


@pytest.mark.parametrize(("texts", "within", "without"), TIMES)
def test_times(texts, within, without):
    week = hours(texts)
    assert [minute for minute in within if not week[minute]] == []
    assert [minute for minute in without if week[minute]] == []


BAD = [
    {"hosts": ["a b"]}, {"hosts": ["10.0.0.1/8"]}, {"hosts": [""]}, {"hosts": ["http://a/"]}, {"hosts": ["a..b"]},
    {"ports": [0]}, {"ports": [65536]}, {"ports": ["9-8"]}, {"ports": ["http"]}, {"paths": ["news"]},
    {"times": [""]}, {"times": ["always"]}, {"times": ["mon 25:00-26:00"]}, {"times": ["mon-xxx"]},
    {"times": ["8-9"]},
]  # fmt: skip


@pytest.mark.parametrize("conditions", BAD)
def test_what_cannot_be_meant_is_refused_in_one_line(conditions):
    with pytest.raises(BadRule) as refused:
        judged(**conditions)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("path", "plain"),
    [(b"/", b"/"), (b"*", b"/*"), (b"", b"/"), (b"/a/../../b", b"/b"), (b"/a/", b"/a/"), (b"/a/.", b"/a/"),
     (b"/a/b/..", b"/a/"), (b"//a//b", b"/a/b"), (b"/a%00b", b"/a\0b"), (b"/..;/admin", b"/admin")],
)  # fmt: skip
def test_paths_as_most_servers_understand_them(path, plain):
    assert normal_path(path) == plain
    assert normal_path(normal_path(path)) == plain
