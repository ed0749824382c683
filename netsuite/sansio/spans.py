"""Sets of whole numbers as spans: what is there of a file, what is wanted, what is missing.

A span is ``(first, stop)``, as in a slice. Every function takes spans in any order, overlapping or empty, and answers
them in order, none empty, none touching the next: so equal sets are equal sequences.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["Span", "common", "covers", "lacking", "length", "union"]

Span = tuple[int, int]


def union(spans: Iterable[Span]) -> list[Span]:
    """Everything that is in any of the spans."""
    merged: list[Span] = []
    for first, stop in sorted(spans):
        if first >= stop:
            continue
        if merged and first <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
        else:
            merged.append((first, stop))
    return merged


def lacking(held: Iterable[Span], wanted: Iterable[Span]) -> list[Span]:
    """What is in ``wanted`` and not in ``held``."""
    there = union(held)
    missing: list[Span] = []
    at = 0
    for first, stop in union(wanted):
        while at < len(there) and there[at][1] <= first:
            at += 1
        look = at
        while look < len(there) and there[look][0] < stop:
            if first < there[look][0]:
                missing.append((first, there[look][0]))
            first = there[look][1]
            look += 1
        if first < stop:
            missing.append((first, stop))
    return missing


def common(one: Iterable[Span], other: Iterable[Span]) -> list[Span]:
    """What is in both."""
    wanted = union(other)
    return lacking(lacking(one, wanted), wanted)


def covers(held: Iterable[Span], wanted: Iterable[Span]) -> bool:
    """Whether all of ``wanted`` is in ``held``."""
    return not lacking(held, wanted)


def length(spans: Iterable[Span]) -> int:
    """How many numbers there are in spans that do not overlap."""
    return sum(stop - first for first, stop in spans)
