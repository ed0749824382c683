"""The allowed fast set, with the vectors of BEP 6."""

from __future__ import annotations

from ipaddress import IPv4Address

from netsuite.bittorrent.wire.fast import allowed_fast

HASH = b"\xaa" * 20
SEVEN = [1059, 431, 808, 1217, 287, 376, 1188]


def test_the_beps_vectors():
    assert allowed_fast(IPv4Address("80.4.4.200"), HASH, 1313, 7) == SEVEN
    assert allowed_fast(IPv4Address("80.4.4.200"), HASH, 1313, 9) == [*SEVEN, 353, 508]


def test_a_network_has_one_set():
    assert allowed_fast(IPv4Address("80.4.4.1"), HASH, 1313, 7) == SEVEN
    assert allowed_fast(IPv4Address("80.4.5.1"), HASH, 1313, 7) != SEVEN


def test_a_torrent_with_fewer_pieces():
    assert allowed_fast(IPv4Address("80.4.4.200"), HASH, 3, 10) == [0, 1, 2]
    assert sorted(allowed_fast(IPv4Address("80.4.4.200"), HASH, 11, 10)) != []
