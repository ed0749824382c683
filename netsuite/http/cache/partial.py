"""Partial responses: which may be stored, when they are combined, and what a request gets of an incomplete one.

A 206 is stored as an incomplete 200 of the same representation (RFC 9111 section 3.3): its fields are those of the
whole, its content a :class:`~netsuite.http.cache.sparse.Sparse`. Parts are combined only under one strong validator and
one complete length; anything else replaces what was stored.

Implements: RFC 9111 sections 3.3, 3.4; RFC 9110 sections 13.1.5, 14.4, 15.3.7
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from netsuite.http.cache.answers import is_not_modified, ranges_of
from netsuite.http.cache.content import Content
from netsuite.http.cache.decision import Action, Decision
from netsuite.http.cache.sparse import Sparse, merged
from netsuite.http.cache.store import Key, Store
from netsuite.http.cache.stored import Field, Request, Response, StoredResponse, by_name
from netsuite.http.cache.variants import secondary_key
from netsuite.http.wire.byteranges import (
    Byteranges,
    Extent,
    Malformed,
    byteranges_boundary,
    is_byteranges,
    parse_content_range,
)
from netsuite.http.wire.preconditions import strongly_equal
from netsuite.http.wire.ranges import Span
from netsuite.sansio.fields import entity_tags
from netsuite.sansio.spans import lacking, length

__all__ = [
    "as_whole",
    "boundary_of",
    "continues",
    "current_of",
    "extend",
    "extent_of",
    "is_of",
    "keep_parts",
    "missing_of",
    "partly",
    "parts_of",
    "range_field",
    "strong_validator",
    "suffices",
]

_OF_THE_PART: Final = frozenset({b"content-length", b"content-range"})

Parts = Sequence[tuple[Span, bytes]]


def strong_validator(stored: StoredResponse) -> bytes | None:
    """What promises that two parts are of the same bytes: a strong tag, or without any tag a date that is old enough.

    A date is strong only if it lies at least a second before the response's own (RFC 9110 section 8.8.2.2).
    """
    if stored.etag is not None:
        return None if stored.etag.startswith(b"W/") else stored.etag
    if stored.modified is not None and stored.modified + 1 <= stored.date:
        return stored.last_modified
    return None


def range_field(span: Span, size: int) -> Field:
    """The Range that asks for a span of a representation whose length is known."""
    first, stop = span
    return (b"range", b"bytes=%d-" % first if stop == size else b"bytes=%d-%d" % (first, stop - 1))


# -- what arrives


def extent_of(response: Response) -> Extent | None:
    """The one part that a 206 holds; None for several parts, and for what contradicts itself."""
    ranges = response.fields.get(b"content-range", ())
    kinds = response.fields.get(b"content-type", ())
    if response.status != 206 or len(ranges) != 1 or any(map(is_byteranges, kinds)):
        return None
    extent = parse_content_range(ranges[0])
    lengths = response.fields.get(b"content-length", ())
    if extent is None or (lengths and lengths[0] != b"%d" % (extent.span[1] - extent.span[0])):
        return None
    return extent


def as_whole(response: Response, content_type: bytes | None = None) -> Response:
    """A 206 as the incomplete 200 that it is stored as; ``content_type`` is that of its parts if it has several."""
    several = b"content-range" not in response.fields
    left_out = _OF_THE_PART | {b"content-type"} if several else _OF_THE_PART
    lines = [field for field in response.lines if field[0] not in left_out]
    if several and content_type is not None:
        lines.append((b"content-type", content_type))
    return Response(200, lines, response.request_time, response.response_time, response.targets)


def continues(stored: StoredResponse, response: Response) -> Extent | None:
    """The part of a 206 if it may be combined with what is stored (RFC 9110 section 15.3.7.3); else None."""
    extent = extent_of(response)
    if extent is None or extent.size not in (None, stored.content.size) or extent.span[1] > stored.content.size:
        return None
    return extent if is_of(stored, by_name(as_whole(response).lines)) else None


def is_of(stored: StoredResponse, fields: Mapping[bytes, Sequence[bytes]]) -> bool:
    """Whether a response with these fields is of the stored one's representation, beyond doubt."""
    validator = strong_validator(stored)
    if validator is None:
        return False
    tags = fields.get(b"etag", ())
    if stored.etag is not None:
        return len(tags) == 1 and strongly_equal(tags[0], validator)
    return not tags and list(fields.get(b"last-modified", ())) == [validator]


def boundary_of(response: Response) -> bytes | None:
    """What separates the parts of a 206 that holds several; None if it does not, or contradicts itself."""
    kinds = response.fields.get(b"content-type", ())
    if response.status != 206 or b"content-range" in response.fields or len(kinds) != 1:
        return None
    return byteranges_boundary(kinds[0])


def parts_of(response: Response, content: bytes) -> tuple[Response, int, Parts] | None:
    """What a 206 brought: as which response it is stored, of which length, and the parts; None if there is a doubt."""
    extent = extent_of(response)
    if extent is not None:
        first, stop = extent.span
        if extent.size is None or len(content) != stop - first:
            return None
        return as_whole(response), extent.size, [(extent.span, content)]
    boundary = boundary_of(response)
    if boundary is None:
        return None
    several = Byteranges(boundary)
    try:
        several.feed(content)
    except Malformed:
        return None
    if not several.complete or several.size is None:
        return None
    return as_whole(response, several.content_type), several.size, several.parts


def keep_parts(
    store: Store, key: Key, request: Request, whole: Response, size: int, parts: Parts, generation: int
) -> StoredResponse | None:
    """Store parts of a representation, combined with what is there of it; None if they are not kept.

    Without a strong validator that matches, they replace what the request would select. A representation that has
    another length under the same validator is trusted no more: it is forgotten, and the parts are not kept.
    """
    content: Content = Sparse(size)
    for stored in store.lookup(key):
        if stored.status == 200 and stored.selected_by(request) and is_of(stored, whole.fields):
            if stored.content.size != size:
                store.drop(key, stored)
                return None
            base = stored.freshened(whole.lines, request, whole.request_time, whole.response_time)
            content = stored.content
            break
    else:
        base = StoredResponse(whole, content, secondary_key(whole.vary, request.fields))
    base = base.holding(merged(content, parts, store.object_limit))
    return base if store.put(key, base, generation) else None


def current_of(store: Store, key: Key, request: Request, stored: StoredResponse) -> StoredResponse | None:
    """What is in the store by now of the representation that a stored response is of."""
    for each in store.lookup(key):
        if each.status == 200 and _in_place_of(each, request, stored) and _same(each, stored):
            return each
    return None


def extend(
    store: Store, key: Key, request: Request, stored: StoredResponse, parts: Parts, generation: int
) -> StoredResponse | None:
    """Store a response, brought up to date, with more of its parts; None if it is not kept.

    What came into the store meanwhile is added to. Another representation that came there is not replaced.
    """
    selected = any(_in_place_of(each, request, stored) for each in store.lookup(key))
    current = current_of(store, key, request, stored)
    if selected and current is None:
        return None
    base, content = stored, stored.content
    if current is not None:
        content = current.content
        if current.response_time > stored.response_time:
            base = current
    base = base.holding(merged(content, parts, store.object_limit))
    return base if store.put(key, base, generation) else None


def _in_place_of(each: StoredResponse, request: Request, stored: StoredResponse) -> bool:
    """Whether a response is the variant that another was, or that the request would select now."""
    return (each.vary, each.selection) == (stored.vary, stored.selection) or each.selected_by(request)


def _same(one: StoredResponse, other: StoredResponse) -> bool:
    validator = strong_validator(one)
    return validator is not None and validator == strong_validator(other) and one.content.size == other.content.size


# -- what a request gets


def missing_of(request: Request, stored: StoredResponse, now: float) -> list[Span]:
    """What a GET needs of a stored response and that is not there."""
    size = stored.content.size
    spans = ranges_of(request.method, request.fields, stored, size, now)
    return lacking(stored.content.spans(), [(0, size)] if spans is None else spans)


def suffices(request: Request, stored: StoredResponse, now: float) -> bool:
    """Whether what is there of a stored response answers a request."""
    return is_not_modified(request.method, request.fields, stored, now) or not missing_of(request, stored, now)


def partly(decision: Decision, request: Request, stored: Sequence[StoredResponse], now: float, limit: int) -> Decision:
    """The decision where what was selected, or might be, is incomplete; ``limit`` is the largest body that is stored.

    An incomplete response answers ranges that are there, and preconditions; a HEAD it does not (RFC 9111 section 3.3).
    What is missing is fetched under If-Range, if a strong validator lets it be combined; else the request goes to
    the origin as if nothing were stored.
    """
    chosen = decision.stored
    if chosen is None:
        return _without_incomplete(decision, stored) if decision.validators else decision
    if not isinstance(chosen.content, Sparse):
        return decision
    control = request.control
    ranges = request.fields.get(b"range")
    if request.method == b"GET":
        if suffices(request, chosen, now):
            if ranges and decision.action is not Action.HIT:
                # validated for this range only: should the representation have changed, not all of it comes
                return decision._replace(validators=(*decision.validators, (b"range", b", ".join(ranges))))
            return decision
        if decision.action is Action.REVALIDATE:
            forward, why = decision.forward, f"{decision.reason}, and parts of it are missing"
        else:
            forward, why = "partial", "parts of it are missing"
        validator = strong_validator(chosen)
        combines = validator is not None and length(missing_of(request, chosen, now)) <= limit
        if control.only_if_cached:
            return Decision(Action.TIMEOUT, "", "only-if-cached, and parts are missing", "RFC 9111 5.2.1.7")
        if combines and validator is not None and not request.authorized and not control.no_store:
            section = "RFC 9111 3.4"
            return Decision(Action.COMPLETE, forward, why, section, chosen, ((b"if-range", validator),))
        return Decision(Action.MISS, forward, f"{why}, which cannot be combined", "RFC 9110 15.3.7.3")
    if control.only_if_cached:
        return Decision(Action.TIMEOUT, "", "only-if-cached, and only parts are stored", "RFC 9111 5.2.1.7")
    return Decision(Action.MISS, "partial", "only parts are stored", "RFC 9111 3.3")


def _without_incomplete(decision: Decision, stored: Sequence[StoredResponse]) -> Decision:
    """A decision that offers the tags of other variants, without those of which not all is there."""
    parts = {each.etag for each in stored if isinstance(each.content, Sparse)}
    if not parts:
        return decision
    offered = entity_tags(b", ".join(value for _, value in decision.validators)) or ()
    whole = [tag for tag in offered if tag not in parts]
    return decision._replace(validators=((b"if-none-match", b", ".join(whole)),) if whole else ())
