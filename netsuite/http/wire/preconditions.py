"""Conditional requests: whether what a client asks is already in its hands, or no longer so.

Implements: RFC 9110 sections 8.8.3.2, 13.1, 13.2; RFC 9111 section 4.3.2
"""

from __future__ import annotations

from collections.abc import Callable

from netsuite.sansio.dates import parse_date
from netsuite.sansio.fields import entity_tags

__all__ = ["evaluate", "range_applies", "strongly_equal", "weakly_equal"]


def strongly_equal(one: bytes, other: bytes) -> bool:
    """Whether two entity tags promise the same bytes."""
    return one == other and not one.startswith(b"W/")


def weakly_equal(one: bytes, other: bytes) -> bool:
    """Whether two entity tags promise the same meaning."""
    return one.removeprefix(b"W/") == other.removeprefix(b"W/")


def evaluate(
    method: bytes,
    header: Callable[[bytes], bytes | None],
    etag: bytes | None,
    modified: float | None,
    now: float,
    *,
    exists: bool = True,
) -> int:
    """What the preconditions of a request ask for: 304, 412, or 0 to go on (RFC 9110 section 13.2.2).

    ``header`` answers the request's fields by lower-case name, several lines joined. ``etag`` and ``modified`` (seconds
    since the epoch) are the current representation's; ``exists`` is false where there is none. What is malformed counts
    as absent, but for If-Match, which then fails.
    """
    reading = method in (b"GET", b"HEAD")
    if_match = header(b"if-match")
    if if_match is not None:
        if not exists or (if_match.strip() != b"*" and not _any(strongly_equal, if_match, etag)):
            return 412
    elif exists and modified is not None:
        since = _date(header(b"if-unmodified-since"), now)
        if since is not None and int(modified) > since:
            return 412
    if_none_match = header(b"if-none-match")
    if if_none_match is not None:
        if exists and (if_none_match.strip() == b"*" or _any(weakly_equal, if_none_match, etag)):
            return 304 if reading else 412
    elif reading and exists and modified is not None:
        since = _date(header(b"if-modified-since"), now)
        if since is not None and int(modified) <= since:
            return 304
    return 0


def range_applies(if_range: bytes | None, etag: bytes | None, modified: float | None, date: float, now: float) -> bool:
    """Whether Range may be honoured: there is no If-Range, or its validator is the current one's, strongly compared.

    A date is a strong validator only if it lies at least a second before the response's ``date`` (section 8.8.2.2).
    """
    if if_range is None:
        return True
    if if_range[-1:] == b'"':
        return etag is not None and strongly_equal(if_range, etag)
    since = parse_date(if_range, now)
    return since is not None and modified is not None and int(modified) == since and since < date


def _any(equal: Callable[[bytes, bytes], bool], listed: bytes, etag: bytes | None) -> bool:
    return etag is not None and any(equal(tag, etag) for tag in entity_tags(listed) or ())


def _date(value: bytes | None, now: float) -> int | None:
    return None if value is None else parse_date(value, now)
