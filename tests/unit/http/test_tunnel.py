"""The far side of a tunnel as a Connection: whatever comes is its one body."""

from __future__ import annotations

from netsuite.http.wire.tunnel import Opened, RawConnection
from netsuite.sansio.connection import Finish, Part
from netsuite.testing.connection_case import START, ConnectionCase


class TestTunnel(ConnectionCase):
    max_examples = 50
    test_a_finished_conversation_leaves_nothing = None  # a tunnel's one message is over when the tunnel is

    def make(self):
        return RawConnection(now=START)

    def make_peer(self):
        return RawConnection(now=START)

    def conversations(self):
        return [b"any bytes\r\n\r\n", b"\x16\x03\x01\x00\xff"]

    def answer(self, message):
        return [Part(1, b"back"), Finish(1)] if type(message) is Opened else []
