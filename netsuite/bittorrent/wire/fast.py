"""Which pieces a peer may have while it is choked: few, and the same from everybody, so that they open no back door.

Implements: BEP 6 (allowed fast set generation).
"""

from __future__ import annotations

import hashlib
from ipaddress import IPv4Address

__all__ = ["allowed_fast"]


def allowed_fast(address: IPv4Address, info_hash: bytes, pieces: int, count: int) -> list[int]:
    """The canonical set for a peer at this address, in order; all pieces if there are no more than ``count``.

    Only the first three bytes of the address count, so that a network has one set (step 1).
    """
    found: list[int] = []
    if pieces <= count:
        return list(range(pieces))
    state = address.packed[:3] + b"\0" + info_hash
    while len(found) < count:
        state = hashlib.sha1(state, usedforsecurity=False).digest()
        for at in range(0, 20, 4):
            piece = int.from_bytes(state[at : at + 4], "big") % pieces
            if piece not in found and len(found) < count:
                found.append(piece)
    return found
