"""What ``netsuite zone`` asks of a running site: versions, roll-backs, delegations, copying at once."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

from zope.interface import implementer

from netsuite.common.errors import StartError
from netsuite.common.storage.journal import JournalBroken, StorageFull
from netsuite.dns.authoritative.history import NoSuchVersion
from netsuite.dns.authoritative.primary import Primary
from netsuite.dns.authoritative.secondary import Secondary
from netsuite.dns.authoritative.tended import Tended
from netsuite.dns.authoritative.update import Refused, Update
from netsuite.dns.wire import codes
from netsuite.dns.wire.name import BadName, from_text, parent, to_text, within
from netsuite.dns.wire.records import Message, Record
from netsuite.interfaces import IControlled

__all__ = ["ZoneControl", "delegation"]

_TTL = 3600


def delegation(name: bytes, servers: Sequence[tuple[bytes, str]], ttl: int = _TTL) -> list[Record]:
    """The updates that delegate a name: the old servers go; NS records come, and glue for those that need it.

    ``servers`` are (host, address), the address empty where the host is to be found elsewhere.
    """
    found = [Record(name, codes.NS, codes.CLASS_ANY, 0, b"")]
    for host in dict.fromkeys(host for host, _ in servers):
        found.append(Record(host, codes.A, codes.CLASS_ANY, 0, b""))
        found.append(Record(host, codes.AAAA, codes.CLASS_ANY, 0, b""))
    for host, text in servers:
        found.append(Record(name, codes.NS, codes.CLASS_IN, ttl, host))
        if text:
            address = ipaddress.ip_address(text)
            rdtype = codes.A if address.version == 4 else codes.AAAA
            found.append(Record(host, rdtype, codes.CLASS_IN, ttl, address.packed))
    return found


@implementer(IControlled)
class ZoneControl:
    """Answers for the zones of a site; of several zones of one name (on several addresses) the first."""

    def __init__(self, tended: Sequence[Tended]) -> None:
        self._tended = tended

    def _zones(self) -> list[Tended]:
        found: dict[tuple[bytes, tuple[str, ...]], Tended] = {}
        for each in self._tended:
            found.setdefault((each.name, tuple(each.settings.view)), each)
        return list(found.values())

    async def asked(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """``do`` is one of list, log, rollback, delegate, refresh, keys, rollover; raises StartError with one line."""
        do = request.get("do")
        if do == "list":
            return {"zones": [self._told(each) for each in self._zones()]}
        name = _name(request.get("name"))
        view = request.get("view")
        if do == "delegate":
            return await self._delegate(name, request.get("servers", []), view)
        tended = self._find(name, view)
        if tended is None:
            where = "is no zone of this site" if view is None else f"is no zone of view {view}"
            raise StartError(f"{to_text(name)} {where}")
        if do == "log":
            return {**self._told(tended), "versions": tended.versions()}
        if do == "rollback":
            return await self._rollback(tended, request.get("serial"))
        if do == "refresh":
            if not isinstance(tended, Secondary):
                raise StartError(f"zone {tended.title} is at home here: it is copied from nobody")
            tended.refresh()
            return {}
        if do in ("keys", "rollover"):
            if not isinstance(tended, Primary):
                raise StartError(f"zone {tended.title} is made from its {_origin(tended)}: its keys are not here")
            if do == "keys":
                return {"lines": tended.key_lines()}
            return {"lines": await tended.roll_over(parent_has_it=request.get("parent") is True)}
        raise StartError("ask for list, log, rollback, delegate, refresh, keys or rollover")

    def _find(self, name: bytes, view: Any) -> Tended | None:
        """A zone by its name, in a view, or else preferably in none."""
        found = [each for each in self._zones() if each.name == name]
        if view is not None:
            found = [each for each in found if view in each.settings.view]
        return min(found, key=lambda each: bool(each.settings.view), default=None)

    def _told(self, tended: Tended) -> dict[str, Any]:
        zone = tended.zone
        return {
            "name": tended.title,
            "view": tended.settings.view,
            "serial": None if zone is None else zone.serial,
            "records": None if zone is None else zone.count,
            "from": _origin(tended),
            "trouble": tended.trouble,
        }

    async def _rollback(self, tended: Tended, serial: Any) -> dict[str, Any]:
        if not isinstance(tended, Primary):
            raise StartError(f"zone {tended.title} is made from its {_origin(tended)}: roll it back there")
        if type(serial) is not int or not 0 <= serial < 1 << 32:
            raise StartError("name a serial")
        try:
            change = await tended.rollback(serial, "the operator")
        except (NoSuchVersion, StorageFull, JournalBroken) as error:
            raise StartError(str(error)) from None
        return {"serial": change.after, "removed": len(change.removals) - 1, "added": len(change.additions) - 1}

    async def _delegate(self, name: bytes, servers: Any, view: Any) -> dict[str, Any]:
        pairs = []
        for text in servers:
            host, _, address = str(text).partition("=")
            try:
                pairs.append((from_text(host).lower(), str(ipaddress.ip_address(address)) if address else ""))
            except (BadName, ValueError) as error:
                raise StartError(f"{text}: {error}; give NAME=ADDRESS") from None
        if not pairs:
            raise StartError("name the delegation's servers: --ns NAME=ADDRESS")
        tended = self._above(name, view)
        for server, address in pairs:
            if address and not within(server, tended.name):
                raise StartError(f"{to_text(server)} is outside zone {tended.title}: its address belongs elsewhere")
            if not address and within(server, name):
                raise StartError(f"{to_text(server)} is below {to_text(name)}: nobody finds it without an address")
        update = Update(
            Message((tended.name, codes.SOA, codes.CLASS_IN), [], delegation(name, pairs), []),
            lambda owner, rdtype: True,
            f"delegation of {to_text(name)} by the operator",
        )
        try:
            await tended.update(update)
        except (Refused, StorageFull, JournalBroken) as error:
            raise StartError(f"zone {tended.title}: {error}") from None
        return {"zone": tended.title, "serial": tended.history.zone.serial}

    def _above(self, name: bytes, view: Any) -> Primary:
        """The zone that a name is delegated from."""
        above = name
        while above != b"\0":
            above = parent(above)
            found = self._find(above, view)
            if found is not None:
                if not isinstance(found, Primary):
                    raise StartError(f"zone {found.title} is a copy: delegate where it is at home")
                return found
        raise StartError(f"no zone of this site is above {to_text(name)}")


def _origin(tended: Tended) -> str:
    """What a zone comes from."""
    if isinstance(tended, Primary):
        return "file"
    return "primary" if isinstance(tended, Secondary) else "settings"


def _name(text: Any) -> bytes:
    try:
        return from_text(str(text)).lower()
    except BadName as error:
        raise StartError(f"{text}: {error}") from None
