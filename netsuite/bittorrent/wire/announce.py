"""Announces and scrapes over HTTP, as a peer writes and reads them and as a tracker does.

The values (:class:`Announce`, :class:`AnnounceReply`, :class:`Failure`) are those of UDP too. A peer writes
:func:`announce_url` and reads :func:`read_reply`; a tracker reads :func:`read_announce` and :func:`read_scrape` and
writes :func:`announce_reply`, :func:`scrape_reply` and :func:`failure_reply`, from templates in canonical order.

What a tracker reads is checked; what it leaves out gets the meaning that most trackers give it: without ``left`` one
downloads, without ``numwant`` the tracker chooses. Of a key that is there twice the last counts.

Implements: BEP 3 (trackers), BEP 7, BEP 21 (announces, scrapes), BEP 23, BEP 24, BEP 31, BEP 48
"""

from __future__ import annotations

import contextlib
import enum
import math
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Any, Final, NamedTuple
from urllib.parse import quote_from_bytes, unquote_to_bytes

from netsuite.bittorrent.wire.bencode import BencodeError, decode

__all__ = [
    "Announce",
    "AnnounceReply",
    "Event",
    "Failure",
    "Tally",
    "address_text",
    "announce_reply",
    "announce_url",
    "dictionary_peers",
    "failure_reply",
    "packed_address",
    "read_announce",
    "read_peers",
    "read_reply",
    "read_scrape",
    "read_scrape_reply",
    "scrape_reply",
    "scrape_url",
]

LONGEST_QUERY: Final = 4096
"""Bytes of an announce's query; scrapes may be as long as HTTP lets them."""
MOST_PEERS: Final = 20_000
"""Peers that are read of one reply: more than any peer can use."""

Peers = Sequence[tuple[str, int]]


class Event(enum.IntEnum):
    """What an announce is about; the numbers are those of BEP 15, PAUSED (BEP 21) as deployed."""

    NONE = 0
    COMPLETED = 1
    STARTED = 2
    STOPPED = 3
    PAUSED = 4


_EVENTS: Final = {
    b"": Event.NONE,
    b"empty": Event.NONE,
    b"completed": Event.COMPLETED,
    b"started": Event.STARTED,
    b"stopped": Event.STOPPED,
    b"paused": Event.PAUSED,
}


class Announce(NamedTuple):
    """What a peer says to a tracker: itself, its progress in bytes, and how many peers it wants (-1: as many as usual).

    ``compact``, ``no_peer_id`` and ``ip`` (which a tracker need not believe) are there over HTTP only.
    """

    info_hash: bytes
    peer_id: bytes
    port: int
    uploaded: int = 0
    downloaded: int = 0
    left: int = 0
    event: Event = Event.NONE
    numwant: int = -1
    key: int | None = None
    tracker_id: bytes | None = None
    compact: bool = True
    no_peer_id: bool = False
    ip: bytes = b""


class AnnounceReply(NamedTuple):
    """What a tracker says: when to announce again (seconds), how large the swarm is, who is in it."""

    interval: int
    min_interval: int | None = None
    seeds: int | None = None
    leechers: int | None = None
    peers: Peers = ()
    external_ip: str | None = None
    tracker_id: bytes | None = None
    warning: str = ""


class Failure(NamedTuple):
    """A tracker's refusal; ``retry_in`` in seconds, infinity for never, None where it does not say (BEP 31)."""

    reason: str
    retry_in: float | None = None


class Tally(NamedTuple):
    """A swarm in a scrape; ``downloaders`` are the incomplete ones that are no partial seeds (BEP 21)."""

    seeds: int
    downloaded: int
    leechers: int
    downloaders: int | None = None


# -- a peer's side


def announce_url(url: str, announce: Announce) -> str:
    """A tracker's URL with an announce in its query."""
    (info_hash, peer_id, port, uploaded, downloaded, left, event, numwant, key, tracker_id, compact, no_id, ip) = (
        announce
    )
    parts = [
        f"info_hash={quote_from_bytes(info_hash, safe='')}",
        f"peer_id={quote_from_bytes(peer_id, safe='')}",
        f"port={port}&uploaded={uploaded}&downloaded={downloaded}&left={left}&compact={int(compact)}",
    ]
    if no_id:
        parts.append("no_peer_id=1")
    if event:
        parts.append(f"event={event.name.lower()}")
    if numwant >= 0:
        parts.append(f"numwant={numwant}")
    if key is not None:
        parts.append(f"key={key:08x}")
    if tracker_id is not None:
        parts.append(f"trackerid={quote_from_bytes(tracker_id, safe='')}")
    if ip:
        parts.append(f"ip={quote_from_bytes(ip, safe='')}")
    return _with_query(url, "&".join(parts))


def scrape_url(url: str, info_hashes: Iterable[bytes]) -> str | None:
    """The URL of a scrape, made of the announce's; None if that has no ``announce`` in its path (BEP 48)."""
    whole, mark, query = url.partition("?")
    start = whole.find("/", whole.find("//") + 2)
    at = whole.rfind("announce")
    if start < 0 or at < start:
        return None
    scrape = f"{whole[:at]}scrape{whole[at + 8 :]}{mark}{query}"
    return _with_query(scrape, "&".join(f"info_hash={quote_from_bytes(each, safe='')}" for each in info_hashes))


def _with_query(url: str, query: str) -> str:
    return f"{url.partition('#')[0]}{'&' if '?' in url else '?'}{query}"


def read_reply(body: bytes) -> AnnounceReply | Failure:
    """What a tracker answered to an announce; raises ValueError if it is no tracker's answer."""
    said = _dictionary(body)
    if b"failure reason" in said:
        return _failure(said)
    interval = _number(said, b"interval")
    if interval is None:
        raise ValueError("the reply has no interval")
    external = said.get(b"external ip")
    ident = said.get(b"tracker id")
    warning = said.get(b"warning message")
    return AnnounceReply(
        interval,
        _number(said, b"min interval"),
        _number(said, b"complete"),
        _number(said, b"incomplete"),
        _peers(said),
        address_text(external) if isinstance(external, bytes) and len(external) in (4, 16) else None,
        ident if isinstance(ident, bytes) else None,
        warning.decode(errors="replace") if isinstance(warning, bytes) else "",
    )


def read_scrape_reply(body: bytes) -> dict[bytes, Tally] | Failure:
    """What a tracker answered to a scrape, by info-hash; raises ValueError if it is no tracker's answer."""
    said = _dictionary(body)
    if b"failure reason" in said:
        return _failure(said)
    files = said.get(b"files")
    if not isinstance(files, dict):
        raise ValueError("the reply has no files")
    found = {}
    for info_hash, each in files.items():
        if len(info_hash) == 20 and isinstance(each, dict):
            found[info_hash] = Tally(
                _number(each, b"complete") or 0,
                _number(each, b"downloaded") or 0,
                _number(each, b"incomplete") or 0,
                _number(each, b"downloaders"),
            )
    return found


def _dictionary(body: bytes) -> dict[bytes, Any]:
    try:
        said = decode(body, strict=False, deepest=8, most=8 * MOST_PEERS)
    except BencodeError as error:
        raise ValueError(f"the reply is not bencoded: {error}") from None
    if not isinstance(said, dict):
        raise ValueError("the reply is not a dictionary")
    return said


def _failure(said: dict[bytes, Any]) -> Failure:
    reason = said[b"failure reason"]
    words = reason.decode(errors="replace").strip() if isinstance(reason, bytes) else ""
    retry = said.get(b"retry in")
    if retry == b"never":
        return Failure(words or "no reason given", math.inf)
    minutes = int(retry) if isinstance(retry, bytes) and re.fullmatch(rb"\d{1,9}", retry) else retry
    return Failure(words or "no reason given", minutes * 60.0 if isinstance(minutes, int) and minutes > 0 else None)


def _number(said: dict[bytes, Any], key: bytes) -> int | None:
    value = said.get(key)
    return value if isinstance(value, int) and value >= 0 else None


def _peers(said: dict[bytes, Any]) -> Peers:
    found: list[tuple[str, int]] = []
    peers = said.get(b"peers")
    if isinstance(peers, bytes):
        found += read_peers(peers, 4)
    elif isinstance(peers, list):
        for each in peers[:MOST_PEERS]:
            host, port = (each.get(b"ip"), each.get(b"port")) if isinstance(each, dict) else (None, None)
            # a name (which BEP 3 allows) would have us look up whatever a stranger registered
            packed = packed_address(host) if isinstance(host, bytes) else None
            if packed is not None and isinstance(port, int) and 0 < port < 65536:
                found.append((address_text(packed), port))
    peers6 = said.get(b"peers6")
    if isinstance(peers6, bytes):
        found += read_peers(peers6, 16)
    return found


def read_peers(packed: bytes, width: int) -> list[tuple[str, int]]:
    """Compact peers (BEP 23, BEP 7); ``width`` is that of an address, 4 or 16 bytes. Ports of 0 are left out."""
    size = width + 2
    whole = min(len(packed) // size, MOST_PEERS) * size
    found = []
    for at in range(0, whole, size):
        port = packed[at + width] << 8 | packed[at + width + 1]
        if port:
            found.append((address_text(packed[at : at + width]), port))
    return found


def address_text(packed: bytes) -> str:
    """An address of 4 or 16 bytes as people write it."""
    return ".".join(map(str, packed)) if len(packed) == 4 else str(IPv6Address(packed))


def packed_address(text: bytes) -> bytes | None:
    """The 4 or 16 bytes of a literal address; IPv4 in IPv6 is unwrapped. None for anything else."""
    try:
        address = ip_address(text.decode("ascii"))
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return None
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped.packed
    return address.packed


# -- a tracker's side


_INTEGERS: Final = re.compile(rb"-?[0-9]{1,20}(?:&-?[0-9]{1,20}){4}")
_HEX: Final = re.compile(rb"[0-9A-Fa-f]+")
_SIGNS: Final = b"%" * 20


def _ident(raw: bytes) -> bytes:
    """A query's value as the 20 bytes that it should be; of any other length if it is not."""
    if b"%" not in raw and b"+" not in raw:
        return raw
    if len(raw) == 60 and raw[::3] == _SIGNS:
        with contextlib.suppress(ValueError):
            return bytes.fromhex(raw.replace(b"%", b"").decode("ascii"))
    return unquote_to_bytes(raw.replace(b"+", b" ") if b"+" in raw else raw)


_info_hash: Final = lru_cache(16384)(_ident)
"""The same for what many peers say alike."""


def read_announce(query: bytes) -> Announce | Failure:
    """The announce in a URL's query, or what is wrong with it."""
    if len(query) > LONGEST_QUERY:
        return Failure("the query is too long", math.inf)
    try:
        fields = dict([part.split(b"=", 1) for part in query.split(b"&")])
    except ValueError:
        # a part without a value
        fields = dict([part.partition(b"=")[::2] for part in query.split(b"&")])
    find = fields.get
    info_hash = _info_hash(find(b"info_hash", b""))
    if len(info_hash) != 20:
        return Failure("info_hash must be there, with 20 bytes", math.inf)
    peer_id = _ident(find(b"peer_id", b""))
    if len(peer_id) != 20:
        return Failure("peer_id must be there, with 20 bytes", math.inf)
    port, left, numwant = find(b"port") or b"0", find(b"left") or b"1", find(b"numwant") or b"-1"
    uploaded, downloaded = find(b"uploaded") or b"0", find(b"downloaded") or b"0"
    if not _INTEGERS.fullmatch(b"%b&%b&%b&%b&%b" % (port, left, numwant, uploaded, downloaded)):
        return Failure("port, left, numwant, uploaded and downloaded must be numbers")
    event = _EVENTS.get(find(b"event", b""))
    if event is None:
        return Failure("the event is not known")
    place = int(port)
    # a peer that leaves needs no port
    if not 0 < place < 65536 and event is not Event.STOPPED:
        return Failure("port must be there, between 1 and 65535")
    secret, ident, ip = find(b"key"), find(b"trackerid"), find(b"ip")
    return Announce(
        info_hash,
        peer_id,
        place & 0xFFFF,
        int(uploaded),
        int(downloaded),
        int(left),
        event,
        int(numwant),
        _key(secret) if secret else None,
        unquote_to_bytes(ident) if ident is not None else None,
        find(b"compact") != b"0",
        find(b"no_peer_id", b"0") != b"0",
        unquote_to_bytes(ip) if ip is not None else b"",
    )


def _key(text: bytes) -> int:
    """A key as 32 bits: hexadecimal as most write it, or folded from whatever it is."""
    if len(text) <= 8 and _HEX.fullmatch(text):
        return int(text, 16)
    return int.from_bytes(text[:64], "big") % 0xFFFFFFFB


def read_scrape(query: bytes | None, most: int) -> list[bytes] | Failure:
    """The info-hashes of a scrape, at most so many, each once; none is a scrape of everything (BEP 48)."""
    found: dict[bytes, None] = {}
    for part in (query or b"").split(b"&"):
        key, _, value = part.partition(b"=")
        if key != b"info_hash":
            continue
        info_hash = unquote_to_bytes(value.replace(b"+", b" "))
        if len(info_hash) != 20:
            return Failure("info_hash must have 20 bytes", math.inf)
        found[info_hash] = None
        if len(found) > most:
            return Failure(f"at most {most} info-hashes can be scraped at once")
    return list(found)


_REPLY: Final = (
    b"d8:completei%de10:downloadedi%de11:external ip%d:%b10:incompletei%de8:intervali%de12:min intervali%de5:peers%b%be"
)


def announce_reply(
    interval: int, min_interval: int, tally: Tally, external_ip: bytes, peers: bytes, peers6: bytes | bytearray
) -> bytes:
    """A tracker's answer; ``peers`` is bencoded already (a string or a list), ``peers6`` is packed.

    ``external_ip`` has 4 or 16 bytes.
    """
    seeds, downloaded, leechers, _ = tally
    return _REPLY % (
        seeds,
        downloaded,
        len(external_ip),
        external_ip,
        leechers,
        interval,
        min_interval,
        peers,
        b"6:peers6%d:%b" % (len(peers6), bytes(peers6)) if peers6 else b"",
    )


def dictionary_peers(peers: Iterable[tuple[bytes, int, bytes]], *, ids: bool) -> bytes:
    """The list of BEP 3, from packed address, port and peer id."""
    out = [b"l"]
    for packed, port, peer_id in peers:
        host = address_text(packed).encode()
        ident = b"7:peer id20:" + peer_id if ids else b""
        out.append(b"d2:ip%d:%b%b4:porti%dee" % (len(host), host, ident, port))
    out.append(b"e")
    return b"".join(out)


def scrape_reply(tallies: Iterable[tuple[bytes, Tally]]) -> bytes:
    """The answer to a scrape; its info-hashes are put in order."""
    out = [b"d5:filesd"]
    for info_hash, (seeds, downloaded, leechers, downloaders) in sorted(tallies):
        out.append(
            b"20:%bd8:completei%de10:downloadedi%de11:downloadersi%de10:incompletei%dee"
            % (info_hash, seeds, downloaded, downloaders if downloaders is not None else leechers, leechers)
        )
    out.append(b"ee")
    return b"".join(out)


def failure_reply(failure: Failure) -> bytes:
    """A refusal, which says when to come again (in whole minutes) if it is known."""
    reason = failure.reason.encode()
    retry = b""
    if failure.retry_in == math.inf:
        retry = b"8:retry in5:never"
    elif failure.retry_in is not None:
        retry = b"8:retry ini%de" % max(1, math.ceil(failure.retry_in / 60))
    return b"d14:failure reason%d:%b%be" % (len(reason), reason, retry)
