"""How a torrent behaves towards other peers: limits and times, and the figures by which it is judged."""

from __future__ import annotations

from typing import Final, NamedTuple

import attrs

__all__ = ["Account", "Conduct", "Figures", "Neighbour"]

_TIMES: Final = ("period", "window", "snub", "reconnect", "tick", "connect", "young")


@attrs.frozen
class Conduct:
    """Sizes in bytes, times in seconds; what is divided by :meth:`scaled` belongs to one clock of the protocol.

    ``links`` bounds the neighbours of a torrent, of whom it connects to at most ``seeks`` itself. ``depth`` is how many
    requests are outstanding at one peer at the most, ``patience`` how many of a peer's requests wait here; one more is
    rejected, and a peer that goes on gets closed. ``slots``, ``optimistic``, ``period``, ``rotation`` and ``snub`` are
    the choker's; ``window`` is over how long rates are measured. ``allowed_fast`` pieces are given to newcomers while
    they are choked (BEP 6); 0 gives none. ``reconnect`` is the first wait before an address is tried again, and
    doubles. ``offences`` is how many small breaches (blocks nobody asked for, requests out of range) a peer is
    forgiven. ``close_seeds`` ends links between two who need nothing.
    """

    links: int = 50
    seeks: int = 40
    depth: int = 500
    patience: int = 2000
    slots: int = 4
    optimistic: int = 1
    period: float = 10.0
    rotation: int = 3
    snub: float = 60.0
    window: float = 20.0
    allowed_fast: int = 10
    reconnect: float = 30.0
    connect: float = 10.0
    young: float = 10.0
    tick: float = 1.0
    offences: int = 100
    unwritten: int = 64 << 20
    batch: int = 256 << 10
    close_seeds: bool = True

    def scaled(self, factor: float) -> Conduct:
        """The same with all clocks of the protocol running ``factor`` times as fast (for the lab)."""
        return attrs.evolve(self, **{name: getattr(self, name) / factor for name in _TIMES})


class Figures(NamedTuple):
    """What trackers are told, in bytes of pieces; ``left`` is what is still missing."""

    uploaded: int
    downloaded: int
    left: int


@attrs.define
class Account:
    """What was exchanged with one peer, by its id and over all links with it: bytes of pieces, and seconds.

    ``unchoked`` is how long we unchoked it while it was interested, ``unchoked_us`` the other way round; both grow when
    the state ends, and at every figure.
    """

    received: int = 0
    sent: int = 0
    unchoked: float = 0.0
    unchoked_us: float = 0.0


class Neighbour(NamedTuple):
    """One link, as it is seen now; rates in bytes a second over the choker's window."""

    peer_id: bytes
    host: str
    port: int
    outgoing: bool
    version: str
    pieces: int
    choking: bool
    interested: bool
    choking_us: bool
    interested_in_us: bool
    download_rate: float
    upload_rate: float
    received: int
    sent: int
    requested: int
    queued: int
    snubbed: bool
