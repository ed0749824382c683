"""SASL mechanisms: the RFCs' own examples, and what must not let anyone in."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netsuite.sansio.sasl import (
    MECHANISMS,
    Challenge,
    CheckPassword,
    Failure,
    FetchVerifier,
    ScramClient,
    Success,
    decoded,
    login_responses,
    plain_response,
    prepared,
    scram_verifier,
    server,
)

NONCE = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
SALT = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
SECRET = b"site secret"


def conversation(password="pencil", verifier="pencil"):
    client = ScramClient("user", password, "rOprNGfwEbeRWgbNEkqO")
    machine = server("scram-sha-256", NONCE, SECRET)
    assert machine.respond(None) == Challenge(b"")
    assert machine.respond(client.first()) == FetchVerifier("user")
    challenge = machine.fetched(scram_verifier(verifier, SALT) if verifier else None)
    return client, machine, challenge


@pytest.mark.parametrize(
    ("text", "data"),
    [
        (b"", b""),
        (b"AGEAYg==", b"\0a\0b"),
        *((text, None) for text in (b"=", b"*", b"AGEAYg", b"AGEAYg=", b"AGEAYg===", b"AGEA Yg==", b"AG=A", b"\xff")),
    ],
)
def test_responses_are_strict_base64(text, data):
    assert decoded(text) == data


def test_the_example_of_rfc_7677():
    client, machine, challenge = conversation()
    assert challenge.data == (b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096")
    final = client.final(challenge.data)
    assert final == (
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    )
    success = machine.respond(final)
    assert success == Success("user", b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")
    assert client.proven(success.data)
    assert not client.proven(b"v=AAAA")


def test_a_wrong_password_fails():
    client, machine, challenge = conversation(password="pen")
    assert type(machine.respond(client.final(challenge.data))) is Failure


def test_a_name_without_a_verifier_looks_like_any_other():
    first = conversation(verifier=None)[2]
    again = conversation(verifier=None)[2]
    assert type(first) is Challenge
    assert first == again
    client, machine, challenge = conversation(verifier=None)
    assert type(machine.respond(client.final(challenge.data))) is Failure


@pytest.mark.parametrize(
    "first",
    [b"p=tls-unique,,n=user,r=rOprNGfwEbeRWgbNEkqO", b"n,,m=x,n=user,r=abcdefgh", b"n,,n=user",
     b"n,,n=us=er,r=abcdefgh", b"n,a=other,n=user,r=abcdefgh", b"n,,n=user,r=short", b"\xff\xfe", b"", b"x" * 2000],
)  # fmt: skip
def test_a_first_message_that_is_refused(first):
    assert type(server("SCRAM-SHA-256", NONCE, SECRET).respond(first)) is Failure


@pytest.mark.parametrize("change", [(b"c=biws", b"c=eSws"), (b"r=rOpr", b"r=xOpr"), (b",p=", b",q="), (b"p=d", b"p=")])
def test_a_final_message_that_was_changed(change):
    client, machine, challenge = conversation()
    assert type(machine.respond(client.final(challenge.data).replace(*change))) is Failure


@pytest.mark.parametrize(
    "challenge", [b"r=other,s=QQ==,i=4096", b"r=rOprNGfwEbeRWgbNEkqO,s=QQ==,i=4096",
                  b"r=rOprNGfwEbeRWgbNEkqOx,s=QQ==,i=1", b"r=rOprNGfwEbeRWgbNEkqOx,s=QQ==,i=99999999", b"nonsense"]
)  # fmt: skip
def test_a_client_refuses_a_server_that_cheats(challenge):
    with pytest.raises(ValueError):
        ScramClient("user", "pencil", "rOprNGfwEbeRWgbNEkqO").final(challenge)


def test_plain():
    machine = server("PLAIN", NONCE, SECRET)
    assert machine.respond(plain_response("alice", "se cret")) == CheckPassword("alice", "se cret")
    assert machine.checked(True) == Success("alice")
    assert type(machine.checked(False)) is Failure


@pytest.mark.parametrize(
    "response", [b"bob\0alice\0pw", b"\0alice\0", b"\0\0pw", b"alice pw", b"\0a\0b\0c", b"\0\xff\0pw", b"\0a\x07\0pw"]
)
def test_plain_refused(response):
    assert type(server("PLAIN", NONCE, SECRET).respond(response)) is Failure


def test_login_asks_twice():
    name, password = login_responses("alice", "pw")
    machine = server("LOGIN", NONCE, SECRET)
    assert machine.respond(None) == Challenge(b"Username:")
    assert machine.respond(name) == Challenge(b"Password:")
    assert machine.respond(password) == CheckPassword("alice", "pw")


def test_login_with_the_name_first():
    machine = server("LOGIN", NONCE, SECRET)
    assert machine.respond(b"alice") == Challenge(b"Password:")
    assert machine.respond(b"pw") == CheckPassword("alice", "pw")


def test_unknown_mechanisms():
    assert server("CRAM-MD5", NONCE, SECRET) is None


def test_preparation():
    assert prepared("I\u00adX\u00a0\u2168") == "IX IX"
    with pytest.raises(ValueError, match=r"U\+0007"):
        prepared("\u0007")


@given(st.sampled_from(MECHANISMS), st.lists(st.binary(max_size=60) | st.none(), max_size=4))
def test_no_response_raises_or_lets_in(mechanism, responses):
    machine = server(mechanism, NONCE, SECRET)
    for response in responses:
        step = machine.respond(response)
        assert type(step) is not Success
        if type(step) is FetchVerifier:
            step = machine.fetched(None)
        if type(step) in (Failure, CheckPassword):
            break
