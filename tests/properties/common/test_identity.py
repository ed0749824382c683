"""Whatever is given as a name, or said in an authentication, is understood or refused; nothing raises."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from netsuite.common.identity import Accepted, Challenge, Refused, Rejected, Throttled
from netsuite.common.identity.names import LONGEST, canonical, checked
from netsuite.common.identity.throttle import Limits, Throttle
from netsuite.sansio.connection import Channel, TlsFacts
from netsuite.sansio.sasl import ScramClient, plain_response, prepared
from netsuite.testing.identity import memory_identity

texts = st.text(st.characters(), max_size=40) | st.lists(
    st.sampled_from("aA@..ü\u0308 -\u200dİß\ud800"), max_size=12
).map("".join)
CHANNEL = Channel(("192.0.2.1", 143), ("192.0.2.7", 50000), TlsFacts("TLSv1.3", "TLS_AES_128_GCM_SHA256"))
IDENTITY = memory_identity(Clock(), {"alice": "apple"}, limits=Limits(peer=1 << 30, loopback=1 << 30, name=1 << 30))


def now(awaitable: Any) -> Any:
    held: list[Any] = []
    Deferred.fromCoroutine(awaitable).addBoth(held.append)
    return held[0]


@given(texts)
def test_the_canonical_form_is_canonical(name: str) -> None:
    address = canonical(name, "example.test")
    assert "@" in address
    assert canonical(address, "other.test") == address


@given(texts)
def test_a_name_is_one_or_refused_in_one_line(name: str) -> None:
    try:
        address = checked(name, "example.test")
    except Refused as error:
        assert "\n" not in str(error)
        return
    assert len(address.encode()) <= LONGEST
    assert prepared(address) == address == checked(address, "other.test")
    assert not set(address) & set("/\0 \n")


@given(texts, texts)
def test_any_name_and_password_is_right_or_wrong(name: str, password: str) -> None:
    found = now(IDENTITY.verify(name, password, "192.0.2.7"))
    assert found is None or (found == "alice@example.test" and prepared(password) == "apple")
    IDENTITY.exists(name)


words = [b"n,", b"y,", b"p=x,", b"a=", b",", b"n=alice", b"r=abcdefghij", b"c=biws", b"p="]
whole = [plain_response("alice", "apple"), plain_response("alice", "pear"), b"alice", b"apple", b"*", b""]
first = ScramClient("alice", "apple", "a-nonce-of-mine").first()
said = (
    st.none()
    | st.binary(max_size=80)
    | st.sampled_from([*whole, first])
    | st.lists(st.sampled_from(words), max_size=8).map(b"".join)
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["PLAIN", "LOGIN", "SCRAM-SHA-256"]), st.lists(said, min_size=1, max_size=5))
def test_no_conversation_raises_and_each_ends_once(mechanism: str, conversation: list[bytes | None]) -> None:
    authentication = IDENTITY.begin(mechanism, CHANNEL)
    assert authentication is not None
    ended = False
    for each in conversation:
        outcome = now(authentication.respond(each))
        assert isinstance(outcome, Challenge | Accepted | Rejected), outcome
        if ended:
            assert outcome == Rejected("the authentication is over")
        ended = ended or not isinstance(outcome, Challenge)
        if isinstance(outcome, Accepted):
            assert outcome.user == "alice@example.test"


@given(st.lists(st.tuples(st.sampled_from(["192.0.2.1", "::1", "fe80::1%eth0", "", "x"]), texts, st.floats(0, 1e5))))
def test_waits_are_never_longer_than_the_longest(attempts: list[tuple[str, str, float]]) -> None:
    limits = Limits(1, 1, 1, keys=5)
    throttle = Throttle(limits)
    for peer, name, time in attempts:
        throttle.failed(peer, name, time)
        assert 0 <= throttle.wait(peer, name, time) <= limits.longest
        assert len(throttle) <= 5


def test_throttled_says_when() -> None:
    assert str(Throttled(2.6)) == "too many failures; try again in 3 seconds"
