"""The ``[smtp]`` table."""

from __future__ import annotations

from pydantic import Field, PositiveFloat, PositiveInt, field_validator

from netsuite.common.settings import AccessRules, Table
from netsuite.mail.smtp.routes import parse_route

__all__ = ["SmtpSettings"]


class SmtpSettings(Table):
    """The mail relay: it takes mail for the site's domains from anyone, and from its users for everyone."""

    listen: list[str] = Field(
        ["127.0.0.1:10025"],
        description="Addresses where other servers bring mail (port 25's kind), each HOST:PORT or PORT (on 127.0.0.1).",
    )
    submission: list[str] = Field(
        [],
        description="Addresses where users hand in mail, after logging in: HOST:PORT with STARTTLS (port 587's kind), "
        "secure:HOST:PORT with TLS from the start (port 465's kind).",
        examples=[["127.0.0.1:10587", "secure:127.0.0.1:10465"]],
    )
    domains: list[str] = Field(
        [],
        description="Domains whose mail is delivered here, into the mailboxes of [mail].",
        examples=[["example.test"]],
    )
    relay_domains: list[str] = Field(
        [],
        description="Domains whose mail is taken from anyone and passed on, by route or MX (a gateway, a second MX).",
        examples=[["partner.test"]],
    )
    route: list[str] = Field(
        [],
        description="Where a domain's mail goes instead of to its MX, each DOMAIN=HOST:PORT; the domain * is all "
        "others (a smart host).",
        examples=[["partner.test=192.0.2.25:25"]],
    )
    hostname: str | None = Field(
        None,
        description="The name that the server says it has; it should be the one in the domain's MX. Not set: mail. and "
        "the site's first domain.",
        examples=["mail.example.test"],
    )
    relay_port: PositiveInt = Field(25, le=65535, description="The port of the servers that MX records name.")
    postmaster: str | None = Field(
        None,
        description="Who gets the mail for postmaster at the domains that have no such user.",
        examples=["alice@example.test"],
    )
    message_size: PositiveInt = Field(50 << 20, description="Bytes that a message may have.")
    recipients: PositiveInt = Field(1000, description="Recipients that a message may have at once.")
    connections: PositiveInt = Field(1000, description="Clients at once.")
    connections_per_address: PositiveInt = Field(100, description="Clients at once from one address.")
    allow: AccessRules = Field(
        ["any"], description='Who may connect: networks, addresses, "loopback", "private", "any".'
    )
    command_time: PositiveFloat = Field(300.0, description="Seconds that a client has for its next command.")
    content_time: PositiveFloat = Field(180.0, description="Seconds that a client has for each part of a message.")
    queue_messages: PositiveInt = Field(
        100_000, description="Messages that may wait in the queue; with more of them, new ones are put off."
    )
    deliveries: PositiveInt = Field(100, description="Deliveries at once.")
    deliveries_per_destination: PositiveInt = Field(10, description="Deliveries at once to one destination.")
    retry_first: PositiveFloat = Field(300.0, description="Seconds before a message is tried again; then doubled.")
    retry_longest: PositiveFloat = Field(14400.0, description="Seconds between two attempts at most.")
    give_up: PositiveFloat = Field(432000.0, description="Seconds after which a message goes back to its sender.")

    @field_validator("domains", "relay_domains")
    @classmethod
    def _lower(cls, value: list[str]) -> list[str]:
        return [domain.lower().removesuffix(".") for domain in value]

    @field_validator("route")
    @classmethod
    def _routes(cls, value: list[str]) -> list[str]:
        for text in value:
            parse_route(text)
        return value
