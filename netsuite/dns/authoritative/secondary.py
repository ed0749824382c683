"""A zone that is copied from another server: asked for what is new as its SOA says, or as soon as that server says so.

What comes is judged whole before any of it is served (RFC 5936 section 6, RFC 1995 section 4), is durable before it is
served, and is served until the SOA's expiry has passed without a word from any primary (RFC 1035 section 3.3.13).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore
from twisted.logger import Logger

from netsuite.common.commons import Commons
from netsuite.common.errors import StartError
from netsuite.common.stream import ConnectFailed, StreamAdapter, StreamFactory, connect_stream
from netsuite.common.threads import Threads
from netsuite.dns.authoritative.assembly import Assembly
from netsuite.dns.authoritative.change import Change, difference, later
from netsuite.dns.authoritative.crowding import crowd
from netsuite.dns.authoritative.notify import Notifier
from netsuite.dns.authoritative.permission import Remote
from netsuite.dns.authoritative.settings import ZoneSettings
from netsuite.dns.authoritative.tended import Publish, Tended
from netsuite.dns.authoritative.transfer import BadTransfer, Full, Inbound, Same, Steps, ask
from netsuite.dns.authoritative.zone import Addition, Zone, ZoneError
from netsuite.dns.wire import codes
from netsuite.dns.wire.name import BadName, from_text
from netsuite.dns.wire.stream import DnsConnection, DnsStreamLimits, Message
from netsuite.dns.wire.tsig import Key, Seal, Unsigned, Untrue

__all__ = ["Secondary"]

_log = Logger()

_SILENCE: Final = 30.0
_LONGEST: Final = 3600.0
_FIRST_RETRY: Final = 2.0
_LEAST: Final = 1.0
_COMPARED: Final = 200_000
"""Records beyond which a whole copy is not compared with the one before, but takes its place."""


class _Fetch:
    """One query for a transfer on a connection of its own."""

    def __init__(self, secondary: Secondary, remote: Remote, key: Key | None, soa: Addition | None) -> None:
        runtime = secondary.runtime
        self._clock = runtime.clock
        self._ident = runtime.rng.getrandbits(16)
        serial = None if soa is None else int.from_bytes(soa[3][-20:-16], "big")
        self._inbound = Inbound(self._ident, secondary.name, serial)
        self._query = ask(self._ident, secondary.name, soa)
        self._seal = Seal(key) if key is not None else None
        self._remote = remote
        self._adapter: StreamAdapter | None = None
        self._over: Deferred[Full | Steps | Same] = Deferred()
        self._found: Full | Steps | Same | None = None
        limits = DnsStreamLimits(idle=_SILENCE, message=_SILENCE)
        self._factory = StreamFactory(
            runtime,
            "dns transfer",
            lambda _: DnsConnection(runtime.clock.seconds(), server=False, limits=limits),
            self._message,
            gone=self._gone,
        )

    async def run(self) -> Full | Steps | Same:
        """What the other server has for us; raises BadTransfer and ConnectFailed."""
        self._adapter = adapter = await connect_stream(self._factory, self._remote.host, self._remote.port)
        query = self._query
        if self._seal is not None:
            query = self._seal.sign(query, int(self._clock.seconds()))
        give_up = self._clock.callLater(_LONGEST, self._failed, BadTransfer("it takes longer than an hour"))
        try:
            adapter.send(Message(0, query))
            return await self._over
        finally:
            if give_up.active():
                give_up.cancel()
            adapter.close("done")

    def _message(self, message: Message, body: Any, adapter: StreamAdapter) -> None:
        if self._over.called:
            return
        try:
            covered = self._seal is None or self._seal.check_answer(message.data, int(self._clock.seconds()))
            if self._found is not None:
                raise BadTransfer("messages behind the last SOA")
            self._found = self._inbound.feed(message.data)
            if self._found is not None and not covered:
                raise BadTransfer("the last message is not signed")
        except (BadTransfer, Untrue, Unsigned, BadName) as error:
            self._failed(error if isinstance(error, BadTransfer) else BadTransfer(str(error)))
            return
        if self._found is not None:
            self._over.callback(self._found)

    def _gone(self, adapter: StreamAdapter, reason: str) -> None:
        self._failed(BadTransfer(f"the connection ended: {reason}"))

    def _failed(self, error: Exception) -> None:
        if not self._over.called:
            self._over.errback(error)


class Secondary(Tended):
    """One zone that is copied. ``keys`` by name; ``fetches`` bounds how many zones are copied at a time."""

    def __init__(
        self,
        settings: ZoneSettings,
        commons: Commons,
        threads: Threads,
        notifier: Notifier,
        publish: Publish,
        keys: Mapping[bytes, Key],
        fetches: DeferredSemaphore,
        place: str | None = None,
    ) -> None:
        super().__init__(settings, commons, threads, notifier, publish, place)
        self.runtime = commons
        self._primaries = [Remote.parse(text) for text in settings.primary]
        self._keys = keys
        self._fetches = fetches
        self._timer: Any = None
        self._running: Deferred[None] | None = None
        self._again = False
        self._started = False
        self._failures = 0
        self._asked = -_LEAST
        self._expires: float | None = None

    def open(self) -> None:
        """Serve what was copied before, if anything was; raises StartError. Blocks."""
        if self.history.exists():
            zone = self.history.start(None)
            heard = self.history.heard()
            self._expires = (self._clock.seconds() if heard is None else heard) + _expiry(zone)
            if self._clock.seconds() < self._expires:
                self.serve(zone)
            else:
                self.withdraw(f"zone {self.title} has expired: no primary has answered")
        else:
            self.withdraw(f"zone {self.title} has not been copied yet")

    def start(self) -> None:
        """Ask the primaries, now and from then on."""
        self._started = True
        self.refresh()

    async def stop(self) -> None:
        """Ask nobody any more."""
        self._started = False
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        if self._running is not None:
            self._running.cancel()
        await super().stop()

    def notified(self, host: str, key: bytes | None, serial: int | None) -> bool:
        """A primary says that there is a new version (RFC 1996 section 3.11); whether it is one."""
        if not any(remote.host == host or self._key_name(remote) == (key or b"") for remote in self._primaries):
            return False
        if self.zone is None or serial is None or serial != self.zone.serial:
            self._hurry()
        return True

    def _hurry(self) -> None:
        """Ask soon, but no more often than once a second, whoever says that we should."""
        wait = self._asked + _LEAST - self._clock.seconds()
        if wait <= 0 or self._running is not None or self._timer is None or not self._timer.active():
            self.refresh()
        elif self._timer.getTime() > self._clock.seconds() + wait:
            self._timer.reset(wait)

    def _key_name(self, remote: Remote) -> bytes | None:
        return from_text(remote.key).lower() if remote.key is not None else None

    def refresh(self) -> None:
        """Ask now; once more afterwards, if it is being asked already."""
        if not self._started:
            return
        if self._running is not None:
            self._again = True
            return
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._asked = self._clock.seconds()
        self._running = running = Deferred.fromCoroutine(self._refresh())
        running.addErrback(self._unexpected).addCallback(self._refreshed)

    def _unexpected(self, failure: Any) -> None:
        if failure.check(CancelledError) is None:
            _log.failure("zone {zone}: a fault of ours", failure, zone=self.title)

    def _refreshed(self, _: None) -> None:
        self._running = None
        if not self._started:
            return
        now = self._clock.seconds()
        if self.zone is not None and self._expires is not None and now >= self._expires:
            self.withdraw(f"zone {self.title} has expired: no primary has answered")
            _log.warn("{words}", words=self.trouble)
        wait = self._wait()
        if self.zone is not None and self._expires is not None:
            wait = min(wait, max(self._expires - now, _LEAST))
        wait *= 0.9 + 0.1 * self.runtime.rng.random()
        if self._again:
            self._again = False
            wait = max(self._asked + _LEAST - now, 0.0)
        self._timer = self._clock.callLater(wait, self.refresh)

    def _wait(self) -> float:
        """Until the next time: the SOA's refresh, or its retry after a failure; soon, while there is nothing."""
        if self.zone is None:
            return float(min(_FIRST_RETRY * 2 ** min(self._failures, 10), 600.0))
        rdata = self.zone.soa.rdatas[0]
        refresh, retry = int.from_bytes(rdata[-16:-12], "big"), int.from_bytes(rdata[-12:-8], "big")
        return max(float(retry if self._failures else refresh), _LEAST)

    def _heard_of(self) -> None:
        """A primary has told us that what we have is what there is."""
        self._failures = 0
        self.trouble = None
        now = self._clock.seconds()
        self._expires = now + _expiry(self.history.zone)
        self.history.hear(now)
        if self.zone is None:
            self.serve(self.history.zone)

    async def _refresh(self) -> None:
        """Ask one primary after another until one has told us."""
        said = []
        for remote in self._primaries:
            name = self._key_name(remote)
            key = self._keys[name] if name is not None else None
            try:
                soa = None
                if self.history.started:
                    zone = self.history.zone
                    soa = (zone.name, codes.SOA, zone.soa.ttl, zone.soa.rdatas[0])
                await self._fetches.acquire()
                try:
                    found = await _Fetch(self, remote, key, soa).run()
                finally:
                    self._fetches.release()
                await self._take(found, remote)
                self._heard_of()
                return
            except (BadTransfer, ConnectFailed, ZoneError, StartError) as error:
                said.append(f"{remote}: {error}")
        self._failures += 1
        self.trouble = f"zone {self.title} is not copied: {'; '.join(said)}"
        if self._failures in (1, 10) or self._failures % 100 == 0:
            _log.warn("{words}", words=self.trouble)

    async def _take(self, found: Full | Steps | Same, remote: Remote) -> None:
        now = int(self._clock.seconds())
        source = f"copied from {remote}"
        if isinstance(found, Same):
            return
        if isinstance(found, Full):
            assembly = Assembly(self.name, f"the copy from {remote}")
            for owner, rdtype, ttl, rdata in found.records:
                assembly.add(owner, rdtype, ttl, rdata)
            zone = assembly.zone()
            if why := crowd(zone, self.settings.most_at_a_name):
                raise BadTransfer(why)
            if not self.history.started:
                await self.history.begin(zone)
                self.serve(zone)
                self._notifier.changed(zone, self.settings.notify)
                return
            old = self.history.zone
            if not later(zone.serial, old.serial):
                if zone.serial == old.serial:
                    return
                raise BadTransfer(f"its serial {zone.serial} is not later than {old.serial}, which we have")
            if max(zone.count, old.count) > _COMPARED:
                await self.history.replace(zone)
                self.serve(zone)
                self._notifier.changed(zone, self.settings.notify)
                return
            change = await self._threads.run(difference, old, zone, now, source)
            await self.history.append(change, zone)
            return
        made: list[tuple[Change, Zone]] = []
        zone = self.history.zone
        for step in found.steps:
            change = Change(step.before, step.after, step.removals, step.additions, now, source)
            zone = change.applied(zone)
            if why := crowd(zone, self.settings.most_at_a_name, {owner for owner, *_ in step.additions}):
                raise BadTransfer(why)
            made.append((change, zone))
        done = [self.history.append(change, version) for change, version in made]
        for each in done:
            await each


def _expiry(zone: Zone) -> int:
    """Seconds for which a version may be served without a word from a primary."""
    return int.from_bytes(zone.soa.rdatas[0][-8:-4], "big")
