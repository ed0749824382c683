"""The service at the root: it holds a site's settings, and is the same for plugin, ``.tac`` and ``.tap``.

What it does when, in twistd's order: made and given to the Application before the fork, nothing is opened;
:meth:`Root.privilegedStartService` builds and opens everything while ports below 1024 may still be had;
:meth:`Root.startService` accepts. Where that fails, one line says why and the process exits with 1.
"""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from twisted.application.service import Application, IProcess, Service
from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import ILogObserver, Logger
from twisted.python.components import Componentized
from twisted.python.failure import Failure
from zope.interface import implementer

from netsuite import __version__
from netsuite.common.errors import StartError
from netsuite.common.notify import ready, reloading, stopping
from netsuite.common.sharing import Sharing
from netsuite.common.sources import SettingsError
from netsuite.common.workers import Workers
from netsuite.interfaces import INetsuiteService, ISite
from netsuite.suite import builtin
from netsuite.suite.assembly import STOP_AT_LEAST, Assembly
from netsuite.suite.control import ControlPort, controlled
from netsuite.suite.log import SiteLog, reopen_logs
from netsuite.suite.signals import Signals
from netsuite.suite.site import Site, read_site
from netsuite.suite.verdict import await_daemon, complain, exit_with, refuse, started

__all__ = ["Root", "application", "assembled"]

_log = Logger()

GRACE: Final = 5.0
"""Seconds beyond all deadlines after which a stop that hangs is ended from outside."""


@implementer(ISite)
class Root(Service):
    """A site as one service. It reduces to its settings.

    ``reactor`` is the global one if none is given; ``own_process`` says whether signals, the exit status and the
    collector are its business.
    """

    name = "netsuite"
    version = __version__

    def __init__(self, site: Site, reactor: Any = None, *, own_process: bool = True) -> None:
        self.site = site
        self.started: float | None = None
        self.assembly: Assembly | None = None
        self._reactor = reactor
        self._own_process = own_process
        self._signals: Signals | None = None
        self._control: ControlPort | None = None
        self._workers: Workers | None = None
        self._failed = False
        self._people: list[str] = []
        self._reloads = DeferredLock()

    def __reduce__(self) -> tuple[Callable[[str], Root], tuple[str]]:
        return _thawed, (self.site.dump(),)

    def services(self) -> Sequence[INetsuiteService]:
        """The servers, in the order in which they are started."""
        return self.assembly.services if self.assembly else ()

    def setServiceParent(self, parent: Any) -> None:
        """Be the Application's; gives it the log and the account that the site file names. Opens nothing."""
        super().setServiceParent(parent)  # type: ignore[no-untyped-call]
        await_daemon()
        common = self.site.common
        if isinstance(parent, Componentized):
            if common.log is not None or common.log_format != "text":
                parent.setComponent(ILogObserver, SiteLog(common.log, common.log_format))
            if common.user is not None and os.getuid() == 0:
                account = _account(common.user)
                process = IProcess(parent)
                process.uid, process.gid = account.pw_uid, account.pw_gid

    def privilegedStartService(self) -> None:
        """Build and open everything."""
        super().privilegedStartService()  # type: ignore[no-untyped-call]
        if self._reactor is None:
            from twisted.internet import reactor

            self._reactor = reactor
        if self._own_process:
            self._signals = Signals(self._reactor, self._reactor.stop, self._cut, self._reload)
            self._signals.catch_hangup()
        self._attempt(self._open)

    def startService(self) -> None:
        """Accept."""
        self._attempt(self._start)
        super().startService()  # type: ignore[no-untyped-call]
        self._reactor.callWhenRunning(self._ready)
        if self._own_process:
            started()

    def stopService(self) -> Deferred[None]:
        """Finish what is in flight, for ``common.drain`` seconds at most, and close."""
        super().stopService()  # type: ignore[no-untyped-call]
        return Deferred.fromCoroutine(self._stop()).addErrback(self._unclean)

    def _unclean(self, failure: Failure) -> None:
        _log.failure("the site did not stop as it should", failure)
        if self._own_process:
            exit_with(1)

    def fail(self, reason: str) -> None:
        """End the site because of something that cannot be mended while it runs: the exit status becomes 1."""
        _log.critical("{reason}", reason=reason)
        if self._own_process:
            complain(StartError(reason))
            exit_with(1)
        self._failed = True
        self._reactor.stop()

    def _attempt(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:
            if not isinstance(error, StartError):
                _log.failure("the site cannot start")
            _log.critical("{reason}", reason=str(error))
            self._release()
            if self._own_process:
                refuse(error)
            raise

    def _open(self) -> None:
        common = self.site.common
        assembly = Assembly(self.site, self._reactor, Sharing(count=common.workers))
        if common.log is not None:
            SiteLog(common.log, common.log_format).check()
        data = assembly.commons.data
        self.assembly = assembly
        data.lock("netsuite")
        data.check()
        if self.site.built_in:
            builtin.write_missing(data, self.site.trackers)
            self._people = builtin.people(data)
        assembly.commons.offers.provide(ISite, self, "suite")
        assembly.build()
        assembly.open()
        self._control = ControlPort(self, assembly.commons)
        self._control.open()
        if common.user is not None and os.getuid() == 0:
            _give_away(common.data, common.user)

    def _start(self) -> None:
        assert self.assembly is not None
        self.assembly.start()
        sharing = self.assembly.commons.sharing
        if sharing.groups or sharing.taken:
            # worker processes begin with the reactor, which is what starts and watches them
            answers = partial(controlled, self.assembly.commons)
            self._workers = Workers(self._reactor, sharing, self.site.dump(), controlled=answers)
            self._reactor.callWhenRunning(self._start_workers, self._workers)

    def _start_workers(self, workers: Workers) -> None:
        workers.start()
        # later deaths are mended and told by their health; a first start that fails altogether is a fault of the set-up
        if not workers.pids():
            self.fail("common.workers: no worker can be started, and the log says why; 1 does without")

    def _ready(self) -> None:
        if not self.running or self.assembly is None or self._failed:
            return
        self.started = self._reactor.seconds()
        if self._signals is not None:
            self._signals.take_over()
        for service in self.assembly.services:
            places = [str(address) for address in service.addresses()]
            _log.info("{name}: {places}", name=service.name, places=", ".join(places) or "no address of its own")
        if self._own_process:
            self._show()
            self.assembly.settle()
        _log.info("netsuite {version} is ready", version=__version__)
        ready()

    def _show(self) -> None:
        """The addresses and a line to try on each, for the person at the terminal."""
        places = [(each.name, address) for each in self.services() for address in each.addresses()]
        width = max((len(str(address)) for _, address in places), default=0)
        lines = [f"  {name:<9} {address!s:<{width}}  {address.hint}".rstrip() for name, address in places]
        text = "\n".join([f"netsuite {__version__} is ready.", *lines, *self._introduced(), "Ctrl-C stops it."])
        print(text, file=sys.__stdout__, flush=True)

    def _introduced(self) -> list[str]:
        """Who was made a user just now; passwords are for terminals, not for logs."""
        people, self._people = self._people, []
        if not people:
            return []
        kept = self.site.common.data / builtin.FIRST_RUN
        if sys.__stdout__ is None or not sys.__stdout__.isatty():
            return [f"Users {', '.join(line.partition(' ')[0] for line in people)}: their passwords are in {kept}."]
        return [f"Users and their passwords, shown once and kept in {kept}:", *(f"  {line}" for line in people)]

    def _cut(self) -> None:
        exit_with(1)
        if self.assembly is not None:
            self.assembly.hurry()

    def _reload(self) -> None:
        # one at a time: a second SIGHUP means what has changed since the first was read
        self._reloads.run(lambda: Deferred.fromCoroutine(self._reloaded())).addErrback(
            lambda failure: _log.failure("reload failed", failure)
        )

    async def _reloaded(self) -> None:
        assembly = self.assembly
        if assembly is None or not self.running:
            return
        reloading()
        _log.info("reload: begins")
        reopen_logs()
        lines = await assembly.reload()
        if self._workers is not None:
            lines += await self._workers.reload()
        for line in lines:
            _log.info("reload: {line}", line=line)
        _log.info("reload: done")
        ready()

    async def _stop(self) -> None:
        patience = self.site.common.drain
        if self._signals is not None:
            self._signals.watchdog.wait(patience + STOP_AT_LEAST * len(self.services()) + GRACE)
        stopping()
        clean = True
        workers = Deferred.fromCoroutine(self._workers.stop(patience + STOP_AT_LEAST)) if self._workers else None
        if self.assembly is not None:
            clean = await self.assembly.stop(patience)
        if workers is not None:
            clean = await workers and clean
        if self._control is not None:
            await self._control.close()
        self._release()
        if not clean and self._own_process:
            exit_with(1)

    def _release(self) -> None:
        """Give back what is left: for a stop, and for a start that failed."""
        if self._control is not None:
            Deferred.fromCoroutine(self._control.close())
            self._control = None
        if self.assembly is not None:
            self.assembly.unwind()
            self.assembly.commons.data.release()
            self.assembly = None


def application(path: str | Path | None = None, *, sets: Sequence[str] = ()) -> Any:
    """The twistd Application of a site file (of the built-in site if there is none), for a ``.tac``.

    What is wrong with it is written to standard error, and ends the process with 1.
    """
    try:
        site = read_site(path, sets=sets, built_in=builtin.tables)
    except SettingsError as error:
        complain(error)
        raise SystemExit(1) from None
    return assembled(site)


def assembled(site: Site) -> Any:
    """The Application of settings that were read already."""
    made = Application("netsuite")
    Root(site).setServiceParent(made)
    return made


def _thawed(dump: str) -> Root:
    """The root of a ``.tap`` file."""
    try:
        site = Site.load(dump)
    except SettingsError as error:
        complain(error)
        raise SystemExit(1) from None
    await_daemon()
    return Root(site)


def _account(name: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        complain(StartError(f"common.user: there is no account {name!r}"))
        raise SystemExit(1) from None


def _give_away(folder: Path, user: str) -> None:
    """Make an account the owner of the data directory and all in it."""
    account = _account(user)
    for at, folders, files in os.walk(folder):
        for name in [".", *folders, *files]:
            os.chown(Path(at) / name, account.pw_uid, account.pw_gid, follow_symlinks=False)
