"""What the suite does on SIGHUP, SIGTERM and SIGINT, and who ends a process that cannot end itself.

Left alone, SIGHUP kills, a stop by SIGTERM exits with 143 although everything was finished, and further signals are
ignored while a service hangs. Here SIGHUP reloads, SIGTERM and SIGINT stop and exit with 0, a second one of them cuts
what is in flight.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

from twisted.logger import Logger

__all__ = ["Signals", "Watchdog"]

_log = Logger()

CUT: Final = 3.0
"""Seconds that a process has for ending once what is in flight was cut."""


class Watchdog:
    """Ends the process with status 1 where the reactor no longer gets round to it (a thread, so that it always can)."""

    def __init__(self) -> None:
        self._timer: threading.Timer | None = None

    def wait(self, seconds: float) -> None:
        """Bite that many seconds from now, and not at the time that was said before."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = threading.Timer(seconds, self._bite)
        self._timer.daemon = True
        self._timer.start()

    def _bite(self) -> None:
        os.write(2, b"netsuite: something does not stop; the process was ended\n")
        os._exit(1)


class Signals:
    """The signals of a site's own process.

    ``stop`` is called once, ``cut`` on the next such signal; these and ``reload`` in a turn of the reactor.
    """

    def __init__(
        self, reactor: Any, stop: Callable[[], None], cut: Callable[[], None], reload: Callable[[], None]
    ) -> None:
        self._reactor = reactor
        self._stop = stop
        self._cut = cut
        self._reload = reload
        self._stopping = False
        self._before: Any = None
        self.watchdog = Watchdog()

    def catch_hangup(self) -> None:
        """From now on SIGHUP reloads; who handled it before is told as well."""
        self._before = signal.getsignal(signal.SIGHUP)
        signal.signal(signal.SIGHUP, self._hang_up)

    def take_over(self) -> None:
        """Take SIGTERM and SIGINT from the reactor, whose handlers must stand; a debugger's SIGINT stays its own."""
        signal.signal(signal.SIGTERM, self._end)
        if signal.getsignal(signal.SIGINT) in (signal.default_int_handler, getattr(self._reactor, "sigInt", None)):
            signal.signal(signal.SIGINT, self._end)

    def _hang_up(self, number: int, frame: FrameType | None) -> None:
        if callable(self._before):
            self._before(number, frame)
        self._reactor.callFromThread(self._reload)

    def _end(self, number: int, _: FrameType | None) -> None:
        name = signal.Signals(number).name
        if self._stopping:
            self.watchdog.wait(CUT)
            self._reactor.callFromThread(_log.info, "{name} again: cutting what is in flight", name=name)
            self._reactor.callFromThread(self._cut)
        else:
            self._stopping = True
            self._reactor.callFromThread(_log.info, "{name}: stopping", name=name)
            self._reactor.callFromThread(self._stop)
