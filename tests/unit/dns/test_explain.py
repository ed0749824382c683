"""Explanations: the steps of the search that made the answer, in words and as values."""

from __future__ import annotations

import json

import dns.message
import pytest

from netsuite.cli import main
from netsuite.common.errors import StartError
from netsuite.interfaces import IControlled
from tests.unit.dns.test_service import Site
from tests.unit.dns.zones import SITE


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path, rate_limit=3, allow=["192.0.2.0/24"])


def explain(site, name, rdtype="A", **more):
    control = site.commons.offers.find(IControlled, "dns")
    more.setdefault("client", "192.0.2.9")
    return control.explain({"name": name, "type": rdtype, **more})


@pytest.mark.parametrize(
    ("name", "rdtype", "steps", "words"),
    [
        ("web.example.test", "A", "zone node given", "web.example.test. gives A"),
        ("WWW.example.test", "A", "zone node cname zone node given", "alias: on with web.example.test."),
        ("x.wild.example.test", "MX", "zone closest wildcard given", "wildcard *.wild.example.test. stands for it"),
        ("b.c.example.test", "A", "zone node nodata", "has no records, only names below it"),
        ("none.example.test", "A", "zone closest absent", "nor a wildcard *.example.test. for it"),
        ("a.sub.example.test", "A", "zone closest cut", "sub.example.test. is delegated"),
        ("h.old.example.test", "A", "zone closest dname zone closest absent", "on with h.new.example.test."),
        ("a." + "x" * 60 + ".long.example.test", "A", "zone closest dname", "too long"),
        ("out.example.test", "A", "zone node cname elsewhere", "in no zone of this server"),
        ("loop1.example.test", "A", "zone node cname zone node cname loop", "it has been there"),
        ("other.test", "A", "refused", "in no zone of this server"),
    ],
)
def test_the_steps_of_a_search(site, name, rdtype, steps, words):
    found = explain(site, name, rdtype, at="192.0.2.1:53")
    assert [each["step"] for each in found] == ["place", "access", *steps.split(), "rate", "answer"]
    assert any(words in each["text"] for each in found)
    asked = site.ask(name, rdtype)
    text = "\n".join(line for line in found[-1]["message"].split("\n") if not line.startswith("option"))
    told = dns.message.from_text(text)
    assert (told.rcode(), told.answer, told.authority) == (asked.rcode(), asked.answer, asked.authority)
    assert json.loads(json.dumps(found)) == found


def test_who_asks_and_where(site):
    found = {each["step"]: each for each in explain(site, "web.example.test", client="198.51.100.7")}
    assert found["access"]["permitted"] is False
    assert found["answer"]["rcode"] == "REFUSED"
    root = explain(site, "test", "NS")
    assert root[0]["listen"] == "192.0.2.2:53"
    assert explain(site, "web.example.test", at="192.0.2.2:53")[2]["zone"] == "."
    assert explain(site, "nowhere", "A")[2]["step"] == "zone"


def test_the_rate_is_told_and_not_touched(site):
    assert site.service.figures()
    for _ in range(9):
        found = {each["step"]: each for each in explain(site, "web.example.test")}
        assert (found["rate"]["limit"], found["rate"]["held"]) == (3, False)
    before = site.service.figures()
    assert not [count for name, count in before if name.startswith("answers NOERROR")]
    for _ in range(3):
        site.ask("web.example.test", "A")
    assert {each["step"]: each for each in explain(site, "web.example.test")}["rate"]["held"] is True
    assert {each["step"]: each for each in explain(site, "web.example.test", tcp=True)}["rate"]["limit"] is None


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ({"name": "a..b"}, "a..b"),
        ({"name": "a", "type": "NONSENSE"}, "there is no type NONSENSE"),
        ({"name": "a", "type": "AXFR"}, "cannot be explained"),
        ({"name": "a", "client": "somebody"}, "is no address"),
        ({"name": "a", "at": "192.0.2.7:53"}, "there are 192.0.2.1:53, 192.0.2.2:53"),
    ],
)
def test_what_cannot_be_explained(site, question, words):
    with pytest.raises(StartError, match=words):
        site.commons.offers.find(IControlled, "dns").explain(question)


def test_the_command_reads_the_files_where_nothing_runs(tmp_path, capsys):
    (tmp_path / "zone").write_text(SITE)
    (tmp_path / "site.toml").write_text(
        '[common]\ndata = "./data"\n[dns]\nlisten = ["127.0.0.1:0"]\n'
        '[[dns.zone]]\nname = "example.test"\nfile = "zone"\n'
        '[[dns.zone]]\nname = "copy.test"\nprimary = ["192.0.2.1"]\n'
    )
    words = ["dns", "explain", "-c", str(tmp_path / "site.toml")]
    assert main([*words, "www.example.test"]) == 0
    out = capsys.readouterr().out
    assert "nothing runs" in out
    assert "web.example.test. 3600 IN A 192.0.2.3" in out
    assert main([*words, "copy.test", "SOA", "--json"]) == 0
    steps = json.loads(capsys.readouterr().out)
    assert [each["step"] for each in steps] == ["offline", "place", "access", "refused", "rate", "answer"]
    assert steps[-1]["rcode"] == "SERVFAIL"
    assert main([*words, "a..b"]) == 1
    (tmp_path / "other.toml").write_text('[common]\ndata = "./data"\n[upper]\nlisten = ["127.0.0.1:0"]\n')
    assert main(["dns", "explain", "-c", str(tmp_path / "other.toml"), "a.test"]) == 1
    assert "no [dns] table" in capsys.readouterr().err
