"""What an FTP client's session rests on: who it is, whether it is private, and where its data goes.

Implements: RFC 959 sections 4.1.1, 4.1.2; RFC 1635; RFC 2428; RFC 2577 sections 3, 5, 7; RFC 4217 sections 4, 8, 9
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from netsuite.common.access import is_loopback
from netsuite.common.body import BodyFailed
from netsuite.common.errors import Unavailable
from netsuite.common.identity import Throttled
from netsuite.common.stream import StreamAdapter
from netsuite.http.ftp.data import OVER, DataConnection, DataFailed, Once
from netsuite.http.ftp.wire.addresses import pasv_reply, read_eprt, read_port
from netsuite.http.ftp.wire.connection import Reply
from netsuite.http.ftp.wire.listings import FACTS

if TYPE_CHECKING:
    from netsuite.http.ftp.server import FtpServer

__all__ = ["No", "Visit"]

ANONYMOUS: Final = frozenset(["anonymous", "ftp"])
_FAILURES: Final = 3
_LOWEST_PORT: Final = 1024
_WRONG: Final = Reply(530, "name or password is wrong")


class No(Exception):
    """A command is answered by a refusal."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.reply = Reply(code, text)


class Visit:
    """One client's log-in, its TLS and its data connections; it ends with :meth:`leave`."""

    def __init__(self, server: FtpServer, adapter: StreamAdapter) -> None:
        self._server = server
        self._adapter = adapter
        self._secure = adapter.channel.tls is not None
        self._name: str | None = None
        self._user: str | None = None
        self._writes = False
        self._failures = 0
        self._folder: list[bytes] = []
        self._ascii = True
        self._offset = 0
        self._from: list[bytes] | None = None
        self._data: DataConnection | None = None
        self._private = False
        self._buffered = False
        self._moving: Once[bool] | None = None
        self._only_epsv = False
        self._facts: tuple[str, ...] = FACTS

    @property
    def clear(self) -> bool:
        """Whether this began in clear."""
        return not self._secure

    def leave(self) -> None:
        """The client is gone."""
        data, self._data = self._data, None
        if data is not None:
            data.close("the client left")

    # -- who

    async def _user_(self, argument: bytes) -> Reply:
        name = argument.decode("utf-8", "replace").strip()
        self._user, self._writes = None, False
        if not name:
            return Reply(501, "USER name")
        if name.lower() not in ANONYMOUS and not (self._secure or is_loopback(self._adapter.channel.peer[0])):
            return Reply(530, "say AUTH TLS first: anybody could read the password")
        self._name = name
        return Reply(331, "say PASS")

    async def _pass(self, argument: bytes) -> Reply:
        name, self._name = self._name, None
        if name is None:
            return Reply(503, "say USER first")
        settings = self._server.settings
        if name.lower() in ANONYMOUS:
            if not settings.anonymous:
                return self._failed(_WRONG)
            self._user = "anonymous"
            return Reply(230, "you may read")
        peer = self._adapter.channel.peer[0]
        try:
            user = await self._server.identity.verify(name, argument.decode("utf-8", "replace"), peer, "ftp")
        except Throttled as throttled:
            return self._failed(Reply(430, str(throttled)))
        except Unavailable:
            return Reply(430, "log-ins cannot be checked now")
        if user is None or self._server.readers.isdisjoint((user, "*")):
            return self._failed(_WRONG)
        self._user = user
        self._writes = not self._server.writers.isdisjoint((user, "*"))
        return Reply(230, "you may read and write" if self._writes else "you may read")

    def _failed(self, reply: Reply) -> Reply:
        self._failures += 1
        return reply._replace(then="close") if self._failures >= _FAILURES else reply

    async def _quit(self, argument: bytes) -> Reply:
        return Reply(221, "good-bye", then="close")

    async def _rein(self, argument: bytes) -> Reply:
        self.leave()
        self._name = self._user = None
        self._writes, self._folder, self._ascii = False, [], True
        return Reply(220, "begin again")

    # -- TLS

    async def _auth(self, argument: bytes) -> Reply:
        if self._secure:
            return Reply(503, "this is TLS already")
        if argument.strip().upper() not in (b"TLS", b"TLS-C", b"SSL"):
            return Reply(504, "AUTH TLS")
        return Reply(234, "begin TLS", then="tls")

    async def _pbsz(self, argument: bytes) -> Reply:
        if not self._secure:
            return Reply(503, "say AUTH TLS first")
        self._buffered = True
        return Reply(200, "PBSZ=0")

    async def _prot(self, argument: bytes) -> Reply:
        level = argument.strip().upper()
        if not self._buffered:
            return Reply(503, "say AUTH TLS and PBSZ first")
        if level not in (b"C", b"P"):
            return Reply(504 if level not in (b"S", b"E") else 536, "PROT C or PROT P")
        self._private = level == b"P"
        return Reply(200, "data is encrypted" if self._private else "data is sent in clear")

    # -- data connections

    def _fresh_data(self) -> DataConnection:
        self.leave()
        context = self._server.context() if self._private else None
        peer = self._adapter.channel.peer[0]
        return DataConnection(self._server.commons, peer, context, self._server.settings.data_time)

    async def _pasv(self, argument: bytes) -> Reply:
        self._refuse_after_epsv_all()
        local = self._adapter.channel.local[0].removeprefix("::ffff:")
        if ":" in local or not local or local[0] == "/":
            return Reply(522, "say EPSV")
        port = self._passive(self._adapter.channel.local[0])
        return Reply(227, pasv_reply(self._server.settings.address or local, port))

    async def _epsv(self, argument: bytes) -> Reply:
        asked = argument.strip().upper()
        if asked == b"ALL":
            self._only_epsv = True
            return Reply(200, "nothing but EPSV from now on")
        local = self._adapter.channel.local[0]
        mine = b"2" if ":" in local and not local.startswith("::ffff:") else b"1"
        if asked not in (b"", mine):
            return Reply(522, f"this is not the family of this connection, use ({mine.decode()})")
        if not local or local[0] == "/":
            return Reply(522, "there is no such data connection here")
        return Reply(229, f"entering extended passive mode (|||{self._passive(local)}|)")

    def _passive(self, local: str) -> int:
        data = self._fresh_data()
        port = data.listen(local, self._server.ports())
        self._data = data
        return port

    async def _port(self, argument: bytes) -> Reply:
        return self._active(read_port(argument))

    async def _eprt(self, argument: bytes) -> Reply:
        return self._active(read_eprt(argument))

    def _active(self, address: tuple[str, int] | None) -> Reply:
        self._refuse_after_epsv_all()
        if address is None:
            return Reply(501, "that is no address")
        host, port = address
        if host != self._adapter.channel.peer[0].removeprefix("::ffff:") or port < _LOWEST_PORT:
            return Reply(504, "data goes to where you are, and to no port below 1024")
        data = self._fresh_data()
        data.connect(host, port)
        self._data = data
        return Reply(200, "data will go there")

    def _refuse_after_epsv_all(self) -> None:
        if self._only_epsv:
            raise No(503, "EPSV ALL was said")

    async def _transfer(self, work: Callable[[DataConnection], Awaitable[None]]) -> Reply:
        """Run a transfer over the data connection that was asked for."""
        data = self._data
        if data is None:
            return Reply(425, "say PASV or EPSV first")
        self._adapter.send(Reply(150, "here it comes"))
        moving = self._moving = Once[bool]()
        end = "the transfer failed"
        try:
            await work(data)
            end = OVER
        except (DataFailed, BodyFailed) as failed:
            return Reply(426 if data.there else 425, str(failed))
        finally:
            data.close(end)
            self._data = self._moving = None
            moving.set(value=True)
        return Reply(226, "all is transferred")
