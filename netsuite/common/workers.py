"""Worker processes that share the ports of a site, so that it uses several cores.

The parent opens every shared address once per process before anything is reported
(:mod:`netsuite.common.sharing`), then starts ``count - 1`` workers. Each gets:

* on descriptor 3, a pipe: its :class:`Inheritance` as one JSON text, ended by the pipe's end;
* on descriptor 4, its end of the :class:`~netsuite.common.line.Line` to the parent;
* from descriptor 5 on, its sockets, in the order that the inheritance lists them;
* on 1 and 2, pipes: what it prints is logged by the parent.

The parent asks ``reload`` (answered by lines of text), ``report`` (by a :class:`~netsuite.common.sharing.Report`),
``control`` (a request of the ``netsuite`` command, for the service of its word) and ``stop`` (with the seconds that are
left; the worker drains and exits). A worker says ``ready`` once it accepts, and asks ``control`` of the parent's own
services.
One that dies is replaced on the same sockets, so the connections in their queues are kept; one that keeps dying,
after ever longer waits. A worker whose parent is gone ends itself.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import attrs
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from netsuite.common.line import Line
from netsuite.common.metrics import Family, retain
from netsuite.common.sharing import GONE, Key, Report, Sharing, inherited_socket
from netsuite.interfaces import Health

__all__ = ["INHERITANCE_FD", "LINE_FD", "Inheritance", "Workers", "inherit"]

INHERITANCE_FD: Final = 3
LINE_FD: Final = 4
SOCKETS_FROM: Final = 5

COMMAND: Final = (sys.executable, "-m", "netsuite.suite.worker")
FIRST_WAIT: Final = 0.5
LONGEST_WAIT: Final = 30.0
STEADY: Final = 60.0
"""Seconds after which a worker counts as healthy: its next death is its first."""
SCRAPE_PATIENCE: Final = 2.0
RELOAD_PATIENCE: Final = 30.0
CONTROL_PATIENCE: Final = 20.0
_LONGEST_LINE: Final = 8192


@attrs.frozen
class Inheritance:
    """What a worker learns from its parent: which one it is, its sockets, and the suite's settings (``site``)."""

    index: int
    count: int
    tables: Sequence[str]
    site: str
    keys: Sequence[Key]
    names: Sequence[str]

    def dump(self) -> bytes:
        """As JSON."""
        return json.dumps(attrs.asdict(self)).encode()

    def sharing(self) -> Sharing:
        """The sockets that were handed down, from descriptor 5 on."""
        sockets: dict[Key, list[socket.socket]] = {}
        for descriptor, (kind, host, port) in enumerate(self.keys, SOCKETS_FROM):
            sockets.setdefault((kind, host, port), []).append(inherited_socket(descriptor))
        named = {
            name: inherited_socket(descriptor)
            for descriptor, name in enumerate(self.names, SOCKETS_FROM + len(self.keys))
        }
        return Sharing(self.index, self.count, self.tables, sockets, named)


def inherit(descriptor: int = INHERITANCE_FD) -> Inheritance:
    """Read what the parent handed down; in a worker, before anything else."""
    with open(descriptor, "rb") as pipe:
        facts = json.loads(pipe.read())
    return Inheritance(**facts)


class Workers:
    """The parent's side: starts workers, keeps them alive, asks them, stops them.

    ``site`` is what they shall run; ``controlled`` answers what they ask of the parent's services.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        sharing: Sharing,
        site: str,
        *,
        command: Sequence[str] = COMMAND,
        environ: Mapping[str, str] | None = None,
        controlled: Callable[[str, Mapping[str, Any]], Awaitable[Mapping[str, Any]]] | None = None,
    ) -> None:
        self.controlled = controlled
        self.reactor = reactor
        self.sharing = sharing
        self.restarts = 0
        self._gone: dict[str, Family] = {}
        self._site = site
        self._command = tuple(command)
        self._environ = environ
        self._workers = [_Worker(self, index) for index in range(1, sharing.count)]

    def start(self) -> None:
        """Start every worker; the ports are open already."""
        self.sharing.crew = self
        for worker in self._workers:
            worker.start()

    def health(self) -> Health:
        """Whether all of them accept."""
        absent = [str(worker.index) for worker in self._workers if not worker.ready]
        return Health(not absent, f"not running: worker {', '.join(absent)}" if absent else "")

    def figures(self) -> Sequence[tuple[str, float]]:
        """How many accept now, and how often one was replaced."""
        return (("processes", sum(worker.ready for worker in self._workers)), ("replaced", self.restarts))

    def pids(self) -> list[int]:
        """The processes that run now."""
        return [worker.pid for worker in self._workers if worker.pid]

    async def reports(self) -> dict[int, Report]:
        """What every worker has counted, by index: those that are gone under GONE, one that is late as it was last."""
        for index, report in (await self._ask_all("report", None, SCRAPE_PATIENCE)).items():
            self._workers[index - 1].report = report
        found: dict[int, Report] = {each.index: each.report for each in self._workers if each.report is not None}
        if self._gone:
            found[GONE] = {"metrics": list(self._gone.values()), "figures": {}}
        return found

    def bury(self, report: Report) -> None:
        """Keep what a worker that is gone had counted when it was last asked."""
        retain(self._gone, report["metrics"])

    async def reload(self) -> list[str]:
        """Have every worker take what changed; their words, each naming its worker."""
        answers = await self._ask_all("reload", None, RELOAD_PATIENCE)
        return [f"worker {index}: {line}" for index, lines in sorted(answers.items()) for line in lines]

    async def control(self, word: str, request: Mapping[str, Any]) -> dict[int, Mapping[str, Any]]:
        """What each worker's service of that word answers; one that is only starting is asked too, and waited for."""
        detail = {"word": word, "request": dict(request)}
        asked = [worker.index for worker in self._workers if worker.line is not None]
        answers = await self._ask_all("control", detail, CONTROL_PATIENCE, starting=True)
        silent = {"ok": False, "error": "it does not answer"}
        return {index: answers.get(index) or silent for index in asked}

    async def stop(self, patience: float) -> bool:
        """Have every worker finish what is in flight; False if one did not in time and was killed."""
        self.sharing.close()
        ended = [worker.stop(patience) for worker in self._workers]
        late = self.reactor.callLater(patience, self._kill)
        await DeferredList(ended)
        if late.active():
            late.cancel()
            return True
        return False

    def _kill(self) -> None:
        for worker in self._workers:
            if worker.pid:
                self._log.warn("worker {index} did not end in time and is killed", index=worker.index)
                worker.signal("KILL")

    async def _ask_all(self, what: str, detail: Any, patience: float, *, starting: bool = False) -> dict[int, Any]:
        answers: dict[int, Any] = {}
        waiting: list[Awaitable[Any]] = []
        for worker in self._workers:
            if (worker.ready or starting) and worker.line is not None:
                asked = worker.line.ask(what, detail)
                asked.addTimeout(patience, self.reactor, lambda result, _: result)
                asked.addCallbacks(
                    _keeping(answers, worker.index), lambda failure: failure.trap(Exception, CancelledError) and None
                )
                waiting.append(asked)
        for each in waiting:
            await each
        return answers

    def hand(self, index: int) -> tuple[bytes, list[int]]:
        """A worker's inheritance, and the descriptors of its sockets."""
        keys = [key for key, _ in self.sharing.groups]
        sockets = [group[index - 1].fileno() for _, group in self.sharing.groups]
        handed = self.sharing.taken
        facts = Inheritance(index, self.sharing.count, sorted(self.sharing.tables), self._site, keys, list(handed))
        return facts.dump(), sockets + [each.fileno() for each in handed.values()]

    def spawn(self, protocol: ProcessProtocol, ends: Mapping[int, Any]) -> Any:
        """A new worker process."""
        environ = dict(os.environ if self._environ is None else self._environ)
        environ["PYTHONPATH"] = os.pathsep.join(entry for entry in sys.path if entry)
        return self.reactor.spawnProcess(protocol, self._command[0], self._command, environ, childFDs=dict(ends))


def _keeping(answers: dict[int, Any], index: int) -> Callable[[Any], None]:
    def keep(answer: Any) -> None:
        answers[index] = answer

    return keep


async def _awaited(answer: Awaitable[Any]) -> Any:
    return await answer


class _Worker(ProcessProtocol):
    """One place in the row of workers, and the process that fills it now."""

    def __init__(self, row: Workers, index: int) -> None:
        self.index = index
        self.ready = False
        self.line: Line | None = None
        self.report: Report | None = None
        self._row = row
        self._process: Any = None
        self._wait = FIRST_WAIT
        self._began = 0.0
        self._again: IDelayedCall | None = None
        self._ended: Deferred[None] | None = None
        self._said: dict[int, bytes] = {}

    @property
    def pid(self) -> int:
        """Its process, or 0 while there is none."""
        return (self._process.pid or 0) if self._process is not None else 0

    def start(self) -> None:
        """Start its process."""
        row = self._row
        self._again = None
        self._began = row.reactor.seconds()
        inheritance, sockets = row.hand(self.index)
        ours, theirs = socket.socketpair()
        ends: dict[int, Any] = {0: "w", 1: "r", 2: "r", INHERITANCE_FD: "w", LINE_FD: theirs.fileno()}
        ends.update(enumerate(sockets, SOCKETS_FROM))
        try:
            with theirs:
                self._process = row.spawn(self, ends)
        except OSError as error:
            ours.close()
            self._start_again(f"it cannot be started: {error.strerror}")
            return
        self.line = Line.over(row.reactor, ours, self._asked, lambda: None)
        self._process.writeToChild(INHERITANCE_FD, inheritance)
        self._process.closeChildFD(INHERITANCE_FD)
        self._process.closeChildFD(0)

    def stop(self, patience: float) -> Deferred[None]:
        """Have its process drain and end; fires when it has."""
        ended: Deferred[None] = Deferred()
        self._ended = ended
        if self._again is not None:
            self._again.cancel()
            self._again = None
        if self.line is None:
            ended.callback(None)
        else:
            self.line.ask("stop", patience).addErrback(lambda _: None)
        return ended

    def signal(self, name: str) -> None:
        """Send its process a signal."""
        try:
            self._process.signalProcess(name)
        except ProcessExitedAlready:
            pass

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """It printed something: log it by lines."""
        *lines, rest = (self._said.get(childFD, b"") + data).split(b"\n")
        if len(rest) > _LONGEST_LINE:
            lines.append(rest)
            rest = b""
        self._said[childFD] = rest
        for line in lines:
            self._row._log.info("worker {index}: {line}", index=self.index, line=line.decode("utf-8", "replace"))

    def processEnded(self, reason: Failure) -> None:
        """It is gone: replace it, unless it was told to go."""
        row = self._row
        for descriptor in list(self._said):
            if self._said[descriptor]:
                self.childDataReceived(descriptor, b"\n")
        self._said.clear()
        if self.report is not None:
            row.bury(self.report)
            self.report = None
        line, self.line, self.ready = self.line, None, False
        if line is not None:
            line.close()
        if self._ended is not None:
            ended, self._ended = self._ended, None
            ended.callback(None)
            return
        row.restarts += 1
        if row.reactor.seconds() - self._began >= STEADY:
            self._wait = FIRST_WAIT
        self._start_again(reason.getErrorMessage())

    def _start_again(self, reason: str) -> None:
        row = self._row
        row._log.error(
            "worker {index} ended ({reason}); the next one starts in {wait} s",
            index=self.index,
            reason=reason,
            wait=self._wait,
        )
        self._again = row.reactor.callLater(self._wait, self.start)
        self._wait = min(self._wait * 2, LONGEST_WAIT)

    def _asked(self, what: str, detail: Any) -> Any:
        """What the worker says."""
        if what == "ready":
            self.ready = True
            return None
        if what == "control" and self._row.controlled is not None:
            return Deferred.fromCoroutine(_awaited(self._row.controlled(detail["word"], detail["request"])))
        raise ValueError(f"a worker asks what is unknown: {what}")
