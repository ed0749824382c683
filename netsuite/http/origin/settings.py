"""The ``[http]`` table."""

from __future__ import annotations

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from netsuite.common.settings import AccessRules, SitePath, Table

__all__ = ["HttpSettings"]


class HttpSettings(Table):
    """The origin server: a directory of files over HTTP and HTTPS."""

    listen: list[str] = Field(
        ["127.0.0.1:10080"],
        description="Addresses, each HOST:PORT or PORT (on 127.0.0.1); `secure:HOST:PORT` is HTTPS.",
        examples=[["127.0.0.1:10080", "secure:127.0.0.1:10443"]],
    )
    root: SitePath | None = Field(
        None, description="The folder whose files are served. Not set: only what other servers mount."
    )
    index: list[str] = Field(["index.html"], description="Files that stand for their folder, the first found wins.")
    listing: bool = Field(False, description="Whether a folder without an index shows what is in it.")
    hosts: list[str] = Field(
        [], description="The only host names that are answered, others get 421; empty: whatever the client names."
    )
    types: dict[str, str] = Field(
        {},
        description="Media types by file name extension, over the built-in ones.",
        examples=[{".zone": "text/dns; charset=utf-8"}],
    )
    max_age: NonNegativeInt | None = Field(
        None, description="Seconds for which caches may use a file without asking; not set: their own guess."
    )
    memory: PositiveInt = Field(64 << 20, description="Bytes of memory for small files and for answers kept ready.")
    allow: AccessRules = Field(
        ["any"], description='Who may ask: networks, addresses, or "loopback", "private", "any".'
    )
    connections: NonNegativeInt = Field(0, description="Connections at once; 0 is without limit.")
    connections_per_address: NonNegativeInt = Field(
        0, description="Connections at once from one address; 0 is without limit."
    )
    body_limit: PositiveInt = Field(64 << 20, description="The longest request body that is read, in bytes.")
    head_time: PositiveFloat = Field(10.0, description="Seconds in which a request's head must be complete.")
    idle_time: PositiveFloat = Field(75.0, description="Seconds after which an idle connection is closed.")
