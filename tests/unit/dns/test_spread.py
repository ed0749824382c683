"""Load shared out over addresses: by turns, by chance, by weight; by every way to an answer."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from random import Random

import dns.flags
import dns.message
import pytest
from pydantic import ValidationError

from netsuite.dns.authoritative.answers import Answers
from netsuite.dns.authoritative.settings import DnsSettings
from netsuite.dns.authoritative.spread import Spread, Weights
from netsuite.dns.wire.name import from_text
from netsuite.interfaces import IControlled
from tests.unit.dns.test_service import Site
from tests.unit.dns.zones import make_zone

POOL = "$TTL 60\n@ SOA ns host 1 2 3 4 5\n@ NS ns\nns A 192.0.2.53\n" + "".join(
    f"{name} {rdtype} {prefix}{number}\n"
    for name in ("www", "*.any", "big")
    for rdtype, prefix in (("A", "192.0.2."), ("AAAA", "2001:db8::"))
    for number in (1, 2, 3)
    if name != "big" or rdtype == "A"
)
SIGNED = POOL + "@ RRSIG SOA 8 2 60 20300101000000 20200101000000 1 @ AAAA\n"


class Pool(Site):
    """A site whose zone has names with three addresses."""

    def __init__(self, folder, text=POOL, **table):
        (folder / "pool.zone").write_text(text)
        zone = {"name": "example.test", "file": "pool.zone", "weight": table.pop("weight", [])}
        super().__init__(folder, zone=[zone], **table)

    def firsts(self, count, name="www", rdtype="A"):
        found = [self.ask(f"{name}.example.test.", rdtype).answer[0] for _ in range(count)]
        return [[str(rdata)[-1] for rdata in rrset] for rrset in found]


@pytest.fixture(params=["prompt", "careful", "limited"])
def more(request):
    """The prompt way (datagram port and server), and the one behind it."""
    return {"prompt": {}, "careful": {"minimal_responses": False}, "limited": {"rate_limit": 1000}}[request.param]


@pytest.mark.parametrize("name", ["www", "x.any", "big"])
def test_by_turns(tmp_path, more, name):
    pool = Pool(tmp_path, rotate="round-robin", **more)
    assert pool.firsts(4, name) == [list("123"), list("231"), list("312"), list("123")]


def test_sets_that_are_asked_for_in_pairs_turn_nevertheless(tmp_path):
    pool = Pool(tmp_path, rotate="round-robin")
    pairs = [(pool.firsts(1)[0][0], pool.firsts(1, rdtype="AAAA")[0][0]) for _ in range(3)]
    assert pairs == [("1", "1"), ("2", "2"), ("3", "3")]


@pytest.mark.parametrize("name", ["www", "x.any"])
def test_by_chance(tmp_path, more, name):
    pool = Pool(tmp_path, rotate="random", **more)
    counted = Counter(first for first, *_ in pool.firsts(90, name))
    assert len(counted) == 3
    assert min(counted.values()) > 10


def test_off_is_the_zones_order(tmp_path):
    pool = Pool(tmp_path)
    assert pool.firsts(5) == [list("123")] * 5
    assert pool.firsts(5, "x.any") == [list("123")] * 5
    server = next(iter(pool.service._places.values())).server
    assert server.common.answers.spread is None


def weight(answers=0, **weights):
    return {"name": "www.example.test", "weights": {f"192.0.2.{n[1:]}": w for n, w in weights.items()}} | {
        "answers": answers
    }


def test_by_weight(tmp_path, more):
    pool = Pool(tmp_path, weight=[weight(1, n1=6, n2=3, n3=1)], **more)
    found = pool.firsts(600)
    assert all(len(each) == 1 for each in found)
    counted = Counter(first for (first,) in found)
    assert 300 < counted["1"] < 420 and 120 < counted["2"] < 240 and 25 < counted["3"] < 105
    # names without weights stay as they are
    assert pool.firsts(3, "big") == [list("123")] * 3


def test_what_weighs_nothing_is_not_given(tmp_path):
    pool = Pool(tmp_path, weight=[weight(n3=0)])
    assert {tuple(sorted(each)) for each in pool.firsts(20)} == {("1", "2")}
    nothing = Pool(tmp_path / "..", weight=[weight(n1=0, n2=0, n3=0)])
    assert nothing.firsts(2) == [list("123")] * 2


def test_a_signed_zone_gives_all_in_an_order_by_weight(tmp_path):
    pool = Pool(tmp_path, SIGNED, weight=[weight(1, n1=8, n3=0)])
    found = pool.firsts(60)
    assert {tuple(sorted(each)) for each in found} == {("1", "2", "3")}
    assert {each[2] for each in found} == {"3"}
    assert Counter(each[0] for each in found)["1"] > 35


def test_draws_follow_the_weights():
    rdatas = [b"\0\0\0%c" % n for n in range(4)]
    spread = Spread("off", {b"a": Weights({rdatas[0]: 1000, rdatas[1]: 100, rdatas[2]: 10}, 2)}, Random(1))
    drawn = Counter(tuple(spread._drawn(rdatas, spread.weighted[b"a"], whole=False)) for _ in range(5000))
    ordered = [drawn[(rdatas[0], rdatas[n])] for n in (1, 2, 3)]
    assert all(more > less for more, less in pairwise(ordered))
    assert 0.85 < sum(count for (first, _), count in drawn.items() if first == rdatas[0]) / 5000 < 0.95


def test_turns_are_bounded():
    spread = Spread("round-robin", {}, Random(1))
    for number in range(70000):
        assert spread.turn(b"%d" % number, 1, 2) == 0
    assert len(spread._turns) <= 65536


def test_truncation_counts_what_is_given(tmp_path):
    text = POOL + "".join(f"many A 198.51.100.{n}\n" for n in range(1, 100))
    zone = make_zone(tmp_path, text)
    weights = {from_text("many.example.test."): Weights({}, 3)}
    query = dns.message.make_query("many.example.test.", "A").to_wire()
    told = dns.message.from_wire(Answers([zone], spread=Spread("off", weights, Random(1))).answer(query))
    assert (len(told.answer[0]), told.flags & dns.flags.TC) == (3, 0)
    assert dns.message.from_wire(Answers([zone]).answer(query)).flags & dns.flags.TC


def test_it_is_explained(tmp_path):
    pool = Pool(tmp_path, rotate="round-robin", weight=[weight(2)])
    control = pool.commons.offers.find(IControlled, "dns")
    steps = {each["step"]: each for each in control.explain({"name": "www.example.test", "type": "A"})}
    assert (steps["spread"]["of"], len(steps["spread"]["given"])) == (3, 2)
    assert "drawn by weight" in steps["spread"]["text"]
    steps = {each["step"]: each for each in control.explain({"name": "big.example.test", "type": "A"})}
    assert "3 of 3 addresses of big.example.test., turned" in steps["spread"]["text"]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"name": "www.other.test", "weights": {}}, "outside it"),
        ({"name": "www.example.test", "weights": {"nobody": 1}}, "nobody"),
        ({"name": "www.example.test", "weights": {"192.0.2.1": -1}}, "greater than or equal to 0"),
    ],
)
def test_weights_that_make_no_sense(tmp_path, wrong, words):
    with pytest.raises(ValidationError, match=words):
        DnsSettings.model_validate(
            {"zone": [{"name": "example.test", "file": "z", "weight": [wrong]}]}, context={"base": tmp_path}
        )
