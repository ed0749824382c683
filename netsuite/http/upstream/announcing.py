"""The PROXY header that a server is sent first, so that it knows who the client is."""

from __future__ import annotations

from netsuite.sansio.connection import Channel
from netsuite.sansio.proxyheader import LOCAL_V1, LOCAL_V2, v1, v2

__all__ = ["announcement"]


def announcement(version: str | None, channel: Channel | None) -> bytes:
    """The header of that version for a client's channel, or for a request of our own; empty for no version."""
    if version is None:
        return b""
    if channel is None:
        return LOCAL_V1 if version == "v1" else LOCAL_V2
    if version == "v1":
        return v1(channel.peer, channel.local)
    tls = channel.tls
    if tls is None:
        return v2(channel.peer, channel.local)
    return v2(channel.peer, channel.local, tls=(tls.version, tls.cipher), alpn=tls.alpn, server_name=tls.server_name)
