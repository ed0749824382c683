"""One FTP client: where it is, and what its commands come to.

Passwords are taken over TLS, and in clear from loopback only. ``anonymous`` may read and nothing else. Uploads are
those of PUT: written apart, and visible when they are whole. REST makes a transfer begin further on: a RETR sends from
there, a STOR keeps what the file has up to there.

Implements: RFC 959 section 4.1.3; RFC 2389; RFC 2640 section 3; RFC 3659
"""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, TypeVar

from twisted.internet.defer import Deferred

from netsuite.common.errors import Overloaded
from netsuite.http.ftp.data import DataConnection, DataFailed
from netsuite.http.ftp.visit import No, Visit
from netsuite.http.ftp.wire.addresses import quoted, resolved
from netsuite.http.ftp.wire.connection import Command, Reply
from netsuite.http.ftp.wire.listings import (
    FACTS,
    Listed,
    facts_of,
    from_network_lines,
    line_of,
    to_network_lines,
    when,
)
from netsuite.http.origin.filebody import FileChanged
from netsuite.http.origin.uploads import handed

__all__ = ["Session"]

T = TypeVar("T")

_WORDS: Final = {
    errno.ENOENT: (550, "there is no such file or folder"),
    errno.EISDIR: (550, "that is a folder"),
    errno.ENOTDIR: (550, "that is no folder"),
    errno.EEXIST: (550, "that is there already"),
    errno.ENOTEMPTY: (550, "the folder is not empty"),
    errno.EACCES: (553, "that name, or that place, is not allowed"),
    errno.EPERM: (553, "that name, or that place, is not allowed"),
    errno.EROFS: (553, "nothing can be written there"),
    errno.ELOOP: (550, "a link stands there"),
    errno.EINVAL: (553, "that cannot be"),
    errno.EXDEV: (553, "that lies on another file system"),
    errno.ENAMETOOLONG: (553, "the name is too long"),
    errno.ENOSPC: (452, "there is no space left"),
    errno.EDQUOT: (452, "there is no space left"),
}
_FEATURES: Final = (
    b"AUTH TLS", b"EPRT", b"EPSV", b"MDTM", b"MLST %b" % "".join(f"{fact}*;" for fact in FACTS).encode(),
    b"PBSZ", b"PROT", b"REST STREAM", b"SIZE", b"TVFS", b"UTF8",
)  # fmt: skip


class Session(Visit):
    """What the commands of one client come to."""

    def answer(self, command: Command) -> Any:
        """The reply to a command, or a coroutine of it."""
        if command.verb == "ABOR":
            return self._abort()
        offset, self._offset = self._offset, 0
        source, self._from = self._from, None
        known = _COMMANDS.get(command.verb)
        if known is None:
            return Reply(502 if command.verb in _DECLINED else 500, "that command is not known here")
        open_to_all, act = known
        if self._user is None and not open_to_all:
            return Reply(530, "log in first, with USER and PASS")
        if command.verb in ("RETR", "STOR"):
            self._offset = offset
        elif command.verb == "RNTO":
            self._from = source
        return self._guarded(act(self, command.argument))

    async def _guarded(self, work: Awaitable[Reply]) -> Reply:
        """The work's reply, and words for what a disk and a network can say."""
        try:
            return await work
        except No as refusal:
            return refusal.reply
        except DataFailed as failed:
            return Reply(425, str(failed))
        except FileChanged as changed:
            return Reply(451, str(changed))
        except Overloaded:
            return Reply(450, "there is too much to do; try again")
        except OSError as error:
            found = _WORDS.get(error.errno or 0)
            if found is None:
                raise
            return Reply(*found)

    async def _abort(self) -> Reply:
        self.leave()
        if self._moving is not None:
            await self._moving.get()
            # the transfer's own reply goes first
            turn: Deferred[None] = Deferred()
            self._server.commons.clock.callLater(0, turn.callback, None)
            await turn
        return Reply(226, "nothing is being transferred")

    # -- folders

    async def _cwd(self, argument: bytes) -> Reply:
        names = resolved(self._folder, argument)
        if not (await self._entry(names)).folder:
            return Reply(550, "that is no folder")
        self._folder = names
        return Reply(250, "you are there")

    async def _cdup(self, argument: bytes) -> Reply:
        return await self._cwd(b"..")

    async def _pwd(self, argument: bytes) -> Reply:
        return Reply(257, quoted(self._folder))

    async def _list(self, argument: bytes) -> Reply:
        entries = await self._listed(_without_flags(argument))
        now = self._server.seconds()
        return await self._show(line_of(entry, now, writing=self._writes) for entry in entries)

    async def _nlst(self, argument: bytes) -> Reply:
        return await self._show(entry.name for entry in await self._listed(_without_flags(argument)))

    async def _mlsd(self, argument: bytes) -> Reply:
        names = resolved(self._folder, argument)
        if not (await self._entry(names)).folder:
            return Reply(501, "that is no folder")
        entries = await self._run(self._server.shelf.entries, names)
        return await self._show(facts_of(entry, self._facts, writing=self._writes) for entry in entries)

    async def _mlst(self, argument: bytes) -> Reply:
        names = resolved(self._folder, argument)
        entry = (await self._entry(names))._replace(name=b"/" + b"/".join(names))
        return Reply(250, "facts", [facts_of(entry, self._facts, writing=self._writes)])

    async def _listed(self, argument: bytes) -> list[Listed]:
        return await self._run(self._server.shelf.entries, resolved(self._folder, argument))

    async def _show(self, lines: Any) -> Reply:
        text = b"".join(line + b"\r\n" for line in lines)
        return await self._transfer(lambda data: data.send(_once(text)))

    async def _mkd(self, argument: bytes) -> Reply:
        names = self._changing(argument)
        await self._run(self._server.shelf.make_folder, names)
        return Reply(257, f"{quoted(names)} is there")

    async def _rmd(self, argument: bytes) -> Reply:
        await self._run(self._server.shelf.remove_folder, self._changing(argument))
        return Reply(250, "it is gone")

    # -- files

    async def _retr(self, argument: bytes) -> Reply:
        offset, self._offset = self._offset, 0
        names = resolved(self._folder, argument)
        opening = self._server.uploads.threads.run(self._server.reading, names, offset)
        source = await handed(opening, lambda body: Deferred.fromCoroutine(body.aclose()))
        body = to_network_lines(source) if self._ascii else source
        try:
            reply = await self._transfer(lambda data: data.send(body))
        finally:
            await source.aclose()
        self._server.sent += 1
        return reply

    async def _stor(self, argument: bytes) -> Reply:
        offset, self._offset = self._offset, 0
        return await self._store(self._changing(argument), offset)

    async def _appe(self, argument: bytes) -> Reply:
        return await self._store(self._changing(argument), None)

    async def _store(self, names: list[bytes], keep: int | None) -> Reply:
        """Take a file; ``keep`` is how much of what is there stays, all of it where None."""
        if self._data is None:
            return Reply(425, "say PASV or EPSV first")
        uploads, limit = self._server.uploads, self._server.settings.upload_limit
        upload = await uploads.begin(names)
        try:
            if keep is None or keep:
                await self._run(self._server.keep, upload, names, keep)

            async def take(data: DataConnection) -> None:
                body: AsyncIterator[bytes] = await data.receive()
                async for chunk in from_network_lines(body) if self._ascii else body:
                    if upload.size + len(chunk) > limit:
                        raise No(552, f"files of up to {limit} bytes are taken")
                    await upload.write(chunk)
                await upload.commit(lambda _: True)

            reply = await self._transfer(take)
        finally:
            upload.abandon()
        self._server.taken += 1
        return reply

    async def _dele(self, argument: bytes) -> Reply:
        await self._server.uploads.remove(self._changing(argument), lambda _: True)
        return Reply(250, "it is gone")

    async def _rnfr(self, argument: bytes) -> Reply:
        names = self._changing(argument)
        await self._entry(names)
        self._from = names
        return Reply(350, "say RNTO")

    async def _rnto(self, argument: bytes) -> Reply:
        source, self._from = self._from, None
        if source is None:
            return Reply(503, "say RNFR first")
        await self._run(self._server.shelf.rename, source, self._changing(argument))
        return Reply(250, "it is renamed")

    async def _size(self, argument: bytes) -> Reply:
        entry = await self._entry(resolved(self._folder, argument))
        if entry.folder:
            return Reply(550, "that is a folder")
        if self._ascii:
            return Reply(550, "a text's size on the wire is not known before it is sent; say TYPE I")
        return Reply(213, str(entry.size))

    async def _mdtm(self, argument: bytes) -> Reply:
        entry = await self._entry(resolved(self._folder, argument))
        return Reply(213, when(entry.modified)) if not entry.folder else Reply(550, "that is a folder")

    async def _rest(self, argument: bytes) -> Reply:
        if not argument.isdigit() or len(argument) > 18:
            return Reply(501, "REST bytes")
        if self._ascii and int(argument):
            return Reply(504, "say TYPE I first")
        self._offset = int(argument)
        return Reply(350, "the next transfer begins there")

    async def _allo(self, argument: bytes) -> Reply:
        return Reply(202, "there is no need")

    # -- modes

    async def _type(self, argument: bytes) -> Reply:
        kind = argument.strip().upper()
        if kind in (b"A", b"A N"):
            self._ascii = True
        elif kind in (b"I", b"L 8", b"L8"):
            self._ascii = False
        else:
            return Reply(504, "TYPE A or TYPE I")
        return Reply(200, "text" if self._ascii else "bytes as they are")

    async def _mode(self, argument: bytes) -> Reply:
        return Reply(200, "stream") if argument.strip().upper() == b"S" else Reply(504, "MODE S")

    async def _stru(self, argument: bytes) -> Reply:
        return Reply(200, "file") if argument.strip().upper() == b"F" else Reply(504, "STRU F")

    async def _opts(self, argument: bytes) -> Reply:
        words = argument.upper().split()
        if words[:1] == [b"UTF8"] and words[1:] in ([], [b"ON"]):
            return Reply(200, "names are UTF-8")
        if words[:1] == [b"MLST"] and len(words) < 3:
            asked = b"".join(words[1:]).decode("latin-1").lower().split(";")
            self._facts = tuple(fact for fact in FACTS if fact in asked)
            return Reply(200, "MLST OPTS " + "".join(f"{fact};" for fact in self._facts))
        return Reply(501, "there is no such option")

    async def _feat(self, argument: bytes) -> Reply:
        return Reply(211, "what is known beyond RFC 959", _FEATURES)

    async def _syst(self, argument: bytes) -> Reply:
        return Reply(215, "UNIX Type: L8")

    async def _noop(self, argument: bytes) -> Reply:
        return Reply(200, "nothing is done")

    async def _help(self, argument: bytes) -> Reply:
        return Reply(214, "commands", [" ".join(sorted(_COMMANDS)).encode()])

    async def _stat(self, argument: bytes) -> Reply:
        if not argument:
            return Reply(211, f"logged in as {self._user}")
        entries = await self._listed(_without_flags(argument))
        now = self._server.seconds()
        return Reply(213, "listed", [line_of(entry, now, writing=self._writes) for entry in entries])

    # -- what they share

    def _changing(self, argument: bytes) -> list[bytes]:
        """Where a change is to be made, by one who may."""
        if not self._writes:
            raise No(550, "you may not change anything here")
        return resolved(self._folder, argument)

    async def _entry(self, names: list[bytes]) -> Listed:
        return await self._run(self._server.shelf.entry, names)

    def _run(self, work: Callable[..., T], *arguments: Any) -> Awaitable[T]:
        return self._server.uploads.threads.run(work, *arguments)


def _without_flags(argument: bytes) -> bytes:
    """The path in a LIST: clients put flags of ``ls`` before it."""
    words = argument.lstrip()
    while words.startswith(b"-"):
        words = words.partition(b" ")[2].lstrip()
    return words


async def _once(text: bytes) -> AsyncIterator[bytes]:
    if text:
        yield text


Act = Callable[[Session, bytes], Awaitable[Reply]]

_COMMANDS: Final[dict[str, tuple[bool, Act]]] = {
    "ALLO": (False, Session._allo),
    "APPE": (False, Session._appe),
    "AUTH": (True, Session._auth),
    "CDUP": (False, Session._cdup),
    "CWD": (False, Session._cwd),
    "DELE": (False, Session._dele),
    "EPRT": (False, Session._eprt),
    "EPSV": (False, Session._epsv),
    "FEAT": (True, Session._feat),
    "HELP": (True, Session._help),
    "LIST": (False, Session._list),
    "MDTM": (False, Session._mdtm),
    "MKD": (False, Session._mkd),
    "MLSD": (False, Session._mlsd),
    "MLST": (False, Session._mlst),
    "MODE": (False, Session._mode),
    "NLST": (False, Session._nlst),
    "NOOP": (True, Session._noop),
    "OPTS": (True, Session._opts),
    "PASS": (True, Session._pass),
    "PASV": (False, Session._pasv),
    "PBSZ": (True, Session._pbsz),
    "PORT": (False, Session._port),
    "PROT": (True, Session._prot),
    "PWD": (False, Session._pwd),
    "QUIT": (True, Session._quit),
    "REIN": (True, Session._rein),
    "REST": (False, Session._rest),
    "RETR": (False, Session._retr),
    "RMD": (False, Session._rmd),
    "RNFR": (False, Session._rnfr),
    "RNTO": (False, Session._rnto),
    "SIZE": (False, Session._size),
    "STAT": (False, Session._stat),
    "STOR": (False, Session._stor),
    "STRU": (False, Session._stru),
    "SYST": (True, Session._syst),
    "TYPE": (False, Session._type),
    "USER": (True, Session._user_),
    "XCUP": (False, Session._cdup),
    "XCWD": (False, Session._cwd),
    "XMKD": (False, Session._mkd),
    "XPWD": (False, Session._pwd),
    "XRMD": (False, Session._rmd),
}
_DECLINED: Final = frozenset(["ACCT", "SMNT", "STOU", "SITE", "CCC", "ADAT", "MIC", "CONF", "ENC", "HOST", "LANG"])
