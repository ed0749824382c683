"""The ``[mail]`` table."""

from __future__ import annotations

from typing import Any

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from netsuite.common.settings import AccessRules, Table

__all__ = ["MailSettings"]


class MailSettings(Table):
    """The mail store, and the servers by which people read it: IMAP and POP3."""

    imap: list[str] = Field(
        ["127.0.0.1:10143"],
        description="Addresses for IMAP: HOST:PORT with STARTTLS (port 143's kind), secure:HOST:PORT with TLS from the "
        "start (port 993's kind). Where only pop3 is set there is no IMAP.",
        examples=[["127.0.0.1:10143", "secure:127.0.0.1:10993"]],
    )
    pop3: list[str] = Field(
        ["127.0.0.1:10110"],
        description="Addresses for POP3: HOST:PORT with STLS (port 110's kind), secure:HOST:PORT with TLS from the "
        "start (port 995's kind). Where only imap is set there is no POP3.",
        examples=[["127.0.0.1:10110", "secure:127.0.0.1:10995"]],
    )
    message_size: PositiveInt = Field(50 << 20, description="Bytes that a message may have.")
    mailboxes: PositiveInt = Field(1000, description="Mailboxes that a user may have.")
    connections: PositiveInt = Field(10_000, description="Clients at once, of IMAP and of POP3 each.")
    connections_per_address: PositiveInt = Field(500, description="Clients at once from one address, of each.")
    allow: AccessRules = Field(
        ["any"], description='Who may connect: networks, addresses, "loopback", "private", "any".'
    )
    imap_idle: PositiveFloat = Field(
        1800.0, ge=1800.0, description="Seconds of silence after which an IMAP client is logged out (RFC 3501: 1800)."
    )
    pop3_idle: PositiveFloat = Field(
        600.0, ge=600.0, description="Seconds of silence after which a POP3 client is logged out (RFC 1939: 600)."
    )

    @model_validator(mode="before")
    @classmethod
    def _one_alone(cls, given: Any) -> Any:
        if isinstance(given, dict) and ("imap" in given) != ("pop3" in given):
            return {"imap": [], "pop3": [], **given}
        return given
