"""Names of users."""

from __future__ import annotations

import pytest

from netsuite.common.identity.errors import Refused
from netsuite.common.identity.names import canonical, checked


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("alice", "alice@example.test"),
        ("ALICE", "alice@example.test"),
        ("Alice@Example.TEST", "alice@example.test"),
        ("alice@example.test.", "alice@example.test"),
        ("bob@other.test", "bob@other.test"),
        ("first.last+tag@other.test", "first.last+tag@other.test"),
        ("Jürgen", "jürgen@example.test"),
        ("Ju\u0308rgen", "jürgen@example.test"),
        ("ｂｏｂ", "bob@example.test"),
        ("किरण@भारत", "किरण@भारत"),
    ],
)
def test_a_user_has_one_name(name: str, address: str) -> None:
    assert canonical(name, "example.test") == address
    assert checked(name, "example.test") == address


@pytest.mark.parametrize(
    "name",
    [
        "", "@", "@example.test", "alice@", "a@b@c", ".alice", "alice.", "a..b", "al ice", " alice", "a/b", "../x",
        "a\0b", "a\nb", 'a"b', "a,b", "x@-bad.test", "x@bad-.test", "x@a..b", "x@a b", "x" * 65, "x@" + "a" * 64,
        "x@" + "a." * 127, "a\u200db", "a\u00adb", "\ud800", "ü" * 33,
    ],
)  # fmt: skip
def test_what_no_user_can_be_called_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(Refused) as refused:
        checked(name, "example.test")
    assert "\n" not in str(refused.value)
    canonical(name, "example.test")
