"""How much may be at one name of a zone that others write: whoever may write it may not make our answers dear.

Every answer with an RRset costs its size, and every proof and every change costs what is at the name; a zone that is
copied, or changed by update, is held to bounds (CVE-2024-1737). Master files are their operators' own.
"""

from __future__ import annotations

from collections.abc import Iterable

from netsuite.dns.authoritative.node import ONE, Packed, bundles, types
from netsuite.dns.authoritative.zone import Zone
from netsuite.dns.wire import codes
from netsuite.dns.wire.name import to_text

__all__ = ["crowd"]


def crowd(zone: Zone, most: int, names: Iterable[bytes] | None = None) -> str | None:
    """Where there are more than ``most`` records of a type, or types, at one of these names, by default at any."""
    if not most:
        return None
    found: Iterable[tuple[bytes, Packed | None]]
    found = zone.nodes() if names is None else ((name, zone.packed(name)) for name in names)
    for name, packed in found:
        # No node of so few bytes has so many records.
        if packed is None or packed[0] & ONE or len(packed) < 12 * most:
            continue
        kinds = len(types(packed))
        for rdtype, _, rdatas in bundles(packed):
            # Signatures are of many types.
            if len(rdatas) > most and rdtype != codes.RRSIG:
                return f"{to_text(name)} has {len(rdatas)} records of type {rdtype}, more than {most}"
        if kinds > most:
            return f"{to_text(name)} has records of {kinds} types, more than {most}"
    return None
