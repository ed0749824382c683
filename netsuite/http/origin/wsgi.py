"""WSGI applications on a few threads: bodies stream both ways, and neither side runs ahead of the other.

Each request has a thread for as long as the application works on it. What it writes goes to the client as it comes; a
client that reads slowly holds the application up, and so does one that is slow to send. When the client leaves, the
next write (or read) ends the application, and ``close()`` is called whatever happens. More requests than threads
wait, and more than may wait are answered 503.

A whole body of known length in one piece is sent with its Content-Length; everything else is framed by the server.

Implements: PEP 3333
"""

from __future__ import annotations

import io
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from netsuite.common.commons import Commons
from netsuite.common.errors import Overloaded
from netsuite.common.threads import Threads
from netsuite.http.hosts import host_of
from netsuite.http.origin.wsgistreams import ErrorLog, Gone, Input, Output
from netsuite.http.server import error_page
from netsuite.http.wire.messages import Fields
from netsuite.interfaces import HttpAnswer, IHttpApplication, IHttpRequest
from netsuite.sansio.fields import is_field_value, is_token

__all__ = ["WsgiContainer"]

_log = Logger()

_OWN: Final = frozenset([b"date", b"server", b"connection", b"keep-alive", b"transfer-encoding", b"upgrade"])
_NOT_PASSED: Final = frozenset([b"content-type", b"content-length", b"proxy", b"connection", b"transfer-encoding"])


class _Call:
    """One request to the application. ``head`` fires with the answer once its first piece is there."""

    def __init__(self, container: WsgiContainer, environ: dict[str, Any], given: Input) -> None:
        self._container = container
        self._input = given
        self._reactor = container.reactor
        self._environ = environ
        self._status = 0
        self._fields: Fields = []
        self._begun = False
        self._output = Output(self._reactor)
        self.head: Deferred[HttpAnswer] = Deferred(lambda _: self._output.give_up())

    def abandon(self) -> None:
        """Nobody wants the answer."""
        self._output.give_up()
        self.head.cancel()

    def run(self) -> None:
        """In a thread: call the application and send what it answers."""
        failed = True
        try:
            result = self._container.application(self._environ, self._start_response)
            try:
                self._send(result)
            finally:
                close = getattr(result, "close", None)
                if close is not None:
                    close()
            failed = False
        except Gone:
            pass
        except Exception:
            if self._input.too_long and not self._begun:
                self._tell(self._container.too_long())
                return
            _log.failure("{app} failed", app=self._container.name)
            if not self._begun:
                self._tell(error_page(500))
        finally:
            self._environ["wsgi.errors"].flush()
            if self._begun:
                self._output.end(failed=failed)

    def _send(self, result: Iterable[bytes]) -> None:
        if isinstance(result, (list, tuple)) and not self._begun:
            body = b"".join(result)
            if not self._status:
                raise RuntimeError("the application did not call start_response")
            length = [value for name, value in self._fields if name == b"content-length"]
            if not length or length == [b"%d" % len(body)] or self._environ["REQUEST_METHOD"] == "HEAD":
                self._tell((self._status, self._fields, body))
                return
            result = (body,)
        for data in result:
            self._write(data)
        if not self._begun:
            if not self._status:
                raise RuntimeError("the application did not call start_response")
            self._tell((self._status, self._fields, b""))

    def _write(self, data: bytes) -> None:
        """The application's ``write``, and each piece that it yields."""
        if not isinstance(data, bytes):
            raise TypeError(f"a WSGI application gives bytes, not {type(data).__name__}")
        if not data:
            return
        if not self._status:
            raise RuntimeError("the application wrote before it called start_response")
        if not self._begun:
            self._begun = True
            self._tell((self._status, self._fields, self._output))
        self._output.put(data)

    def _start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], None]:
        if exc_info is not None:
            try:
                if self._begun:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None
        elif self._status:
            raise RuntimeError("start_response was called already")
        code = status[:3]
        if not code.isdigit() or not 200 <= int(code) <= 599 or (status[3:4] not in ("", " ")):
            raise ValueError(f"{status!r} is no status of a final response")
        fields = [(name.lower().encode("latin-1"), value.strip().encode("latin-1")) for name, value in headers]
        for name, value in fields:
            if not is_token(name) or not is_field_value(value):
                raise ValueError(f"{name!r}: {value!r} is no header field")
        self._fields = [field for field in fields if field[0] not in _OWN]
        self._status = int(code)
        return self._write

    def _tell(self, answer: HttpAnswer) -> None:
        self._reactor.callFromThread(self._told, answer)

    def _told(self, answer: HttpAnswer) -> None:
        if not self.head.called:
            self.head.callback(answer)
        elif answer[2] is self._output:
            self._output.give_up()


@implementer(IHttpApplication)
class WsgiContainer:
    """A WSGI application mounted on ``prefix`` (without a last slash)."""

    def __init__(
        self,
        commons: Commons,
        application: Callable[..., Iterable[bytes]],
        prefix: bytes,
        *,
        threads: int = 8,
        queue: int = 128,
        body_limit: int = 64 << 20,
    ) -> None:
        self.reactor = commons.reactor
        self.application = application
        self.name = prefix.decode("latin-1") or "/"
        self._prefix = prefix
        self._body_limit = body_limit
        self._threads = Threads(commons.reactor, f"wsgi {self.name}", most=threads, waiting=queue)
        self._data = commons.data
        self._shared = commons.sharing.count > 1
        self._calls: set[_Call] = set()

    def stop(self) -> Deferred[None]:
        """End the threads; what still runs is told that its client has gone, and waited for."""
        for call in list(self._calls):
            call.abandon()
        ended: Deferred[None] = Deferred()

        def close() -> None:
            self._threads.close()
            self.reactor.callFromThread(ended.callback, None)

        # an application may take its time, and the reactor has to go on meanwhile
        threading.Thread(target=close, name=f"netsuite end of {self.name}", daemon=True).start()
        return ended

    def handle(self, request: IHttpRequest, body: AsyncIterator[bytes]) -> Any:
        """The application's answer."""
        length = request.header(b"content-length")
        if length is not None and int(length) > self._body_limit:
            return self.too_long()
        return self._answer(request, body)

    def too_long(self) -> HttpAnswer:
        """The answer to a request whose body is."""
        return error_page(413, f"Bodies of up to {self._body_limit} bytes are taken.")

    async def _answer(self, request: IHttpRequest, body: AsyncIterator[bytes]) -> HttpAnswer:
        given = Input(self.reactor, body, self._body_limit)
        call = _Call(self, self._environ(request, given), given)
        try:
            done = self._threads.run(call.run)
        except Overloaded:
            status, fields, page = error_page(503, "The server has too much to do; try again.")
            return status, [*fields, (b"retry-after", b"1")], page
        self._calls.add(call)
        done.addErrback(lambda _: call.abandon())
        done.addBoth(lambda _: self._calls.discard(call))
        try:
            return await call.head
        except BaseException:
            done.cancel()
            raise

    def _environ(self, request: IHttpRequest, given: Input) -> dict[str, Any]:
        version = getattr(request, "version", (1, 1))
        authority = request.authority.decode("latin-1")
        port = authority.rpartition(":")[2]
        environ: dict[str, Any] = {
            "REQUEST_METHOD": request.method.decode("ascii"),
            "SCRIPT_NAME": unquote_to_bytes(self._prefix).decode("latin-1"),
            "PATH_INFO": unquote_to_bytes(request.path[len(self._prefix) :]).decode("latin-1"),
            "QUERY_STRING": (request.query or b"").decode("latin-1"),
            "SERVER_NAME": host_of(request.authority).decode("latin-1") or "localhost",
            "SERVER_PORT": port if port.isdigit() else "443" if request.scheme == "https" else "80",
            "SERVER_PROTOCOL": "HTTP/2" if version[0] == 2 else f"HTTP/{version[0]}.{version[1]}",
            "REMOTE_ADDR": request.peer[0],
            "REMOTE_PORT": str(request.peer[1]),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": request.scheme,
            "wsgi.input": io.BufferedReader(given, 65536),
            "wsgi.errors": ErrorLog(self.name),
            "wsgi.multithread": True,
            "wsgi.multiprocess": self._shared,
            "wsgi.run_once": False,
            "wsgi.input_terminated": True,
            "netsuite.data": self._data,
        }
        user = getattr(request, "user", None)
        if user is not None:
            environ["REMOTE_USER"], environ["AUTH_TYPE"] = user, "Basic"
        for name, value in request.headers:
            text = value.decode("latin-1")
            if name == b"content-type":
                environ["CONTENT_TYPE"] = text
            elif name == b"content-length":
                environ["CONTENT_LENGTH"] = text
            elif name not in _NOT_PASSED and b"_" not in name:
                key = "HTTP_" + name.decode("ascii").upper().replace("-", "_")
                if key in environ:
                    text = environ[key] + ("; " if name == b"cookie" else ",") + text
                environ[key] = text
        return environ
