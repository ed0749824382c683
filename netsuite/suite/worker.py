"""A worker process: a copy of every server that any process may run, on the ports that the parent opened.

Started by :class:`netsuite.common.workers.Workers`, whose docstring says what it is handed and asked.
"""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Mapping
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, LogEvent, Logger, eventAsText, globalLogBeginner
from zope.interface import provider

from netsuite.common.line import Line
from netsuite.common.sharing import Report
from netsuite.common.workers import LINE_FD, inherit
from netsuite.suite.assembly import Assembly
from netsuite.suite.control import controlled
from netsuite.suite.site import Site
from netsuite.suite.verdict import exit_with

__all__ = ["main"]

_log = Logger()


class Worker:
    """An assembly that the parent commands."""

    def __init__(self, reactor: Any, assembly: Assembly) -> None:
        self._reactor = reactor
        self._assembly = assembly
        self._stopping = False

    def start(self) -> None:
        """Open, accept and say so."""
        self._assembly.build()
        self._assembly.open()
        self._assembly.start()
        line = Line.over(self._reactor, socket.socket(fileno=LINE_FD), self._asked, self._orphaned)
        self._assembly.commons.sharing.parent = partial(_asked_of, line)
        self._assembly.settle()
        line.ask("ready").addErrback(lambda _: None)

    def stop(self, patience: float) -> None:
        """Finish what is in flight, and end."""
        if not self._stopping:
            self._stopping = True
            Deferred.fromCoroutine(self._stop(patience)).addErrback(lambda f: _log.failure("while stopping", f))

    def terminated(self) -> None:
        """SIGTERM for this process alone: stop in a turn of the reactor; the parent will replace it."""
        self._reactor.callFromThread(self.stop, self._assembly.site.common.drain)

    async def _stop(self, patience: float) -> None:
        if not await self._assembly.stop(patience):
            exit_with(1)
        self._reactor.stop()

    def _asked(self, what: str, detail: Any) -> Any:
        if what == "report":
            return self._report()
        if what == "reload":
            return Deferred.fromCoroutine(self._assembly.reload())
        if what == "control":
            answer = controlled(self._assembly.commons, detail["word"], detail["request"])
            return Deferred.fromCoroutine(answer)
        if what == "stop":
            self.stop(detail)
            return None
        raise ValueError(f"the parent asks what is unknown: {what}")

    def _report(self) -> Report:
        figures = {
            str(each.name): [(name, value) for name, value in each.figures()] for each in self._assembly.services
        }
        return {"metrics": self._assembly.commons.metrics.snapshot(), "figures": figures}

    def _orphaned(self) -> None:
        if not self._stopping:
            _log.warn("the parent is gone")
            self.stop(self._assembly.site.common.drain)


async def _asked_of(line: Line, word: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the parent's service of that word answers."""
    answer: Mapping[str, Any] = await line.ask("control", {"word": word, "request": dict(request)})
    return answer


def _write(event: LogEvent) -> None:
    """One line a line of text: the parent logs them with its own time."""
    text = eventAsText(event, includeTimestamp=False)
    if text:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def main() -> None:
    """Run a worker until its parent says stop, or is gone."""
    # the terminal signals the whole group; what to do is the parent's to say
    for ignored in (signal.SIGHUP, signal.SIGINT):
        signal.signal(ignored, signal.SIG_IGN)
    globalLogBeginner.beginLoggingTo([provider(ILogObserver)(_write)], redirectStandardIO=False)
    from twisted.internet import reactor

    inherited = inherit()
    site = Site.load(inherited.site)
    worker = Worker(reactor, Assembly(site, reactor, inherited.sharing()))

    def begin() -> None:
        signal.signal(signal.SIGTERM, lambda *_: worker.terminated())
        try:
            worker.start()
        except Exception as error:
            _log.critical("{reason}", reason=str(error))
            exit_with(1)
            reactor.stop()

    reactor.callWhenRunning(begin)
    reactor.run()


if __name__ == "__main__":
    main()
