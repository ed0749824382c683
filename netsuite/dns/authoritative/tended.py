"""A zone as this server looks after it: its versions, who may copy and change it, who is told of changes.

:class:`Tended` is what primaries and copies have in common. Versions are served by whoever ``publish`` tells.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from netsuite.common.commons import Commons
from netsuite.common.threads import Threads
from netsuite.dns.authoritative.change import Change
from netsuite.dns.authoritative.history import History
from netsuite.dns.authoritative.notify import Notifier
from netsuite.dns.authoritative.permission import Permission
from netsuite.dns.authoritative.settings import ZoneSettings
from netsuite.dns.authoritative.update import Update
from netsuite.dns.authoritative.zone import Zone
from netsuite.dns.wire.name import to_text

__all__ = ["Tended", "folder_name"]

_PAUSE: Final = 0.005
"""Seconds between two parts of work that can wait."""

Publish = Callable[["Zone | None"], None]


def folder_name(name: bytes) -> str:
    """A file name for a zone's: what is not plain is written as %XX."""
    text = to_text(name).lower()[:-1] or "@"
    return "".join(letter if letter.isalnum() or letter in "-_.@" else f"%{ord(letter):02x}" for letter in text)


class Tended:
    """One zone; ``zone`` is the version that is served, None while there is none that may be.

    ``place`` is where its data lie, below ``dns`` in the data directory; by default, a place by its name and views.
    """

    def __init__(
        self,
        settings: ZoneSettings,
        commons: Commons,
        threads: Threads,
        notifier: Notifier,
        publish: Publish,
        place: str | None = None,
    ) -> None:
        self.settings = settings
        self.name = settings.origin.lower()
        self.title = to_text(self.name)
        if settings.view:
            self.title += f" (view {', '.join(settings.view)})"
        self.zone: Zone | None = None
        self.trouble: str | None = None
        self._clock = commons.clock
        self._settling: IDelayedCall | None = None
        self._threads = threads
        self._notifier = notifier
        self._publish = publish
        self._transfer = Permission(settings.transfer, commons.access)
        commits = Threads(commons.reactor, f"zone {self.title}", most=1, waiting=1)
        self._commits = commits
        self.place = place or folder_name(self.name) + "".join(f"~{view}" for view in settings.view)
        folder: Path = commons.data.at("dns") / self.place
        durable = commons.sharing.index == 0
        self.history = History(folder, self.name, commits.run, threads.run, durable=durable, served=self._served)

    def open(self) -> None:
        """Find what is kept of it, and serve it; raises StartError. Blocks."""
        raise NotImplementedError

    def serve(self, zone: Zone) -> None:
        """Serve a version from now on, without telling anybody."""
        self.zone = zone
        self._publish(zone)

    def withdraw(self, why: str) -> None:
        """Serve nothing of it until there is a version again."""
        self.zone = None
        self.trouble = why
        self._publish(None)

    def _served(self, zone: Zone, change: Change) -> None:
        self.serve(zone)
        self._settle_soon()
        self._notifier.changed(zone, self.settings.notify)

    def _settle_soon(self) -> None:
        if self._settling is None and self.zone is not None and not self.zone.is_settled:
            self._settling = self._clock.callLater(_PAUSE, self._settle)

    def _settle(self) -> None:
        """Move a part of what has changed to where the rest of the zone lies."""
        self._settling = None
        zone = self.zone
        if zone is None:
            return
        if not zone.settle():
            self._settling = self._clock.callLater(_PAUSE, self._settle)
        elif self.history.started and zone is self.history.head:
            light = zone.lightened()
            self.history.exchange(light)
            self.serve(light)

    def may_transfer(self, host: str, key: bytes | None) -> bool:
        """Whether somebody may copy it."""
        return self._transfer.permits(host, key)

    def update(self, update: Update) -> Deferred[None]:
        """Carry out a dynamic update, durably; fails with update.Refused."""
        raise NotImplementedError

    def grants(self, host: str, key: bytes | None) -> Callable[[bytes, int], bool] | None:
        """What somebody may change; None for nothing at all."""
        return None

    def notified(self, host: str, key: bytes | None, serial: int | None) -> bool:
        """Somebody says that there is a new version; whether they may say so."""
        return False

    def start(self) -> None:
        """Begin what goes on by itself."""

    async def stop(self) -> None:
        """End it, and let what is under way become durable."""
        if self._settling is not None:
            self._settling.cancel()
            self._settling = None
        await self.history.close()
        self._commits.close()

    def versions(self) -> list[dict[str, Any]]:
        """The changes that are kept, the newest first, in words fit for JSON."""
        return [
            {
                "serial": change.after,
                "before": change.before,
                "when": change.when,
                "source": change.source,
                "removed": len(change.removals) - 1,
                "added": len(change.additions) - 1,
            }
            for change in reversed(self.history.changes)
        ]
