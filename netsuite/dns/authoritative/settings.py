"""The ``[dns]`` table."""

from __future__ import annotations

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, field_validator, model_validator

from netsuite.common.settings import SitePath, Table
from netsuite.dns.wire.name import BadName, from_text

__all__ = ["DnsSettings", "ZoneSettings"]


class ZoneSettings(Table):
    """One zone that is served from a master file."""

    name: str = Field(description="The zone's name, such as example.test, or . for the root.")
    file: SitePath = Field(description="Its master file.")
    listen: list[str] | None = Field(
        None, description="Addresses of its own, where it is served in place of those of the whole table."
    )

    @field_validator("name")
    @classmethod
    def _name(cls, value: str) -> str:
        try:
            from_text(value)
        except BadName as error:
            raise ValueError(str(error)) from None
        return value

    @property
    def origin(self) -> bytes:
        """The name in wire form."""
        return from_text(self.name)


class DnsSettings(Table):
    """The authoritative name server."""

    listen: list[str] = Field(
        ["127.0.0.1:10053"], description="Addresses for UDP and TCP, each HOST:PORT or PORT (on 127.0.0.1)."
    )
    zone: list[ZoneSettings] = Field([], description="The zones, each a [[dns.zone]] table.")
    minimal_responses: bool = Field(
        True, description="Leave name servers and addresses that were not asked for out of answers."
    )
    udp_size: int = Field(1232, ge=512, le=4096, description="The largest answer over UDP, in bytes.")
    allow: list[str] = Field(["any"], description='Who may ask: networks, addresses, or "loopback", "private", "any".')
    rate_limit: NonNegativeInt | None = Field(
        None,
        description="Answers a second over UDP to one network (IPv4 /24, IPv6 /56), beyond which they are cut or "
        "dropped; 0 is off, and so it is if unset on loopback (elsewhere 200).",
    )
    connections: PositiveInt = Field(4096, description="TCP connections at a time.")
    connections_per_address: PositiveInt = Field(256, description="TCP connections of one client at a time.")
    idle: PositiveFloat = Field(20.0, description="Seconds of silence after which a TCP connection is closed.")
    memo: int = Field(65536, ge=64, description="Prepared answers kept for each address over UDP.")

    @model_validator(mode="after")
    def _once(self) -> DnsSettings:
        seen = set()
        for zone in self.zone:
            for address in self.listen if zone.listen is None else zone.listen:
                key = (zone.origin.lower(), address)
                if key in seen:
                    raise ValueError(f"zone {zone.name} is there twice on {address}")
                seen.add(key)
        return self
