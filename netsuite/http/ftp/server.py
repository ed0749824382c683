"""The FTP server: control connections, and what their sessions share."""

from __future__ import annotations

import errno
import os
import ssl
import stat
from pathlib import Path
from typing import Any

from twisted.python.threadpool import ThreadPool

from netsuite.common.body import Body
from netsuite.common.commons import Commons
from netsuite.common.stream import StreamAdapter, StreamFactory
from netsuite.common.tls import TlsFilter
from netsuite.http.ftp.session import Session
from netsuite.http.ftp.settings import FtpSettings
from netsuite.http.ftp.shelf import Shelf
from netsuite.http.ftp.wire.connection import FtpConnection, FtpLimits
from netsuite.http.origin.filebody import FileBody
from netsuite.http.origin.tree import Signature, Tree
from netsuite.http.origin.uploads import Upload, Uploads

__all__ = ["FtpServer"]


class FtpServer:
    """One folder over FTP; ``sent`` and ``taken`` count files."""

    def __init__(self, settings: FtpSettings, commons: Commons, root: Path) -> None:
        self.settings = settings
        self.commons = commons
        self.identity = commons.identity
        self.seconds = commons.clock.seconds
        self.readers = self._named(settings.users)
        self.writers = self._named(settings.writers)
        tree = Tree(root)
        self.shelf = Shelf(tree)
        self.uploads = Uploads(commons, tree)
        self.sent = self.taken = 0
        self._limits = FtpLimits(idle=settings.idle_time)
        self._pool = ThreadPool(0, 4, name="netsuite ftp")
        self.factory = StreamFactory(
            commons,
            "ftp",
            lambda channel: self._machine(greeting="netsuite FTP"),
            self._answer,
            rule=commons.access.rule(settings.allow),
            concurrency=commons.access.concurrency(settings.connections, settings.connections_per_address),
            filters={"tls": lambda: TlsFilter(self.context(), server=True)},
            gone=self._gone,
        )

    def stop(self) -> None:
        """End the threads."""
        self.uploads.close()
        if self._pool.started:
            self._pool.stop()

    def context(self) -> ssl.SSLContext:
        """TLS with the site's certificates."""
        return self.commons.certificates.server_context(())

    def ports(self) -> list[int]:
        """The ports to try for a passive data connection, in an order that nobody can foresee."""
        if not self.settings.passive_ports:
            return [0]
        first, last = self.settings.passive_ports
        return self.commons.rng.sample(range(first, last + 1), last + 1 - first)

    def reading(self, names: list[bytes], offset: int) -> FileBody:
        """In a thread: a file from some byte on; raises OSError."""
        descriptor = self.shelf.open(names)
        found = os.fstat(descriptor)
        if stat.S_ISDIR(found.st_mode):
            os.close(descriptor)
            raise IsADirectoryError(errno.EISDIR, "that is a folder")
        signature = Signature.of(found)
        pieces: list[tuple[int, int] | bytes] = [(offset, signature.size)] if offset < signature.size else []
        if not self._pool.started:
            self.commons.reactor.callFromThread(self._start)
        return FileBody(self.commons.reactor, self._pool, descriptor, signature, pieces)

    def keep(self, upload: Upload, names: list[bytes], count: int | None) -> None:
        """In a thread: begin an upload with what the file has, up to ``count`` bytes (all where None)."""
        try:
            descriptor = self.shelf.open(names)
        except FileNotFoundError:
            if count is None:
                return
            raise
        try:
            upload.copy(descriptor, os.fstat(descriptor).st_size if count is None else count)
        finally:
            os.close(descriptor)

    def _start(self) -> None:
        if not self._pool.started:
            self._pool.start()

    def _named(self, users: list[str]) -> frozenset[str]:
        return frozenset(user if user == "*" else self.identity.canonical(user) for user in users)

    def _machine(self, greeting: str | None) -> FtpConnection:
        return FtpConnection(
            self.seconds(), fresh=lambda channel: self._machine(None), limits=self._limits, greeting=greeting
        )

    def _answer(self, command: Any, body: Body, adapter: StreamAdapter) -> Any:
        session = adapter.data
        if session is None or (session.clear and adapter.channel.tls is not None):
            # nothing that was said in clear counts behind AUTH TLS
            self._gone(adapter, "AUTH TLS")
            session = adapter.data = Session(self, adapter)
        return session.answer(command)

    def _gone(self, adapter: StreamAdapter, reason: str) -> None:
        if adapter.data is not None:
            adapter.data.leave()
