"""Spans against sets of whole numbers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from netsuite.sansio.spans import common, covers, lacking, length, union

SPANS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=8)


def numbers(spans):
    return {number for first, stop in spans for number in range(first, stop)}


def is_canonical(spans):
    flat = [edge for span in spans for edge in span]
    return flat == sorted(set(flat))


@given(SPANS)
def test_union(spans):
    found = union(spans)
    assert is_canonical(found)
    assert numbers(found) == numbers(spans)
    assert length(found) == len(numbers(spans))


@given(SPANS, SPANS)
def test_what_is_lacking(held, wanted):
    found = lacking(held, wanted)
    assert is_canonical(found)
    assert numbers(found) == numbers(wanted) - numbers(held)
    assert covers(held, wanted) == (not found)


@given(SPANS, SPANS)
def test_what_is_common(one, other):
    found = common(one, other)
    assert is_canonical(found)
    assert numbers(found) == numbers(one) & numbers(other)
