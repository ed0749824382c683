"""The FTP server as a service of the suite."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Sequence
from pathlib import Path

from twisted.internet.defer import Deferred

from netsuite.common.commons import Commons
from netsuite.common.errors import StartError
from netsuite.common.listen import StreamListener
from netsuite.common.service import NetsuiteService
from netsuite.http.ftp.server import FtpServer
from netsuite.http.ftp.settings import FtpSettings
from netsuite.interfaces import Address, Health

__all__ = ["FtpService", "build"]


class FtpService(NetsuiteService):
    """Listens for control connections."""

    workers = "any"

    def __init__(self, settings: FtpSettings, commons: Commons) -> None:
        super().__init__("ftp", commons)
        self.settings = settings
        self.server = FtpServer(settings, commons, settings.root or Path("unset"))
        self._listeners = [StreamListener(text, self.server.factory, commons, "ftp.listen") for text in settings.listen]
        server, factory = self.server, self.server.factory
        commons.metrics.add(
            "netsuite_ftp_files",
            "Files moved whole, by direction.",
            "counter",
            lambda: {("out",): server.sent, ("in",): server.taken},
            labels=("direction",),
        )
        commons.metrics.add(
            "netsuite_ftp_connections", "Open control connections.", "gauge", lambda: len(factory.adapters)
        )

    def check(self) -> None:
        """The root must be a folder that can be read."""
        root = self.settings.root
        if root is None:
            raise StartError("ftp.root: no folder is set; choose one with --root or ftp.root")
        if not root.is_dir():
            raise StartError(f"ftp.root: {root} is not a folder; make it, or choose another with --root or ftp.root")
        if not os.access(root, os.R_OK | os.X_OK):
            raise StartError(f"ftp.root: {root} cannot be read; mend its permissions, or choose another")

    def open(self) -> None:
        """Bind and listen."""
        self.check()
        self.commons.identity.open()
        if not self.commons.sharing.index:
            self.server.uploads.clean()
        for listener in self._listeners:
            listener.open()

    def startService(self) -> None:
        """Accept."""
        super().startService()
        for listener in self._listeners:
            listener.accept()

    def stopService(self) -> Deferred[None] | None:
        """End the threads."""
        super().stopService()
        self.server.stop()
        return None

    def addresses(self) -> Sequence[Address]:
        """Where clients come."""
        found = []
        for listener in self._listeners:
            kind = "ftps" if listener.secure else "ftp"
            trust = f" --cacert {self.commons.certificates.ca_path}" if listener.secure else ""
            host = f"[{listener.host}]" if ":" in listener.host else listener.host
            found.append(Address(kind, listener.host, listener.port, f"curl{trust} {kind}://{host}:{listener.port}/"))
        return found

    def health(self) -> Health:
        """Well while it runs and its folder can be read."""
        root = self.settings.root
        if not self.running:
            return Health(False, "not running")
        if root is None or not os.access(root, os.R_OK | os.X_OK):
            return Health(False, f"{root} cannot be read")
        return Health(True)

    def figures(self) -> Sequence[tuple[str, float]]:
        """What it did."""
        return (
            ("files sent", self.server.sent),
            ("files taken", self.server.taken),
            ("connections", len(self.server.factory.adapters)),
        )

    def drain(self, deadline: float) -> Awaitable[None]:
        """Accept no more; transfers in flight come to their end."""
        return Deferred.fromCoroutine(self._drain(deadline))

    async def _drain(self, deadline: float) -> None:
        for listener in self._listeners:
            await listener.close()
        await self.server.factory.drain(deadline)


def build(settings: FtpSettings, commons: Commons) -> FtpService:
    """The ``[ftp]`` table's service."""
    return FtpService(settings, commons)
