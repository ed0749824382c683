"""One typed model a server: the tables of ``netsuite.toml``.

Every server's settings are a frozen :class:`Table`; every field has a description, which is what
``--explain`` and the reference print. Where values come from is :mod:`netsuite.common.sources`.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from netsuite.common.access import Rule
from netsuite.common.errors import StartError

__all__ = ["AccessRules", "CertificateSettings", "CommonSettings", "SitePath", "Table", "access_rules"]


class Table(BaseModel):
    """A table of the site file: frozen, and unknown keys are errors. Numbers may stand where text is expected."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=False, coerce_numbers_to_str=True, allow_inf_nan=False
    )


def _resolve(path: Path, info: ValidationInfo) -> Path:
    base = (info.context or {}).get("base", Path.cwd())
    try:
        return Path(base) / path.expanduser()
    except RuntimeError as error:  # no such user, or no home
        raise ValueError(f"{path}: {error}") from error


SitePath = Annotated[Path, AfterValidator(_resolve)]
"""A path; relative ones are taken from the site file's folder (or the working directory), at reading time."""


def access_rules(texts: list[str]) -> list[str]:
    """The texts, if :class:`netsuite.common.access.Rule` takes them; raises ValueError."""
    try:
        Rule(texts)
    except StartError as error:
        raise ValueError(str(error)) from None
    return texts


AccessRules = Annotated[list[str], AfterValidator(access_rules)]
"""Networks, addresses and words, as :class:`netsuite.common.access.Rule` takes them; checked at reading time."""


class CertificateSettings(Table):
    """``[[common.certificate]]``: a certificate of the site's own, chosen by the name that a client asks for."""

    file: SitePath = Field(description="The certificate and those up to its root, leaf first, as PEM.")
    key: SitePath | None = Field(
        default=None, description="Its private key as PEM, without a passphrase; not set: it stands in the same file."
    )


class CommonSettings(Table):
    """``[common]``: what all servers of a site share."""

    data: SitePath = Field(
        default=Path("netsuite-data"),
        validate_default=True,
        description="The data directory: all state of the site. One process owns it at a time.",
        examples=["/var/lib/netsuite"],
    )
    domains: list[str] = Field(
        default=["localhost"],
        min_length=1,
        description="The site's own domains. The first is the site's name; the local certificate authority signs for "
        "all of them and everything below them.",
        examples=[["example.test"]],
    )
    resolver: str = Field(
        default="builtin",
        description='Who finds other hosts for our servers: "builtin" is the [resolver] of this site, or the system\'s '
        'where there is none; "system" is the system\'s; an ADDRESS:PORT is a caching forwarder to that server.',
        examples=["192.0.2.53:53"],
    )
    balancers: AccessRules = Field(
        default=["loopback"],
        description="Whose PROXY headers are believed at `proxied:` addresses, and who alone may connect there.",
        examples=[["10.0.0.0/8"]],
    )
    workers: int = Field(
        default=1,
        ge=1,
        le=256,
        description="Processes that share the ports: 1 is this one alone. Usually the number of processor cores.",
    )
    drain: float = Field(
        default=10.0,
        ge=0,
        description="Seconds that a stop waits for what is in flight. A second signal ends the wait.",
    )
    access_log: Literal["off", "text", "json"] = Field(
        default="text",
        description="How DATA/logs/NAME.log is written: one line of text or JSON an event, or not at all.",
    )
    log: SitePath | None = Field(
        default=None,
        description="The file of the server's own log (starts, stops, errors). Not set: wherever twistd's --logfile "
        "says. It is reopened on SIGHUP.",
        examples=["/var/log/netsuite/netsuite.log"],
    )
    log_format: Literal["text", "json"] = Field(
        default="text", description="How the server's own log is written; JSON has one object a line."
    )
    user: str | None = Field(
        default=None,
        min_length=1,
        description="The account to become once all ports are open, where the start is made by root.",
        examples=["netsuite"],
    )
    certificate: list[CertificateSettings] = Field(
        default=[],
        description="Certificates for `secure:` addresses. Names that none of them covers get one of the local "
        "authority's, whose own certificate is DATA/ca.pem.",
    )

    @field_validator("resolver")
    @classmethod
    def _known_resolver(cls, value: str) -> str:
        if value in ("builtin", "system"):
            return value
        parts = re.fullmatch(r"(?:\[([^]]*)\]|([^][:]*))(?::(\d{1,5}))?", value)
        try:
            if parts is None or not 0 < int(parts[3] or 53) < 65536:
                raise ValueError
            ip_address(parts[1] or parts[2])
        except ValueError:
            raise ValueError(f'must be "builtin", "system" or ADDRESS:PORT, not {value!r}') from None
        return value
