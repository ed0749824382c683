"""Questions that wait: equal ones share a resolution, each resolution's effects are carried out."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from netsuite.dns.resolver.iterator import Ask, Effect, Resolution, Result, Step, Surroundings, Trouble, recall
from netsuite.dns.resolver.message import Reply
from netsuite.dns.resolver.upstream import Upstream
from netsuite.dns.wire.codes import SERVFAIL

__all__ = ["Recursion"]

_log = Logger()
Waiter = Callable[[Result], None]
_BUSY = Result(SERVFAIL, error=(0, "too many questions are outstanding"))
_FAULT = Result(SERVFAIL, error=(0, "the resolver failed"))


class Recursion:
    """Answers questions (folded name, type) by cache or by asking; at most ``most`` resolutions at a time.

    ``trace`` is called with every Step of every resolution, and costs nothing while it is None.
    """

    def __init__(self, clock: IReactorTime, around: Surroundings, upstream: Upstream, most: int) -> None:
        self.around = around
        self.upstream = upstream
        self.started = self.joined = self.failed = 0
        self.trace: Callable[[Step], object] | None = None
        self._clock = clock
        self._most = most
        self._waiters: dict[tuple[bytes, int], list[Waiter]] = {}

    def __len__(self) -> int:
        return len(self._waiters)

    def known(self, name: bytes, rdtype: int, now: float) -> Result | None:
        """What can be said without asking anybody."""
        return recall(self.around.cache, name, rdtype, now)

    def resolve(self, name: bytes, rdtype: int, waiter: Waiter, trace: Callable[[Step], object] | None = None) -> None:
        """Find the answer; ``waiter`` gets it once, perhaps at once."""
        key = (name, rdtype)
        waiting = self._waiters.get(key)
        if waiting is not None:
            self.joined += 1
            waiting.append(waiter)
            return
        if len(self._waiters) >= self._most:
            waiter(_BUSY)
            return
        self._waiters[key] = [waiter]
        self.started += 1
        resolution = Resolution(name, rdtype, self.around, trace or self.trace)
        self._carry_out(resolution, resolution.start)

    def _carry_out(self, resolution: Resolution, step: Callable[[float], list[Effect]]) -> None:
        try:
            effects = step(self._clock.seconds())
        except Exception:
            _log.failure("resolving {name!r} failed", name=resolution.name)
            self._finish(resolution, _FAULT)
            return
        for effect in effects:
            if isinstance(effect, Ask):
                self.upstream.ask(effect, lambda outcome: self._came(resolution, outcome))
            else:
                self._finish(resolution, effect.result)

    def _came(self, resolution: Resolution, outcome: Reply | Trouble) -> None:
        self._carry_out(resolution, lambda now: resolution.receive(outcome, now))

    def _finish(self, resolution: Resolution, result: Result) -> None:
        if result.rcode == SERVFAIL:
            self.failed += 1
        for waiter in self._waiters.pop((resolution.name, resolution.type), ()):
            waiter(result)
