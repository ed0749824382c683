"""A stored response with all that later decisions need, computed once when it is stored.

Implements: RFC 9111 sections 3.1, 3.2, 4.2, 4.3.4; RFC 9213 section 2.2
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from functools import lru_cache
from itertools import repeat
from typing import Final

from netsuite.http.cache.cachecontrol import NO_DIRECTIVES, CacheControl, parse_cache_control
from netsuite.http.cache.content import Content
from netsuite.http.cache.freshness import Lifetime, initial_age, lenient_date, lifetime
from netsuite.http.cache.groups import groups_of
from netsuite.http.cache.search import Variance, variance_of
from netsuite.http.cache.storability import Storability, storability, stored_fields
from netsuite.http.cache.tags import NAMING, tags_of
from netsuite.http.cache.targeted import targeted_control
from netsuite.http.cache.variants import secondary_key, vary_names
from netsuite.sansio.dates import format_date

__all__ = ["Field", "Request", "Response", "StoredResponse", "by_name"]

Field = tuple[bytes, bytes]

_KEPT_ON_304: Final = frozenset({b"content-encoding", b"content-length", b"content-range", b"content-type"})
"""What the stored body depends upon; a 304 does not change it (RFC 9111 section 3.2)."""


_parted: Final = bytes.partition
_COLONS: Final = repeat(b":")


def by_name(fields: Sequence[Field]) -> dict[bytes, list[bytes]]:
    """Fields by lower-case name, each with its lines in order."""
    found = {name: [value] for name, value in fields}
    if len(found) == len(fields):
        return found
    found = {}
    for name, value in fields:
        found.setdefault(name, []).append(value)
    return found


class Request:
    """What matters to a cache in a request: its method, and its fields by name."""

    __slots__ = ("control", "fields", "method")

    def __init__(self, method: bytes, fields: Sequence[Field]) -> None:
        self.method = method
        self.fields: Mapping[bytes, Sequence[bytes]] = by_name(fields)
        lines = self.fields.get(b"cache-control")
        if lines is not None:
            self.control = parse_cache_control(b", ".join(lines))
        elif b"pragma" in self.fields and b"no-cache" in [line.strip().lower() for line in self.fields[b"pragma"]]:
            self.control = CacheControl(no_cache=True)
        else:
            self.control = NO_DIRECTIVES

    @property
    def authorized(self) -> bool:
        """Whether it carries credentials for the origin."""
        return b"authorization" in self.fields


class Response:
    """A response as it arrived (its end-to-end fields), with its freshness worked out.

    ``targets`` are the fields that take the place of Cache-Control for this cache, the strongest first; ``ruled_by`` is
    the one that does. ``trailers`` are set once the body is there.
    """

    __slots__ = (
        "age",
        "control",
        "date",
        "fields",
        "lifetime",
        "lines",
        "request_time",
        "response_time",
        "ruled_by",
        "ruling",
        "status",
        "targets",
        "trailers",
        "vary",
    )

    def __init__(
        self,
        status: int,
        lines: Sequence[Field],
        request_time: float,
        response_time: float,
        targets: Sequence[bytes] = (),
    ) -> None:
        self.status = status
        self.lines = lines
        self.fields = by_name(lines)
        self.request_time = request_time
        self.response_time = response_time
        self.targets = targets
        self.trailers: tuple[Field, ...] = ()
        self.age, self.date = initial_age(self.fields, request_time, response_time)
        targeted = targeted_control(self.fields, targets) if targets else None
        if targeted is None:
            self.ruled_by = b"cache-control"
            self.ruling: Mapping[bytes, Sequence[bytes]] = self.fields
            self.control = parse_cache_control(b", ".join(self.fields.get(b"cache-control", ())))
        else:
            self.ruled_by, self.control = targeted
            self.ruling = {name: values for name, values in self.fields.items() if name != b"expires"}
        self.lifetime: Lifetime = lifetime(status, self.ruling, self.control, self.date, response_time)
        self.vary = vary_names(self.fields[b"vary"]) if b"vary" in self.fields else ()

    @property
    def fresh(self) -> bool:
        """Whether it may be used for another request as it arrives, without asking the origin."""
        return self.age < self.lifetime.seconds and not self.control.no_cache

    def storability(self, request: Request, *, same_target: bool = False) -> Storability:
        """Whether it may be stored as the answer to a request."""
        return storability(
            request.method,
            self.status,
            self.ruling,
            self.control,
            request.control,
            authorized=request.authorized,
            same_target=same_target,
            fresh=self.lifetime,
            vary=self.vary,
        )


@lru_cache(maxsize=1024)
def _one_of_all(lifetime: Lifetime) -> Lifetime:
    """The same value for all that are equal: most responses of a site are fresh for as long."""
    return lifetime


class StoredResponse:
    """One stored response: never changed once made, a 304 makes a new one around the same content.

    ``alive`` turns false when it is evicted, replaced or invalidated; whoever kept it must not use it any more.
    ``heads`` are the requests that the hot path answers from it, None if there are none. ``groups`` are those of
    Cache-Groups, ``tags`` all names that its origin gave it, ``search`` is what No-Vary-Search says. ``key``, ``cost``
    (bytes of the budget) and ``survived`` (the number of the last purge that it is known to have survived) are the
    store's to set. ``filed`` is its name in the tier below, if any.
    """

    __slots__ = (
        "_packed",
        "alive",
        "content",
        "control",
        "cost",
        "date",
        "etag",
        "filed",
        "groups",
        "heads",
        "initial_age",
        "key",
        "last_modified",
        "lifetime",
        "modified",
        "request_time",
        "response_time",
        "ruled_by",
        "search",
        "selection",
        "status",
        "survived",
        "tags",
        "targets",
        "trailers",
        "vary",
    )

    def __init__(self, response: Response, content: Content, selection: tuple[bytes | None, ...]) -> None:
        self.alive = True
        self.key = b""
        self.filed = b""
        self.cost = 0
        self.survived = 0
        self.heads: set[bytes] | None = None
        self.status = response.status
        self.content = content
        self.control = response.control
        self.date = response.date
        self.initial_age = response.age
        self.lifetime = _one_of_all(response.lifetime)
        self.request_time = response.request_time
        self.response_time = response.response_time
        self.ruled_by = response.ruled_by
        self.targets = response.targets
        self.trailers = response.trailers
        self.vary = response.vary
        self.selection = selection
        self.groups = groups_of(response.fields.get(b"cache-groups", ()))
        self.search: Variance | None = variance_of(response.fields.get(b"no-vary-search", ()))
        fields = stored_fields(response.lines, response.control)
        if b"date" not in response.fields:
            fields.append((b"date", format_date(response.response_time)))
        self.fields = fields
        self.tags = () if NAMING.isdisjoint(response.fields) else tags_of(fields)
        etags = response.fields.get(b"etag", ())
        self.etag: bytes | None = etags[0] if etags else None
        modified = response.fields.get(b"last-modified", ())
        self.last_modified: bytes | None = modified[0] if modified else None
        self.modified = lenient_date(modified[0], response.response_time) if modified else None

    @property
    def fields(self) -> tuple[Field, ...]:
        """What is kept of its header fields, by lower-case name, in order; unpacked anew each time."""
        return tuple([(name, value) for name, _, value in map(_parted, self._packed.split(b"\n"), _COLONS)])

    @fields.setter
    def fields(self, fields: Sequence[Field]) -> None:
        # a kilobyte of small objects otherwise; no value holds a line break
        self._packed = b"\n".join([name + b":" + value for name, value in fields])

    @property
    def field_bytes(self) -> int:
        """Bytes that its header fields take."""
        return len(self._packed)

    def age(self, now: float) -> float:
        """Seconds since its origin made it or last validated it (RFC 9111 section 4.2.3)."""
        return self.initial_age + max(0.0, now - self.response_time)

    def stale_from(self, now: float) -> StoredResponse | None:
        """The same response, fresh up to this moment and no longer; None if it is stale already."""
        age = self.age(now)
        if age >= self.lifetime.seconds:
            return None
        stale = copy(self)
        stale.heads = None
        stale.lifetime = Lifetime(age, "a soft purge", "RFC 9111 4.2.4")
        return stale

    def selected_by(self, request: Request) -> bool:
        """Whether the request's fields are those that Vary asks for."""
        return not self.vary or secondary_key(self.vary, request.fields) == self.selection

    def holding(self, content: Content) -> StoredResponse:
        """The same response with other content: more of it, or a way to get at more."""
        made = copy(self)
        made.content = content
        made.alive = True
        made.key = made.filed = b""
        made.cost = made.survived = 0
        made.heads = None
        return made

    def freshened(
        self, lines: Sequence[Field], request: Request, request_time: float, response_time: float
    ) -> StoredResponse:
        """The stored response after a 304 with these fields (RFC 9111 sections 3.2, 4.3.4)."""
        update = [field for field in lines if field[0] not in _KEPT_ON_304]
        replaced = {name for name, _ in update}
        # what told freshness before is void once the 304 tells it anew: its Date belongs to its own Expires
        if b"date" not in replaced:
            replaced.add(b"date")
        merged = [field for field in self.fields if field[0] not in replaced] + update
        response = Response(self.status, merged, request_time, response_time, self.targets)
        response.trailers = self.trailers
        return StoredResponse(response, self.content, secondary_key(response.vary, request.fields))
