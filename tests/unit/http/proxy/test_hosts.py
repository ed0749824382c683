"""Hosts in all the ways to write them: each is judged as what it stands for."""

from __future__ import annotations

import pytest

from netsuite.common.access import is_internal
from netsuite.http.proxy.hosts import canonical, faces, literal

FORMS = [
    ("127.0.0.1", "127.0.0.1"),
    ("2130706433", "127.0.0.1"),
    ("0x7f000001", "127.0.0.1"),
    ("0x7F.1", "127.0.0.1"),
    ("017700000001", "127.0.0.1"),
    ("0177.0.0.01", "127.0.0.1"),
    ("127.1", "127.0.0.1"),
    ("127.0.1", "127.0.0.1"),
    ("127.0.0.1.", "127.0.0.1"),
    ("%31%32%37.0.0.1", "127.0.0.1"),
    ("0", "0.0.0.0"),
    ("0x", "0.0.0.0"),
    ("[::ffff:127.0.0.1]", "127.0.0.1"),
    ("::FFFF:7f00:1", "127.0.0.1"),
    ("[::1%lo]", "::1"),
    ("[fe80::1%25eth0]", "fe80::1"),
    ("[0:0:0:0:0:0:0:1]", "::1"),
    ("Example.TEST.", "example.test"),
    ("ex%61mple.test", "example.test"),
    ("127.0.0.256", "127.0.0.256"),
    ("089", "089"),
    ("1.2.3.4.5", "1.2.3.4.5"),
    ("256.1", "256.1"),
    ("0x100000000", "0x100000000"),
]


@pytest.mark.parametrize(("written", "meant"), FORMS)
def test_one_form(written, meant):
    assert canonical(written) == meant
    assert canonical(meant) == meant


INTERNAL = [
    "0.0.0.0", "0.1.2.3", "127.0.0.1", "127.255.255.254", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1",
    "169.254.169.254", "192.0.0.8", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::127.0.0.1", "::ffff:10.0.0.1", "::ffff:0:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::808:808", "2002:7f00:1::", "2002:c0a8:101::1", "2001:0:808:808:0:0:80ff:fffe", "fc00::1", "fd12::1",
    "fe80::1%eth0", "fec0::1", "ff02::1", "2001:db8::1", "100::1", "no address",
]  # fmt: skip
OUTSIDE = ["8.8.8.8", "2606:4700::1", "64:ff9b::808:808", "2002:808:808::1", "::ffff:8.8.8.8"]


@pytest.mark.parametrize("address", INTERNAL)
def test_what_a_stranger_must_not_reach(address):
    assert is_internal(address)


@pytest.mark.parametrize("address", OUTSIDE)
def test_what_is_outside(address):
    assert not is_internal(address)


def test_an_address_in_another_is_meant_too():
    assert [str(face) for face in faces("64:ff9b::a00:5")] == ["64:ff9b::a00:5", "10.0.0.5"]
    assert [str(face) for face in faces("10.0.0.5")] == ["10.0.0.5"]
    assert literal("example.test") is None
