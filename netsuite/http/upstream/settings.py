"""``[[proxy.pool]]`` and ``[[proxy.route]]``: the servers behind a reverse proxy, and who is asked for what."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from netsuite.common.settings import Table

__all__ = ["HealthSettings", "OriginUrl", "PoolSettings", "RouteSettings", "ServerSettings"]


_HEADER: Final = re.compile(r"header:[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def _origin(value: str) -> str:
    parts = urlsplit(value)
    try:
        fine = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        fine = False
    if not fine or parts.path not in ("", "/") or parts.query or parts.fragment or parts.username is not None:
        raise ValueError(f"must be http://HOST[:PORT] or https://HOST[:PORT], not {value!r}")
    return value


OriginUrl = Annotated[str, AfterValidator(_origin)]
"""``http://HOST[:PORT]`` or ``https://HOST[:PORT]``."""


def _hash(value: str) -> str:
    if value not in ("url", "path", "host", "client") and not _HEADER.fullmatch(value):
        raise ValueError(f'must be "url", "path", "host", "client" or "header:NAME", not {value!r}')
    return value


def _host(value: str) -> str:
    if not re.fullmatch(r"(\*\.)?[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]|", value):
        raise ValueError(f"must be a host name, or *.NAME for all below it, not {value!r}")
    return value.lower()


def _path(value: str) -> str:
    if not value.startswith("/") or not value.isascii() or re.search(r"[\x00-\x20?#]", value):
        raise ValueError(f"must begin with / and have no query, not {value!r}")
    return value


Path = Annotated[str, AfterValidator(_path)]


def _short(value: Any) -> Any:
    return {"url": value} if isinstance(value, str) else value


class ServerSettings(Table):
    """One server of a pool; the URL alone may stand in its place."""

    url: OriginUrl = Field(description="Where it is: http://HOST[:PORT] or https://HOST[:PORT].")
    weight: PositiveInt = Field(1, le=1000, description="How much it gets, beside the others.")
    backup: bool = Field(False, description="Whether it is asked only while none of the others can be.")


class HealthSettings(Table):
    """How the servers of a pool are looked after."""

    path: Path | None = Field(
        None, description="What is asked for, with GET. Not set: it is enough that a connection can be made."
    )
    host: str | None = Field(None, description="The Host that is named. Not set: the server's own.")
    interval: PositiveFloat = Field(5.0, description="Seconds from one check to the next.")
    timeout: PositiveFloat = Field(2.0, description="Seconds in which a check must come to a good end.")
    rise: PositiveInt = Field(2, description="Good checks in a row after which a server that was down is up.")
    fall: PositiveInt = Field(3, description="Bad checks in a row after which a server that was up is down.")
    statuses: list[int] = Field([200, 204], min_length=1, description="The statuses that are good.")


class PoolSettings(Table):
    """Servers that stand for one another."""

    name: str = Field(pattern=r"^[A-Za-z0-9._-]+$", description="What routes, metrics and log lines call it.")
    servers: list[Annotated[ServerSettings, BeforeValidator(_short, json_schema_input_type=str | ServerSettings)]] = (
        Field(
            min_length=1,
            description="Its servers: each a URL, or a table with url, weight and backup.",
            examples=[["http://127.0.0.1:8001", "http://127.0.0.1:8002"]],
        )
    )
    balance: Literal["round-robin", "least-requests", "hash"] = Field(
        "round-robin",
        description="Who is next: in turn, the one with the fewest requests under way, or the one that the "
        "request's `hash` belongs to.",
    )
    hash: Annotated[str, AfterValidator(_hash)] = Field(
        "url",
        description='What requests are told apart by where balance is "hash": "url" (host, path and query), "path", '
        '"host", "client" (the address) or "header:NAME".',
    )
    load_bound: float = Field(
        1.25,
        gt=1,
        description='How many times its fair share a server may have to do where balance is "hash"; the rest goes to '
        "the next server of that hash.",
    )
    health: HealthSettings | None = Field(None, description="Active checks. Not set: there are none.")
    failures: NonNegativeInt = Field(
        5,
        description="Requests in a row that fail (no answer, 502, 503 or 504) after which a server is not asked for "
        "a while; half of at least 20 in 10 seconds count as well. 0 is never.",
    )
    open_time: PositiveFloat = Field(
        2.0, description="Seconds of that while; each time that the server fails again it is doubled, up to a minute."
    )
    slow_start: NonNegativeFloat = Field(
        10.0, description="Seconds in which a server that comes back gets its full share again."
    )
    retries: NonNegativeInt = Field(
        2, description="How often a request that may be repeated is sent to a further server where one fails."
    )
    retry_share: float = Field(
        0.2, ge=0, le=1, description="How many of a pool's requests may be repeated: 0.2 is one in five."
    )
    pass_host: bool | None = Field(
        None, description="Whether the servers see the client's Host instead of their own. Not set: as proxy.pass_host."
    )
    send_proxy: Literal["v1", "v2"] | None = Field(
        None,
        description="The version of the PROXY protocol by which the servers are told the client's address. Not set: "
        "it is not spoken.",
    )

    @model_validator(mode="after")
    def _distinct(self) -> PoolSettings:
        urls = [server.url.rstrip("/") for server in self.servers]
        twice = next((url for url in urls if urls.count(url) > 1), None)
        if twice is not None:
            raise ValueError(f"servers: {twice} is there twice; write it once, with a weight")
        if all(server.backup for server in self.servers):
            raise ValueError("servers: all are backups; at least one must not be")
        return self


class RouteSettings(Table):
    """Which pool, or origin, is asked for what."""

    host: Annotated[str, AfterValidator(_host)] = Field(
        "", description="The host that clients name, or *.NAME for all below it. Empty: any."
    )
    path: Path = Field("/", description="The path, or the one that it lies below.")
    pool: str | None = Field(None, description="The name of a [[proxy.pool]].")
    origin: OriginUrl | None = Field(None, description="Or a single server's URL.")

    @model_validator(mode="after")
    def _one(self) -> RouteSettings:
        if (self.pool is None) is (self.origin is None):
            raise ValueError("a route has either a pool or an origin")
        return self
