"""``DATA/control.sock``: where the ``netsuite`` command asks the process that owns the data directory.

One JSON object a line each way, mode 0600. A request is ``{"ask": "status"}``, ``{"ask": "user", ...}`` (see
:mod:`netsuite.suite.users`), or names what a service answers to (:class:`netsuite.interfaces.IControlled`), with
details beside it; the answer has ``"ok"`` and what was asked for, or ``"error"``, one line. A connection may ask again
and again.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IHalfCloseableProtocol, IListeningPort
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.protocols.basic import LineOnlyReceiver
from twisted.protocols.policies import TimeoutMixin
from zope.interface import implementer

from netsuite.admin.status import site_status
from netsuite.common.commons import Commons
from netsuite.common.errors import StartError
from netsuite.interfaces import IControlled, ISite
from netsuite.suite.users import answer as users_answer

__all__ = ["ControlPort", "NothingRuns", "ask", "controlled"]

_log = Logger()

_IDLE: Final = 60
_LONGEST_PATH: Final = 107
_LONGEST_ANSWER: Final = 16 << 20


class NothingRuns(StartError):
    """No process owns the data directory, or none that is ready to be asked."""


async def _status(site: Any, commons: Commons) -> dict[str, Any]:
    """The site's state with all its processes, and this one's number."""
    sharing = commons.sharing
    found = site_status(site, commons.clock.seconds(), await sharing.gather(), sharing.crew)
    return {"pid": os.getpid(), **found.as_json()}


async def controlled(commons: Commons, asked: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """What the service that answers to a word says to a request: ``ok`` and its fields, or ``error``."""
    service = commons.offers.find(IControlled, asked)
    if service is None:
        return {"ok": False, "error": f"cannot answer {asked[:40]!r}; I know status, user, and what services add"}
    try:
        return {"ok": True, **await service.asked(request)}
    except StartError as error:
        return {"ok": False, "error": str(error)}
    except Exception as error:
        _log.failure("{asked} cannot be answered", asked=asked)
        return {"ok": False, "error": f"{type(error).__name__}: {error}"}


@implementer(IHalfCloseableProtocol)
class _Conversation(LineOnlyReceiver, TimeoutMixin):
    """One connection of the command; who has asked all and says so is answered nevertheless."""

    delimiter = b"\n"
    MAX_LENGTH = 4096

    def __init__(self, site: ISite, commons: Commons) -> None:
        self._site = site
        self._commons = commons
        self._owed = 0
        self._heard_all = False

    def connectionMade(self) -> None:
        self.setTimeout(_IDLE)  # type: ignore[no-untyped-call]

    def connectionLost(self, reason: Any = None) -> None:
        self.setTimeout(None)  # type: ignore[no-untyped-call]

    def readConnectionLost(self) -> None:
        self._heard_all = True
        self._close_if_done()

    def writeConnectionLost(self) -> None:
        """Nothing more can be said; the end of the connection follows."""

    def lineReceived(self, line: bytes) -> None:
        self.resetTimeout()  # type: ignore[no-untyped-call]
        self._owed += 1
        Deferred.fromCoroutine(self._answer(line)).addErrback(
            lambda failure: _log.failure("a request could not be answered", failure)
        )

    async def _answer(self, line: bytes) -> None:
        try:
            request = json.loads(line)
            answer = await self._found(str(request["ask"]), request)
        except (ValueError, TypeError, KeyError, RecursionError):
            answer = {"ok": False, "error": 'not a request: send {"ask": "status"}'}
        self._owed -= 1
        if self.connected:
            self.sendLine(json.dumps(answer).encode())  # type: ignore[no-untyped-call]
            self._close_if_done()

    def _close_if_done(self) -> None:
        if self._heard_all and not self._owed and self.transport is not None:
            self.transport.loseConnection()

    async def _found(self, asked: str, request: Mapping[str, Any]) -> dict[str, Any]:
        try:
            if asked == "status":
                return {"ok": True, "status": await _status(self._site, self._commons)}
            if asked == "user":
                return {"ok": True, **await users_answer(self._commons.identity, request)}
        except StartError as error:
            return {"ok": False, "error": str(error)}
        except Exception as error:
            _log.failure("{asked} cannot be answered", asked=asked)
            return {"ok": False, "error": f"{type(error).__name__}: {error}"}
        return await controlled(self._commons, asked, request)


class _Conversations(Factory):
    noisy = False

    def __init__(self, site: ISite, commons: Commons) -> None:
        self._site = site
        self._commons = commons

    def buildProtocol(self, addr: Any) -> Any:
        return _Conversation(self._site, self._commons)


class _ShortName:
    """A name of a path that fits into a socket's address, which has 107 bytes; it holds until it is closed."""

    def __init__(self, path: Path) -> None:
        self._folder: int | None = None
        self.text = str(path)
        if len(os.fsencode(path)) > _LONGEST_PATH:
            self._folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            self.text = f"/proc/self/fd/{self._folder}/{path.name}"

    def close(self) -> None:
        if self._folder is not None:
            os.close(self._folder)
            self._folder = None


class ControlPort:
    """The listening end; its path's data directory must be locked, so that what is there already is stale."""

    def __init__(self, site: ISite, commons: Commons) -> None:
        self._site = site
        self._commons = commons
        self._path = commons.data.at("control.sock")
        self._port: IListeningPort | None = None

    def open(self) -> None:
        """Listen; StartError if that is impossible."""
        # between Twisted's bind and its chmod nobody else may connect either
        before = os.umask(0o177)
        try:
            self._path.unlink(missing_ok=True)
            self._name = _ShortName(self._path)
            conversations = _Conversations(self._site, self._commons)
            self._port = self._commons.reactor.listenUNIX(self._name.text, conversations, mode=0o600)
        except (OSError, CannotListenError) as error:
            cause = error.socketError if isinstance(error, CannotListenError) else error
            raise StartError(
                f"{self._path}: cannot listen there ({getattr(cause, 'strerror', cause)}): "
                "set another folder with common.data"
            ) from error
        finally:
            os.umask(before)

    async def close(self) -> None:
        """Stop listening, and remove the socket."""
        if self._port is not None:
            port, self._port = self._port, None
            await maybeDeferred(port.stopListening)
            self._name.close()


def ask(data: Path, request: str, timeout: float = 5.0, **details: Any) -> dict[str, Any]:
    """What the owner of a data directory answers to a request; NothingRuns where there is none, else StartError."""
    path = data / "control.sock"
    try:
        name = _ShortName(path)
        with contextlib.closing(name), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout)
            connection.connect(name.text)
            connection.sendall(json.dumps({"ask": request, **details}).encode() + b"\n")
            with connection.makefile("rb") as lines:
                line = lines.readline(_LONGEST_ANSWER)
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
        raise NothingRuns(
            f"nothing runs on {data}: start it with `twistd netsuite`, or name its folder with --data"
        ) from None
    except PermissionError:
        raise StartError(f"{path} belongs to someone else: ask as the account that runs the site") from None
    except OSError as error:
        raise StartError(f"{path}: no answer: {error.strerror or error}") from None
    try:
        answer: dict[str, Any] = json.loads(line)
    except ValueError:
        raise StartError(f"{path}: the answer was cut short") from None
    if not answer.get("ok"):
        raise StartError(answer.get("error") or f"{path}: the request was refused")
    return answer
