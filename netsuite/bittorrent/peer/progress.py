"""How far the downloads are: one line that is rewritten on a terminal, else a line in the log now and then.

::

    debian.iso  [########............]  41 %  260 MiB of 634 MiB  11.2 MiB/s down  0.8 MiB/s up  9 peers  0:34 left
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TextIO

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from netsuite.common.terminal import StatusLine, amount, bar, duration, fitted

__all__ = ["Progress", "Standing", "line", "total"]

_log = Logger()
_EVERY: Final = 0.5
_WINDOW: Final = 10.0
_LOGGED: Final = 60.0
_BAR: Final = 22
_NAME: Final = 30
_NARROW: Final = 60


class Standing(NamedTuple):
    """How a torrent stands; in bytes, but for ``peers``.

    ``checked`` is how much of what is to be checked was, or None when the check is over; ``have`` of ``length`` is
    there; ``received`` and ``sent`` only grow. ``trouble`` is why it cannot go on, or empty.
    """

    name: str
    length: int
    have: int
    received: int = 0
    sent: int = 0
    peers: int = 0
    checked: float | None = None
    trouble: str = ""


class _Rates:
    """Bytes a second down and up, over the last few seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int, int]] = deque()

    def add(self, now: float, received: int, sent: int) -> tuple[float, float]:
        seen = self._seen
        if seen and (received < seen[-1][1] or sent < seen[-1][2]):
            seen.clear()  # a torrent was taken away
        seen.append((now, received, sent))
        while len(seen) > 2 and seen[1][0] <= now - _WINDOW:
            seen.popleft()
        began, down, up = seen[0]
        passed = now - began
        return ((received - down) / passed, (sent - up) / passed) if passed > 0 else (0.0, 0.0)


def total(standings: Sequence[Standing]) -> Standing:
    """All torrents as one."""
    if len(standings) == 1:
        return standings[0]
    checking = [one for one in standings if one.checked is not None]
    length = sum(one.length for one in standings)
    return Standing(
        f"{len(standings)} torrents",
        length,
        sum(one.have for one in standings),
        sum(one.received for one in standings),
        sum(one.sent for one in standings),
        sum(one.peers for one in standings),
        sum((one.checked or 0.0) * one.length for one in checking) / (sum(one.length for one in checking) or 1)
        if checking and len(checking) == len(standings)
        else None,
        next((f"{one.name}: {one.trouble}" for one in standings if one.trouble), ""),
    )


def line(standing: Standing, down: float, up: float, width: int) -> str:
    """What is said of a torrent that receives and sends so many bytes a second, in so many columns."""
    name = fitted(standing.name, min(_NAME, max(width // 3, 8)))
    whole = standing.have >= standing.length
    part = standing.have / standing.length if standing.length else 1.0
    if standing.checked is not None:
        said = [name, bar(standing.checked, _BAR), f"{int(standing.checked * 100):3} %", "checking what is there"]
    elif whole:
        said = [name, f"whole, {amount(standing.length)}", f"{amount(up)}/s up", _peers(standing.peers)]
    else:
        said = [
            name,
            bar(part, _BAR),
            f"{int(part * 100):3} %",
            f"{amount(standing.have)} of {amount(standing.length)}",
            f"{amount(down)}/s down",
            f"{amount(up)}/s up",
            _peers(standing.peers),
        ]
        if down >= 1:
            said.append(f"{duration((standing.length - standing.have) / down)} left")
    if standing.trouble:
        said = [*said[:3], standing.trouble]
    if width < _NARROW and len(said) > 3 and not standing.trouble:
        said = [said[0], *said[2:3], *said[4:5], *said[-1:]] if len(said) > 4 else said
    return fitted("  ".join(said), width)


def _peers(count: int) -> str:
    return "1 peer" if count == 1 else f"{count} peers"


class Progress:
    """Shows what ``look`` answers, twice a second on a terminal; without one logs a line when a tenth more is there.

    At most one line a minute is logged, but for the first, the last, and new trouble.
    """

    def __init__(self, clock: IReactorTime, look: Callable[[], Sequence[Standing]], stream: TextIO | None) -> None:
        self._look = look
        self._clock = clock
        self._status = StatusLine(stream)
        self._rates = _Rates()
        self._tenth = -1
        self._logged = 0.0
        self._whole = False
        self._trouble = ""
        self._loop = LoopingCall(self._show)
        self._loop.clock = clock

    def start(self) -> None:
        """Begin to show."""
        self._loop.start(_EVERY, now=True).addErrback(self._broke)

    def stop(self) -> None:
        """Show how it stands once more, and no longer."""
        if self._loop.running:
            self._loop.stop()
            self._show()
            self._status.keep()

    def _show(self) -> None:
        standings = self._look()
        if not standings:
            self._status.clear()
            return
        now = self._clock.seconds()
        standing = total(standings)
        down, up = self._rates.add(now, standing.received, standing.sent)
        if self._status.live:
            self._status.show(line(standing, down, up, self._status.width))
        else:
            self._log(now, standing, down, up)

    def _log(self, now: float, standing: Standing, down: float, up: float) -> None:
        whole = standing.have >= standing.length
        if standing.checked is not None or (whole and self._whole and not standing.trouble):
            return
        tenth = 10 * standing.have // standing.length if standing.length else 10
        news = self._tenth < 0 or (whole and not self._whole) or standing.trouble not in ("", self._trouble)
        if news or (tenth > self._tenth and now - self._logged >= _LOGGED):
            self._tenth, self._logged = tenth, now
            self._trouble = standing.trouble or self._trouble
            _log.info("{line}", line=line(standing, down, up, 200))
        self._whole = whole

    def _broke(self, failure: object) -> None:
        _log.failure("the progress cannot be shown any more", failure)  # type: ignore[arg-type]
