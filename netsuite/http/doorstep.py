"""HTTP at the door (:mod:`netsuite.common.door`): a request read by its target alone, for applications that can.

What else a request says is known by heart: a block of header fields that the server's machine read before, in a
request that it found complete and plain, reads the same the second time. So only requests that differ from one of those
in nothing but their target are answered here; all others go the whole way, and teach.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from netsuite.common.door import LONGEST
from netsuite.http.accesslog import said
from netsuite.http.wire.lines import prefixes, status_line
from netsuite.http.wire.messages import Request
from netsuite.interfaces import IImmediateHttpApplication
from netsuite.sansio.dates import format_date

__all__ = ["Doorstep", "immediate"]

_PLAIN: Final = frozenset(
    (
        b"host",
        b"user-agent",
        b"accept",
        b"accept-encoding",
        b"accept-language",
        b"cache-control",
        b"connection",
        b"pragma",
    )
)
"""Fields that change nothing about an answer which is given once, as it is, on a connection that then closes."""
_VISIBLE: Final = bytes(range(0x21, 0x7F)).replace(b"#", b"")
_MOST: Final = 4096
_LONGEST_BLOCK: Final = 2048


class Doorstep:
    """Answers of one application; ``record`` logs them, ``statuses`` counts them."""

    __slots__ = ("_app", "_blocks", "_fields", "_head", "_record", "_second", "_seconds", "_statuses", "requests")

    def __init__(
        self,
        app: IImmediateHttpApplication,
        seconds: Callable[[], float],
        record: Callable[..., None],
        statuses: list[int],
    ) -> None:
        self._app = app
        self._seconds = seconds
        self._record = record
        self._statuses = statuses
        self._blocks: dict[bytes, tuple[str, str]] = {}
        fields = [
            (b"server", b"netsuite"),
            *app.immediate_fields,
            (b"connection", b"close"),
            (b"content-length", b"%d"),
        ]
        self._fields = b"".join(b"\r\n" + prefixes[name] + value for name, value in fields) + b"\r\n\r\n%b"
        self._head = b""
        self._second = -1
        self.requests = 0

    def answer(self, data: bytes, host: str) -> bytes | None:
        """The answer to exactly these bytes, or None; a Door."""
        end = data.find(b" ", 4)
        note = self._blocks.get(data[end:])
        if note is None or not data.startswith(b"GET /"):
            return None
        target = data[4:end]
        if target.translate(None, _VISIBLE):
            return None
        body = self._app.immediately(target, host)
        if body is None:
            return None
        now = self._seconds()
        if int(now) != self._second:
            self._second = int(now)
            self._head = status_line(200) + b"Date: " + format_date(now) + self._fields
        out = self._head % (len(body), body)
        if len(out) > LONGEST:
            return None
        self.requests += 1
        self._statuses[2] += 1
        self._record(host, data[: data.find(b"\r")].decode("latin-1"), 200, len(body), *note)
        return out

    def learn(self, request: Request) -> None:
        """Take to heart what stands behind the target, if it is plain."""
        if (
            not request.alone
            or request.method != b"GET"
            or request.has_body
            or request.upgrade is not None
            or request.version not in ((1, 0), (1, 1))
        ):
            return
        block = request.head[request.head.find(b" ", 4) :]
        if len(block) > _LONGEST_BLOCK or block in self._blocks:
            return
        if all(name in _PLAIN for name, _ in request.headers):
            if len(self._blocks) >= _MOST:
                self._blocks.clear()
            _, referer, agent = said(request)
            self._blocks[block] = referer, agent


def immediate(app: Any) -> IImmediateHttpApplication | None:
    """The application, if it answers at the door."""
    return app if IImmediateHttpApplication.providedBy(app) else None
