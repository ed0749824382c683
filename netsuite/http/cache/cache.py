"""The cache without its network: what is stored, what a request gets of it, what arrivals change.

Everything here is pure: times are arguments. The proxy puts fetches around it; tests, and whoever
explains a decision, use it as it stands.

Implements: RFC 9111 sections 3, 4.3.3, 4.3.4, 4.3.5, 4.4; RFC 9875 section 2.2.1; RFC 9110 section 9.2.1
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final
from urllib.parse import urljoin, urlsplit

from netsuite.http.cache.content import Content
from netsuite.http.cache.decision import Decision, decide
from netsuite.http.cache.groups import groups_of
from netsuite.http.cache.partial import current_of, partly
from netsuite.http.cache.search import SearchIndex
from netsuite.http.cache.storability import Storability
from netsuite.http.cache.store import Key, Store
from netsuite.http.cache.stored import Field, Request, Response, StoredResponse
from netsuite.http.cache.tags import origin_of
from netsuite.http.cache.variants import secondary_key
from netsuite.http.wire.preconditions import weakly_equal

__all__ = ["Cache", "origin_of", "related_key", "target_key"]

_SAFE: Final = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"QUERY", b"PROPFIND", b"REPORT", b"SEARCH"})
"""Methods that are registered as safe; every other one, known or not, is taken to change something."""

_DEFAULT_PORTS: Final = {"http": b":80", "https": b":443"}


def target_key(scheme: str, authority: bytes, path: bytes, query: bytes | None) -> Key:
    """What a target is stored under; percent-encodings are left as they came, lest two targets become one."""
    where = _origin(scheme, authority) + (path or b"/")
    return where if query is None else b"%b?%b" % (where, query)


@lru_cache(maxsize=1024)
def _origin(scheme: str, authority: bytes) -> bytes:
    host = authority.lower().removesuffix(b":").removesuffix(_DEFAULT_PORTS.get(scheme, b":"))
    return b"%b://%b" % (scheme.encode(), host)


def related_key(base: Key, reference: bytes) -> Key | None:
    """The target that Location or Content-Location names; None if it lies elsewhere (RFC 9111 section 4.4)."""
    try:
        whole = urlsplit(urljoin(base.decode("latin-1"), reference.decode("latin-1")))
        found = target_key(
            whole.scheme,
            whole.netloc.encode("latin-1"),
            whole.path.encode("latin-1"),
            whole.query.encode("latin-1") if whole.query else None,
        )
    except ValueError:
        return None
    return found if origin_of(found) == origin_of(base) else None


class Cache:
    """Stored responses and the rules of their use."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.searches = SearchIndex()

    def candidates(self, key: Key) -> Sequence[StoredResponse]:
        """What is stored for a target, and for others whose No-Vary-Search makes them equivalent."""
        found = self.store.lookup(key)
        if not self.searches.used:
            return found
        others = [
            stored
            for other, rule in self.searches.equivalent(key)
            for stored in self.store.lookup(other)
            if stored.search == rule
        ]
        return [*others, *found] if others else found

    def decide(self, key: Key, request: Request, now: float) -> Decision:
        """What to do with a request for a target."""
        found = self.candidates(key)
        return partly(decide(request, found, now), request, found, now, self.store.object_limit)

    def storability(self, key: Key, request: Request, response: Response) -> Storability:
        """Whether a response to a request for a target may be stored, and why not (RFC 9111 section 3)."""
        return response.storability(request, same_target=self._names_itself(key, response))

    def may_store(self, key: Key, request: Request, response: Response) -> bool:
        """Whether it may."""
        return self.storability(key, request, response).allowed

    def keep(
        self, key: Key, request: Request, response: Response, content: Content, generation: int
    ) -> StoredResponse | None:
        """Store a complete response; None if the target was purged since ``generation``, or if it is too large."""
        stored = StoredResponse(response, content, secondary_key(response.vary, request.fields))
        return stored if self._put(key, stored, generation) else None

    def _put(self, key: Key, stored: StoredResponse, generation: int) -> bool:
        kept = self.store.put(key, stored, generation)
        if kept and stored.search is not None:
            self.searches.add(key, stored.search)
        return kept

    def superseded(self, request: Request, stored: StoredResponse | None, response: Response) -> None:
        """Forget what was selected for a GET, as the origin's newer answer is not to be stored.

        Else the older one would come back for the next request. An error, and what was for one client or request alone,
        tell nothing about what is stored.
        """
        if (
            stored is not None
            and request.method == b"GET"
            and response.status < 500
            and response.status not in (206, 304, 416)
            and stored.selected_by(request)
            and not request.authorized
            and not request.control.no_store
        ):
            self.store.drop(stored.key, stored)

    def validated(
        self,
        key: Key,
        request: Request,
        chosen: StoredResponse | None,
        response: Response,
        generation: int,
    ) -> StoredResponse | None:
        """Bring up to date what a 304 speaks of; None if that is nothing we have (RFC 9111 section 4.3.4).

        ``chosen`` is the response whose validators were sent, None where those of several variants were.
        """
        tags = response.fields.get(b"etag", ())
        if chosen is None or (tags and chosen.etag is not None and not weakly_equal(tags[0], chosen.etag)):
            known = self.candidates(key)
            fitting = [each for each in known if tags and each.etag is not None and weakly_equal(tags[0], each.etag)]
            if not fitting:
                return None
            chosen = fitting[-1]
        if not chosen.alive:
            # more of it may have come meanwhile
            chosen = current_of(self.store, key, request, chosen) or chosen
        fresh = chosen.freshened(response.lines, request, response.request_time, response.response_time)
        if response.control.no_store:
            self.store.drop(chosen.key, chosen)
        if response.control.no_store or request.control.no_store or not self._put(key, fresh, generation):
            fresh.alive = False
        return fresh

    def head_seen(self, key: Key, request: Request, response: Response) -> None:
        """A HEAD was answered: what is stored is brought up to date, or forgotten if it differs (section 4.3.5)."""
        if response.status != 200:
            return
        for stored in list(self.store.lookup(key)):
            if not stored.selected_by(request) or stored.status != 200:
                continue
            lengths = response.fields.get(b"content-length", ())
            same = (
                (not lengths or lengths[0] == b"%d" % stored.content.size)
                and response.fields.get(b"etag", [None])[0] == stored.etag
                and response.fields.get(b"last-modified", [None])[0] == stored.last_modified
            )
            if same and (stored.etag is not None or stored.last_modified is not None):
                generation = self.store.generation(key)
                fresh = stored.freshened(response.lines, request, response.request_time, response.response_time)
                self._put(key, fresh, generation)
            elif not same:
                self.store.drop(key, stored)

    def invalidate(self, key: Key, method: bytes, status: int, lines: Sequence[Field]) -> int:
        """After an answer to an unsafe method: how many responses were forgotten (RFC 9111 section 4.4).

        With the target go those that Location and Content-Location name, those that No-Vary-Search makes equivalent,
        the groups of all these, and the groups that Cache-Group-Invalidation names, this last whatever the status.
        """
        if method in _SAFE:
            return 0
        groups = set(groups_of([value for name, value in lines if name == b"cache-group-invalidation"]))
        dropped = 0
        if 200 <= status < 400:
            targets = {key}
            for name, value in lines:
                other = related_key(key, value) if name in (b"location", b"content-location") else None
                if other is not None:
                    targets.add(other)
            for target in targets:
                dropped += self.purge(target, groups)
        if groups:
            dropped += self.store.purge_groups(origin_of(key), sorted(groups))
        return dropped

    def purge(self, key: Key, groups: set[bytes] | None = None, soft_at: float | None = None) -> int:
        """Forget every variant of a target, and of those equivalent to it; their groups are added to ``groups``.

        With ``soft_at`` (the moment) they are made stale instead.
        """
        dropped = 0
        for target in dict.fromkeys([key, *(each.key for each in self.candidates(key))]):
            if groups is not None:
                for stored in self.store.lookup(target):
                    groups.update(stored.groups)
            dropped += self.store.purge(target, soft_at)
        return dropped

    def _names_itself(self, key: Key, response: Response) -> bool:
        locations = response.fields.get(b"content-location", ())
        return len(locations) == 1 and related_key(key, locations[0]) == key
