"""What a zone's owner does to keep it signed: keeps its keys, signs its changes, renews signatures, changes keys."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Final

from netsuite.common.datadir import DataDirectory
from netsuite.common.errors import StartError
from netsuite.dns.authoritative.change import Change, SerialRule, later, next_serial, with_serial
from netsuite.dns.authoritative.keys import Algorithm, SigningKey, made
from netsuite.dns.authoritative.signing import MADE, Chain, Denier, Signer, completed
from netsuite.dns.authoritative.zone import Addition, Zone
from netsuite.dns.wire import codes
from netsuite.dns.wire.name import to_text

__all__ = ["KEY_TYPES", "ZoneSigning"]

KEY_TYPES: Final = frozenset({codes.DNSKEY, codes.CDS, codes.CDNSKEY})
_KEY_TTL: Final = 3600
_RETIREMENT: Final = 2 * 86400
_NOT_COPIED: Final = MADE | KEY_TYPES


class ZoneSigning:
    """The keys of one zone and what is made with them. ``place`` is the keys' file in the data directory."""

    def __init__(self, zone: bytes, data: DataDirectory, place: str, algorithm: Algorithm, chain: Chain) -> None:
        self.zone = zone
        self.chain: Chain = chain
        self.keys: list[SigningKey] = []
        self._data = data
        self._place = place
        self._algorithm = algorithm
        self._signer: Signer | None = None

    def open(self, now: int) -> None:
        """Read the keys, or make the first one; blocks."""
        kept = self._data.read(self._place)
        if kept is None:
            self._keep([made(self._algorithm, "active", now)])
            return
        try:
            self.keys = [SigningKey.from_json(each) for each in json.loads(kept)]
        except (ValueError, KeyError, TypeError) as error:
            raise StartError(f"{self._data.at(self._place)} holds no keys ({error}): restore a backup") from None
        self._signer = None

    def _keep(self, keys: list[SigningKey]) -> None:
        self._data.write(self._place, json.dumps([key.as_json() for key in keys], indent=1).encode())
        self.keys = keys
        self._signer = None

    @property
    def signer(self) -> Signer:
        """What signs now."""
        if self._signer is None:
            self._signer = Signer(self.zone, self.keys, self.chain)
        return self._signer

    def denier(self, now: int) -> Denier | None:
        """What denies on demand, where there is no chain."""
        return Denier(self.signer, now) if self.chain == "compact" else None

    def ds(self) -> list[str]:
        """What the parent shall have, as lines of its zone."""
        return [key.ds_text(self.zone) for key in self.keys if key.state != "retired"]

    # Changes

    def _key_records(self) -> list[Addition]:
        """The key set, and what the parent reads of it (RFC 7344)."""
        found: list[Addition] = []
        for key in self.keys:
            found.append((self.zone, codes.DNSKEY, _KEY_TTL, key.dnskey))
            if key.state != "retired":
                found.append((self.zone, codes.CDNSKEY, _KEY_TTL, key.dnskey))
                found.append((self.zone, codes.CDS, _KEY_TTL, key.ds(self.zone)))
        return found

    def toward(self, zone: Zone, records: Iterable[Addition], rule: SerialRule, now: int, source: str) -> Change | None:
        """The signed change from a version to one with these data (SOA first) and our keys; None if that is no change.

        The serial is that of the SOA given, if it is later, and else one of our own.
        """
        (_, _, ttl, soa), *rest = records
        wanted = {record for record in rest if record[1] not in _NOT_COPIED} | set(self._key_records())
        current = {record for record in zone.records() if record[1] not in MADE and record[1] != codes.SOA}
        removals, additions = sorted(current - wanted), sorted(wanted - current)
        old = zone.soa.rdatas[0]
        given = int.from_bytes(soa[-20:-16], "big")
        serial = given if later(given, zone.serial) else next_serial(zone.serial, rule, now)
        same = with_serial(soa, 0) == with_serial(old, 0) and ttl == zone.soa.ttl
        if same and not removals and not additions and not later(given, zone.serial):
            return None
        first: Addition = (self.zone, codes.SOA, zone.soa.ttl, old)
        fresh: Addition = (self.zone, codes.SOA, ttl, with_serial(soa, serial))
        change = Change(zone.serial, serial, [first, *removals], [fresh, *additions], now, source)
        renew: Sequence[bytes] = () if zone.signed else list(zone.names())
        return completed(zone, change, self.signer, now, renew=renew)

    def complete(self, zone: Zone, change: Change, now: int) -> Change:
        """A change of data with its signatures."""
        return completed(zone, change, self.signer, now)

    def renewed(self, zone: Zone, names: Sequence[bytes], rule: SerialRule, now: int, source: str) -> Change:
        """The change that makes the signatures at some names anew."""
        soa = zone.soa.rdatas[0]
        serial = next_serial(zone.serial, rule, now)
        first: Addition = (self.zone, codes.SOA, zone.soa.ttl, soa)
        fresh: Addition = (self.zone, codes.SOA, zone.soa.ttl, with_serial(soa, serial))
        change = Change(zone.serial, serial, [first], [fresh], now, source)
        return completed(zone, change, self.signer, now, renew=names)

    # Keys

    def begin_rollover(self, now: int) -> SigningKey:
        """A new key is published; raises StartError if another one is on its way."""
        if any(key.state == "published" for key in self.keys):
            raise StartError(f"zone {to_text(self.zone)} has a new key already, which waits for its parent")
        key = made(self._algorithm, "published", now, self.keys)
        self._keep([*self.keys, key])
        return key

    def waiting(self) -> tuple[bytes, int] | None:
        """The DS data of the key that waits for the parent, and when nobody holds a key set without it; None if none.

        Times are Unix times.
        """
        for key in self.keys:
            if key.state == "published":
                return key.ds(self.zone), key.since + _KEY_TTL
        return None

    def finish_rollover(self, now: int) -> None:
        """The parent has the new key: from now on it signs, and the old ones retire; raises StartError if too soon."""
        fresh = [key for key in self.keys if key.state == "published"]
        if not fresh:
            raise StartError(f"zone {to_text(self.zone)} has no new key: begin with `netsuite zone rollover`")
        left = fresh[0].since + _KEY_TTL - now
        if left > 0:
            raise StartError(f"others may hold the old key set for {left} s more: ask again then")
        self._keep(
            [
                key._replace(state="active" if key.state == "published" else "retired", since=now)
                for key in self.keys
                if key.state != "retired"
            ]
        )

    def forget_retired(self, now: int) -> bool:
        """Drop keys whose signatures nobody can hold any more; whether there were any."""
        kept = [key for key in self.keys if key.state != "retired" or now - key.since < _RETIREMENT]
        if len(kept) == len(self.keys):
            return False
        self._keep(kept)
        return True
