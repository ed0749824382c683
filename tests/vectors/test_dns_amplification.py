"""What a forger gets out of us for a byte that he sends is bounded, and the page says how much it is."""

from __future__ import annotations

import pytest

from tests.vectors.dns_amplification import CHAINS, PAGE, page, rows

MOST = {"unsigned": 11.0, "nsec": 14.0, "nsec3": 20.0, "compact": 14.0}


def test_answers_are_bounded_and_the_page_is_current(tmp_path):
    found = list(rows(tmp_path))
    for row in found:
        assert max(row.factors()) <= MOST[row.chain], row
        assert all(out <= min(1232, 512 if column == 0 else 1232) for column, (_, out) in enumerate(row.sizes)), row
        if row.title in ("AXFR", "IXFR", "another's name"):
            assert max(row.factors()) < 1.5, row
    assert {row.chain for row in found} == set(CHAINS)
    assert PAGE.read_text() == page(found), "run python -m tests.vectors.dns_amplification"


@pytest.mark.parametrize("kind", [0, 2, 4])
def test_beyond_the_rate_nothing_grows_but_for_those_who_show_a_cookie(tmp_path, kind):
    """A rate of 1 a second: of each zone's questions the first is answered, the others are dropped or no longer."""
    found = list(rows(tmp_path, rate=1))
    for chain in CHAINS:
        sizes = [size for row in found if row.chain == chain for size in row.sizes]
        into, out = (sum(part) for part in zip(*[s for i, s in enumerate(sizes) if i % 5 == kind], strict=True))
        assert out > 2 * into if kind == 4 else out < into
