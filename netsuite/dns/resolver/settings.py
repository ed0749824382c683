"""The ``[resolver]`` table."""

from __future__ import annotations

from ipaddress import ip_address

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, field_validator

from netsuite.common.settings import AccessRules, SitePath, Table
from netsuite.dns.wire.name import from_text

__all__ = ["ResolverSettings", "server_address"]


def server_address(text: str, port: int = 53) -> tuple[str, int]:
    """Address and port of ``ADDR``, ``ADDR:PORT`` or ``[ADDR]:PORT``; ValueError if it is none."""
    host, colon, number = text, "", ""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        colon, number = rest[:1], rest[1:]
        if rest and colon != ":":
            raise ValueError(f"{text!r} is not an address with a port; write [ADDR]:PORT")
    elif text.count(":") == 1:
        host, colon, number = text.partition(":")
    ip_address(host)
    if not colon:
        return host, port
    if not number.isdecimal() or not 0 < int(number) < 65536:
        raise ValueError(f"{text!r} has no port between 1 and 65535")
    return host, int(number)


class ResolverSettings(Table):
    """The caching, iterative name server."""

    listen: list[str] = Field(
        ["127.0.0.1:10054"],
        description="Addresses for UDP and TCP, each HOST:PORT or PORT (on 127.0.0.1); none if only the suite's own "
        "servers ask it.",
    )
    allow: AccessRules = Field(
        ["loopback", "private"],
        description='Who may ask: networks, addresses, or "loopback", "private", "any"; others are refused.',
    )
    root_hints: SitePath | None = Field(
        None, description="A master file with the root's servers; without it the IANA's are used."
    )
    upstream_port: int = Field(53, ge=1, le=65535, description="The port that name servers are asked on.")
    forward: list[str] = Field(
        [], description="Servers (ADDR or ADDR:PORT) that are asked instead of iterating from the root."
    )
    stubs: dict[str, list[str]] = Field(
        {}, description="Zones whose servers are given here (ADDR or ADDR:PORT) and not looked for."
    )
    minimise: bool = Field(True, description="Tell servers no more of a name than they need (RFC 9156).")
    ipv6: bool = Field(True, description="Ask name servers over IPv6 too.")
    randomise_case: bool = Field(False, description="Ask with letters' case at random and insist on it in replies.")
    cache_bytes: int = Field(64 << 20, ge=1 << 20, description="Memory for what has been learnt.")
    max_ttl: PositiveInt = Field(86400, description="The longest that a record is kept, in seconds.")
    max_negative_ttl: NonNegativeInt = Field(10800, description="The longest that an absence is kept, in seconds.")
    failure_ttl: int = Field(5, ge=1, le=300, description="How long a failure is remembered, in seconds (RFC 9520).")
    payload: int = Field(1232, ge=512, le=4096, description="The largest UDP message sent or asked for, in bytes.")
    queries: int = Field(80, ge=10, le=1000, description="Questions to name servers that one question may cause.")
    clients: PositiveInt = Field(4096, description="Questions that may wait for an answer at a time.")
    per_client: PositiveInt = Field(1000, description="How many of them may be one client's.")
    connections: PositiveInt = Field(4096, description="TCP connections at a time.")
    connections_per_address: PositiveInt = Field(256, description="TCP connections of one client at a time.")
    idle: PositiveFloat = Field(20.0, description="Seconds of silence after which a TCP connection is closed.")
    sockets: PositiveInt = Field(512, description="Sockets for questions to name servers.")
    doh: str | None = Field(
        "/dns-query", description="Path of DNS over HTTPS on the suite's HTTP server; none if empty."
    )

    @field_validator("forward")
    @classmethod
    def _servers(cls, value: list[str]) -> list[str]:
        for text in value:
            server_address(text)
        return value

    @field_validator("stubs")
    @classmethod
    def _zones(cls, value: dict[str, list[str]]) -> dict[str, list[str]]:
        for zone, servers in value.items():
            from_text(zone)
            cls._servers(servers)
            if not servers:
                raise ValueError("a stub needs at least one server")
        return value
