"""What the mail benchmarks are made of: messages, clients, configurations, batches."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from benchmarks import report
from benchmarks.imap_clients import Client, Wrong, append, fetch, message
from benchmarks.load import Load
from benchmarks.mailboxes import dovecot_conf
from benchmarks.plot import svg
from benchmarks.relays import for_seconds, main_cf, master_cf
from benchmarks.results import Case, Figure, Growth, Ratio, Result


@pytest.mark.parametrize("size", [1000, 4096, 100_000])
def test_a_message_has_its_size_and_no_two_are_alike(size):
    first, second = message(1, size), message(10**12 - 1, size)
    assert len(first) == len(second) == size
    assert first != second
    assert first.endswith(b"\r\n")
    assert b"\n" not in first.replace(b"\r\n", b"")


def test_an_append_says_how_long_its_literal_is():
    make = append("Box3", 7)
    command, second = make(), make()
    line, _, literal = command.partition(b"\r\n")
    assert line == b"APPEND Box3 {4096+}"
    assert len(literal) == 4096 + 2
    assert second != command


def ready(make):
    """A client that has logged in."""
    client = Client([b"LOGIN a b\r\n", b"CREATE c\r\n"], make)
    assert client.received(b"* OK hel") == b""
    assert client.received(b"lo\r\n") == b"a1 LOGIN a b\r\n"
    assert client.received(b"* CAPABILITY IMAP4rev1\r\na1 OK welcome\r\n") == b"a2 CREATE c\r\n"
    assert not client.ready
    assert client.received(b"a2 NO [ALREADYEXISTS] it is there\r\n") == b""
    assert client.ready
    assert client.idle
    return client


def test_a_client_does_one_thing_after_the_other():
    client = ready(fetch("FLAGS"))
    assert client.go() == b"a3 FETCH 1:* (FLAGS)\r\n"
    assert not client.idle
    assert client.received(b"* 1 FETCH (FLAGS ())\r\n") == b""
    assert client.received(b"* 2 FETCH (FLAGS ())\r\na3") == b""
    assert client.received(b" OK done\r\n") == b""
    assert (client.done, client.fetched, client.idle) == (1, 2, True)
    assert client.go() == b"a4 FETCH 1:* (FLAGS)\r\n"


@pytest.mark.parametrize("answer", [b"a3 NO no\r\n", b"a3 BAD what\r\n"])
def test_a_client_takes_no_refusal(answer):
    client = ready(fetch("FLAGS"))
    client.go()
    with pytest.raises(Wrong, match="a3"):
        client.received(answer)


def test_batches_fill_the_seconds():
    asked = []

    def batch(count):
        asked.append(count)
        return Load(count, count / 1000, 0.5)

    done = for_seconds(batch, 2)
    assert asked == [200, 1800]
    assert (done.answers, done.seconds, done.busy) == (2000, 2.0, 0.5)


def test_one_slow_batch_is_enough():
    done = for_seconds(lambda count: Load(count, 5.0, 0.1), 2)
    assert done == Load(200, 5.0, 0.1)


@pytest.mark.parametrize("hold", [True, False])
def test_a_postfix_keeps_to_its_folder(hold):
    folder = Path("/somewhere/temporary")
    settings = dict(line.split(" = ", 1) for line in main_cf(folder, hold=hold).splitlines())
    for name in ("config_directory", "queue_directory", "data_directory"):
        assert settings[name].startswith(str(folder))
    assert settings["inet_interfaces"] == "127.0.0.1"
    assert settings["smtpd_relay_restrictions"] == "reject_unauth_destination"
    assert ("HOLD" in settings["smtpd_recipient_restrictions"]) == hold
    assert master_cf(2525).startswith("127.0.0.1:2525 inet ")


def test_a_dovecot_keeps_to_its_folder():
    text = dovecot_conf(Path("/somewhere/temporary"), 1143)
    assert "listen = 127.0.0.1\n" in text
    assert "port = 1143\n" in text
    assert text.count("/somewhere/temporary/") == 5
    assert text.count("{") == text.count("}")


def test_where_the_rate_decides_the_page_says_what_it_cost(tmp_path):
    ours = Figure(3000.0, 3000.0, 2.0, 50_000_000, 0.5, answers=9000)
    result = Result(
        name="smtp-accept",
        title="Taking mail over",
        what_grows="messages",
        size=100,
        notes="Alike.",
        unit="messages a second",
        lower_is_better=False,
        date="2026-01-02",
        machine={"processor": "some", "cores": 2, "system": "Linux 6.1", "python": "3.11.7"},
        seconds=3.0,
        versions={"netsuite": "0.1.0", "Postfix": "3.7"},
        skipped={},
        cases=[
            Case(
                "10 sessions",
                {"netsuite": [ours], "Postfix": [attrs.evolve(ours, value=1000.0, answers=3000)]},
                [Ratio("Postfix", [3.0])],
            )
        ],
        growth=[Growth(100, name, 2e-4, 5_000_000, 0.5) for name in ("netsuite", "Postfix")],
        by_rate=True,
    )
    result.save(tmp_path)
    page = report.pages(tmp_path)[report.PAGE]
    assert "| messages a second | a CPU second |" in page
    assert "| netsuite 0.1.0 |  |  | 3,000 | 4,500 | 2.00 | 50.0 |" in page
    assert "| Postfix 3.7 | **3.00** | 3.00 to 3.00 | 1,000 | 1,500 |" in page
    assert "messages a second" in svg(result)
