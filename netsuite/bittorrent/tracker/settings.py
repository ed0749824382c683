"""The ``[tracker]`` table."""

from __future__ import annotations

from typing import Any

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from netsuite.common.settings import AccessRules, SitePath, Table

__all__ = ["TrackerSettings"]


class TrackerSettings(Table):
    """The BitTorrent tracker, over HTTP and UDP."""

    http: list[str] = Field(
        ["127.0.0.1:16969"],
        description="Addresses for HTTP: HOST:PORT, PORT (on 127.0.0.1), or secure:HOST:PORT for HTTPS. Where only udp "
        "is set there is no HTTP.",
        examples=[["0.0.0.0:6969", "[::]:6969"]],
    )
    udp: list[str] = Field(
        ["127.0.0.1:16969"],
        description="Addresses for UDP: HOST:PORT or PORT (on 127.0.0.1). Where only http is set there is no UDP.",
        examples=[["0.0.0.0:6969", "[::]:6969"]],
    )
    interval: PositiveInt = Field(
        1800, le=86400, description="Seconds after which peers shall announce again, give or take a tenth."
    )
    min_interval: PositiveInt = Field(
        60, le=86400, description="Seconds that peers shall let pass at least, whatever happens."
    )
    lifetime: PositiveFloat | None = Field(
        None,
        description="Seconds after which a peer that was not heard of is forgotten; not set: twice the interval.",
    )
    peers: PositiveInt = Field(50, le=200, description="Peers in an answer to who does not say how many he wants.")
    most_peers: PositiveInt = Field(
        200,
        le=2000,
        description="Peers in an answer at most; over UDP never more than fit into one packet of 1,500 bytes.",
    )
    most_scraped: PositiveInt = Field(74, le=1000, description="Swarms that one scrape may ask for over HTTP.")
    full_scrape: bool = Field(
        False, description="Whether a scrape over HTTP that names no swarm gets all of them (up to 10,000)."
    )
    memory: PositiveInt = Field(
        512 << 20,
        ge=1 << 20,
        description="Bytes that swarms may take. Beyond them swarms of one peer make room, the longest standing first; "
        "where there is none, new peers are told to come again later.",
    )
    allow: AccessRules = Field(
        ["any"], description='Who may ask: networks, addresses, or "loopback", "private", "any".'
    )
    deny: AccessRules = Field([], description="Who may not, of those.")
    allow_torrents: SitePath | None = Field(
        None,
        description="A file with the info-hashes that are served, one a line, in hexadecimal; not set: all. It is read "
        "again on SIGHUP.",
    )
    deny_torrents: SitePath | None = Field(
        None, description="A file with info-hashes that are not served, in the same form; also read again on SIGHUP."
    )
    trusted: AccessRules = Field(
        ["loopback"],
        description="Whose word is taken for a peer's address: reverse proxies (X-Forwarded-For, its last address) and "
        "clients on this machine (the query's ip=). From anyone else the source address is what is registered.",
    )
    rate_limit: NonNegativeInt | None = Field(
        None,
        description="Announces and scrapes a second from one address, in bursts of ten seconds' worth; 0 is off, and "
        "so it is if unset on loopback (elsewhere 200).",
    )
    connections: PositiveInt = Field(10_000, description="Clients at once over HTTP.")
    connections_per_address: PositiveInt = Field(200, description="Clients at once over HTTP from one address.")
    snapshot: PositiveFloat = Field(
        300.0, ge=1.0, description="Seconds between two snapshots of all swarms: what a crash can lose."
    )

    @model_validator(mode="before")
    @classmethod
    def _one_alone(cls, given: Any) -> Any:
        if isinstance(given, dict) and ("http" in given) != ("udp" in given):
            return {"http": [], "udp": [], **given}
        return given

    @model_validator(mode="after")
    def _in_proportion(self) -> TrackerSettings:
        if self.min_interval > self.interval:
            raise ValueError("min_interval must not be longer than interval")
        if self.lifetime is not None and self.lifetime < self.interval * 1.1:
            raise ValueError("lifetime must be at least 1.1 times interval, or peers are forgotten between announces")
        return self

    @property
    def kept(self) -> float:
        """Seconds that a peer is kept unheard of."""
        return self.lifetime if self.lifetime is not None else self.interval * 2.0
