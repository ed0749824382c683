"""Access lists against a plain model: every condition worked out anew, nothing compiled, nothing clever."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from hypothesis import given
from hypothesis import strategies as st

from netsuite.http.proxy.hosts import canonical, faces
from netsuite.http.proxy.rules import Action, Asked, BadRule, RuleBook, RuleText, hours, normal_path

NAMES = ["a.test", "www.a.test", "b.test", "test"]
ADDRESSES = ["10.0.0.1", "10.9.0.1", "192.0.2.1", "2001:db8::1", "64:ff9b::a00:1"]
NETWORKS = ["10.0.0.0/8", "10.0.0.0/16", "192.0.2.0/24", "2001:db8::/32", "0.0.0.0/0"]
DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
few = {"max_size": 2}


def clock(minute):
    return f"{minute // 60:02}:{minute % 60:02}"


times = st.tuples(st.sampled_from(DAYS), st.integers(0, 1439), st.integers(0, 1439))
rules = st.builds(
    dict,
    action=st.sampled_from(["allow", "deny"]),
    clients=st.lists(st.sampled_from(NETWORKS), **few),
    users=st.lists(st.sampled_from(["alice", "bob", "*"]), **few),
    methods=st.lists(st.sampled_from(["GET", "POST"]), **few),
    hosts=st.lists(st.sampled_from([*NAMES, *("." + name for name in NAMES), *NETWORKS, "*"]), **few),
    ports=st.lists(st.one_of(st.integers(79, 82), st.just("80-81")), **few),
    paths=st.lists(st.sampled_from(["/a*", "*/b", "/a/b", "*"]), **few),
    times=st.lists(times, **few),
)
requests = st.builds(
    Asked,
    client=st.sampled_from(ADDRESSES),
    user=st.sampled_from([None, "alice", "bob", "carol"]),
    method=st.sampled_from([b"GET", b"POST", b"CONNECT"]),
    host=st.sampled_from([*NAMES, *ADDRESSES]),
    port=st.integers(78, 83),
    path=st.sampled_from([None, b"/a", b"/a/b", b"/x/../a", b"/%61/b"]),
    minute=st.integers(0, 7 * 1440 - 1),
)


def within(address, networks):
    return any(face in ip_network(net) for face in faces(address) for net in networks)


def fits(rule, asked, addresses):
    """True, False, or what must be known first."""
    denies = rule["action"] == "deny"
    if rule["methods"] and asked.method.decode() not in rule["methods"]:
        return False
    if rule["times"]:
        day, minute = divmod(asked.minute, 1440)
        for name, begin, end in rule["times"]:
            number = DAYS.index(name)
            if begin < end:
                if day == number and begin <= minute < end:
                    break
            elif (day == number and minute >= begin) or (day == (number + 1) % 7 and minute < end):
                break
        else:
            return False
    if rule["clients"] and not any(ip_address(asked.client) in ip_network(net) for net in rule["clients"]):
        return False
    if rule["ports"] and not any(asked.port in ((80, 81) if each == "80-81" else (each,)) for each in rule["ports"]):
        return False
    if rule["paths"]:
        if asked.path is None:
            return False
        found = []
        for path in (asked.path.decode(), normal_path(asked.path).decode()):
            tests = {"/a*": path.startswith("/a"), "*/b": path.endswith("/b"), "/a/b": path == "/a/b", "*": True}
            found.append(any(tests[each] for each in rule["paths"]))
        if not (any(found) if denies else all(found)):
            return False
    users = rule["users"]
    if users and asked.user is not None and asked.user not in users and "*" not in users:
        return False
    if rule["hosts"]:
        host = asked.host
        named = any(
            each == "*" or host == each or (each[0] == "." and (host == each[1:] or host.endswith(each)))
            for each in rule["hosts"]
        )
        networks = [each for each in rule["hosts"] if "/" in each]
        if not named:
            if not networks:
                return False
            if host in NAMES and addresses is None:
                return Action.RESOLVE
            inside = [within(each, networks) for each in ([host] if addresses is None else addresses)]
            if not inside or not (any(inside) if denies else all(inside)):
                return False
    return Action.AUTHENTICATE if users and asked.user is None else True


@given(st.lists(rules, max_size=4), requests, st.sampled_from(["allow", "deny"]),
       st.none() | st.lists(st.sampled_from(ADDRESSES), max_size=2))  # fmt: skip
def test_the_first_rule_that_fits_decides(drawn, asked, otherwise, addresses):
    if asked.host not in NAMES:
        addresses = None
    expected = Action(otherwise), ""
    for number, rule in enumerate(drawn):
        fit = fits(rule, asked, addresses)
        if fit is not False:
            expected = (Action(rule["action"]) if fit is True else fit), str(number)
            break
    texts = [
        RuleText(str(number), **(rule | {"times": [f"{d} {clock(b)}-{clock(e)}" for d, b, e in rule["times"]]}))
        for number, rule in enumerate(drawn)
    ]
    assert RuleBook(texts, otherwise=otherwise).judge(asked, addresses) == expected


@given(st.text(max_size=30))
def test_whatever_is_written_is_meant_or_refused(text):
    for field in ("hosts", "ports", "paths"):
        try:
            RuleBook([RuleText("", "deny", **{field: [text]})])
        except BadRule as bad:
            assert "\n" not in str(bad) or "\n" in text
    try:
        assert len(hours([text])) == 7 * 1440
    except BadRule:
        pass


@given(st.text(max_size=30))
def test_the_usual_form_of_a_host_is_its_own(text):
    once = canonical(text)
    assert isinstance(once, str)
