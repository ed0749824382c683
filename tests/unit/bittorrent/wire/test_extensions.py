"""What peers say of themselves in extension handshakes."""

from __future__ import annotations

import pytest

from netsuite.bittorrent.wire.extensions import UPLOAD_ONLY, ExtensionHandshake, upload_only
from netsuite.bittorrent.wire.messages import Extended


def test_ours_in_bytes():
    ours = ExtensionHandshake({b"upload_only": UPLOAD_ONLY}, 6881, "netsuite 1", b"\x7f\0\0\1", 2000, True)
    assert ours.encode() == Extended(
        0,
        b"d1:md11:upload_onlyi3ee1:pi6881e4:reqqi2000e11:upload_onlyi1e1:v10:netsuite 16:yourip4:\x7f\0\0\1e",
    )
    assert ExtensionHandshake.decode(ours.encode().payload) == ours


def test_the_beps_example():
    theirs = ExtensionHandshake.decode(b"d1:md11:LT_metadatai1e6:\xb5T_PEXi2ee1:pi6881e1:v13:\xc2\xb5Torrent 1.2e")
    assert theirs.extensions == {b"LT_metadata": 1, b"\xb5T_PEX": 2}
    assert (theirs.port, theirs.version, theirs.requests) == (6881, "µTorrent 1.2", 0)


@pytest.mark.parametrize("payload", [b"", b"i1e", b"d", b"d1:m", b"le", b"\xff"])
def test_what_is_no_dictionary_tells_nothing(payload):
    assert ExtensionHandshake.decode(payload) is None


@pytest.mark.parametrize(
    "payload",
    [
        b"d1:mi5e1:pi65536e4:reqqi-1e11:upload_only1:x1:vi7e6:yourip3:abce",
        b"d1:md1:ai256e1:b1:c1:ci-1eee",
        b"d1:pi99999999999e4:reqqi99999999999ee",
    ],
)
def test_what_is_out_of_bounds_is_left_out(payload):
    assert ExtensionHandshake.decode(payload) == ExtensionHandshake()


def test_keys_out_of_order_are_forgiven():
    assert ExtensionHandshake.decode(b"d4:reqqi250e1:pi1ee") == ExtensionHandshake(port=1, requests=250)


def test_a_version_is_printable_and_short():
    theirs = ExtensionHandshake.decode(b"d1:v100:\x1b[2J" + b"x" * 96 + b"e")
    assert theirs.version == "[2J" + "x" * 60


def test_upload_only_is_told_to_those_who_care():
    assert upload_only({b"upload_only": 9}, True) == Extended(9, b"\1")
    assert upload_only({b"upload_only": 9}, False) == Extended(9, b"\0")
    assert upload_only({b"upload_only": 0}, True) is None
    assert upload_only({}, True) is None
