"""What the built-in site's peer shares."""

from __future__ import annotations

import hashlib

import pytest

from netsuite.bittorrent.metainfo import parse
from netsuite.bittorrent.peer.folder import Folder
from netsuite.bittorrent.verification import verify
from netsuite.common.datadir import DataDirectory
from netsuite.suite.builtin.sample import primes, share


def test_the_primes():
    assert primes(32) == b"2 3 5 7 11 13 17 19 23 29\n31\n"
    text = primes()
    numbers = text.split()
    assert len(numbers) == 412_849
    assert numbers[-1] == b"5999993"
    assert hashlib.sha256(primes()).digest() == hashlib.sha256(text).digest()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    data = DataDirectory(tmp_path_factory.mktemp("data"))
    share(data, ["127.0.0.1:16969"])
    return data


def test_the_torrent_is_of_the_text_and_lies_among_the_pages_too(data):
    torrent = data.read("torrents/primes.torrent")
    assert data.read("www/primes.torrent") == torrent
    metainfo = parse(torrent)
    assert metainfo.trackers == (("http://127.0.0.1:16969/announce",),)
    assert verify(metainfo, Folder(data.at("shared"))).have.full
    assert 20 < metainfo.piece_count < 200


def test_what_is_there_stays_and_another_tracker_is_named(data):
    written = data.at("torrents/primes.torrent").stat().st_mtime_ns
    share(data, ["127.0.0.1:16969"])
    assert data.at("torrents/primes.torrent").stat().st_mtime_ns == written
    share(data, ["secure:[::]:7", "127.0.0.1:16969"])
    assert parse(data.read("torrents/primes.torrent")).trackers == (("https://[::1]:7/announce",),)


@pytest.mark.parametrize(
    ("listen", "url"),
    [
        ("7000", "http://127.0.0.1:7000/announce"),
        ("0.0.0.0:7000", "http://127.0.0.1:7000/announce"),
        ("192.0.2.1:7000", "http://192.0.2.1:7000/announce"),
        ("unix:/run/tracker", None),
    ],
)
def test_where_the_tracker_is(data, listen, url):
    share(data, [listen])
    assert parse(data.read("torrents/primes.torrent")).trackers == (((url,),) if url else ())
