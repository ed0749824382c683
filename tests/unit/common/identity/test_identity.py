"""Users, passwords and SASL, on a fake clock and a database in memory."""

from __future__ import annotations

from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from netsuite.common.datadir import DataDirectory
from netsuite.common.errors import Unavailable
from netsuite.common.identity import Accepted, Challenge, Identity, Refused, Rejected, Throttled
from netsuite.common.identity.throttle import Limits
from netsuite.common.journal import Journal
from netsuite.common.metrics import Metrics
from netsuite.sansio.connection import Channel, TlsFacts
from netsuite.sansio.sasl import ScramClient, plain_response
from netsuite.testing.identity import memory_identity

AWAY = "192.0.2.7"
LOOPBACK = Channel(("127.0.0.1", 143), ("127.0.0.1", 50000))
CLEAR = Channel(("192.0.2.1", 143), (AWAY, 50000))
SECURE = CLEAR._replace(tls=TlsFacts("TLSv1.3", "TLS_AES_128_GCM_SHA256"))
LIMITS = Limits(peer=4, loopback=10, name=6)


def now(awaitable: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine that needs to wait for nothing answers."""
    held: list[Any] = []
    Deferred.fromCoroutine(awaitable).addBoth(held.append)
    (answer,) = held
    if isinstance(answer, Failure):
        answer.raiseException()
    return answer


class Site:
    """alice and bob at example.test, and what was written down of them."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.journal = Journal(self.clock, DataDirectory(Path("unused")), files=False)
        self.metrics = Metrics(self.clock)
        self.identity: Identity = memory_identity(
            self.clock, {"alice": "apple", "bob": "Grüße"}, limits=LIMITS, journal=self.journal, metrics=self.metrics
        )

    def logs_in(self, name: str = "alice", password: str = "apple", peer: str = AWAY) -> str | None:
        found: str | None = now(self.identity.verify(name, password, peer))
        return found

    def said(self) -> list[tuple[str, str, str, str]]:
        keys = ("peer", "name", "mechanism", "outcome")
        events = sorted(self.journal.recent(name="auth"), key=lambda event: event["time"])
        return [tuple(event[key] for key in keys) for event in events]


@pytest.fixture
def site() -> Site:
    return Site()


def test_a_password_is_right_or_not(site: Site) -> None:
    assert site.logs_in() == "alice@example.test"
    assert site.logs_in("ALICE@Example.Test") == "alice@example.test"
    assert site.logs_in("bob", "Gru\u0308ße") == "bob@example.test"
    assert site.logs_in("alice", "Apple") is None
    assert site.logs_in("alice", "") is None
    assert site.logs_in("nobody", "apple") is None


def test_names_and_existence(site: Site) -> None:
    identity = site.identity
    assert identity.names() == ["alice@example.test", "bob@example.test"]
    assert identity.exists("Alice") and identity.exists("bob@EXAMPLE.test")
    assert not identity.exists("alice@other.test") and not identity.exists("") and not identity.exists("a@b@c")


def test_a_new_password_is_in_force_at_once_and_the_old_one_is_not(site: Site) -> None:
    assert site.logs_in()
    now(site.identity.set_password("Alice", "orange"))
    assert site.logs_in("alice", "apple") is None
    assert site.logs_in("alice", "orange") == "alice@example.test"


def test_who_is_removed_is_gone_and_may_come_back(site: Site) -> None:
    assert site.logs_in()
    assert now(site.identity.remove("alice")) == "alice@example.test"
    assert site.logs_in() is None and not site.identity.exists("alice")
    now(site.identity.add("alice", "pear"))
    assert site.logs_in("alice", "pear") == "alice@example.test"


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda i: i.add("alice", "x"), "alice@example.test exists already"),
        (lambda i: i.add("a b", "x"), "no name for a user"),
        (lambda i: i.add("carol", ""), "the password is empty"),
        (lambda i: i.add("carol", "\u00ad"), "the password is empty"),
        (lambda i: i.add("carol", "a\0b"), "the password cannot be used"),
        (lambda i: i.add("carol", "x" * 513), "longer than 512 bytes"),
        (lambda i: i.set_password("carol", "x"), "there is no user carol@example.test"),
        (lambda i: i.remove("carol"), "there is no user carol@example.test"),
    ],
)
def test_what_cannot_be_done_is_refused_and_changes_nothing(site: Site, act: Any, words: str) -> None:
    with pytest.raises(Refused, match=words):
        now(act(site.identity))
    assert site.identity.names() == ["alice@example.test", "bob@example.test"]
    assert site.logs_in()


def test_passwords_are_not_kept(tmp_path: Path) -> None:
    from random import Random

    from netsuite.common.identity.accounts import Accounts
    from netsuite.testing.identity import QUICK

    clock, data = Clock(), DataDirectory(tmp_path)
    made = Identity(
        clock,
        clock,
        Random(2),
        data,
        domains=["example.test"],
        journal=Journal(clock, data, files=False),
        metrics=Metrics(clock),
        accounts=lambda secret: Accounts.inline(data, Random(3), secret, QUICK),
    )
    now(made.add("alice", "correct horse"))
    assert now(made.verify("alice", "correct horse", AWAY))
    made.close()
    assert b"alice@example.test" in (tmp_path / "netsuite.sqlite").read_bytes()
    for file in tmp_path.rglob("*"):
        assert b"correct horse" not in file.read_bytes()
        assert file.stat().st_mode & 0o077 == 0
    assert made.names() == ["alice@example.test"], "a use after closing opens again"
    made.close()


def test_too_many_failures_of_a_peer_must_wait_whatever_the_name(site: Site) -> None:
    for number in range(4):
        assert site.logs_in(f"n{number}", "x") is None
    with pytest.raises(Throttled) as throttled:
        site.logs_in()
    assert throttled.value.retry_after == 1.0
    assert site.logs_in(peer="192.0.2.8")
    site.clock.advance(1.0)
    assert site.logs_in()


def test_too_many_failures_for_a_name_must_wait_wherever_they_come_from(site: Site) -> None:
    for number in range(6):
        assert site.logs_in("alice", "x", f"198.51.100.{number}") is None
    with pytest.raises(Throttled):
        site.logs_in(peer="203.0.113.1")
    assert site.logs_in("bob", "Grüße")
    now(site.identity.set_password("alice", "orange"))
    assert site.logs_in("alice", "orange", "203.0.113.1")


def test_what_happened_is_counted_and_written_down_without_passwords(site: Site) -> None:
    site.logs_in()
    for _ in range(4):
        site.logs_in("bob", "secret guess")
    with pytest.raises(Throttled):
        site.logs_in()
    assert site.said() == [
        (AWAY, "alice@example.test", "password", "ok"),
        *[(AWAY, "bob@example.test", "password", "failed")] * 4,
        (AWAY, "alice@example.test", "password", "throttled"),
    ]
    text = site.metrics.exposition().decode()
    for outcome, count in (("ok", 1), ("failed", 4), ("throttled", 1)):
        assert f'netsuite_logins_total{{outcome="{outcome}"}} {count}.0' in text
    assert "secret guess" not in str(site.journal.recent())


def test_mechanisms_that_show_the_password_are_for_private_channels(site: Site) -> None:
    assert site.identity.mechanisms(SECURE) == ("SCRAM-SHA-256", "PLAIN", "LOGIN")
    assert site.identity.mechanisms(LOOPBACK) == ("SCRAM-SHA-256", "PLAIN", "LOGIN")
    assert site.identity.mechanisms(CLEAR) == ("SCRAM-SHA-256",)
    assert site.identity.begin("PLAIN", CLEAR) is None
    assert site.identity.begin("DIGEST-MD5", SECURE) is None
    assert site.identity.begin("plain", SECURE) is not None


def scram(site: Site, name: str, password: str, channel: Channel = CLEAR) -> tuple[Any, ScramClient]:
    client = ScramClient(name, password, "a-nonce-of-the-client")
    authentication = site.identity.begin("SCRAM-SHA-256", channel)
    assert authentication is not None
    outcome = now(authentication.respond(client.first()))
    if isinstance(outcome, Challenge):
        outcome = now(authentication.respond(client.final(outcome.data)))
    assert now(authentication.respond(b"more")) == Rejected("the authentication is over")
    return outcome, client


def test_scram(site: Site) -> None:
    outcome, client = scram(site, "Alice", "apple")
    assert isinstance(outcome, Accepted) and outcome.user == "alice@example.test"
    assert client.proven(outcome.data)
    assert isinstance(scram(site, "alice", "pear")[0], Rejected)
    assert isinstance(scram(site, "nobody", "apple")[0], Rejected)
    assert [each[2:] for each in site.said()] == [("SCRAM-SHA-256", "ok"), *[("SCRAM-SHA-256", "failed")] * 2]


def test_scram_does_not_tell_who_exists(site: Site) -> None:
    def challenge(name: str) -> dict[str, str]:
        authentication = site.identity.begin("SCRAM-SHA-256", CLEAR)
        assert authentication is not None
        outcome = now(authentication.respond(ScramClient(name, "x", "a-nonce-of-the-client").first()))
        return dict(part.split("=", 1) for part in outcome.data.decode().split(","))

    real, made_up = challenge("alice"), challenge("nobody")
    assert len(real["s"]) == len(made_up["s"]) and real["i"] == made_up["i"]
    assert made_up["s"] == challenge("nobody")["s"] and made_up["s"] != challenge("noone")["s"]


def test_guesses_by_scram_are_throttled_even_where_all_began_before_the_first_failed(site: Site) -> None:
    begun = []
    for _ in range(10):
        client = ScramClient("alice", "guess", "a-nonce-of-the-client")
        authentication = site.identity.begin("SCRAM-SHA-256", CLEAR)
        assert authentication is not None
        begun.append((authentication, client, now(authentication.respond(client.first()))))
    ends = [now(authentication.respond(client.final(said.data))) for authentication, client, said in begun]
    assert [end.temporary for end in ends] == [False] * 4 + [True] * 6


def test_plain_and_login(site: Site) -> None:
    plain = site.identity.begin("PLAIN", SECURE)
    assert plain is not None
    assert now(plain.respond(None)) == Challenge(b"")
    assert now(plain.respond(plain_response("alice", "apple"))) == Accepted("alice@example.test")
    login = site.identity.begin("LOGIN", SECURE)
    assert login is not None
    assert now(login.respond(None)) == Challenge(b"Username:")
    assert now(login.respond(b"bob")) == Challenge(b"Password:")
    assert isinstance(now(login.respond(b"wrong")), Rejected)
    broken = site.identity.begin("PLAIN", SECURE)
    assert broken is not None
    assert isinstance(now(broken.respond(b"no zeros here")), Rejected)
    assert [each[1:] for each in site.said()] == [
        ("alice@example.test", "PLAIN", "ok"),
        ("bob@example.test", "LOGIN", "failed"),
        ("", "PLAIN", "failed"),
    ]


def test_who_is_disabled_exists_and_cannot_log_in(site: Site) -> None:
    with site.identity._accounts._database.writing() as connection:
        connection.exec_driver_sql("UPDATE users SET disabled = 1 WHERE account = 'alice@example.test'")
    assert site.identity.exists("alice")
    assert site.logs_in() is None
    assert isinstance(scram(site, "alice", "apple")[0], Rejected)
    assert site.logs_in("bob", "Grüße")


def test_throttled_and_failing_databases_are_temporary(site: Site) -> None:
    for _ in range(4):
        site.logs_in("nobody", "x")
    plain = site.identity.begin("PLAIN", SECURE)
    assert plain is not None
    rejected = now(plain.respond(plain_response("alice", "apple")))
    assert isinstance(rejected, Rejected) and rejected.temporary
    site.clock.advance(10)
    with site.identity._accounts._database.writing() as connection:
        connection.exec_driver_sql("DROP TABLE users")
    with pytest.raises(Unavailable, match="no such table"):
        site.logs_in()
    assert site.said()[-1][3] == "unavailable"
    assert scram(site, "alice", "apple")[0].temporary
