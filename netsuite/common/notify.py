"""Tells systemd how the site is doing (``Type=notify``, see sd_notify(3)); silent where nobody asked."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping

__all__ = ["notify", "ready", "reloading", "stopping"]


def notify(state: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Send lines of ``NAME=VALUE`` to ``NOTIFY_SOCKET``; whether they could be sent."""
    address = environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in ("/", "@"):
        return False
    if address[0] == "@":
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as telling:
            telling.setblocking(False)
            telling.sendto(state.encode(), address)
    except OSError:
        return False
    return True


def ready(status: str = "") -> bool:
    """All services accept."""
    return notify(f"READY=1\nSTATUS={status}")


def reloading() -> bool:
    """A reload has begun; :func:`ready` says that it is over."""
    return notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")


def stopping() -> bool:
    """What is in flight is being finished."""
    return notify("STOPPING=1")
