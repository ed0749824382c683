"""What lies in the cache and how it does, told to people: over all processes that have one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import Deferred

from netsuite.common.errors import StartError
from netsuite.http.proxy.purging import key_of

if TYPE_CHECKING:
    from netsuite.common.sharing import Sharing
    from netsuite.http.cache.store import Store
    from netsuite.http.proxy.server import ProxyServer

__all__ = ["counted", "listed"]

_SLICE: Final = 2000
_MOST: Final = 10_000
_USUAL: Final = 100


async def listed(store: Store, clock: Any, sharing: Sharing, request: Mapping[str, Any]) -> dict[str, Any]:
    """``entries`` (each a response with its URL, status, size, age and seconds of freshness left) and their ``count``.

    It looks at the store in slices, a turn of the reactor each. Counts as no use. Raises StartError.
    """
    prefix = key_of(str(request["prefix"])) if request.get("prefix") else b""
    limit = request.get("limit") or _USUAL
    if not isinstance(limit, int) or not 0 < limit <= _MOST:
        raise StartError(f"limit is a number up to {_MOST}")
    entries: list[dict[str, Any]] = []
    count = 0
    keys = store.targets()
    for start in range(0, len(keys), _SLICE):
        if start:
            turn: Deferred[None] = Deferred()
            clock.callLater(0, turn.callback, None)
            await turn
        now = clock.seconds()
        for key in keys[start : start + _SLICE]:
            if not key.startswith(prefix):
                continue
            for stored in store.lookup(key):
                count += 1
                if len(entries) < limit:
                    age = stored.age(now)
                    entries.append(
                        {
                            "url": key.decode(),
                            "status": stored.status,
                            "size": stored.content.size,
                            "age": int(age),
                            "fresh": int(stored.lifetime.seconds - age),
                            "vary": [name.decode("latin-1") for name in stored.vary],
                            "tags": [tag.decode("utf-8", "replace") for tag in stored.tags],
                        }
                    )
    for each in await _others(sharing, "list", request):
        count += each["count"]
        entries += each["entries"]
    return {"entries": entries[:limit], "count": count}


async def counted(server: ProxyServer, request: Mapping[str, Any]) -> dict[str, Any]:
    """``stats`` by name, and ``shadows``: what other policies and sizes would have answered of the sampled requests."""
    store = server.cache.store
    stats: dict[str, float] = {
        "requests": server.requests + server.shortcuts.hits,
        "hits": server.answering.hits + server.shortcuts.hits,
        "stale answers": server.answering.stale_hits,
        "misses": server.answering.misses,
        "validated": server.answering.validations,
        "passed on": server.answering.passes,
        "collapsed": server.answering.collapsed,
        "prefetched": server.prefetch.fetched,
        "stored responses": len(store),
        "stored bytes": store.size,
        "budget": store.budget,
        "evictions": store.evictions,
        "purges": store.purges,
        "tags": store.tags,
    }
    shadows = [] if server.shadow is None else server.shadow.report()
    for each in await _others(server.sharing, "stats", request):
        for name, value in each["stats"].items():
            stats[name] = stats.get(name, 0) + value
        for mine, theirs in zip(shadows, each["shadows"], strict=False):
            for name in ("requests", "bytes", "hits", "hit_bytes"):
                mine[name] += theirs[name]
    return {"stats": stats, "shadows": shadows}


async def _others(sharing: Sharing, do: str, request: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What the workers answer, in the parent; those that are silent are left out."""
    if sharing.crew is None:
        return []
    answers = await sharing.crew.control("cache", {**request, "do": do, "alone": True})
    return [answer for _, answer in sorted(answers.items()) if answer["ok"]]
