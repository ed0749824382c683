"""A catalog of our own zones (RFC 9432), made from the settings; its serial moves when they do."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from netsuite.common.commons import Commons
from netsuite.common.errors import StartError
from netsuite.common.threads import Threads
from netsuite.dns.authoritative.assembly import Assembly
from netsuite.dns.authoritative.catalog import records
from netsuite.dns.authoritative.change import difference, next_serial
from netsuite.dns.authoritative.notify import Notifier
from netsuite.dns.authoritative.settings import CatalogSettings
from netsuite.dns.authoritative.tended import Publish, Tended
from netsuite.dns.authoritative.zone import Zone
from netsuite.dns.wire.name import from_text

__all__ = ["Produced"]

_FIRST: Final = 1


class Produced(Tended):
    """One catalog that is made here. What it was made of last is kept, so that its serial never goes back."""

    def __init__(
        self, catalog: CatalogSettings, commons: Commons, threads: Threads, notifier: Notifier, publish: Publish
    ) -> None:
        super().__init__(catalog.as_zone, commons, threads, notifier, publish)
        self._data = commons.data
        self._zones = {from_text(zone).lower(): groups for zone, groups in catalog.members().items()}

    def open(self) -> None:
        """Make it, with a new serial if it is not as it was; blocks."""
        place = f"dns/{self.place}/catalog"
        zones = {name.hex(): groups for name, groups in sorted(self._zones.items())}
        kept = self._data.read(place)
        serial = _FIRST
        before: dict[str, Any] | None = None
        try:
            if kept is not None:
                was = json.loads(kept)
                serial, before = int(was["serial"]), was.get("before")
                if was["zones"] != zones:
                    before = {"serial": serial, "zones": was["zones"]}
                    serial = next_serial(serial, "increment", 0)
            older = None if before is None else self._made(int(before["serial"]), _members(before["zones"]))
        except (ValueError, KeyError, TypeError) as error:
            raise StartError(f"{self._data.at(place)} is damaged ({error}): restore it from a backup") from None
        fresh = json.dumps({"serial": serial, "zones": zones, "before": before}).encode()
        if fresh != kept:
            self._data.write(place, fresh)
        self.trouble = None
        zone = self._made(serial, self._zones)
        self.serve(self.history.start(zone, "settings"))
        if older is not None:
            # Those who have the version before need not copy the whole.
            self.history.recall(difference(older, zone, int(self._clock.seconds()), "settings"))

    def _made(self, serial: int, zones: Mapping[bytes, Sequence[str]]) -> Zone:
        assembly = Assembly(self.name, f"catalog {self.title}")
        for record in records(self.name, serial, zones):
            assembly.add(*record)
        return assembly.zone()

    def start(self) -> None:
        """Tell those who copy it: what has changed, has changed since the last start."""
        assert self.zone is not None
        self._notifier.changed(self.zone, self.settings.notify)


def _members(kept: Mapping[str, Sequence[str]]) -> dict[bytes, Sequence[str]]:
    return {bytes.fromhex(name): groups for name, groups in kept.items()}
