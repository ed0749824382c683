"""The ``[upper]`` table."""

from __future__ import annotations

from pydantic import Field, PositiveFloat, PositiveInt

from netsuite.common.settings import AccessRules, Table
from netsuite.upper.wire import IDLE, LONGEST

__all__ = ["UpperSettings"]


class UpperSettings(Table):
    """The textbook's upper-case servers, UDP and TCP on the same port."""

    listen: list[str] = Field(
        ["127.0.0.1:12000"], description="Addresses for UDP and TCP, each HOST:PORT or PORT (on 127.0.0.1)."
    )
    longest: PositiveInt = Field(LONGEST, description="The longest line accepted, in bytes.")
    idle: PositiveFloat = Field(IDLE, description="Seconds of silence after which a TCP connection is closed.")
    allow: AccessRules = Field(
        ["any"], description='Who may ask: networks, addresses, or "loopback", "private", "any".'
    )
