"""The ``[proxy]`` table."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

from netsuite.common.settings import AccessRules, SitePath, Table
from netsuite.http.proxy.gatesettings import LimitSettings, RuleSettings
from netsuite.http.upstream.settings import OriginUrl, PoolSettings, RouteSettings

__all__ = ["ProxyPeer", "ProxySettings", "targets_of"]

_LEAST_DISK: Final = 64 << 20


def _short(value: Any) -> Any:
    return {"url": value} if isinstance(value, str) else value


class ProxyPeer(Table):
    """Another proxy: a parent or a sibling."""

    url: OriginUrl = Field(description="Where it is: http://HOST[:PORT] or https://HOST[:PORT].")
    user: str | None = Field(None, description="The name by which it knows this proxy (Basic).")
    password: str | None = Field(None, repr=False, description="The password to that name.")


Peers = list[Annotated[ProxyPeer, BeforeValidator(_short, json_schema_input_type=str | ProxyPeer)]]


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
    origin: OriginUrl | None = Field(
        None,
        description="The URL of the server that it stands before (reverse proxy): what no route says otherwise of "
        "goes there. Not set, and without pools or routes: it fetches whatever its clients name (forward proxy).",
        examples=["http://127.0.0.1:10080"],
    )
    pool: list[PoolSettings] = Field(
        [],
        description="Servers that stand for one another, each a [[proxy.pool]] table; a lone pool is asked for "
        "everything where there are neither routes nor an origin.",
    )
    route: list[RouteSettings] = Field(
        [],
        description="Which pool or origin is asked for what, each a [[proxy.route]] table: the longest host that "
        "matches, then the longest path.",
    )
    parents: Peers = Field(
        [],
        description="Proxies by which all requests go, CONNECT too: each a URL, or a table of url, user, password. "
        "Of several each URL has its own; where one fails, the next is asked. For a forward proxy only.",
        examples=[["http://192.0.2.1:3128"]],
    )
    siblings: Peers = Field(
        [],
        description="Proxies that are asked first whether they have what is not stored here, as parents are written.",
        examples=[["http://192.0.2.2:10081"]],
    )
    sibling_time: PositiveFloat = Field(0.5, description="Seconds that a sibling has to answer.")
    no_proxy: list[str] = Field(
        [],
        description="Hosts for which neither parents nor siblings are asked: names with all below them, addresses, "
        "networks, or * for all.",
        examples=[["example.test", "10.0.0.0/8"]],
    )
    pass_host: bool = Field(
        False, description="As a reverse proxy: whether the origin sees the client's Host instead of its own."
    )
    verify: bool = Field(True, description="Whether the certificates of https origins are verified.")
    targeted: list[Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]+$")]] | None = Field(
        None,
        description="Fields that take the place of Cache-Control and Expires for this cache, the strongest first (RFC "
        "9213). Not set: CDN-Cache-Control for a reverse proxy, none for a forward proxy.",
        examples=[["example-cache-control", "cdn-cache-control"]],
    )
    cache_bytes: NonNegativeInt = Field(
        256 << 20, description="Bytes of memory for stored responses; gaps between long ones may take a quarter more."
    )
    object_limit: PositiveInt = Field(
        16 << 20, description="The largest body that is stored in memory, or shared where nothing is on disk, in bytes."
    )
    slice_bytes: NonNegativeInt = Field(
        1 << 20,
        description="Missing parts of a larger response are fetched up to the next multiple of this, in bytes, so that "
        "neighbours find them stored; 0 fetches exactly what is asked.",
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
    users: bool | Literal["except-loopback"] = Field(
        False,
        description="Whether clients must log in as users of the site (Basic, under TLS or from this machine); "
        '"except-loopback" leaves out those on this machine.',
    )
    rule: list[RuleSettings] = Field([], description="The access list; the first rule that fits a request decides.")
    otherwise: Literal["allow", "deny"] = Field(
        "allow", description="What happens to a request that no rule of the access list fits."
    )
    limits: LimitSettings = Field(LimitSettings.model_validate({}), description="What each client may use.")
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
    purge_allow: AccessRules = Field(
        [],
        description="Who may use the method PURGE, if they bring the token. Not set: nobody, and PURGE is passed on to "
        "origins like any other method. `netsuite cache purge` needs neither.",
        examples=[["loopback", "10.0.0.0/8"]],
    )
    purge_token: str = Field(
        "purge.token",
        pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*$",
        description="The file in the data directory that holds the token for PURGE, mode 600; it is made if there is "
        "none.",
    )
    negative_times: dict[str, Annotated[float, Field(gt=0, le=3600)]] = Field(
        {},
        description="For how many seconds (at most 3600) errors without freshness of their own may be given again, by "
        "status.",
        examples=[{"404": 10, "410": 60, "503": 2}],
    )
    prefetch: NonNegativeInt = Field(
        0,
        description="Fetches at once of what responses link to (`Link: <URL>; rel=preload` or `prefetch`) or "
        "applications ask for; 0 is none.",
    )
    policy: Literal["gdsf", "s3-fifo", "sieve", "lru"] = Field(
        "gdsf",
        description="How the memory store chooses what to forget. `gdsf` weighs uses against size and answers most "
        "requests; `s3-fifo` answers most bytes. `netsuite cache stats` tells what each would answer.",
    )
    shadow_sample: NonNegativeInt = Field(
        64,
        description="Of how many targets one is looked at to tell what other policies and sizes of the cache would "
        "have answered; 0 is none.",
    )

    @field_validator("negative_times")
    @classmethod
    def _statuses(cls, value: dict[str, float]) -> dict[str, float]:
        for status in value:
            if not (status.isascii() and status.isdigit() and 400 <= int(status) < 600):
                raise ValueError(f"{status!r} is no status of an error: write one from 400 to 599")
        return value

    @property
    def reverse(self) -> bool:
        """Whether it stands before servers of its own, not between its clients and everyone's."""
        return self.origin is not None or bool(self.pool or self.route)

    @field_validator("parents", "siblings")
    @classmethod
    def _of_a_forward_proxy(cls, peers: list[ProxyPeer], info: ValidationInfo) -> list[ProxyPeer]:
        if peers and any(info.data.get(key) for key in ("origin", "pool", "route")):
            raise ValueError("only a forward proxy has them; leave out origin, pool and route")
        urls = [peer.url for peer in peers]
        if len(set(urls)) < len(urls):
            raise ValueError("one is there twice; keep one")
        return peers

    @field_validator("pool")
    @classmethod
    def _named_once(cls, pools: list[PoolSettings]) -> list[PoolSettings]:
        names = [pool.name for pool in pools]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"the name {name!r} is given twice; give each pool its own")
        return pools

    @field_validator("route")
    @classmethod
    def _to_known_pools(cls, routes: list[RouteSettings], info: ValidationInfo) -> list[RouteSettings]:
        pools = [pool.name for pool in info.data.get("pool", ())]
        places = set()
        for route in routes:
            if route.pool is not None and route.pool not in pools and "pool" in info.data:
                known = f"there are {', '.join(pools)}" if pools else "there is none"
                raise ValueError(f"no [[proxy.pool]] has the name {route.pool!r}; {known}")
            if (route.host, route.path.rstrip("/")) in places:
                raise ValueError(f"two routes have the host {route.host!r} and the path {route.path!r}; keep one")
            places.add((route.host, route.path.rstrip("/")))
        return routes

    @model_validator(mode="after")
    def _no_idle_pool(self) -> ProxySettings:
        asked = {route.pool for route in self.route}
        for pool in self.pool:
            if pool.name not in asked and (self.route or self.origin is not None or len(self.pool) > 1):
                raise ValueError(f"pool {pool.name!r} is never asked; add a [[proxy.route]] with pool = {pool.name!r}")
        return self

    @model_validator(mode="after")
    def _logged_in_where(self) -> ProxySettings:
        named = next((rule.name or f"[{number}]" for number, rule in enumerate(self.rule) if rule.users), None)
        if self.reverse and (self.users or named is not None):
            where = "users" if self.users else f"users of rule {named}"
            raise ValueError(f"{where}: clients of a reverse proxy log in at the origin; leave this out, or the origin")
        return self


def targets_of(settings: ProxySettings) -> tuple[bytes, ...]:
    """The target list: a reverse proxy stands before an origin, as a CDN does; a forward one works for its clients."""
    names = settings.targeted
    if names is None:
        names = ["cdn-cache-control"] if settings.reverse else []
    return tuple(name.lower().encode("ascii") for name in names)
