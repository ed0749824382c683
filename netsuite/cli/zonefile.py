"""``netsuite zone check`` and ``digest``: zones in master files, before they are served."""

from __future__ import annotations

import argparse
import datetime
from pathlib import Path
from typing import Any, Final

from netsuite.common.errors import StartError
from netsuite.dns.authoritative.assembly import Assembly
from netsuite.dns.authoritative.audit import audit
from netsuite.dns.authoritative.digest import zonemd
from netsuite.dns.authoritative.master import Sources, ZoneError, read
from netsuite.dns.authoritative.zone import Zone
from netsuite.dns.wire import codes
from netsuite.dns.wire.name import ROOT, BadName, from_text, to_text

__all__ = ["add"]

_ENDINGS: Final = (".zone", ".db", ".txt")


def add(actions: Any) -> None:
    """Add to ``netsuite zone`` what is done to a file, without a running site."""
    checking = actions.add_parser(
        "check",
        help="say what is wrong with a zone",
        description="Read a master file as the server would. What cannot be served is an error, and the exit status is "
        "1; what is served but hardly meant is a warning, and the exit status is 0, or 1 with --strict.",
    )
    checking.add_argument("--strict", action="store_true", help="let warnings fail the check")
    checking.set_defaults(run=check)
    digesting = actions.add_parser(
        "digest",
        help="print the ZONEMD record of a zone",
        description="Print the record that proves a zone to be whole (RFC 8976), to be put into it.",
    )
    digesting.set_defaults(run=digest)
    for action in (checking, digesting):
        action.add_argument("file", metavar="FILE", help="the master file")
        action.add_argument("--name", help="the zone's name (default: that of its SOA record, or the file's name)")


def check(options: argparse.Namespace) -> int:
    """Print what is wrong, and what the zone is."""
    zone, warnings = _read(options)
    warnings += audit(zone, datetime.date.today())
    for warning in warnings:
        print(f"warning: {warning}")
    held = f"records {zone.count}, names {len(zone)}, delegations {zone.cuts}, warnings {len(warnings)}"
    print(f"{to_text(zone.name)} serial {zone.serial}: {held}")
    return 1 if warnings and options.strict else 0


def digest(options: argparse.Namespace) -> int:
    """Print the ZONEMD record."""
    zone, _ = _read(options)
    data = zonemd(zone)
    print(f"{to_text(zone.name)} {zone.soa.ttl} IN ZONEMD {zone.serial} {data[4]} {data[5]} {data[6:].hex()}")
    return 0


def _read(options: argparse.Namespace) -> tuple[Zone, list[str]]:
    """The zone, and what its reader had to put right."""
    path = Path(options.file)
    try:
        name = from_text(options.name) if options.name else _name(path)
        sources: Sources = {}
        assembly = Assembly(name, str(path))
        for where, entries in read(path, name, sources):
            assembly.take(entries, where)
        return assembly.zone(sources), assembly.lowered
    except BadName as error:
        raise StartError(f"--name {options.name}: {error}") from None
    except ZoneError as error:
        raise StartError(f"error: {error}") from None


def _name(path: Path) -> bytes:
    """The zone's name: its SOA record's if that is absolute, else the file's, without a usual ending."""
    for _, entries in read(path, ROOT):
        for owner, rdtype, _, _, _ in entries:
            if rdtype == codes.SOA and owner != ROOT:
                return owner
    name = path.name
    for ending in _ENDINGS:
        name = name.removesuffix(ending)
    return from_text(name)
