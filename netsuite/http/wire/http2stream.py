"""One stream of HTTP/2 at the server: how far its request and its answer have come."""

from __future__ import annotations

from collections import deque
from typing import Final

from netsuite.http.wire.messages import Request

__all__ = ["AWAY", "COUNTED", "OWED", "RAW", "WHOLE", "Stream"]

OWED: Final = 0
"""Nothing final was answered yet."""
RAW: Final = 1
"""A body of unknown length is being sent."""
COUNTED: Final = 2
"""A body of ``unsent`` more bytes is being sent."""
AWAY: Final = 3
"""What is poured is not sent: the answer has no body."""
WHOLE: Final = 4
"""All of the answer is known; some of it may wait for a window."""


class Stream:
    """See the module's docstring; windows and counts in bytes.

    ``expected`` is what Content-Length still announces, or -1; ``unread`` was handed over and not consumed;
    ``returned`` was consumed and not told to the peer; ``since`` and ``moved`` are for the deadline: what moved since;
    ``held`` is when the application last got something to read, which is no time of the client's.
    """

    __slots__ = (
        "at",
        "continues",
        "expected",
        "held",
        "id",
        "moved",
        "open",
        "queue",
        "queued",
        "request",
        "returned",
        "since",
        "size",
        "state",
        "trailers",
        "tunnel",
        "unread",
        "unsent",
        "waiting",
        "window",
        "window_in",
    )

    def __init__(self, request: Request, expected: int, window: int, window_in: int, now: float) -> None:
        self.id = request.stream
        self.request = request
        self.open = request.has_body  # the client may still send
        self.expected = expected
        self.continues = request.expects_continue
        self.tunnel = False
        self.size = 0
        self.unread = 0
        self.returned = 0
        self.window_in = window_in
        self.window = window
        self.state = OWED
        self.unsent = 0
        self.queue: deque[bytes] = deque()
        self.at = 0  # how much of the first chunk in the queue has been sent
        self.queued = 0
        self.trailers: bytes = b""
        self.waiting = False  # it stands in the round of those who have something to send
        self.since = self.held = now
        self.moved = 0
