"""What the peer's benchmark is made of: the tracker that lets a leecher go and hears when it is whole; the scene."""

from __future__ import annotations

import threading
import urllib.request

import pytest

from benchmarks.load import LoadFailed
from benchmarks.swarms import PeerLoopback, _Tracker
from netsuite.bittorrent.metainfo import parse


def test_the_tracker_holds_the_leecher_until_it_may_go_and_hears_that_it_is_whole():
    with _Tracker() as tracker:

        def ask(query):
            with urllib.request.urlopen(f"http://127.0.0.1:{tracker.port}/announce?{query}", timeout=10) as answer:
                return answer.read()

        tracker.expect(seed=7)
        assert ask("port=7&event=started") == b"d8:intervali1800e5:peers0:e"
        heard = []
        leecher = threading.Thread(
            target=lambda: heard.extend([ask("port=77&event=started"), ask("port=77&event=completed")])
        )
        leecher.start()
        tracker.asked()
        assert heard == []
        assert tracker.go() < 10
        leecher.join(10)
        assert heard == [b"d8:intervali1800e5:peers6:\x7f\0\0\1\0\7e", b"d8:intervali1800e5:peers0:e"]


def test_the_tracker_does_not_wait_for_ever(monkeypatch):
    monkeypatch.setattr("benchmarks.swarms.PATIENCE", 0.01)
    with _Tracker() as tracker:
        tracker.expect(seed=7)
        with pytest.raises(LoadFailed, match="did not ask"):
            tracker.asked()
        with pytest.raises(LoadFailed, match="not whole"):
            tracker.go()


def test_a_scene_is_a_torrent_of_its_size(tmp_path):
    with PeerLoopback().scene(tmp_path, 3) as scene:
        metainfo = parse(scene.torrent.read_bytes())
        assert (metainfo.length, metainfo.piece_length) == (3 << 20, 256 << 10)
        assert metainfo.trackers == ((f"http://127.0.0.1:{scene.tracker.port}/announce",),)
        assert scene.content.stat().st_size == 3 << 20
