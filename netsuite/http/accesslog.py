"""The combined log format, which our HTTP servers and proxies share."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

from netsuite.http.wire.messages import Request

__all__ = ["LOGGED", "combined", "said"]

LOGGED: Final = ("client", "request", "status", "size", "referer", "agent")
"""The fields of an event after its time."""

_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def said(request: Request) -> tuple[str, str, str]:
    """What the log says of a request: its first line, Referer, User-Agent."""
    referer = agent = b"-"
    for name, value in request.headers:
        if name == b"user-agent":
            agent = value
        elif name == b"referer":
            referer = value
    line = b"%b %b HTTP/%d.%d" % (request.method, request.target, *request.version)
    return line.decode("latin-1"), referer.decode("latin-1"), agent.decode("latin-1")


def combined(event: Any) -> str:
    """One line of the log."""
    time, client, line, status, size, referer, agent = event
    when = _log_time(int(time))
    return f'{client} - - [{when}] "{_quoted(line)}" {status} {size} "{_quoted(referer)}" "{_quoted(agent)}"'


@lru_cache(maxsize=64)
def _log_time(second: int) -> str:
    at = datetime.fromtimestamp(second, UTC)
    return f"{at:%d}/{_MONTHS[at.month - 1]}/{at:%Y:%H:%M:%S} +0000"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"') if '"' in text or "\\" in text else text
