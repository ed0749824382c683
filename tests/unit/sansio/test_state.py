"""State tables."""

from __future__ import annotations

import pytest

from netsuite.sansio.connection import StateError
from netsuite.sansio.state import StateTable

DOOR = StateTable("door", "shut", [("shut", "open", "ajar"), ("ajar", "close", "shut"), ("ajar", "fall off", "gone")])


def test_steps():
    assert DOOR.step("shut", "open") == "ajar"
    assert DOOR.step("ajar", "close") == "shut"
    assert DOOR.permits("ajar", "fall off")
    assert not DOOR.permits("shut", "fall off")


def test_a_forbidden_step_says_what_and_where():
    with pytest.raises(StateError, match="door: 'close' is forbidden in shut"):
        DOOR.step("shut", "close")
    with pytest.raises(StateError):
        DOOR.step("gone", "open")


def test_the_diagram():
    assert DOOR.mermaid().splitlines() == [
        "stateDiagram-v2",
        "    [*] --> shut",
        "    shut --> ajar: open",
        "    ajar --> shut: close",
        "    ajar --> gone: fall off",
        "    gone --> [*]",
    ]


def test_contradictions_and_lost_states_are_refused():
    with pytest.raises(ValueError, match="'x' leads from a to two states"):
        StateTable("t", "a", [("a", "x", "b"), ("a", "x", "c")])
    with pytest.raises(ValueError, match="nothing leads to c, d"):
        StateTable("t", "a", [("a", "x", "b"), ("c", "y", "d"), ("d", "y", "c")])
