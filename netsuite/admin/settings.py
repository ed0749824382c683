"""The ``[admin]`` table."""

from __future__ import annotations

from pydantic import Field

from netsuite.common.settings import AccessRules, Table

__all__ = ["AdminSettings"]


class AdminSettings(Table):
    """The admin port: metrics for Prometheus, health for load balancers, a page for people."""

    listen: list[str] = Field(
        ["127.0.0.1:10090"],
        min_length=1,
        description="Addresses to serve on, each HOST:PORT, PORT (on 127.0.0.1), secure:HOST:PORT or unix:PATH.",
    )
    allow: AccessRules = Field(
        ["loopback"], description='Who may look: networks, addresses, or "loopback", "private", "any".'
    )
    hosts: list[str] = Field(
        [],
        description="Host names under which it answers, besides localhost and plain addresses. Others are refused, so "
        "that no web page can read it through a name that it points here (DNS rebinding).",
        examples=[["admin.example.test"]],
    )
