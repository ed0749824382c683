"""The ``[proxy]`` table."""

from __future__ import annotations

from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, NonNegativeInt, PositiveFloat, PositiveInt

from netsuite.common.settings import AccessRules, SitePath, Table

__all__ = ["ProxySettings"]

_LEAST_DISK: Final = 64 << 20


def _origin(value: str) -> str:
    parts = urlsplit(value)
    try:
        fine = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        fine = False
    if not fine or parts.path not in ("", "/") or parts.query or parts.username:
        raise ValueError(f"must be http://HOST[:PORT] or https://HOST[:PORT], not {value!r}")
    return value


def _disk_bytes(value: int) -> int:
    if 0 < value < _LEAST_DISK:
        raise ValueError(f"must be 0 (no disk) or at least {_LEAST_DISK}, not {value}")
    return value


class ProxySettings(Table):
    """The caching proxy: a forward proxy, or with an origin a reverse one."""

    listen: list[str] = Field(
        ["127.0.0.1:10081"],
        description="Addresses, each HOST:PORT or PORT (on 127.0.0.1); `secure:HOST:PORT` is HTTPS.",
    )
    origin: Annotated[str, AfterValidator(_origin)] | None = Field(
        None,
        description="The URL of the server that it stands before (reverse proxy). Not set: it fetches whatever its "
        "clients name (forward proxy).",
        examples=["http://127.0.0.1:10080"],
    )
    pass_host: bool = Field(
        False, description="As a reverse proxy: whether the origin sees the client's Host instead of its own."
    )
    verify: bool = Field(True, description="Whether the certificates of https origins are verified.")
    cache_bytes: NonNegativeInt = Field(256 << 20, description="Bytes of memory for stored responses.")
    object_limit: PositiveInt = Field(
        16 << 20, description="The largest body that is stored in memory, or shared where nothing is on disk, in bytes."
    )
    disk_bytes: Annotated[NonNegativeInt, AfterValidator(_disk_bytes)] = Field(
        0,
        description="Bytes of disk for stored responses, shared out among the workers; 0 keeps none there.",
        examples=[64 << 30],
    )
    disk: SitePath | None = Field(
        None,
        description="The folder of the cache on disk, which must hold nothing else. Not set: DATA/cache.",
        examples=["/var/cache/netsuite"],
    )
    disk_object_limit: PositiveInt = Field(
        1 << 30, le=8 << 30, description="The largest body that is stored on disk, in bytes."
    )
    allow: AccessRules = Field(
        ["any"], description='Who may ask: networks, addresses, or "loopback", "private", "any".'
    )
    internal_targets: bool | None = Field(
        None,
        description="Whether clients may reach loopback, private and link-local targets. Not set: only while all "
        "listeners are on loopback.",
    )
    connect_ports: list[int] | None = Field(
        None,
        description="Ports that CONNECT may open. Not set: 443, or any while all listeners are on loopback.",
        examples=[[443, 8443]],
    )
    name: str = Field(
        "",
        pattern=r"^[A-Za-z0-9._-]*$",
        description="The pseudonym in Via, by which loops are found. Not set: made from the data directory and the "
        "addresses.",
    )
    connections: NonNegativeInt = Field(0, description="Clients' connections at once; 0 is without limit.")
    connections_per_address: NonNegativeInt = Field(
        0, description="Clients' connections at once from one address; 0 is without limit."
    )
    origin_connections: PositiveInt = Field(64, description="Connections at once to one origin.")
    connect_time: PositiveFloat = Field(5.0, description="Seconds in which a connection to an origin must stand.")
    answer_time: PositiveFloat = Field(60.0, description="Seconds in which an origin must begin its answer.")
    body_time: PositiveFloat = Field(30.0, description="Seconds for which a body may make no progress.")
    idle_time: PositiveFloat = Field(75.0, description="Seconds after which a client's idle connection is closed.")
    tunnel_time: PositiveFloat = Field(600.0, description="Seconds after which a silent tunnel is closed.")
    collapse_time: PositiveFloat = Field(
        10.0, description="Seconds that a request waits for another's answer before it asks for itself."
    )
    collapse_limit: PositiveInt = Field(20000, description="Requests that wait for one answer; more ask by themselves.")
