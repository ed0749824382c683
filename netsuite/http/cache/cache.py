"""The cache without its network: what is stored, what a request gets of it, what arrivals change.

Everything here is pure: times are arguments. The proxy puts fetches around it; tests, and whoever
explains a decision, use it as it stands.

Implements: RFC 9111 sections 3, 4.3.3, 4.3.4, 4.3.5, 4.4
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import urljoin, urlsplit

from netsuite.http.cache.content import Content
from netsuite.http.cache.decision import Decision, decide
from netsuite.http.cache.partial import current_of, partly
from netsuite.http.cache.store import Key, Store
from netsuite.http.cache.stored import Field, Request, Response, StoredResponse
from netsuite.http.cache.variants import secondary_key
from netsuite.http.wire.preconditions import weakly_equal

__all__ = ["Cache", "related_key", "target_key"]

_SAFE: Final = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE"})
_DEFAULT_PORTS: Final = {"http": b":80", "https": b":443"}


def target_key(scheme: str, authority: bytes, path: bytes, query: bytes | None) -> Key:
    """What a target is stored under; percent-encodings are left as they came, lest two targets become one."""
    host = authority.lower().removesuffix(b":").removesuffix(_DEFAULT_PORTS.get(scheme, b":"))
    tail = b"" if query is None else b"?" + query
    return b"%b://%b%b%b" % (scheme.encode(), host, path or b"/", tail)


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
    return found if _origin(found) == _origin(base) else None


def _origin(key: Key) -> bytes:
    return key[: key.find(b"/", key.find(b"://") + 3)]


class Cache:
    """Stored responses and the rules of their use."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def decide(self, key: Key, request: Request, now: float) -> Decision:
        """What to do with a request for a target."""
        stored = self.store.lookup(key)
        return partly(decide(request, stored, now), request, stored, now, self.store.object_limit)

    def may_store(self, key: Key, request: Request, response: Response) -> bool:
        """Whether a response to a request for a target may be stored (RFC 9111 section 3)."""
        return response.storability(request, same_target=self._names_itself(key, response)).allowed

    def keep(
        self, key: Key, request: Request, response: Response, content: Content, generation: int
    ) -> StoredResponse | None:
        """Store a complete response; None if the target was purged since ``generation``, or if it is too large."""
        stored = StoredResponse(response, content, secondary_key(response.vary, request.fields))
        return stored if self.store.put(key, stored, generation) else None

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
            known = self.store.lookup(key)
            fitting = [each for each in known if tags and each.etag is not None and weakly_equal(tags[0], each.etag)]
            if not fitting:
                return None
            chosen = fitting[-1]
        if not chosen.alive:
            # more of it may have come meanwhile
            chosen = current_of(self.store, key, request, chosen) or chosen
        fresh = chosen.freshened(response.lines, request, response.request_time, response.response_time)
        if response.control.no_store or request.control.no_store:
            self.store.drop(key, chosen)
        elif not self.store.put(key, fresh, generation):
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
                self.store.put(key, fresh, generation)
            elif not same:
                self.store.drop(key, stored)

    def invalidate(self, key: Key, method: bytes, status: int, lines: Sequence[Field]) -> int:
        """After an answer to an unsafe method: how many responses were forgotten (RFC 9111 section 4.4)."""
        if method in _SAFE or not 200 <= status < 400:
            return 0
        dropped = self.store.purge(key)
        for name, value in lines:
            if name in (b"location", b"content-location"):
                other = related_key(key, value)
                if other is not None and other != key:
                    dropped += self.store.purge(other)
        return dropped

    def _names_itself(self, key: Key, response: Response) -> bool:
        locations = response.fields.get(b"content-location", ())
        return len(locations) == 1 and related_key(key, locations[0]) == key
