"""Purges as people and applications ask for them, done in every process that has a cache.

Whoever asks, by ``DATA/control.sock`` or by the method PURGE, the parent process does it and has each of its workers do
it. What the store leaves to do in slices is done here, a slice a turn of the reactor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from netsuite.common.errors import StartError
from netsuite.common.sharing import Sharing
from netsuite.http.cache.cache import Cache, target_key
from netsuite.http.cache.purges import Purge
from netsuite.http.cache.store import Key, Sweep
from netsuite.http.cache.tags import origin_of
from netsuite.http.wire.target import split_target

__all__ = ["BadOrder", "Purging", "key_of", "purges_of"]

_MOST: Final = 1000
"""What one order may name."""


class BadOrder(StartError):
    """An order that says nothing that could be done; the text says what to write instead."""


def key_of(url: str) -> Key:
    """What a URL is stored under; raises BadOrder."""
    parts = split_target(b"GET", url.partition("#")[0].encode())
    if parts is None or parts.scheme is None or parts.authority is None:
        raise BadOrder(f"{url[:80]!r} is no URL: write http://HOST/PATH, percent-encoded, as clients ask for it")
    return target_key(parts.scheme, parts.authority, parts.path, parts.query)


def purges_of(order: Mapping[str, Any], now: float) -> list[Purge]:
    """What an order (see :meth:`Purging.everywhere`) means; raises BadOrder."""
    soft_at = now if order.get("soft") else None
    urls, prefixes, tags = (_texts(order, name) for name in ("urls", "prefixes", "tags"))
    purges = [Purge(key=key_of(url), soft_at=soft_at) for url in urls]
    purges += [Purge(prefix=key_of(url), soft_at=soft_at) for url in prefixes]
    if tags:
        origin = order.get("origin")
        whose = None if origin is None else origin_of(key_of(str(origin)))
        named = frozenset(tag.encode("utf-8", "surrogateescape") for tag in tags)
        purges.append(Purge(tags=named, origin=whose, soft_at=soft_at))
    if order.get("all"):
        purges.append(Purge(prefix=b"", soft_at=soft_at))
    if not purges:
        raise BadOrder("say what to purge: URLs, prefixes, tags, or all")
    return purges


def _texts(order: Mapping[str, Any], name: str) -> Sequence[str]:
    found = order.get(name) or ()
    if not isinstance(found, list | tuple) or len(found) > _MOST or not all(isinstance(each, str) for each in found):
        raise BadOrder(f"{name} is a list of at most {_MOST} texts")
    return found


class Purging:
    """The purges of one process's cache, and through ``sharing`` of all others'; ``began`` is told of long ones."""

    def __init__(self, cache: Cache, clock: IReactorTime, sharing: Sharing, began: Callable[[], object]) -> None:
        self._cache = cache
        self._store = store = cache.store
        self._clock = clock
        self._sharing = sharing
        self._began = began
        self._turn: IDelayedCall | None = None
        self._waiting: list[tuple[Sweep, Deferred[None]]] = []
        store.on_sweep = self._begin

    async def everywhere(self, order: Mapping[str, Any]) -> int:
        """Purge in all processes; how many responses there were.

        ``order`` has lists of ``urls``, ``prefixes`` and ``tags`` (with the ``origin`` whose they are, else any's), or
        ``all``; and ``soft``. Raises BadOrder, or StartError if it may not have been done everywhere.
        """
        purges = purges_of(order, self._clock.seconds())
        sharing = self._sharing
        if sharing.index:
            if sharing.parent is None:
                raise StartError("the worker has no line to its parent yet: ask again")
            answer = await sharing.parent("cache", {**order, "do": "purge"})
            if not answer["ok"]:
                raise StartError(str(answer["error"]))
            return int(answer["purged"])
        gone = await self._do(purges)
        if sharing.crew is not None:
            answers = await sharing.crew.control("cache", {**order, "do": "purge", "alone": True})
            for index, each in sorted(answers.items()):
                if not each["ok"]:
                    raise StartError(f"worker {index} may still hold what was to be purged, ask again: {each['error']}")
                gone += int(each["purged"])
        return gone

    async def here(self, order: Mapping[str, Any]) -> int:
        """Purge in this process only."""
        return await self._do(purges_of(order, self._clock.seconds()))

    def close(self) -> None:
        """Do no more; the store is going away."""
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        waiting, self._waiting = self._waiting, []
        for _, done in waiting:
            done.callback(None)

    async def _do(self, purges: Sequence[Purge]) -> int:
        gone = 0
        sweeps: list[Sweep] = []
        for purge in purges:
            if purge.key is not None:
                gone += self._cache.purge(purge.key, None, purge.soft_at)
            elif purge.prefix is None:
                gone += self._store.purge_tags(purge.origin, purge.tags, purge.soft_at)
            else:
                sweep = self._store.purge_prefix(purge.prefix, purge.soft_at)
                if sweep is None:
                    raise StartError("too many purges by prefix are under way: ask again in a second")
                sweeps.append(sweep)
        for sweep in sweeps:
            if not sweep.done:
                done: Deferred[None] = Deferred()
                self._waiting.append((sweep, done))
                await done
            gone += sweep.gone
        return gone

    def _begin(self) -> None:
        self._began()
        if self._turn is None:
            self._turn = self._clock.callLater(0, self._slice)

    def _slice(self) -> None:
        self._turn = None
        if self._store.sweep():
            self._turn = self._clock.callLater(0, self._slice)
        ended = [done for sweep, done in self._waiting if sweep.done]
        self._waiting = [each for each in self._waiting if not each[0].done]
        for done in ended:
            done.callback(None)
