"""The tracker's protocol over UDP, both roles: datagrams of fixed shape, and the options behind an announce.

A peer writes :func:`connect_request`, :func:`announce_request` and :func:`scrape_request`, and reads the replies; a
tracker takes requests apart with the structs here, and writes :func:`error_reply` and :func:`scrape_reply` (its
announce's reply is ``REPLY_HEAD`` and packed peers). Datagrams may be longer than they must be.

Implements: BEP 15, BEP 41
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from struct import Struct, pack
from typing import Final

from netsuite.bittorrent.wire.announce import Announce, AnnounceReply, Failure, Tally, read_peers

__all__ = [
    "ANNOUNCE",
    "ANNOUNCE_REQUEST",
    "CONNECT",
    "CONNECT_REPLY",
    "ERROR",
    "HEAD",
    "MAGIC",
    "MOST_SCRAPED",
    "REPLY_HEAD",
    "SCRAPE",
    "announce_request",
    "connect_request",
    "error_reply",
    "read_announce_reply",
    "read_connect_reply",
    "read_options",
    "read_scrape_reply",
    "scrape_reply",
    "scrape_request",
]

MAGIC: Final = 0x41727101980
CONNECT, ANNOUNCE, SCRAPE, ERROR = range(4)
MOST_SCRAPED: Final = 74

HEAD: Final = Struct(">QII")
"""What every request begins with: connection id (of a connect: MAGIC), action, transaction."""
ANNOUNCE_REQUEST: Final = Struct(">QII20s20sQQQIIIiH")
"""id, action, transaction, info-hash, peer id, downloaded, left, uploaded, event, ip, key, numwant, port."""
CONNECT_REPLY: Final = Struct(">IIQ")
REPLY_HEAD: Final = Struct(">IIIII")
"""action, transaction, interval, leechers, seeds; packed peers follow."""

_URL_DATA: Final = 2
_LONGEST_URL_DATA: Final = 1024


# -- a peer's side


def connect_request(transaction: int) -> bytes:
    """Ask for a connection id."""
    return HEAD.pack(MAGIC, CONNECT, transaction)


def announce_request(connection: int, transaction: int, announce: Announce, target: str = "") -> bytes:
    """An announce; ``target`` is the path and query of the tracker's URL (BEP 41)."""
    fixed = ANNOUNCE_REQUEST.pack(
        connection,
        ANNOUNCE,
        transaction,
        announce.info_hash,
        announce.peer_id,
        announce.downloaded,
        announce.left,
        announce.uploaded,
        announce.event,
        0,
        announce.key or 0,
        announce.numwant,
        announce.port,
    )
    text = target.encode()
    options = [pack("BB", _URL_DATA, len(text[at : at + 255])) + text[at : at + 255] for at in range(0, len(text), 255)]
    return fixed + b"".join(options)


def scrape_request(connection: int, transaction: int, info_hashes: Sequence[bytes]) -> bytes:
    """A scrape of up to 74 swarms; ValueError if there are more."""
    if len(info_hashes) > MOST_SCRAPED:
        raise ValueError(f"a datagram scrapes at most {MOST_SCRAPED} swarms")
    return HEAD.pack(connection, SCRAPE, transaction) + b"".join(info_hashes)


def read_connect_reply(data: bytes) -> int | Failure:
    """The connection id in a reply."""
    refused = _refusal(data, CONNECT, 16)
    return refused if refused is not None else int(CONNECT_REPLY.unpack_from(data)[2])


def read_announce_reply(data: bytes, ipv6: bool) -> AnnounceReply | Failure:
    """An announce's reply; the family of the datagram says how long addresses are."""
    refused = _refusal(data, ANNOUNCE, 20)
    if refused is not None:
        return refused
    _, _, interval, leechers, seeds = REPLY_HEAD.unpack_from(data)
    return AnnounceReply(interval, None, seeds, leechers, read_peers(data[20:], 16 if ipv6 else 4))


def read_scrape_reply(data: bytes, count: int) -> list[Tally] | Failure:
    """A scrape's reply to ``count`` info-hashes, in their order."""
    refused = _refusal(data, SCRAPE, 8 + 12 * count)
    if refused is not None:
        return refused
    return [Tally(*_TALLY.unpack_from(data, 8 + 12 * each)) for each in range(count)]


def _refusal(data: bytes, action: int, least: int) -> Failure | None:
    """Why a reply is not what was hoped for, or None."""
    said = int.from_bytes(data[:4], "big")
    if said == ERROR and len(data) >= 8:
        return Failure(data[8:].rstrip(b"\0").decode(errors="replace").strip() or "no reason given")
    if said != action or len(data) < least:
        return Failure("the tracker's datagram is malformed")
    return None


# -- a tracker's side

_TALLY: Final = Struct(">III")


def error_reply(transaction: int, message: bytes) -> bytes:
    """A refusal; the message must say something."""
    return pack(">II", ERROR, transaction) + message


def scrape_reply(transaction: int, tallies: Iterable[Tally]) -> bytes:
    """What was asked about, in the order in which it was asked."""
    return pack(">II", SCRAPE, transaction) + b"".join(
        _TALLY.pack(tally.seeds, tally.downloaded, tally.leechers) for tally in tallies
    )


def read_options(data: bytes, start: int = 98) -> bytes | None:
    """The path and query in the options behind an announce (BEP 41), or None where there is none.

    What is cut off or unknown is passed over; at most 1,024 bytes are kept.
    """
    found: bytes | None = None
    at, size = start, len(data)
    while at < size:
        kind = data[at]
        if kind == 0:
            break
        if kind == 1:
            at += 1
            continue
        if at + 1 >= size:
            break
        end = at + 2 + data[at + 1]
        if end > size:
            break
        if kind == _URL_DATA and (found is None or len(found) < _LONGEST_URL_DATA):
            found = (found or b"") + data[at + 2 : end]
        at = end
    return found
