"""What ``[proxy]`` says about who may ask for what: ``[[proxy.rule]]`` and ``[proxy.limits]``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, field_validator

from netsuite.common.settings import AccessRules, Table
from netsuite.http.proxy.rules import RuleBook, RuleText

__all__ = ["LimitSettings", "RuleSettings"]


class RuleSettings(Table):
    """A rule of the access list; it fits a request that meets all its conditions, and the first that fits decides."""

    name: str = Field("", description="How refusals and errors call it. Not set: its number.")
    action: Literal["allow", "deny"] = Field(description="What happens to a request that the rule fits.")
    clients: AccessRules = Field(
        [], description='Where they come from: networks, addresses, or "loopback", "private", "any".'
    )
    users: list[str] = Field(
        [], description='Who they are, which makes them log in; "*" is anyone who has.', examples=[["alice"]]
    )
    methods: list[str] = Field([], description="Methods, such as GET or CONNECT.", examples=[["CONNECT"]])
    hosts: list[str] = Field(
        [],
        description="Hosts that are asked for: a name, .suffix for a name and all below it, an address or a network "
        '("loopback", "private" are some), in which names count by the addresses that they have; "*" is any.',
        examples=[[".example.org", "192.0.2.0/24"]],
    )
    ports: list[int | str] = Field([], description="Ports, and ranges of ports.", examples=[[443, "8000-8999"]])
    paths: list[str] = Field(
        [],
        description="Paths, in which * stands for anything. What goes through a tunnel has none that can be seen, and "
        "such a rule does not fit it.",
        examples=[["/admin/*"]],
    )
    times: list[str] = Field(
        [], description="When, by this machine's local time: days, hours or both.", examples=[["mon-fri 08:00-18:00"]]
    )

    @field_validator("hosts", "ports", "paths", "times")
    @classmethod
    def _can_be_meant(cls, value: list[str], info: object) -> list[str]:
        RuleBook([RuleText("", "deny", **{getattr(info, "field_name", ""): value})])
        return value

    @field_validator("methods")
    @classmethod
    def _methods(cls, value: list[str]) -> list[str]:
        for method in value:
            if not (method.isascii() and method.replace("-", "").isalpha() and method.isupper()):
                raise ValueError(f"{method!r} is no method: write GET, CONNECT ...")
        return value


class LimitSettings(Table):
    """What each user may use, or each address where nobody logs in; 0 is without limit. Each worker counts its own."""

    requests: NonNegativeFloat = Field(0.0, description="Requests a second; more are answered with 429.")
    burst: NonNegativeInt = Field(0, description="Requests at once after a pause; 0 is two seconds' worth.")
    concurrent: NonNegativeInt = Field(0, description="Requests and tunnels at once; more are answered with 429.")
    bytes_per_second: NonNegativeInt = Field(
        0,
        description="Bytes of bodies and tunnels a second, both ways together; more than that is slowed down.",
    )
