"""IMAP clients that do one thing over and over, many in one process: a generator for ``imap-append``, ``imap-fetch``.

Run as ``python -m benchmarks.imap_clients PORT append|fetch ...``; prints what it did as JSON.
"""

from __future__ import annotations

import argparse
import json
import selectors
import socket
import sys
import time
from collections.abc import Callable

__all__ = ["PASSWORD", "USER", "Client", "Wrong", "append", "fetch", "message"]

USER = "bench@bench.test"
PASSWORD = "for-one-minute"  # noqa: S105
_PATIENCE = 60.0

_MESSAGE = (
    b"Return-Path: <sender%(serial)012d@bench.test>\r\n"
    b"Received: from client.bench.test (client.bench.test [192.0.2.7])\r\n"
    b"\tby mail.bench.test with ESMTP id %(serial)012d;\r\n\tThu, 01 Jan 2026 10:00:00 +0000\r\n"
    b"Date: Thu, 01 Jan 2026 10:00:00 +0000\r\n"
    b'From: "Some Sender" <sender%(serial)012d@bench.test>\r\n'
    b"To: bench@bench.test, Another Reader <another@bench.test>\r\n"
    b"Cc: third@bench.test\r\n"
    b"Subject: What came of %(serial)012d\r\n"
    b"Message-ID: <%(serial)012d@bench.test>\r\n"
    b"In-Reply-To: <before.%(serial)012d@bench.test>\r\n"
    b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n"
)
_LINE = b"A line of the text that is as long as lines of such texts are.\r\n"


class Wrong(Exception):
    """A server that said something else than OK, or ended the connection."""


def message(serial: int, size: int = 4096) -> bytes:
    """A message of so many bytes; no two serials have the same."""
    head = _MESSAGE % {b"serial": serial}
    text = (_LINE * (size // len(_LINE) + 1))[: size - len(head) - 2]
    return head + text + b"\r\n"


def append(mailbox: str, first: int, size: int = 4096) -> Callable[[], bytes]:
    """A maker of APPEND commands without their tags; each has a message of its own."""
    start = b"APPEND %b {%d+}\r\n" % (mailbox.encode(), size)
    serial = first

    def make() -> bytes:
        nonlocal serial
        serial += 1
        return start + message(serial, size) + b"\r\n"

    return make


def fetch(items: str) -> Callable[[], bytes]:
    """A maker of one FETCH of all messages."""
    command = f"FETCH 1:* ({items})\r\n".encode()
    return lambda: command


class Client:
    """One connection: commands that must go well, one after the other; bytes in, bytes out."""

    def __init__(self, before: list[bytes], make: Callable[[], bytes]) -> None:
        self._before = before
        self._make = make
        self._tag = b""
        self._number = 0
        self._pieces: list[bytes] = []
        self.ready = False
        """Whether it has done what comes before."""
        self.idle = False
        """Whether it waits to be told to go on."""
        self.done = 0
        """How many commands were answered."""
        self.fetched = 0
        """How many messages the last answer was about."""

    def received(self, data: bytes) -> bytes:
        """What to send now that this came: the next of the commands that come before, or nothing."""
        self._pieces.append(data)
        if not data.endswith(b"\r\n"):
            return b""
        answer = b"".join(self._pieces)
        last = answer[answer.rfind(b"\r\n", 0, -2) + 2 if answer.count(b"\r\n", 0, -2) else 0 :]
        if not last.startswith(self._tag + b" " if self._tag else b"* OK"):
            self._pieces = [answer]
            return b""
        self._pieces = []
        if self._tag and not last.startswith(self._tag + b" OK") and not last.startswith(self._tag + b" NO [ALREADY"):
            raise Wrong(last.decode("ascii", "replace").strip())
        if self.ready:
            self.done += 1
            self.fetched = answer.count(b" FETCH (")
        if self._before:
            return self._tagged(self._before.pop(0))
        self.ready = self.idle = True
        return b""

    def go(self) -> bytes:
        """The next command."""
        self.idle = False
        return self._tagged(self._make())

    def _tagged(self, command: bytes) -> bytes:
        self._number += 1
        self._tag = b"a%d" % self._number
        return self._tag + b" " + command


def _run(port: int, clients: list[Client], seconds: float, count: int) -> float:
    """Let them work for some seconds or, if none, until each did a count; answers how long it took."""
    with selectors.DefaultSelector() as selector:
        for client in clients:
            connection = socket.create_connection(("127.0.0.1", port), _PATIENCE)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(connection, selectors.EVENT_READ, client)

        def turn() -> None:
            heard = selector.select(_PATIENCE)
            if not heard:
                raise Wrong("no answer came")
            for key, _ in heard:
                assert isinstance(key.fileobj, socket.socket)
                data = key.fileobj.recv(1 << 20)
                if not data:
                    raise Wrong("the connection ended")
                if reply := key.data.received(data):
                    key.fileobj.sendall(reply)
                elif key.data.idle and going(key.data):
                    key.fileobj.sendall(key.data.go())

        def going(client: Client) -> bool:
            return began > 0 and (time.monotonic() < began + seconds if seconds else client.done < count)

        began = 0.0
        while not all(client.ready for client in clients):
            turn()
        began = time.monotonic()
        for key in list(selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.sendall(key.data.go())
        while not all(client.idle for client in clients):
            turn()
        return time.monotonic() - began


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.imap_clients")
    parser.add_argument("port", type=int)
    parser.add_argument("doing", choices=("append", "fetch"))
    parser.add_argument("--seconds", type=float, default=0)
    parser.add_argument("--count", type=int, default=1, help="commands of each client, where no seconds are given")
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--mailbox", default="INBOX")
    parser.add_argument("--each", type=int, default=0, help="a mailbox for each client, its number after the name")
    parser.add_argument("--items", default="FLAGS", help="what to fetch")
    options = parser.parse_args()
    login = f'LOGIN {USER} "{PASSWORD}"\r\n'.encode()
    clients, epoch = [], time.time_ns() // 1_000_000 % 10**9 * 1000
    for number in range(options.clients):
        mailbox = f"{options.mailbox}{number}" if options.each else options.mailbox
        create = [] if mailbox == "INBOX" else [f"CREATE {mailbox}\r\n".encode()]
        if options.doing == "append":
            first = 0 if options.clients == 1 else epoch + number * 10**11
            clients.append(Client([login, *create], append(mailbox, first)))
        else:
            clients.append(Client([login, f"SELECT {mailbox}\r\n".encode()], fetch(options.items)))
    try:
        seconds = _run(options.port, clients, options.seconds, options.count)
    except (OSError, Wrong) as error:
        print(error, file=sys.stderr)
        return 1
    fetched = clients[0].fetched if options.doing == "fetch" else 1
    print(json.dumps({"answers": sum(client.done for client in clients) * fetched, "seconds": seconds}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
