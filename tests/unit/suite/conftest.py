"""What several tests of the suite share."""

from __future__ import annotations

import pytest
from twisted.logger import globalLogPublisher


@pytest.fixture
def logged():
    """Answers the failures of a kind that were logged during the test."""
    events = []
    globalLogPublisher.addObserver(events.append)
    yield lambda kind: [
        each["log_failure"] for each in events if "log_failure" in each and each["log_failure"].check(kind)
    ]
    globalLogPublisher.removeObserver(events.append)
