"""Catalog zones (RFC 9432): a zone whose records say which zones a server shall have.

Implements: RFC 9432 sections 3-4 (schema version 2, member zones, the properties group and coo).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from netsuite.dns.authoritative.node import Node
from netsuite.dns.authoritative.zone import Addition, Zone
from netsuite.dns.wire import codes
from netsuite.dns.wire.name import to_text

__all__ = ["BadCatalog", "Member", "members", "records"]

_VERSION: Final = b"\x07version"
_SCHEMA: Final = b"\x012"
_ZONES: Final = b"\x05zones"
_GROUP: Final = b"\x05group"
_OWNER: Final = b"\x03coo"
_NOWHERE: Final = b"\x07invalid\0"
# refresh, retry, expire, minimum
_TIMES: Final = b"".join(number.to_bytes(4, "big") for number in (3600, 600, 2147483646, 0))


class BadCatalog(ValueError):
    """A zone that is no catalog, or a broken one: it is not acted upon (section 5.1)."""


class Member(NamedTuple):
    """A zone that a catalog names: its ``label`` there, a new one of which means a new zone of the same name.

    ``groups`` are its group properties, in order; ``owner`` is the catalog that may take it over, if one may.
    """

    name: bytes
    label: bytes
    groups: tuple[str, ...] = ()
    owner: bytes | None = None


def members(zone: Zone) -> dict[bytes, Member]:
    """The members of a catalog by name; raises BadCatalog."""
    schema = _datas(zone, _VERSION + zone.name, codes.TXT)
    if schema != [_SCHEMA]:
        raise BadCatalog(f"{to_text(_VERSION + zone.name)} does not say that it is of version 2")
    above = _ZONES + zone.name
    found: dict[bytes, Member] = {}
    for owner, packed in zone.nodes():
        if owner[owner[0] + 1 :] != above:
            continue
        pointers = Node(owner, packed).rrset(codes.PTR)
        if pointers is None:
            continue
        if len(pointers.rdatas) > 1:
            raise BadCatalog(f"{to_text(owner)} names several zones")
        name = pointers.rdatas[0].lower()
        if name in found:
            raise BadCatalog(f"{to_text(name)} is there twice")
        groups = sorted(text[1 : 1 + text[0]].decode("utf-8", "replace") for text in _texts(zone, _GROUP + owner))
        owners = _datas(zone, _OWNER + owner, codes.PTR)
        taker = owners[0].lower() if len(owners) == 1 else None
        found[name] = Member(name, owner[1 : 1 + owner[0]], tuple(groups), taker)
    return found


def _datas(zone: Zone, name: bytes, rdtype: int) -> list[bytes]:
    node = zone.node(name)
    rrset = node.rrset(rdtype) if node is not None else None
    return rrset.rdatas if rrset is not None else []


def _texts(zone: Zone, name: bytes) -> list[bytes]:
    return [rdata for rdata in _datas(zone, name, codes.TXT) if rdata]


def records(name: bytes, serial: int, zones: Mapping[bytes, Sequence[str]]) -> Iterator[Addition]:
    """The records of a catalog of ``zones`` with their groups, SOA first. A zone's label is a hash of its name."""
    yield name, codes.SOA, 0, _NOWHERE + _NOWHERE + serial.to_bytes(4, "big") + _TIMES
    yield name, codes.NS, 0, _NOWHERE
    yield _VERSION + name, codes.TXT, 0, _SCHEMA
    for zone, groups in zones.items():
        label = hashlib.sha256(zone).hexdigest()[:32].encode()
        owner = b"\x20" + label + _ZONES + name
        yield owner, codes.PTR, 0, zone
        for group in groups:
            text = group.encode()
            yield _GROUP + owner, codes.TXT, 0, bytes((len(text),)) + text
