"""The request target in its four forms, and Host: what a request is for.

Targets are taken apart by hand and kept as sent: nothing is decoded, so nothing is decoded twice.

Implements: RFC 9110 sections 4.2 and 7.2; RFC 9112 sections 3.2 and 3.3
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

__all__ = ["Target", "is_authority", "split_target"]

_HOST: Final = re.compile(
    rb"(?:\[[0-9A-Fa-f:.]{2,45}(?:%25[0-9A-Za-z._~-]+)?\]|(?:[0-9A-Za-z._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2}){1,255})"
    rb"(?::[0-9]{0,5})?"
)
_CONNECT: Final = re.compile(rb"(?:\[[0-9A-Fa-f:.]{2,45}\]|[0-9A-Za-z._~-]{1,255}):([0-9]{1,5})")
_VISIBLE: Final = re.compile(rb"[!\"$-~]+")  # visible ASCII but for '#': a fragment is never sent
_ABSOLUTE: Final = re.compile(rb"(https?)://([^/?]*)(/[^?]*)?(?:\?(.*))?", re.IGNORECASE)


class Target(NamedTuple):
    """A request target's parts; ``scheme`` and ``authority`` are None where the target does not name them."""

    path: bytes
    query: bytes | None
    scheme: str | None
    authority: bytes | None


def is_authority(value: bytes) -> bool:
    """Whether this is a host with an optional port, without user information, not empty."""
    return _HOST.fullmatch(value) is not None


def split_target(method: bytes, target: bytes) -> Target | None:
    """The parts of a target in the form that the method allows; None if it is in no legal one.

    For CONNECT the path is empty; for ``OPTIONS *`` it is ``*``.
    """
    if target[:1] == b"/" and method != b"CONNECT":
        if _VISIBLE.fullmatch(target) is None:
            return None
        path, question, query = target.partition(b"?")
        return Target(path, query if question else None, None, None)
    if method == b"CONNECT":
        found = _CONNECT.fullmatch(target)
        if found is None or not 0 < int(found[1]) < 65536:
            return None
        return Target(b"", None, None, target)
    if _VISIBLE.fullmatch(target) is None:
        return None
    if target == b"*":
        return Target(b"*", None, None, None) if method == b"OPTIONS" else None
    whole = _ABSOLUTE.fullmatch(target)
    if whole is None or not is_authority(whole[2]):
        return None
    path = whole[3] or (b"*" if method == b"OPTIONS" and whole[4] is None else b"/")
    return Target(path, whole[4], whole[1].lower().decode(), whole[2])
