"""The users of the built-in site's first run."""

from __future__ import annotations

import stat

from netsuite.common.datadir import DataDirectory
from netsuite.suite.builtin import people
from netsuite.suite.users import answer_alone

DOMAINS = ["example.test"]


def names(data):
    return answer_alone(data, DOMAINS, {"do": "list"})["names"]


def test_the_first_run_makes_alice_and_bob(tmp_path):
    data = DataDirectory(tmp_path)
    lines = people(data)
    assert [line.split()[0] for line in lines] == ["alice@example.test", "bob@example.test"] == names(data)
    assert len({line.split()[1] for line in lines}) == 2
    kept = tmp_path / "first-run.txt"
    assert kept.read_text().splitlines() == lines
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert people(data) == []
    assert not (tmp_path / "first-run.draft").exists()


def test_a_first_run_that_was_cut_short_is_taken_up(tmp_path):
    data = DataDirectory(tmp_path)
    data.write("first-run.draft", b"alice@example.test one\nbob@example.test two\n")
    answer_alone(data, DOMAINS, {"do": "add", "name": "alice@example.test", "password": "one"})
    assert people(data) == ["alice@example.test one", "bob@example.test two"]
    assert names(data) == ["alice@example.test", "bob@example.test"]


def test_users_who_are_there_keep_their_passwords(tmp_path):
    data = DataDirectory(tmp_path)
    answer_alone(data, DOMAINS, {"do": "add", "name": "alice@example.test", "password": "hers"})
    assert [line.split()[0] for line in people(data)] == ["bob@example.test"]
    answer_alone(data, DOMAINS, {"do": "remove", "name": "bob@example.test"})
    assert people(data) == []
    assert names(data) == ["alice@example.test"]
