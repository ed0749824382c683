"""The page of attacks names tests that are there, and is as the table says."""

from __future__ import annotations

from tests.vectors.dns_defences import PAGE, missing, page


def test_every_defence_has_its_tests():
    assert missing() == []
    assert PAGE.read_text() == page(), "run python -m tests.vectors.dns_defences"
