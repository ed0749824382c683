"""The ``[dns]`` table."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, field_validator, model_validator

from netsuite.common.settings import SitePath, Table
from netsuite.dns.wire.name import BadName, from_text

CookieSecret = Annotated[str, Field(pattern=r"^[0-9a-fA-F]{32}$")]

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
        for zone in self.zone:
            for address in self.listen if zone.listen is None else zone.listen:
                key = (zone.origin.lower(), address)
                if key in seen:
                    raise ValueError(f"zone {zone.name} is there twice on {address}")
                seen.add(key)
        return self
