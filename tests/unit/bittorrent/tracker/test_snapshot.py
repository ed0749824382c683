"""Snapshots: everything comes back, and nothing that is broken does."""

from __future__ import annotations

import pytest

from netsuite.bittorrent.tracker.snapshot import SnapshotBroken, restore, whole
from netsuite.bittorrent.tracker.swarm import DOWNLOADER, PARTIAL, SEED, Swarms

NOW = 1_700_000_000.0


def store(now=NOW, lifetime=3600.0):
    return Swarms(memory=1 << 30, lifetime=lifetime, now=now, seed=1)


def peopled():
    swarms = store()
    for number in range(700):
        info_hash = (number % 9).to_bytes(20, "big")
        family = number % 2
        entry = number.to_bytes(16 if family else 4, "big") + b"\x1a\xe1"
        sort = (DOWNLOADER, SEED, PARTIAL)[number % 3]
        swarms.announce(info_hash, family, entry, number.to_bytes(24, "big"), sort, number % 5 == 0)
    return swarms


def content(swarms):
    return {
        info_hash: (
            swarm.downloaded,
            swarm.counts,
            [sorted(group.peers()) if group is not None else [] for group in swarm.groups],
        )
        for info_hash, swarm in swarms
    }


def test_everything_comes_back():
    swarms, again = peopled(), store()
    restore(whole(swarms, NOW), again, NOW)
    assert content(again) == content(swarms)
    assert again.peers == 700
    _, place = again.announce(bytes(20), 0, (0).to_bytes(4, "big") + b"\x1a\xe1", bytes(24), DOWNLOADER, False)
    assert place >= 0
    assert again.peers == 700


def test_of_nothing_comes_nothing():
    again = store()
    restore(whole(store(), NOW), again, NOW)
    assert len(again) == 0


def test_who_was_away_too_long_does_not_come_back():
    data = whole(peopled(), NOW)
    within, beyond = store(NOW + 3000), store(NOW + 5000)
    restore(data, within, NOW + 3000)
    assert within.peers == 700
    restore(data, beyond, NOW + 5000)
    assert beyond.peers == 0
    assert sum(swarm.downloaded for _, swarm in beyond) > 0


@pytest.mark.parametrize("lifetime", [1800.0, 36000.0])
def test_ages_are_kept_where_the_lifetime_was_changed(lifetime):
    again = store(NOW + 900, lifetime)
    restore(whole(peopled(), NOW), again, NOW + 900)
    assert again.peers == 700
    now = NOW + lifetime * 1.3
    while not again.step(now):
        pass
    assert again.peers == 0


def test_what_was_cut_is_refused():
    data = whole(peopled(), NOW)
    for size in (0, 1, 15, 40, 71, 72, 200, len(data) // 2, len(data) - 1):
        again = store()
        with pytest.raises(SnapshotBroken):
            restore(data[:size], again, NOW)
        assert len(again) == 0


def test_what_was_changed_is_refused():
    data = whole(peopled(), NOW)
    for at in range(0, len(data), 97):
        changed = bytearray(data)
        changed[at] ^= 0x10
        with pytest.raises(SnapshotBroken):
            restore(bytes(changed), store(), NOW)
