"""Every conversation of the caching table goes as written (RFC 9110, 9111, 5861)."""

from __future__ import annotations

import pytest

from tests.vectors.caching_cases import GROUPS, cases, play


@pytest.mark.parametrize("case", cases(), ids=lambda case: f"{case[0]}: {case[1]}")
def test_case(case):
    play(case)


def test_titles_are_distinct():
    titles = [case[:2] for case in cases()]
    assert len(set(titles)) == len(titles)


def test_every_group_has_cases_and_says_how_binding_it_is():
    assert {case[0] for case in cases()} == set(GROUPS)
    assert {binding for binding, _ in GROUPS.values()} == {"required", "optional", "informational"}
