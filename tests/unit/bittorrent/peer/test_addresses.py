"""Where other peers may be."""

from __future__ import annotations

import random

from netsuite.bittorrent.peer.addresses import Addresses


def make():
    return Addresses(random.Random(1), 30.0)


def taken(addresses, now=0.0, **options):
    found = []
    while (place := addresses.next(now, **options)) is not None:
        found.append(place)
    return found


def test_each_is_tried_once_at_a_time():
    addresses = make()
    places = [(f"192.0.2.{number}", 6881) for number in range(1, 9)]
    addresses.found(places)
    addresses.found(places)
    assert sorted(taken(addresses)) == sorted(places)
    addresses.over(places[0], 0.0, failed=False)
    assert taken(addresses, 20.0) == []
    assert taken(addresses, 38.0) == [places[0]]


def test_ports_that_cannot_be():
    addresses = make()
    addresses.found([("192.0.2.1", 0), ("192.0.2.1", 65536), ("192.0.2.1", -1)])
    assert len(addresses) == 0


def test_failures_double_the_wait_and_end():
    addresses = make()
    place = ("192.0.2.1", 6881)
    addresses.found([place])
    now = 0.0
    for number in range(1, 6):
        assert taken(addresses, now) == [place]
        addresses.over(place, now, failed=True)
        assert taken(addresses, now + 30 * 2**number * 0.7) == []
        now += 30 * 2**number * 1.3
    assert taken(addresses, now) == [place]
    addresses.over(place, now, failed=True)
    assert len(addresses) == 0


def test_what_works_is_forgiven():
    addresses = make()
    place = ("192.0.2.1", 6881)
    addresses.found([place])
    for now in (0.0, 100.0, 300.0):
        taken(addresses, now)
        addresses.over(place, now, failed=True)
    taken(addresses, 1000.0)
    addresses.worked(place)
    addresses.over(place, 1000.0, failed=False)
    assert taken(addresses, 1040.0) == [place]


def test_seeds_are_left_alone_by_seeds():
    addresses = make()
    addresses.found([("192.0.2.1", 1), ("192.0.2.2", 1)])
    addresses.seeds(("192.0.2.1", 1))
    assert taken(addresses, seeds=False) == [("192.0.2.2", 1)]
    assert taken(addresses) == [("192.0.2.1", 1)]


def test_a_ban_is_for_the_host():
    addresses = make()
    addresses.found([("192.0.2.1", 1), ("192.0.2.1", 2), ("192.0.2.2", 1)])
    addresses.ban(("192.0.2.1", 1), b"id")
    addresses.found([("192.0.2.1", 3)])
    assert taken(addresses) == [("192.0.2.2", 1)]
    assert addresses.banned(("192.0.2.1", 9))
    assert addresses.banned(("192.0.2.9", 9), b"id")
    assert not addresses.banned(("192.0.2.9", 9), b"other")


def test_on_loopback_a_ban_is_for_one_port():
    addresses = make()
    addresses.found([("127.0.0.1", 1), ("127.0.0.1", 2)])
    addresses.ban(("127.0.0.1", 1), b"id")
    assert taken(addresses) == [("127.0.0.1", 2)]


def test_we_are_not_among_the_others():
    addresses = make()
    addresses.found([("192.0.2.1", 1)])
    addresses.own(("192.0.2.1", 1))
    addresses.found([("192.0.2.1", 1)])
    assert taken(addresses) == []


def test_addresses_are_bounded_and_the_worst_goes_first():
    addresses = make()
    places = [(f"10.0.{number >> 8}.{number & 255}", 1) for number in range(3000)]
    addresses.found(places)
    assert len(addresses) == 2000
    first = addresses.next(0.0)
    addresses.over(first, 0.0, failed=True)
    addresses.found(places[2000:])
    assert len(addresses) == 2000
    addresses.found([first])
    assert first not in taken(addresses, 1e6)
