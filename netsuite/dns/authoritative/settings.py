"""The ``[dns]`` table."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Annotated, Literal

import dns.rdatatype
from pydantic import AfterValidator, Field, NonNegativeInt, PositiveFloat, PositiveInt, field_validator, model_validator

from netsuite.common.settings import AccessRules, SitePath, Table, access_rules
from netsuite.dns.authoritative.change import SerialRule
from netsuite.dns.authoritative.keys import Algorithm
from netsuite.dns.authoritative.permission import Remote
from netsuite.dns.authoritative.spread import Rotation, Weights
from netsuite.dns.wire.name import BadName, from_text, within
from netsuite.dns.wire.tsig import ALGORITHMS, Key

CookieSecret = Annotated[str, Field(pattern=r"^[0-9a-fA-F]{32}$")]

__all__ = [
    "CatalogSettings",
    "DnsSettings",
    "GrantSettings",
    "GroupSettings",
    "KeySettings",
    "ViewSettings",
    "WeightSettings",
    "ZoneSettings",
]


def _keys_or_rules(texts: list[str]) -> list[str]:
    for text in texts:
        if text.startswith("key:"):
            _absolute(text[4:])
    access_rules([text for text in texts if not text.startswith("key:")])
    return texts


KeysOrRules = Annotated[list[str], AfterValidator(_keys_or_rules)]
"""As AccessRules, and ``key:NAME`` for whoever has that key."""


class KeySettings(Table):
    """A secret that is shared with another server or an updater (TSIG)."""

    name: str = Field(description="The key's name, the same on both sides.")
    algorithm: str = Field(
        "hmac-sha256", description="hmac-sha256, hmac-sha384, hmac-sha512, hmac-sha224 or hmac-sha1."
    )
    secret: str = Field(description="The secret in base64, such as `openssl rand -base64 32` prints.")

    @field_validator("name")
    @classmethod
    def _name(cls, value: str) -> str:
        return _absolute(value)

    @model_validator(mode="after")
    def _usable(self) -> KeySettings:
        if from_text(_absolute(self.algorithm)).lower() not in ALGORITHMS:
            raise ValueError(f"there is no algorithm {self.algorithm}; take hmac-sha256")
        try:
            secret = b64decode(self.secret, validate=True)
        except ValueError:
            secret = b""
        if not secret:
            raise ValueError(f"the secret of key {self.name} is not base64")
        return self

    @property
    def key(self) -> Key:
        """The key itself."""
        algorithm = from_text(_absolute(self.algorithm)).lower()
        return Key(from_text(self.name).lower(), algorithm, b64decode(self.secret))


class GrantSettings(Table):
    """Who may change what of a zone by dynamic update."""

    key: str | None = Field(None, description="The key that updates are signed with.")
    allow: AccessRules = Field(
        [],
        description="Addresses or networks from which they come, signed with the key, or without one if there is none.",
    )
    names: list[str] = Field(
        [], description='Names that may be changed, "*.NAME" for all below NAME; everything in the zone if empty.'
    )
    types: list[str] = Field([], description="Types that may be changed, such as A, AAAA, TXT; all if empty.")

    @model_validator(mode="after")
    def _somebody(self) -> GrantSettings:
        if self.key is None and not self.allow:
            raise ValueError("a grant needs a key, or addresses to allow")
        for name in self.names:
            _absolute(name)
        for each in self.types:
            if each.upper() != "ANY":
                _type_number(each)
        return self


class WeightSettings(Table):
    """How the addresses of one name share out load."""

    name: str = Field(description="The name, in full, such as www.example.test.")
    weights: dict[str, NonNegativeInt] = Field(
        description="The weight of each address; those that are not named weigh 1, and one of 0 is not given."
    )
    answers: NonNegativeInt = Field(
        0,
        description="How many addresses are given, drawn by weight; 0 for all, in an order drawn by weight. In signed "
        "zones all are given always.",
    )

    @model_validator(mode="after")
    def _usable(self) -> WeightSettings:
        _absolute(self.name)
        for address in self.weights:
            ip_address(address)
        return self

    @property
    def made(self) -> Weights:
        """The weights by address in wire form."""
        return Weights({ip_address(text).packed: weight for text, weight in self.weights.items()}, self.answers)


class ViewSettings(Table):
    """What some clients see."""

    name: str = Field(pattern=r"^[a-z0-9_-]{1,63}$", description="What zones call it: small letters, digits, - and _.")
    clients: AccessRules = Field(description='Who has it: networks, addresses, or "loopback", "private", "any".')


class GroupSettings(Table):
    """How the members of a catalog that are in a group are copied."""

    name: str = Field(description="The value of the members' group property.")
    primary: list[str] = Field([], description="Servers that they are copied from; those of the catalog, if empty.")
    transfer: KeysOrRules = Field([], description="Who may copy them from here. Nobody, if empty.")
    notify: list[str] = Field([], description="Servers that are told of their new versions.")

    @field_validator("primary", "notify")
    @classmethod
    def _servers(cls, value: list[str]) -> list[str]:
        return _remotes(value)


class ZoneSettings(Table):
    """One zone: served from a master file, or copied from another server."""

    name: str = Field(description="The zone's name, such as example.test, or . for the root.")
    file: SitePath | None = Field(None, description="Its master file.")
    primary: list[str] = Field(
        [], description='Servers that it is copied from, instead of a file: "HOST[:PORT]" or "HOST[:PORT] key:NAME".'
    )
    catalog: bool = Field(
        False, description="For a copy: it is a catalog zone (RFC 9432), and the zones that it names are copied too."
    )
    members: PositiveInt = Field(
        10000, description="How many zones a catalog may name; one that names more is not acted upon."
    )
    group: list[GroupSettings] = Field(
        [],
        description="How members that have a group property are copied, each a [[dns.zone.group]] table; other members "
        "are copied as the catalog is.",
    )
    listen: list[str] | None = Field(
        None, description="Addresses of its own, where it is served in place of those of the whole table."
    )
    view: list[str] = Field(
        [],
        description="The [[dns.view]] tables that show it, by name; if empty, all that have none of its name.",
    )
    transfer: KeysOrRules = Field(
        [], description='Who may copy it: networks, addresses, "loopback", "key:NAME". Nobody, if empty.'
    )
    notify: list[str] = Field(
        [], description='Servers that are told of a new version: "HOST[:PORT]" or "HOST[:PORT] key:NAME".'
    )
    update: list[GrantSettings] = Field([], description="Who may change it, each an [[dns.zone.update]] table.")
    most_at_a_name: NonNegativeInt = Field(
        100,
        description="Records of one type at one name, and types at one name, that a copy or an update may bring; 0 is "
        "without limit.",
    )
    dnssec: Literal["off", "nsec", "nsec3", "nsec3-opt-out", "compact"] = Field(
        "off",
        description='Whether we sign it: "nsec" with a chain of denials in the zone, "nsec3" with one of hashed names, '
        '"nsec3-opt-out" with one that leaves out delegations without DS, "compact" with denials signed as they are '
        "asked for (RFC 9824). A zone that was signed elsewhere is served as it is.",
    )
    algorithm: Algorithm = Field(
        "ecdsap256sha256", description='What its keys are made for: "ecdsap256sha256", "ed25519" or "rsasha256".'
    )
    parent: list[str] = Field(
        [],
        description="Servers of the parent's zone, which are asked whether they have the DS record of a new key: "
        '"HOST[:PORT]". Without any, the site\'s resolver is asked.',
    )
    weight: list[WeightSettings] = Field(
        [], description="Names whose addresses share out load by weight, each a [[dns.zone.weight]] table."
    )
    serial: SerialRule = Field(
        "increment", description='How a change that we make numbers its version: "increment", "unixtime" or "date".'
    )

    @field_validator("name")
    @classmethod
    def _name(cls, value: str) -> str:
        return _absolute(value)

    @field_validator("primary", "notify", "parent")
    @classmethod
    def _servers(cls, value: list[str]) -> list[str]:
        return _remotes(value)

    @model_validator(mode="after")
    def _from_somewhere(self) -> ZoneSettings:
        if (self.file is None) == (not self.primary):
            raise ValueError(f"zone {self.name} needs either a file or a primary to be copied from")
        if self.primary and (self.update or self.dnssec != "off"):
            raise ValueError(f"zone {self.name} is a copy: updates and signing belong to its primary")
        if self.catalog and not self.primary:
            raise ValueError(f"zone {self.name} is no copy; a catalog of our own zones is a [[dns.catalog]] table")
        for each in self.weight:
            if not within(from_text(each.name).lower(), self.origin.lower()):
                raise ValueError(f"zone {self.name} has weights for {each.name}, which is outside it")
        return self

    @property
    def origin(self) -> bytes:
        """The name in wire form."""
        return from_text(self.name)

    def key_names(self) -> Iterator[str]:
        """The names of the keys that it needs."""
        groups = [(group.primary, group.notify, group.transfer) for group in self.group]
        for primary, notify, transfer in [(self.primary, self.notify, self.transfer), *groups]:
            for text in (*primary, *notify):
                remote = Remote.parse(text)
                if remote.key is not None:
                    yield remote.key
            yield from (each[4:] for each in transfer if each.startswith("key:"))
        yield from (grant.key for grant in self.update if grant.key is not None)


class CatalogSettings(Table):
    """A catalog zone that is made of zones of ours (RFC 9432), for servers that shall have what we have."""

    name: str = Field(description="The catalog's name, such as catalog.example.test.")
    zones: list[str] = Field([], description="The zones that it names, each one of ours.")
    groups: dict[str, list[str]] = Field({}, description="The group properties of zones: zones by group.")
    listen: list[str] | None = Field(None, description="Addresses of its own; those of the whole table, if unset.")
    view: list[str] = Field([], description="The [[dns.view]] tables that show it, by name; all, if empty.")
    transfer: KeysOrRules = Field(
        [], description='Who may copy it: networks, addresses, "loopback", "key:NAME". Nobody, if empty.'
    )
    notify: list[str] = Field(
        [], description='Servers that are told of a new version: "HOST[:PORT]" or "HOST[:PORT] key:NAME".'
    )

    @field_validator("name")
    @classmethod
    def _name(cls, value: str) -> str:
        return _absolute(value)

    @field_validator("notify")
    @classmethod
    def _servers(cls, value: list[str]) -> list[str]:
        return _remotes(value)

    @model_validator(mode="after")
    def _of_its_own(self) -> CatalogSettings:
        named = [from_text(_absolute(zone)).lower() for zone in self.zones]
        for group, zones in self.groups.items():
            if not 0 < len(group.encode()) < 256:
                raise ValueError(f"catalog {self.name}: a group's name has 1 to 255 bytes")
            for zone in zones:
                if from_text(_absolute(zone)).lower() not in named:
                    raise ValueError(f"catalog {self.name} has {zone} in group {group}, but not among its zones")
        return self

    def members(self) -> dict[str, list[str]]:
        """The groups of each zone."""
        by_group = {group: {from_text(zone).lower() for zone in zones} for group, zones in self.groups.items()}
        return {
            zone: sorted(group for group, zones in by_group.items() if from_text(zone).lower() in zones)
            for zone in self.zones
        }

    @property
    def as_zone(self) -> ZoneSettings:
        """How it is served and copied."""
        return ZoneSettings.model_construct(
            name=self.name, listen=self.listen, view=self.view, transfer=self.transfer, notify=self.notify
        )


def _remotes(texts: list[str]) -> list[str]:
    """Servers that can be read; raises ValueError."""
    for each in texts:
        Remote.parse(each)
    return texts


def _absolute(name: str) -> str:
    """A name that can be read; raises ValueError."""
    try:
        from_text(name)
    except BadName as error:
        raise ValueError(str(error)) from None
    return name


def _type_number(text: str) -> int:
    """A type's number by its name; raises ValueError."""
    try:
        return int(dns.rdatatype.from_text(text))
    except (dns.rdatatype.UnknownRdatatype, ValueError):
        raise ValueError(f"there is no type {text}") from None


class DnsSettings(Table):
    """The authoritative name server."""

    listen: list[str] = Field(
        ["127.0.0.1:10053"], description="Addresses for UDP and TCP, each HOST:PORT or PORT (on 127.0.0.1)."
    )
    zone: list[ZoneSettings] = Field([], description="The zones, each a [[dns.zone]] table.")
    catalog: list[CatalogSettings] = Field([], description="Catalogs of zones of ours, each a [[dns.catalog]] table.")
    view: list[ViewSettings] = Field(
        [],
        description="What some clients see, each a [[dns.view]] table: a client sees the zones of the first that it "
        "matches, and those that are in no view.",
    )
    key: list[KeySettings] = Field([], description="Secrets shared with others, each a [[dns.key]] table.")
    minimal_responses: bool = Field(
        True, description="Leave name servers and addresses that were not asked for out of answers."
    )
    rotate: Rotation = Field(
        "off",
        description='In what order the addresses of a name are given: "off" for that of the zone, always the same, '
        '"round-robin" with another one first from answer to answer, "random" with any one first.',
    )
    udp_size: int = Field(1232, ge=512, le=4096, description="The largest answer over UDP, in bytes.")
    allow: AccessRules = Field(
        ["any"], description='Who may ask: networks, addresses, or "loopback", "private", "any".'
    )
    rate_limit: NonNegativeInt | None = Field(
        None,
        description="Answers a second over UDP to one address, and a multiple of it to the networks around it, beyond "
        "which they are cut or dropped; clients with a valid cookie are exempt. 0 is off, and so it is if unset on "
        "loopback (elsewhere 200).",
    )
    nsid: str = Field(
        "", max_length=128, description="What this server calls itself to who asks for its identity (NSID, id.server)."
    )
    cookie_secrets: list[CookieSecret] = Field(
        [],
        description="Secrets for DNS cookies, 32 hexadecimal digits each: cookies are made with the first, and those "
        "made with any of them are known. Give all servers of an address the same ones; without any, one is made and "
        "kept in the data directory.",
    )
    connections: PositiveInt = Field(4096, description="TCP connections at a time.")
    connections_per_address: PositiveInt = Field(256, description="TCP connections of one client at a time.")
    idle: PositiveFloat = Field(20.0, description="Seconds of silence after which a TCP connection is closed.")
    memo: int = Field(65536, ge=64, description="Prepared answers kept for each address over UDP.")

    @model_validator(mode="after")
    def _once(self) -> DnsSettings:
        seen = set()
        for zone in self.all_zones():
            for address in self.listen if zone.listen is None else zone.listen:
                for view in zone.view or [""]:
                    key = (zone.origin.lower(), address, view)
                    if key in seen:
                        raise ValueError(
                            f"zone {zone.name} is there twice on {address}" + (f" in view {view}" if view else "")
                        )
                    seen.add(key)
        return self

    @model_validator(mode="after")
    def _known_views(self) -> DnsSettings:
        names = [view.name for view in self.view]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"view {name} is there twice")
        for zone in self.all_zones():
            for name in zone.view:
                if name not in names:
                    raise ValueError(f"zone {zone.name} names view {name}, of which there is no [[dns.view]] table")
        return self

    @model_validator(mode="after")
    def _of_our_zones(self) -> DnsSettings:
        ours = {zone.origin.lower() for zone in self.zone}
        for catalog in self.catalog:
            for name in catalog.zones:
                if from_text(name).lower() not in ours:
                    raise ValueError(f"catalog {catalog.name} names {name}, of which there is no [[dns.zone]] table")
        return self

    def all_zones(self) -> list[ZoneSettings]:
        """The zones, and the catalogs that are made here."""
        return [*self.zone, *(catalog.as_zone for catalog in self.catalog)]

    def zones_at(self, listen: str) -> list[ZoneSettings]:
        """The zones of one address."""
        return [zone for zone in self.all_zones() if listen in (self.listen if zone.listen is None else zone.listen)]

    @model_validator(mode="after")
    def _known_keys(self) -> DnsSettings:
        known = {from_text(key.name).lower() for key in self.key}
        for zone in self.all_zones():
            for name in zone.key_names():
                if from_text(_absolute(name)).lower() not in known:
                    raise ValueError(f"zone {zone.name} names key {name}, of which there is no [[dns.key]] table")
        return self
