"""Public resolver scenarios: each that can be played ends as its script says, or otherwise for a reason we give."""

from __future__ import annotations

import pytest

from tests.vectors.dns_replay import DIFFERENT, FOLDER, PAGE, play_file, scenarios

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no scenarios at {FOLDER}; set NETSUITE_SHARED")


@pytest.mark.parametrize("path", scenarios(), ids=lambda path: path.name)
def test_scenario(path):
    outcome = play_file(path)
    if outcome.state == "left out":
        pytest.skip(f"the scenario {outcome.reason}")
    assert outcome.state == ("different" if path.name in DIFFERENT else "passed"), outcome.reason


def test_the_page_is_up_to_date():
    text = PAGE.read_text()
    for path in scenarios():
        outcome = play_file(path)
        if outcome.state in ("passed", "different"):
            assert f"| {path.name} |" in text, "run python -m tests.vectors.dns_replay"
