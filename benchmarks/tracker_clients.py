"""Peers of a tracker in a process of their own: ``python -m benchmarks.tracker_clients PORT udp|http ...``.

Announces come from many sockets (UDP) or connections (HTTP), each for a peer of some swarm, and every answer is looked
at: how many peers it names. What was done is printed as one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import random
import select
import socket
import struct
import time
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha1
from urllib.parse import quote_from_bytes

__all__ = ["SWARMS", "info_hash", "ports_of"]

SWARMS = 10
"""Swarms among which the peers are spread evenly."""
SOCKETS = 16
BURST = 10
"""Announces in flight from a socket: with more in all, a tracker's socket buffer of the usual size overflows."""
_CONNECT = struct.pack(">QII", 0x41727101980, 0, 1)
_TAIL = struct.Struct(">QQQIIIiH")
_LEAST_HTTP = 32


def info_hash(swarm: int) -> bytes:
    """The info-hash of a swarm."""
    return sha1(b"swarm %d" % swarm, usedforsecurity=False).digest()


def ports_of(peers: int, host: int) -> range:
    """The ports of the peers at one of our loopback addresses, 127.0.0.(1 + host)."""
    return range(1024, 1024 + max(0, min(50_000, peers - host * 50_000)))


def announce(swarm: int, port: int, wanted: int) -> bytes:
    """An announce over UDP behind its connection id, its transaction open."""
    return (
        struct.pack(">I", 1)
        + b"TTTT"
        + info_hash(swarm)
        + b"-BENCH-%013d" % port
        + _TAIL.pack(0, 1, 0, 0, 0, port, wanted, port)
    )


class Udp:
    """Sockets on one of our addresses, connected to the tracker, with their connection ids."""

    def __init__(self, port: int, host: int) -> None:
        self.sockets = []
        for _ in range(SOCKETS):
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.bind((f"127.0.0.{1 + host}", 0))
            sock.connect(("127.0.0.1", port))
            sock.settimeout(5)
            sock.send(_CONNECT)
            self.ident = sock.recv(64)[8:16]
            self.sockets.append(sock)

    def ask(self, bursts: Iterable[Sequence[bytes]]) -> tuple[int, int, int, int]:
        """Send bursts from one socket after another, each when the one before it is answered there.

        Answers how many announces were sent, answered, and refused, and the peers that the answers named.
        """
        self.sent = self.answers = self.peers = self.errors = 0
        owed = [0] * SOCKETS
        for turn, burst in enumerate(bursts):
            at = turn % SOCKETS
            self._take(at, owed[at])
            for message in burst:
                self.sockets[at].send(message)
            owed[at] = len(burst)
            self.sent += len(burst)
        for at, count in enumerate(owed):
            self._take(at, count)
        return self.sent, self.answers, self.errors, self.peers

    def _take(self, at: int, count: int) -> None:
        """The answers to a burst; what has not come in five seconds is lost."""
        receive = self.sockets[at].recv
        for _ in range(count):
            try:
                reply = receive(2048)
            except TimeoutError:
                return
            self.answers += 1
            if reply[3] == 1:
                self.peers += (len(reply) - 20) // 6
            else:
                self.errors += 1


def udp(port: int, peers: int, wanted: int, seconds: float, *, fill: bool) -> dict[str, float]:
    """Announce every peer once (``fill``), or peers at random for some seconds."""
    rng = random.Random(7)
    began = time.monotonic()
    total = [0] * 4
    hosts = range((peers + 49_999) // 50_000)
    share = seconds / len(hosts)
    for host in hosts:
        source = Udp(port, host)
        known = [source.ident + announce(at % SWARMS, at, wanted) for at in ports_of(peers, host)]
        if host == 0:
            began = time.monotonic()
        if fill:
            got = source.ask(known[at : at + BURST] for at in range(0, len(known), BURST))
        else:
            got = source.ask(_until(time.monotonic() + share, rng, known))
        total = [one + other for one, other in zip(total, got, strict=True)]
    sent, answers, errors, named = total
    return {
        "answers": answers, "sent": sent, "peers": named, "errors": errors, "seconds": time.monotonic() - began
    }  # fmt: skip


def _until(end: float, rng: random.Random, known: list[bytes]) -> Iterator[list[bytes]]:
    """Bursts of known peers until a moment."""
    while time.monotonic() < end:
        yield rng.choices(known, k=BURST)


def request(swarm: int, port: int, wanted: int, server: int) -> bytes:
    """An announce over HTTP, with the fields that clients send."""
    return (
        f"GET /announce?info_hash={quote_from_bytes(info_hash(swarm), safe='')}&peer_id=-BENCH-{port:013d}&port={port}"
        f"&uploaded=0&downloaded=0&left=1&compact=1&numwant={wanted}&key={port:08x} HTTP/1.1\r\n"
        f"Host: 127.0.0.1:{server}\r\nUser-Agent: bench/1.0\r\nAccept-Encoding: identity\r\n\r\n"
    ).encode()


def http(port: int, peers: int, wanted: int, seconds: float) -> dict[str, float]:
    """Announce peers at random, a connection each."""
    rng = random.Random(7)
    prepared = [request(at % SWARMS, at, wanted, port) for at in ports_of(peers, 0)]
    answers = named = errors = 0
    poll = select.epoll()
    open_: dict[int, tuple[socket.socket, bytearray]] = {}

    def connect() -> None:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.connect(("127.0.0.1", port))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.send(rng.choice(prepared))
        poll.register(sock, select.EPOLLIN)
        open_[sock.fileno()] = sock, bytearray()

    began = time.monotonic()
    for _ in range(_LEAST_HTTP):
        connect()
    while time.monotonic() - began < seconds:
        for descriptor, _ in poll.poll(5):
            sock, got = open_[descriptor]
            try:
                data = sock.recv(65536)
            except ConnectionResetError:
                data = b""
            got += data
            count = _peers(got)
            if count < -1 or not data:
                errors += 1
            elif count < 0:
                continue
            else:
                answers += 1
                named += count
            del open_[descriptor]
            poll.unregister(descriptor)
            sock.close()
            connect()
    taken = time.monotonic() - began
    for sock, _ in open_.values():
        sock.close()
    return {"answers": answers, "sent": answers, "peers": named, "errors": errors, "seconds": taken}


def _peers(got: bytearray) -> int:
    """Peers in a complete answer; -1 if more of it has to come, -2 if it is wrong."""
    head = got.find(b"\r\n\r\n")
    if head < 0:
        return -1
    at = got.lower().find(b"content-length: ", 0, head + 2)
    if at < 0 or not got.startswith(b"HTTP/1.1 200"):
        return -2
    if len(got) < head + 4 + int(got[at + 16 : got.find(b"\r", at)]):
        return -1
    at = got.find(b"5:peers", head) + 7
    return int(got[at : got.find(b":", at)]) // 6 if at > 7 else -2


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("how", choices=("udp", "fill", "http"))
    parser.add_argument("--peers", type=int, default=10_000)
    parser.add_argument("--wanted", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=3.0)
    given = parser.parse_args()
    if given.how in ("udp", "fill"):
        done = udp(given.port, given.peers, given.wanted, given.seconds, fill=given.how == "fill")
    else:
        done = http(given.port, given.peers, given.wanted, given.seconds)
    print(json.dumps(done))


if __name__ == "__main__":
    main()
