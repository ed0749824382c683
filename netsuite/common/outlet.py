"""What leaves a connection: to the socket at once where nothing is queued, else through the transport.

The immediate send looks into the queue that Twisted's TCP transports keep private
(``_tempDataBuffer`` and ``dataBuffer``), the immediate half-close tells them of it (``_writeDisconnected``), and while
a file is sent the transport's ``doWrite`` is ours. That is done only here, and a test fails loudly should they change.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

from netsuite.common.filespan import FileSpan

__all__ = ["Outlet"]

_IOV: Final = 64
_SHORT: Final = 32 * 1024
_TCP_CLOSE: Final = 7
_BYTES_ACKED: Final = 120
"""Where ``tcp_info`` (linux/tcp.h) has tcpi_bytes_acked."""


class Outlet:
    """The writing side of one transport, and what the kernel knows of its peer."""

    __slots__ = ("_progress", "_rest", "_shadow", "_socket", "_tcp_info", "_transport")

    def __init__(self, transport: Any, read_size: int, *, unix: bool) -> None:
        self._transport = transport
        self._socket: socket.socket | None = None
        self._tcp_info = False
        if hasattr(transport, "_tempDataBuffer") and hasattr(transport, "dataBuffer"):
            self._socket = transport.getHandle()
            transport.bufferSize = read_size
            transport.SEND_LIMIT = 1 << 20
            if not unix:
                transport.setTcpNoDelay(True)
                self._tcp_info = hasattr(socket, "TCP_INFO")
        self._progress = -1
        self._rest: deque[Any] = deque()  # what the kernel did not take, from a span of a file on
        self._shadow: Any = None  # what stands in for the transport's doWrite, while it does

    def write(self, chunks: Sequence[Any]) -> int:
        """Send chunks in order; answers how many bytes they are. A reset is left for the reactor to report.

        A chunk may be any buffer, which is copied where it must wait, or a FileSpan, which is not.
        """
        transport = self._transport
        sock = self._socket
        if self._rest:
            self._rest.extend(chunks)
            return sum(map(len, chunks))
        if sock is None or transport._tempDataBuffer or transport.dataBuffer or transport.disconnecting:
            return self._queue(chunks)
        try:
            if len(chunks) == 1:
                size = len(chunks[0])
                sent = sock.send(chunks[0])
            elif len(chunks) == 2 and isinstance(chunks[1], FileSpan):
                return self._send_file(sock, *chunks)
            else:
                size = sum(map(len, chunks))
                sent = sock.sendmsg(chunks[:_IOV])
        except BlockingIOError:
            sent = 0
        except TypeError:
            # a span of a file is among them: what is short is cheaper copied by the kernel
            plain = [
                each.view or each if isinstance(each, FileSpan) and len(each) <= _SHORT else each for each in chunks
            ]
            if any(isinstance(each, FileSpan) for each in plain):
                self._rest.extend(plain)
                self.resume()
                return sum(map(len, plain))
            return self.write(plain)
        except OSError:
            return 0
        if sent != size:
            for chunk in chunks:
                if sent >= len(chunk):
                    sent -= len(chunk)
                else:
                    transport.write(bytes(chunk[sent:]))
                    sent = 0
        return size

    def _queue(self, chunks: Sequence[Any]) -> int:
        """Behind what the transport has queued, or where it sends all by itself."""
        transport = self._transport
        if self._socket is None or transport.disconnecting or not any(isinstance(each, FileSpan) for each in chunks):
            transport.writeSequence([bytes(chunk) for chunk in chunks])
        else:
            # without a copy: when the transport's queue is empty, its producer goes on with these
            self._rest.extend(chunks)
            self._stop_producer()
        return sum(map(len, chunks))

    def _send_file(self, sock: socket.socket, head: bytes, span: FileSpan) -> int:
        """A head and a span of a file: nearly all that is long is sent so."""
        start, length = span.start, span.stop - span.start
        left: tuple[Any, ...] = (head, span)
        try:
            # The head leaves by itself: it need not wait for the file, and congestion control that paces by packets
            # (BBR) takes a connection of few and large ones for a slow one, which costs it a timer for each.
            sent = sock.send(head)
            if sent == len(head):
                left = (span,)
                sent = os.sendfile(sock.fileno(), span.file.descriptor, start, length)
                if sent == length:
                    return len(head) + length
                left = (span[sent:],)
            else:
                left = (head[sent:], span)
        except BlockingIOError:
            pass
        except ConnectionError:
            return len(head) + length
        except OSError:
            # the file cannot be read, and what was promised not be kept
            self._transport.abortConnection()
            return len(head) + length
        self._rest.extend(left)
        self._wait()
        return len(head) + length

    def resume(self) -> bool:
        """Send what waits since a span of a file was not taken whole; False if the kernel has still not taken all.

        Then the transport's producer is told to stop, and to go on when all has been taken.
        """
        if not self._rest or self._all_sent():
            return True
        self._wait()
        return False

    def _wait(self) -> None:
        """Go on when the socket takes more."""
        transport = self._transport
        self._stop_producer()
        # the transport's queue is empty, and it need not look there
        self._shadow = transport.doWrite = self._go_on
        transport.startWriting()

    def _stop_producer(self) -> None:
        """As after a write that the transport could not finish."""
        transport = self._transport
        if not transport.producerPaused:
            transport.producer.pauseProducing()
        transport.producerPaused = True

    def _go_on(self) -> None:
        """The reactor, in place of the transport's doWrite: the socket takes more."""
        if self._all_sent():
            transport = self._transport
            self._step_aside()
            transport.stopWriting()
            transport.producerPaused = False
            transport.producer.resumeProducing()

    def _step_aside(self) -> None:
        """What is written from now on goes through the transport's queue again."""
        shadow, self._shadow = self._shadow, None
        own = vars(self._transport)
        # who aborts a transport takes doWrite from it as well, for good
        if shadow is not None and own.get("doWrite") is shadow:
            del own["doWrite"]

    def _all_sent(self) -> bool:
        """Send what waits; whether nothing waits any more."""
        rest, sock = self._rest, self._socket
        assert sock is not None
        try:
            while rest:
                chunk: Any = rest[0]
                if isinstance(chunk, FileSpan):
                    # what came before is held back (MSG_MORE), so that it leaves with these
                    sent = os.sendfile(sock.fileno(), chunk.file.descriptor, chunk.start, len(chunk))
                    if not sent:
                        raise OSError("the file is shorter than it was")
                else:
                    sent = sock.send(chunk, socket.MSG_MORE if len(rest) > 1 else 0)
                if sent < len(chunk):
                    # to ask again now would cost as much as to be told
                    rest[0] = chunk[sent:]
                    return False
                rest.popleft()
        except BlockingIOError:
            return False
        except OSError:
            rest.clear()
            self._step_aside()
            self._transport.abortConnection()
        return True

    def settle(self) -> None:
        """Leave all that waits to the transport: nobody will be there to send it."""
        self._step_aside()
        rest, self._rest = self._rest, deque()
        if rest:
            self._transport.writeSequence([bytes(chunk) for chunk in rest])

    def half_close(self) -> None:
        """End our side once all is written: at once if it is. A reset is left for the reactor to report."""
        transport = self._transport
        self.settle()
        if self._socket is None or self._queued():
            transport.loseWriteConnection()
            return
        # as Twisted would in two more turns; it then knows that closing needs no more writing
        transport._writeDisconnected = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def _queued(self) -> bool:
        return bool(self._transport._tempDataBuffer or self._transport.dataBuffer)

    def unread(self) -> bool:
        """Whether bytes have come that the reactor has not handed over yet."""
        if self._socket is None:
            return False
        try:
            return bool(self._socket.recv(1, socket.MSG_PEEK))
        except OSError:
            return False

    def quiet(self) -> bool:
        """Whether the peer has neither said anything that the reactor has not handed over yet, nor ended its side."""
        if self._socket is None:
            return True
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def progressed(self) -> bool:
        """Whether the peer took anything since this was last asked."""
        before, self._progress = self._progress, self._acknowledged()
        return self._progress != before

    def dead(self) -> bool:
        """Whether the kernel knows that the peer is gone, though nobody reads."""
        if self._socket is None or not self._tcp_info:
            return False
        try:
            return self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _TCP_CLOSE
        except OSError:
            return True

    def _acknowledged(self) -> int:
        """Bytes that the peer has acknowledged, or how far our own queue has come where that is unknown."""
        transport = self._transport
        if self._socket is not None and self._tcp_info:
            try:
                info = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_ACKED + 8)
            except OSError:
                return 0
            if len(info) == _BYTES_ACKED + 8:
                return int(struct.unpack_from("=Q", info, _BYTES_ACKED)[0])
        return int(getattr(transport, "offset", 0)) - len(getattr(transport, "dataBuffer", b""))
