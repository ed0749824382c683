"""The algorithm by its effects: each test is a conversation with scripted servers."""

from __future__ import annotations

import pytest

from netsuite.dns.resolver.cache import Delegation
from netsuite.dns.resolver.iterator import Budget, Trouble, recall
from netsuite.dns.wire.codes import AA, RA, TC
from netsuite.dns.wire.name import from_text
from tests.unit.dns.resolver.script import (
    REFUSED,
    SERVFAIL,
    TIMEOUT,
    Told,
    absent,
    around,
    number,
    records,
    referral,
    reply,
)

ROOT = "198.51.100.1"
TLD = referral("test.", "ns.nic.test.=192.0.2.53")
SITE = referral("example.test.", "ns.example.test.=192.0.2.1")
DOWN = {f"test. A @{ROOT}": TLD, "example.test. A @192.0.2.53": SITE}
WWW = reply("www.example.test. 300 A 192.0.2.80")


def test_down_from_the_root_one_label_at_a_time():
    told = Told("www.example.test.", "A", around(), {**DOWN, "www.example.test. A @192.0.2.1": WWW})
    assert told.asked == [
        f"test. A @{ROOT}",
        "example.test. A @192.0.2.53",
        "www.example.test. A @192.0.2.1",
    ]
    assert (told.rcode, told.answer) == (0, ["www.example.test. A 192.0.2.80"])


def test_without_minimisation_each_server_gets_the_whole_name():
    answers = {
        f"www.example.test. A @{ROOT}": TLD,
        "www.example.test. A @192.0.2.53": SITE,
        "www.example.test. A @192.0.2.1": WWW,
    }
    told = Told("www.example.test.", "A", around(minimise=False), answers)
    assert told.asked == list(answers)


def test_what_is_known_is_not_asked_again():
    here = around()
    answers = {**DOWN, "www.example.test. A @192.0.2.1": WWW, "ftp.example.test. A @192.0.2.1": absent("example.test.")}
    Told("www.example.test.", "A", here, answers)
    assert Told("www.example.test.", "A", here, {}).asked == []
    told = Told("ftp.example.test.", "A", here, answers)
    assert told.asked == ["ftp.example.test. A @192.0.2.1"]
    assert (told.rcode, told.answer) == (0, [])
    assert told.authority == ["example.test. SOA ns.example.test. host.example.test. 1 2 3 4 300"]


def test_the_root_is_primed_from_the_hints():
    primed = reply(". 3600 NS ns.root. | ns2.root.", additional=["ns2.root. 3600 A 198.51.100.2"])
    here = around(pinned=False)
    told = Told("test.", "A", here, lambda ask, line: primed if ask.type == 2 else absent("test."))
    assert told.asked[0] == f". NS @{ROOT}"
    root = here.cache.delegation(from_text("."), told.now)
    assert root.glue == {from_text("ns.root"): (ROOT,), from_text("ns2.root"): ("198.51.100.2",)}


def test_hints_serve_where_priming_fails():
    answers = {f"test. A @{ROOT}": absent("test.")}
    told = Told("test.", "A", around(pinned=False), answers)
    assert told.asked == [f". NS @{ROOT}", f"test. A @{ROOT}"]
    assert told.rcode == 0


def test_an_empty_non_terminal_that_a_server_denies_is_passed_with_the_whole_name():
    answers = {
        **DOWN,
        "b.example.test. A @192.0.2.1": absent("example.test.", rcode=3),
        "a.b.example.test. A @192.0.2.1": reply("a.b.example.test. 60 A 192.0.2.9"),
    }
    told = Told("a.b.example.test.", "A", around(), answers)
    assert told.answer == ["a.b.example.test. A 192.0.2.9"]
    assert told.asked[-2:] == ["b.example.test. A @192.0.2.1", "a.b.example.test. A @192.0.2.1"]


def test_a_denial_that_the_whole_name_confirms_settles_all_below_it():
    here = around()
    gone = absent("test.", rcode=3)
    answers = {f"test. A @{ROOT}": TLD, "nx.test. A @192.0.2.53": gone, "a.nx.test. A @192.0.2.53": gone}
    assert Told("a.nx.test.", "A", here, answers).rcode == 3
    told = Told("other.nx.test.", "AAAA", here, {})
    assert (told.asked, told.rcode) == ([], 3)


def test_a_very_long_name_costs_a_bounded_number_of_probes():
    name = ".".join(["x"] * 60) + ".example.test."
    told = Told(name, "A", around(), lambda ask, line: DOWN.get(line) or absent("example.test."))
    assert len(told.asked) <= 13
    assert told.asked[-1].startswith(name)


def test_aliases_are_followed_across_zones():
    answers = {
        **DOWN,
        "www.example.test. A @192.0.2.1": reply("www.example.test. 60 CNAME web.other.test."),
        "other.test. A @192.0.2.53": referral("other.test.", "ns.other.test.=192.0.2.2"),
        "web.other.test. A @192.0.2.2": reply("web.other.test. 60 A 192.0.2.99"),
    }
    told = Told("www.example.test.", "A", around(), answers)
    assert told.answer == ["www.example.test. CNAME web.other.test.", "web.other.test. A 192.0.2.99"]


def test_an_alias_is_an_answer_to_whom_it_was_asked_for():
    answers = {**DOWN, "www.example.test. CNAME @192.0.2.1": reply("www.example.test. 60 CNAME web.other.test.")}
    assert Told("www.example.test.", "CNAME", around(), answers).answer == ["www.example.test. CNAME web.other.test."]


def test_an_alias_without_lifetime_still_answers_this_question():
    answers = {
        **DOWN,
        "www.example.test. A @192.0.2.1": reply(
            "www.example.test. 0 CNAME w.example.test.", "w.example.test. 0 A 192.0.2.3"
        ),
    }
    told = Told("www.example.test.", "A", around(), answers)
    assert len(told.answer) == 2
    assert told.asked[-1] == "www.example.test. A @192.0.2.1"


@pytest.mark.parametrize("length", [1, 2, 5])
def test_aliases_in_a_circle_fail(length):
    def answers(ask, line):
        if line in DOWN:
            return DOWN[line]
        place = int(line[1 : line.index(".")])
        return reply(f"a{place}.example.test. 60 CNAME a{(place + 1) % length}.example.test.")

    told = Told("a0.example.test.", "A", around(), answers)
    assert (told.rcode, told.result.error[1]) == (2, "aliases lead in a circle")
    assert len(told.asked) == 2 + length


def test_endless_aliases_end():
    def answers(ask, line):
        if line in DOWN:
            return DOWN[line]
        place = int(line[1 : line.index(".")])
        return reply(f"a{place}.example.test. 60 CNAME a{place + 1}.example.test.")

    told = Told("a0.example.test.", "A", around(), answers)
    assert (told.rcode, told.result.error[1]) == (2, "too many aliases")
    assert len(told.asked) == 2 + Budget().restarts + 1


def test_a_dname_moves_a_subtree():
    # the CNAME that the server made of it is not believed but made again
    moved = reply("old.example.test. 60 DNAME new.test.", "a.old.example.test. 60 CNAME evil.test.")
    answers = {
        **DOWN,
        "old.example.test. A @192.0.2.1": absent("example.test."),
        "a.old.example.test. A @192.0.2.1": moved,
        "new.test. A @192.0.2.53": referral("new.test.", "ns.new.test.=192.0.2.7"),
        "a.new.test. A @192.0.2.7": reply("a.new.test. 60 A 192.0.2.70"),
    }
    here = around()
    told = Told("a.old.example.test.", "A", here, answers)
    assert told.answer == [
        "old.example.test. DNAME new.test.",
        "a.old.example.test. CNAME a.new.test.",
        "a.new.test. A 192.0.2.70",
    ]
    again = recall(here.cache, from_text("a.old.example.test"), 1, told.now)
    assert records(again.answer) == told.answer
    # but nothing is concluded for other names below it
    assert recall(here.cache, from_text("b.old.example.test"), 1, told.now) is None


def test_a_dname_that_makes_too_long_a_name():
    deep = ".".join(["y" * 63] * 3)
    moved = reply(f"old.example.test. 60 DNAME {deep}.test.")
    name = "z" * 60 + ".old.example.test."
    answers = {**DOWN, "old.example.test. A @192.0.2.1": absent("example.test."), f"{name} A @192.0.2.1": moved}
    told = Told(name, "A", around(), answers)
    assert (told.rcode, told.answer) == (6, [f"old.example.test. DNAME {deep}.test."])


def test_lame_servers_are_passed_over_and_remembered():
    here = around()
    answers = {
        f"test. A @{ROOT}": TLD,
        "example.test. A @192.0.2.53": referral(
            "example.test.", "a.example.test.=192.0.2.1", "b.example.test.=192.0.2.2"
        ),
        "www.example.test. A @192.0.2.1": referral("test.", "ns.nic.test."),
        "www.example.test. A @192.0.2.2": WWW,
    }
    for _ in range(5):
        told = Told("www.example.test.", "A", here, answers)
        assert told.answer == ["www.example.test. A 192.0.2.80"]
        here.cache.clear()
        if here.infrastructure.is_lame(("192.0.2.1", 53), from_text("example.test"), told.now):
            break
    else:
        pytest.fail("the lame server was never found out")
    assert Told("www.example.test.", "A", here, answers).asked[-1] == "www.example.test. A @192.0.2.2"


@pytest.mark.parametrize("bad", [SERVFAIL, REFUSED, Trouble.UNREACHABLE, Trouble.MALFORMED, TIMEOUT])
def test_another_server_is_asked_where_one_fails(bad):
    answers = {
        f"test. A @{ROOT}": TLD,
        "example.test. A @192.0.2.53": referral(
            "example.test.", "a.example.test.=192.0.2.1", "b.example.test.=192.0.2.2"
        ),
        "www.example.test. A @192.0.2.1": bad,
        "www.example.test. A @192.0.2.2": WWW,
    }
    for seed in range(4):
        assert Told("www.example.test.", "A", around(seed=seed), answers).answer == ["www.example.test. A 192.0.2.80"]


def test_where_all_fail_the_client_is_told_and_the_failure_is_remembered():
    here = around()
    told = Told("www.example.test.", "A", here, {**DOWN, "www.example.test. A @192.0.2.1": REFUSED})
    assert (told.rcode, told.result.error) == (2, (22, "no server of example.test. gave an answer"))
    assert Told("www.example.test.", "A", here, {}, now=told.now + 1).asked == []
    assert Told("www.example.test.", "A", here, {}, now=told.now + 6).asked != []


def test_a_silent_server_is_asked_a_few_times():
    here = around()
    told = Told("www.example.test.", "A", here, DOWN)
    assert told.asked[2:] == ["www.example.test. A @192.0.2.1"] * Budget().attempts_each
    assert told.rcode == 2


def test_an_answer_cut_off_is_asked_for_over_tcp():
    answers = {
        **DOWN,
        "www.example.test. A @192.0.2.1": reply(flags=AA | TC),
        "www.example.test. A @192.0.2.1 tcp": WWW,
    }
    assert Told("www.example.test.", "A", around(), answers).answer == ["www.example.test. A 192.0.2.80"]


def test_guesses_are_met_with_tcp():
    answers = {
        **DOWN,
        "www.example.test. A @192.0.2.1": Trouble.SPOOFED,
        "www.example.test. A @192.0.2.1 tcp": WWW,
    }
    assert Told("www.example.test.", "A", around(), answers).answer == ["www.example.test. A 192.0.2.80"]


def test_a_server_that_does_not_know_edns_is_asked_without():
    for refusal in (1, 4):
        answers = {
            **DOWN,
            "www.example.test. A @192.0.2.1": reply(rcode=refusal, flags=0),
            "www.example.test. A @192.0.2.1 plain": WWW,
        }
        here = around()
        assert Told("www.example.test.", "A", here, answers).answer == ["www.example.test. A 192.0.2.80"]
        # one such reply, which may be forged, is not remembered
        assert here.infrastructure.speaks_edns(("192.0.2.1", 53), 1001.0)


def test_servers_without_glue_are_looked_up():
    answers = {
        f"test. A @{ROOT}": TLD,
        "example.test. A @192.0.2.53": referral("example.test.", "ns.other.test."),
        "other.test. A @192.0.2.53": referral("other.test.", "ns.other.test.=192.0.2.2"),
        "ns.other.test. A @192.0.2.2": reply("ns.other.test. 60 A 192.0.2.77"),
        "www.example.test. A @192.0.2.77": WWW,
    }
    told = Told("www.example.test.", "A", around(), answers)
    assert told.answer == ["www.example.test. A 192.0.2.80"]
    assert told.asked == list(answers)


def test_two_zones_that_lie_in_one_another_fail_soon():
    def answers(ask, line):
        if line == f"test. A @{ROOT}":
            return TLD
        if ask.server[0] == "192.0.2.53":
            one = "a.test." if ".a.test." in "." + line.split()[0] else "b.test."
            return referral(one, "ns.b.test." if one == "a.test." else "ns.a.test.")
        raise AssertionError(line)

    told = Told("www.a.test.", "A", around(), answers)
    assert told.rcode == 2
    assert len(told.asked) < 12


def test_a_delegation_to_many_servers_without_glue_costs_little():
    """NXNS: the attacker's referral names servers in the victim's zone, each to be looked up."""

    def answers(ask, line):
        if line in DOWN:
            return DOWN[line]
        if line == "victim.test. A @192.0.2.53":
            return referral("victim.test.", "ns.victim.test.=203.0.113.1")
        if ask.server[0] == "203.0.113.1":
            return absent("victim.test.", rcode=3)
        return referral("sub.example.test.", *(f"fake{i}.victim.test." for i in range(100)))

    told = Told("www.sub.example.test.", "A", around(), answers)
    to_victim = [line for line in told.asked if line.endswith("@203.0.113.1")]
    assert told.rcode == 2
    assert len(to_victim) <= 2 * Budget().server_lookups


def test_nested_delegations_without_glue_stay_in_the_budget():
    """CAMP: each server's name is delegated to more servers without glue, for ever."""
    count = iter(range(10**6))

    def answers(ask, line):
        if line in DOWN:
            return DOWN[line]
        zone = line.split()[0]
        return referral(zone, *(f"n{next(count)}.x{next(count)}.example.test." for _ in range(13)))

    told = Told("www.sub.example.test.", "A", around(), answers)
    assert told.rcode == 2
    assert told.resolution.queries <= Budget().queries


def test_the_budget_outlives_aliases():
    """Each alias leads to names that fail expensively; all of it counts against one budget."""

    def answers(ask, line):
        if line in DOWN:
            return DOWN[line]
        if line.startswith("c") and ask.server[0] == "192.0.2.1":
            place = int(line[1 : line.index(".")])
            return reply(f"c{place}.example.test. 60 CNAME c{place + 1}.example.test.")
        return TIMEOUT

    told = Told("c0.example.test.", "A", around(budget=Budget(queries=8)), answers)
    assert (told.rcode, told.resolution.queries) == (2, 8)
    assert told.result.error[1] == "spent all 8 queries that one question may cost"


def test_time_is_part_of_the_budget():
    told = Told("www.example.test.", "A", around(budget=Budget(seconds=1.0)), lambda ask, line: TIMEOUT)
    assert told.now <= 1001.01
    assert told.result.error[1] == "no answer within 1 seconds"


def test_a_referral_must_lead_downwards_to_the_name():
    for zone in ("com.", "other.example.test.", "example.test.", "."):
        answers = {**DOWN, "www.example.test. A @192.0.2.1": referral(zone, "ns.evil.test.=203.0.113.6")}
        told = Told("www.example.test.", "A", around(), answers)
        assert told.rcode == 2
        assert "203.0.113.6" not in "".join(told.asked)


def test_what_comes_beside_an_answer_is_not_kept():
    here = around()
    poisoned = reply(
        "www.example.test. 300 A 192.0.2.80",
        "www.bank.com. 300 A 203.0.113.6",
        authority=["example.test. 99999 NS ns.evil.com.", "com. 99999 NS ns.evil.com."],
        additional=["ns.evil.com. 300 A 203.0.113.6", "mail.example.test. 300 A 203.0.113.6"],
    )
    told = Told("www.example.test.", "A", here, {**DOWN, "www.example.test. A @192.0.2.1": poisoned})
    for name, rdtype in (
        ("www.bank.com", "A"),
        ("ns.evil.com", "A"),
        ("mail.example.test", "A"),
        ("example.test", "NS"),
    ):
        assert recall(here.cache, from_text(name), number(rdtype), told.now) is None
    assert here.cache.delegation(from_text("com"), told.now) is None
    assert here.cache.delegation(from_text("example.test"), told.now).names == (from_text("ns.example.test"),)


def test_glue_is_never_an_answer():
    here = around()
    told = Told("www.example.test.", "A", here, {**DOWN, "www.example.test. A @192.0.2.1": WWW})
    assert recall(here.cache, from_text("ns.example.test"), 1, told.now) is None


def test_glue_from_outside_the_zone_asked_is_ignored():
    answers = {
        **DOWN,
        "www.example.test. A @192.0.2.1": referral("www.example.test.", "ns.elsewhere.org.=203.0.113.6"),
    }
    told = Told("www.example.test.", "A", around(), answers)
    assert "203.0.113.6" not in "".join(told.asked)
    assert f"org. A @{ROOT}" in told.asked


def test_a_delegation_lives_no_longer_than_the_one_above():
    """Ghost and phoenix domains: what the parent withdrew cannot renew itself."""
    here = around()
    answers = {
        f"test. A @{ROOT}": referral("test.", "ns.nic.test.=192.0.2.53", ttl=100),
        "example.test. A @192.0.2.53": referral("example.test.", "ns.example.test.=192.0.2.1", ttl=86400),
        "sub.example.test. A @192.0.2.1": referral("sub.example.test.", "ns.sub.example.test.=192.0.2.66", ttl=86400),
        "www.sub.example.test. A @192.0.2.66": reply("www.sub.example.test. 5 A 192.0.2.80"),
        "example.test. NS @192.0.2.1": reply("example.test. 86400 NS ns.example.test."),
    }
    told = Told("www.sub.example.test.", "A", here, answers)
    Told("example.test.", "NS", here, answers, now=told.now)
    for zone in ("test", "example.test", "sub.example.test"):
        assert here.cache.delegation(from_text(zone), 1099.0)
        assert here.cache.delegation(from_text(zone), 1101.0) is None
    gone = {f"test. A @{ROOT}": TLD, "example.test. A @192.0.2.53": absent("test.", rcode=3)}
    gone["sub.example.test. A @192.0.2.53"] = gone["www.sub.example.test. A @192.0.2.53"] = absent("test.", rcode=3)
    assert Told("www.sub.example.test.", "A", here, gone, now=1102.0).rcode == 3


def test_records_about_the_parents_side_are_asked_of_the_parent():
    here = around()
    Told("www.example.test.", "A", here, {**DOWN, "www.example.test. A @192.0.2.1": WWW})
    told = Told("example.test.", "DS", here, {"example.test. DS @192.0.2.53": absent("test.")})
    assert told.asked == ["example.test. DS @192.0.2.53"]


def test_a_forwarder_gets_the_whole_question_and_may_answer_from_its_cache():
    root = from_text(".")
    pinned = {root: Delegation(root, fixed=[("192.0.2.8", 5353)], recursive=True)}
    here = around()
    here = type(here)(here.cache, here.infrastructure, {}, here.rng, pinned)
    seen = []

    def answers(ask, line):
        seen.append(ask)
        return reply("www.example.test. 5 CNAME w.org.", "w.org. 5 A 192.0.2.9", flags=RA)

    told = Told("www.example.test.", "A", here, answers)
    assert told.answer == ["www.example.test. CNAME w.org.", "w.org. A 192.0.2.9"]
    assert [(ask.server, ask.recursive) for ask in seen] == [(("192.0.2.8", 5353), True)]


def test_the_answer_of_a_cache_is_believed_only_where_there_is_no_better():
    second_hand = reply("www.example.test. 300 A 203.0.113.6", flags=RA)
    both = referral("example.test.", "a.example.test.=192.0.2.1", "b.example.test.=192.0.2.2")
    answers = {
        f"test. A @{ROOT}": TLD,
        "example.test. A @192.0.2.53": both,
        "www.example.test. A @192.0.2.1": second_hand,
        "www.example.test. A @192.0.2.2": WWW,
    }
    for seed in range(4):
        assert Told("www.example.test.", "A", around(seed=seed), answers).answer == ["www.example.test. A 192.0.2.80"]
    answers["www.example.test. A @192.0.2.2"] = REFUSED
    assert Told("www.example.test.", "A", around(), answers).answer == ["www.example.test. A 203.0.113.6"]


def test_addresses_that_must_not_be_asked_are_not():
    inside = referral("example.test.", "a.example.test.=10.0.0.1", "b.example.test.=192.0.2.2")
    answers = {
        f"test. A @{ROOT}": TLD,
        "example.test. A @192.0.2.53": inside,
        "www.example.test. A @192.0.2.2": WWW,
    }
    told = Told("www.example.test.", "A", around(permits=lambda host: not host.startswith("10.")), answers)
    assert told.asked[-1] == "www.example.test. A @192.0.2.2"


def test_without_ipv6_no_such_address_is_asked():
    both = referral("example.test.", "a.example.test.=2001:db8::1", "b.example.test.=192.0.2.2")
    answers = {f"test. A @{ROOT}": TLD, "example.test. A @192.0.2.53": both, "www.example.test. A @192.0.2.2": WWW}
    for seed in range(4):
        told = Told("www.example.test.", "A", around(ipv6=False, seed=seed), answers)
        assert told.asked[-1] == "www.example.test. A @192.0.2.2"


def test_the_story_can_be_told():
    steps = []
    told = Told("www.example.test.", "A", around(), {**DOWN, "www.example.test. A @192.0.2.1": WWW}, trace=steps.append)
    assert [step.what for step in steps] == ["nearest cut", *(["ask", "got", "referral"] * 2), "ask", "got"]
    assert steps[-1].server == ("192.0.2.1", 53)
    assert steps[-1].now == told.now
