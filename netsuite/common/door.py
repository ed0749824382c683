"""A TCP port that may answer at the door: one exchange, no connection kept, no machine built.

Where clients come for a single short answer each, most of what a connection costs is making and ending it. A
:class:`DoorPort` takes a client in when his first bytes are there (the kernel waits for them), and asks the factory's
``door(data, host)`` for the whole answer. With one, it sends it and closes. Without, the client is let in as by any
other port, and his bytes reach the protocol first: nothing is lost but a call.

The answer must fit into a fresh socket's buffer (16 KiB), and say that the connection closes.

Known weakness: who sends more behind a complete request is reset, perhaps before he has read his answer.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, Final

from twisted.internet import tcp

__all__ = ["LONGEST", "Door", "DoorPort", "door_port"]

Door = Callable[[bytes, str], "bytes | None"]
"""``door(data, host)``: the whole answer to all that a client sent first, or None to let him in."""

LONGEST: Final = 16384
"""Bytes of an answer that can be given at the door."""
_TURN: Final = 128
"""Clients taken before other ports get their turn."""
_PATIENCE: Final = 5
"""Seconds for which the kernel waits for a client's first bytes."""
_MSG_DONTWAIT: Final = getattr(socket, "MSG_DONTWAIT", 0x40)
_LAST_WORDS: Final = _MSG_DONTWAIT | getattr(socket, "MSG_MORE", 0)
"""The close that follows sends the answer and the end in one segment."""
_DEFER: Final = getattr(socket, "TCP_DEFER_ACCEPT", None)


class DoorPort(tcp.Port):
    """Twisted's port, whose factory is a StreamFactory with a door."""

    def doRead(self) -> None:
        """Take in who is there."""
        factory: Any = self.factory
        door, rule = factory.door, factory.rule
        listening: Any = self.socket
        family, accept = listening.family, listening._accept
        for _ in range(_TURN):
            try:
                descriptor, address = accept()
            except BlockingIOError:
                return
            except OSError:
                # out of descriptors, or worse: Twisted knows what to do
                super().doRead()  # type: ignore[no-untyped-call]
                return
            # without the wrapper that socket.accept() makes, which costs as much as a system call
            client = socket.SocketType(family, socket.SOCK_STREAM, 0, descriptor)
            host = address[0]
            if rule is not None and not rule.permits(host):
                factory.refused += 1
                client.close()
                continue
            try:
                data = client.recv(65536, _MSG_DONTWAIT)
                answer = door(data, host) if data else None
                if answer is not None:
                    factory.accepted += 1
                    factory.shortcuts += 1
                    factory.bytes_in += len(data)
                    factory.bytes_out += client.send(answer, _LAST_WORDS)
                    client.close()
                    continue
            except BlockingIOError:
                data = b""
            except OSError:
                client.close()
                continue
            except Exception as problem:
                factory.broke(problem)
                client.close()
                continue
            self._let_in(socket.socket(family, socket.SOCK_STREAM, 0, client.detach()), address, data)

    def _let_in(self, client: socket.socket, address: Any, data: bytes) -> None:
        """A connection as Twisted makes it, and what came on it so far."""
        client.setblocking(False)
        factory: Any = self.factory
        protocol = factory.buildProtocol(self._buildAddr(address))  # type: ignore[no-untyped-call]
        if protocol is None:
            client.close()
            return
        self.sessionno += 1
        protocol.makeConnection(self.transport(client, protocol, address, self, self.sessionno - 1, self.reactor))
        if data:
            protocol.dataReceived(data)


def door_port(reactor: Any, bound: socket.socket, factory: Any) -> DoorPort:
    """A port on a bound socket, listening."""
    if _DEFER is not None:
        bound.setsockopt(socket.IPPROTO_TCP, _DEFER, _PATIENCE)
    port: DoorPort = DoorPort._fromListeningDescriptor(  # type: ignore[no-untyped-call]
        reactor, bound.fileno(), bound.family, factory
    )
    port.startListening()
    return port
