"""What the built-in site's peer shares: the first prime numbers, a text of some megabytes that anyone can check.

The text is made on the first run, and its torrent whenever the tracker's address is another: that stands in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from typing import Final

from netsuite.bittorrent.creation import create
from netsuite.common.datadir import DataDirectory
from netsuite.common.listenspec import parse

__all__ = ["FOLDER", "NAME", "TORRENTS", "primes", "share"]

FOLDER: Final = "shared"
"""Where the peer of the built-in site saves, and serves from."""
TORRENTS: Final = "torrents"
"""Where it finds its torrent files."""
NAME: Final = "primes"
_PAGES: Final = "www"
_BELOW: Final = 6_000_000
_A_LINE: Final = 10
_WILD: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def primes(below: int = _BELOW) -> bytes:
    """All primes below a number, by the sieve of Eratosthenes; ten a line, always the same bytes."""
    sieve = bytearray(b"\1") * below
    sieve[:2] = bytes(2)
    for number in range(2, int(below**0.5) + 1):
        if sieve[number]:
            sieve[number * number :: number] = bytes(len(range(number * number, below, number)))
    found = list(map(str, compress(range(below), sieve)))
    lines = [" ".join(found[at : at + _A_LINE]) for at in range(0, len(found), _A_LINE)]
    return "\n".join([*lines, ""]).encode()


def share(data: DataDirectory, trackers: Sequence[str]) -> None:
    """Have the text, and a torrent of it that names the tracker which listens at the first of these addresses.

    The torrent lies where the peer looks for torrents, and among the pages. StartError if it cannot be written.
    """
    url = next(filter(None, map(_url, trackers)), None)
    text = f"{FOLDER}/{NAME}.txt"
    if not data.at(text).exists():
        data.write(text, primes(), 0o644)
    torrent = create(data.at(text), trackers=[[url]] if url else [], comment="the primes below six million")
    for folder in (TORRENTS, _PAGES):
        name = f"{folder}/{NAME}.torrent"
        if data.read(name) != torrent:
            data.write(name, torrent, 0o644)


def _url(listen: str) -> str | None:
    """The announce URL of a tracker that listens there; None where no URL says so."""
    spec = parse(listen)
    if spec.form != "address":
        return None
    host = _WILD.get(spec.host, spec.host)
    return f"http{'s' if spec.secure else ''}://{f'[{host}]' if ':' in host else host}:{spec.port}/announce"
