"""The ``[http]`` table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, NonNegativeInt, PositiveFloat, PositiveInt, ValidationInfo, model_validator

from netsuite.common.settings import AccessRules, SitePath, Table

__all__ = ["HttpSettings", "MountSettings", "RuleSettings", "SiteSettings"]


def _is_path(path: str) -> str:
    if not path.startswith("/") or "?" in path or "#" in path or "/../" in f"{path}/" or "//" in path:
        raise ValueError(f"must be a path such as /uploads, not {path!r}")
    return path


UrlPath = Annotated[str, AfterValidator(_is_path)]
"""A path below the root of a site, without a query."""


def _located(app: str, info: ValidationInfo) -> str:
    """The name of an application, with the file's path resolved where it is in a file."""
    where, colon, name = app.rpartition(":")
    if not colon or not where or not name.isidentifier():
        raise ValueError(f"must be FILE.py:NAME or MODULE:NAME, not {app!r}")
    if where.endswith(".py"):
        where = str(Path((info.context or {}).get("base", Path.cwd())) / Path(where).expanduser())
    elif not all(part.isidentifier() for part in where.split(".")):
        raise ValueError(f"must be FILE.py:NAME or MODULE:NAME, not {app!r}")
    return f"{where}:{name}"


class SiteSettings(Table):
    """``[[http.site]]``: another site on the same addresses, for the hosts that it names."""

    hosts: list[str] = Field(
        min_length=1, description="Its host names; `*.example.test` is every name below example.test."
    )
    root: SitePath | None = Field(None, description="The folder whose files are served.")
    redirect: str | None = Field(
        None,
        pattern=r"^https?://[^/?#\s]+(?:/[^?#\s]*)?$",
        description="Where the site has moved to: clients are sent there, each to the same path.",
        examples=["https://www.example.test"],
    )
    index: list[str] | None = Field(None, description="As http.index, for this site.")
    listing: bool | None = Field(None, description="As http.listing, for this site.")
    max_age: NonNegativeInt | None = Field(None, description="As http.max_age, for this site.")
    compress: bool | None = Field(None, description="As http.compress, for this site.")

    @model_validator(mode="after")
    def _one_of_both(self) -> SiteSettings:
        if (self.root is None) == (self.redirect is None):
            raise ValueError("must have either a root or a redirect")
        return self


class RuleSettings(Table):
    """``[[http.rule]]``: who may do what with a path and what is below it."""

    path: UrlPath = Field(description="The path.", examples=["/uploads"])
    methods: list[Annotated[str, Field(pattern=r"^[A-Za-z]+$")]] = Field(
        [],
        description="The methods that it is about, GET meaning HEAD too; empty: all. PUT and DELETE need one that "
        "names them.",
        examples=[["PUT", "DELETE"]],
    )
    users: list[str] = Field([], description='Who must have logged in, "*" being any user; empty: nobody needs to.')
    clients: AccessRules = Field(["any"], description="From where, as in http.allow.")
    hosts: list[str] = Field([], description="The hosts of the sites that it is about; empty: all.")


class MountSettings(Table):
    """``[[http.mount]]``: an application of yours under a path."""

    path: UrlPath = Field(description="Where it is, with all that is below.", examples=["/shop"])
    app: Annotated[str, AfterValidator(_located)] = Field(
        description="FILE.py:NAME or MODULE:NAME.", examples=["shop.py:application"]
    )
    kind: Literal["wsgi", "twisted", "netsuite"] = Field(
        "wsgi",
        description="What it is: a WSGI application, a resource of twisted.web, or an IHttpApplication (or what makes "
        "one of the commons).",
    )
    threads: PositiveInt = Field(8, le=256, description="Requests that a WSGI application answers at once.")
    queue: NonNegativeInt = Field(128, description="Requests that wait for a thread; more are answered 503.")


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
        [],
        description="The only host names that are answered, besides those of sites; others get 421; empty: whatever "
        "the client names.",
    )
    types: dict[str, str] = Field(
        {},
        description="Media types by file name extension, over the built-in ones.",
        examples=[{".zone": "text/dns; charset=utf-8"}],
    )
    max_age: NonNegativeInt | None = Field(
        None, description="Seconds for which caches may use a file without asking; not set: their own guess."
    )
    compress: bool = Field(
        False,
        description="Whether small texts are compressed for clients that take gzip. Files NAME.br, NAME.zst and "
        "NAME.gz beside NAME are used in any case.",
    )
    site: list[SiteSettings] = Field([], description="Sites for other hosts, each an [[http.site]] table.")
    rule: list[RuleSettings] = Field([], description="Who may do what, each an [[http.rule]] table.")
    mount: list[MountSettings] = Field([], description="Applications of yours, each an [[http.mount]] table.")
    memory: PositiveInt = Field(64 << 20, description="Bytes of memory for small files and for answers kept ready.")
    allow: AccessRules = Field(
        ["any"], description='Who may ask: networks, addresses, or "loopback", "private", "any".'
    )
    connections: NonNegativeInt = Field(0, description="Connections at once; 0 is without limit.")
    connections_per_address: NonNegativeInt = Field(
        0, description="Connections at once from one address; 0 is without limit."
    )
    body_limit: PositiveInt = Field(64 << 20, description="The longest request body that is read, in bytes.")
    upload_limit: PositiveInt = Field(1 << 30, description="The longest file that PUT may bring, in bytes.")
    head_time: PositiveFloat = Field(10.0, description="Seconds in which a request's head must be complete.")
    idle_time: PositiveFloat = Field(75.0, description="Seconds after which an idle connection is closed.")
