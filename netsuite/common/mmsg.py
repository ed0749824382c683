"""Datagrams by the batch: recvmmsg and sendmmsg (Linux), 64 a call.

All that the kernel reads and writes lies in one block of memory, laid out once: message headers, I/O
vectors, addresses, packet information and buffers of 64 slots, for each direction. Python sees the block through
memoryviews of 64 and 32 bit words, so that an answer from the memo costs two word writes: its address
and its length. The I/O vectors for sending begin with the two bytes of the id, which are taken from
where the query was received.

A slot to receive in has room for the longest datagram: none is cut, and pages that short ones do not reach are never
touched. Replies that are copied have 4 KiB; longer ones leave alone.

What a batch costs beside its datagrams is worth so many of them that small batches, read as fast as they come, would
waste a third of the CPU. So where one small batch follows another, we sleep for a moment (about a tenth of a
millisecond, as network cards wait before they interrupt), unless no more came of it than would have come anyway: then
we do it ever more rarely. And a port that was crowded in its last turn gives the processor to whoever else waits for it
before it reads: where several workers share one, each would otherwise be woken for what came in the other's turn.

The calls hold the interpreter's lock: they never block, and giving it up to a busy thread would
cost far more than they take.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import socket
import struct
import sys
from array import array
from collections.abc import Sequence
from time import sleep
from typing import Any, Final, cast

from netsuite.common.datagram import _WOULD_BLOCK, DatagramPort, Fast, _reply_control

__all__ = ["BATCH", "BatchPort", "available"]

BATCH: Final = 64
_HEADER: Final = 64
_VECTOR: Final = 32
_NAME: Final = 32
_CONTROL: Final = 64
_REPLY_CONTROL: Final = {socket.AF_INET: 32, socket.AF_INET6: 40}
"""Bytes of a control message with packet information, padded."""
# One datagram is no load, and batches of so many need no gathering; gathering so many was worth it.
_ALONE: Final = 1
_ENOUGH: Final = 24
_WORTH: Final = 10
# Seconds; the kernel adds its own slack to that.
_MOMENT: Final = 20e-6
# Batches for which we gather no more, if that is of no use.
_IMPATIENT: Final = 1023
_SLOT: Final = 65536
_REPLY: Final = 4096
# Strides that are no power of two keep the slots out of one another's cache lines.
_SLOT_STRIDE: Final = _SLOT + 4096 + 64
_REPLY_STRIDE: Final = _REPLY + 64
# Where the bytes of a bytes object lie, from its address on.
_PAYLOAD: Final = bytes.__basicsize__ - 1
_MSG_DONTWAIT: Final = getattr(socket, "MSG_DONTWAIT", 0x40)


def _calls() -> tuple[Any, Any] | None:
    if sys.platform != "linux" or ctypes.sizeof(ctypes.c_void_p) != 8:
        return None
    libc = ctypes.PyDLL(None, use_errno=True)
    try:
        receive, send = libc.recvmmsg, libc.sendmmsg
    except AttributeError:
        return None
    receive.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p)
    send.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)
    receive.restype = send.restype = ctypes.c_int
    return receive, send


_CALLS: Final = _calls()


def available() -> bool:
    """Whether this platform has the calls, with the layout of 64-bit Linux, and an interpreter like CPython."""
    probe = b"where bytes lie"
    lies = sys.implementation.name == "cpython" and ctypes.string_at(id(probe) + _PAYLOAD, len(probe)) == probe
    return _CALLS is not None and lies


class BatchPort(DatagramPort):
    """A UDP socket read and answered 64 datagrams at a time."""

    def __init__(self, *args: Any, **rest: Any) -> None:
        super().__init__(*args, **rest)
        self._laid_out = False
        self._no_answers = [None] * BATCH
        # Whether more than one datagram came at once in the last turn.
        self._crowded = False
        # How many chances to gather datagrams are to be passed over, and how many were the last time.
        self._wait = self._patience = 0

    def bind(self) -> None:
        """Have the socket and the memory, without reading yet; OSError says why not."""
        super().bind()
        if not self._laid_out:
            self._lay_out()

    def _lay_out(self) -> None:
        assert self._socket is not None
        name_length = 28 if self._socket.family == socket.AF_INET6 else 16
        headers = BATCH * _HEADER
        at = {}
        total = 0
        for part, size in (
            ("receive", headers),
            ("receive_vectors", BATCH * _VECTOR),
            ("send", headers),
            ("send_vectors", BATCH * _VECTOR),
            ("names", BATCH * _NAME),
            ("controls", BATCH * _CONTROL),
            ("replies", BATCH * _REPLY_STRIDE),
            ("slots", BATCH * _SLOT_STRIDE),
        ):
            at[part] = total
            total += size
        block = mmap.mmap(-1, total)
        base = ctypes.addressof(ctypes.c_char.from_buffer(block))
        view = memoryview(block)
        control = _CONTROL if self._wildcard else 0
        # what is sent must end where the one message ends: behind it zeros would count as a broken second one
        reply_control = _REPLY_CONTROL[self._socket.family] if self._wildcard else 0
        for i in range(BATCH):
            name = base + at["names"] + i * _NAME
            info = base + at["controls"] + i * _CONTROL if control else 0
            slot = base + at["slots"] + i * _SLOT_STRIDE
            vector = at["receive_vectors"] + i * _VECTOR
            struct.pack_into("@QQ", block, vector, slot, _SLOT)
            struct.pack_into(
                "@QIxxxxQQQQ", block, at["receive"] + i * _HEADER, name, name_length, base + vector, 1, info, control
            )
            vector = at["send_vectors"] + i * _VECTOR
            struct.pack_into("@QQQQ", block, vector, slot, 2, 0, 0)
            struct.pack_into(
                "@QIxxxxQQQQ", block, at["send"] + i * _HEADER, name, name_length, base + vector, 2, info, reply_control
            )
        self._block = block
        self._receive_at = base + at["receive"]
        self._send_at = base + at["send"]
        words, halves = view.cast("Q"), view.cast("I")

        def column(part: str, offset: int, stride: int) -> memoryview:
            start = (at[part] + offset) // 8
            return words[start : start + BATCH * stride // 8 : stride // 8]

        start = (at["receive"] + 56) // 4
        self._sizes = halves[start : start + BATCH * _HEADER // 4 : _HEADER // 4]
        self._controls_got = column("receive", 40, _HEADER)
        self._controls_full = memoryview(struct.pack("@Q", control) * BATCH).cast("Q")
        self._names = column("send", 0, _HEADER)
        self._names_kept = memoryview(self._names.tobytes()).cast("Q")
        self._infos = column("send", 32, _HEADER)
        self._infos_kept = memoryview(self._infos.tobytes()).cast("Q")
        self._ids = column("send_vectors", 0, _VECTOR)
        self._ids_kept = memoryview(self._ids.tobytes()).cast("Q")
        self._parts = column("send_vectors", 16, _VECTOR)
        self._lengths = column("send_vectors", 24, _VECTOR)
        self._slots = [view[at["slots"] + i * _SLOT_STRIDE :][:_SLOT] for i in range(BATCH)]
        self._starts = [at["slots"] + i * _SLOT_STRIDE for i in range(BATCH)]
        self._replies = [view[at["replies"] + i * _REPLY_STRIDE :][:_REPLY] for i in range(BATCH)]
        self._reply_addresses = [base + at["replies"] + i * _REPLY_STRIDE for i in range(BATCH)]
        self._name_views = [view[at["names"] + i * _NAME :][:name_length] for i in range(BATCH)]
        first, last = (8, 24) if self._socket.family == socket.AF_INET6 else (4, 8)
        self._hosts = [name[first:last] for name in self._name_views]
        self._info_views = [view[at["controls"] + i * _CONTROL :][:_CONTROL] for i in range(BATCH)]
        if self.fast is not None and self.memo is None:
            for i, at_reply in enumerate(self._reply_addresses):
                self._ids[i] = at_reply
                self._parts[i] = at_reply + 2
        self._laid_out = True

    def doRead(self) -> None:
        """Answer what has arrived: batches of 64, up to ``limits.turn`` datagrams."""
        assert _CALLS is not None
        receive = _CALLS[0]
        few = False
        if self._crowded:
            # whoever else waits for this processor may as well go first: more is here afterwards
            os.sched_yield()
            self._crowded = False
        for _ in range(self.limits.turn // BATCH):
            if self._socket is None or not self._reading:
                return
            gathered = few and self._gather()
            if self._wildcard:
                self._controls_got[:] = self._controls_full
            count = receive(self._socket.fileno(), self._receive_at, BATCH, _MSG_DONTWAIT, None)
            if gathered:
                self._patience = 0 if count >= _WORTH else min(2 * self._patience + 1, _IMPATIENT)
                self._wait = self._patience
            if count < 0:
                # EAGAIN: all is read. Anything else is an error of an earlier datagram's way, and is over now.
                if ctypes.get_errno() in (errno.EAGAIN, errno.EINTR):
                    return
                continue
            self.received += count
            self._answer_batch(count)
            few = _ALONE < count < _ENOUGH
            self._crowded = self._crowded or count > _ALONE

    def _gather(self) -> bool:
        """Let a few more datagrams arrive, unless that was of no use of late; whether we waited."""
        if self._wait:
            self._wait -= 1
            return False
        sleep(_MOMENT)
        return True

    def _answer_batch(self, count: int) -> None:
        if self.fast is not None and self.memo is None:
            return self._answer_fast(count, self.fast)
        sizes = self._sizes[:count].tolist()
        block = self._block
        queries = [block[start + 2 : start + size] for start, size in zip(self._starts, sizes)]  # noqa: B905
        answers = self.promptly(queries, self._hosts) if self.prompt is not None else self._no_answers[:count]
        if not all(answers):
            return self._answer_singly(sizes, queries, answers)
        # The kernel takes prompt answers from where they lie: `answers` holds them until they are sent.
        self._lengths[:count] = memoryview(array("Q", map(len, cast("Sequence[bytes]", answers))))
        self._parts[:count] = memoryview(array("Q", [id(answer) + _PAYLOAD for answer in answers]))
        if self._socket is not None:
            if self._wildcard:
                self._forget_interfaces(count)
            self._send(self._socket.fileno(), count)
        return None

    def _answer_singly(self, sizes: list[int], queries: list[bytes], answers: Sequence[bytes | None]) -> None:
        """The same where some answers come from elsewhere, later, or not at all."""
        memo = self.memo
        get, tally = (_nothing, _NO_TALLY) if memo is None else (memo.get, memo.tally)
        parts, lengths, ids, addresses = self._parts, self._lengths, self._ids, self._reply_addresses
        ready = 0
        moved = False
        now = -1.0
        for i, (query, answer) in enumerate(zip(queries, answers, strict=True)):
            own = None
            if answer:
                parts[ready], lengths[ready] = id(answer) + _PAYLOAD, len(answer)
            elif answer is not None:
                moved = True
                continue
            elif (hit := get(query)) is not None:
                parts[ready], lengths[ready], kind = hit
                tally[kind] += 1
            else:
                if now < 0:
                    now = self.reactor.seconds()
                out = self._ask_slot(i, sizes[i], now)
                moved = True
                if out is None:
                    continue
                self._replies[i][: len(out)] = out
                own = addresses[i]
                parts[ready], lengths[ready] = own + 2, len(out) - 2
            if moved:
                ids[ready] = self._ids_kept[i] if own is None else own
                self._names[ready] = self._names_kept[i]
                self._infos[ready] = self._infos_kept[i]
            ready += 1
        if ready and self._socket is not None:
            if self._wildcard:
                self._forget_interfaces(len(sizes))
            self._send(self._socket.fileno(), ready)
        if moved:
            self._names[:] = self._names_kept
            self._infos[:] = self._infos_kept
            self._ids[:] = self._ids_kept

    def _answer_fast(self, count: int, fast: Fast) -> None:
        """The same where ``fast`` takes the place of a memo: answers leave from the places where they are written."""
        ready = 0
        moved = False
        slots, names, replies, lengths = self._slots, self._name_views, self._replies, self._lengths
        for i, size in enumerate(self._sizes[:count].tolist()):
            try:
                out = fast(slots[i][:size].tobytes(), names[i].tobytes()) if size <= _SLOT else None
            except Exception:
                self.report("answering a datagram from {peer} failed", _peer(names[i].tobytes()))
                out = None
                size = 0
            if (out is None or not 3 <= len(out) <= _REPLY) and size:
                out = self._ask_slot(i, size, self.reactor.seconds())
            if out is None:
                moved = True
                continue
            length = len(out)
            replies[ready][:length] = out
            lengths[ready] = length - 2
            if moved:
                self._names[ready] = self._names_kept[i]
                self._infos[ready] = self._infos_kept[i]
            ready += 1
        if ready and self._socket is not None:
            if self._wildcard:
                self._forget_interfaces(count)
            self._send(self._socket.fileno(), ready)
        if moved:
            self._names[:] = self._names_kept
            self._infos[:] = self._infos_kept

    def _ask_slot(self, i: int, size: int, now: float) -> bytes | None:
        """The application's answer to what lies in a slot, if it can travel with the batch; others leave alone."""
        data = self._slots[i][:size].tobytes()
        peer = _peer(self._name_views[i].tobytes())
        control = self._info(i) if self._wildcard else []
        out = self.ask(data, peer, control, now)
        if out is None or 3 <= len(out) <= _REPLY:
            return out
        self.transmit(out, peer, control)
        return None

    def _info(self, i: int) -> list[tuple[int, int, bytes]]:
        """The packet information that came with a datagram (one control message at most is asked for)."""
        if not self._controls_got[i]:
            return []
        size, level, kind = struct.unpack_from("@Qii", self._info_views[i])
        return [(level, kind, self._info_views[i][16:size].tobytes())]

    def _forget_interfaces(self, count: int) -> None:
        """Let answers leave by any interface; a link-local IPv6 address needs the one it came by."""
        assert self._socket is not None
        if self._socket.family == socket.AF_INET:
            for info in self._info_views[:count]:
                info[16:20] = b"\0\0\0\0"
        else:
            for info in self._info_views[:count]:
                if info[16] != 0xFE:
                    info[32:36] = b"\0\0\0\0"

    def _send(self, descriptor: int, count: int) -> None:
        """Send the first datagrams of the batch; one that the kernel refuses does not stop the others."""
        assert _CALLS is not None
        send = _CALLS[1]
        start = 0
        if self._late:
            return self._keep(0, count)
        while start < count:
            done = send(descriptor, self._send_at + start * _HEADER, count - start, _MSG_DONTWAIT)
            if done > 0:
                start += done
                self.sent += done
                continue
            error = ctypes.get_errno()
            if error in _WOULD_BLOCK:
                return self._keep(start, count)
            if error != errno.EINTR:
                self.dropped += 1
                start += 1
        return None

    def _keep(self, start: int, count: int) -> None:
        """Copy what the kernel did not take, to be sent when it takes more."""
        for k in range(start, count):
            if len(self._late) >= self.limits.late:
                self.dropped += count - k
                break
            i = (self._names[k] - self._names_kept[0]) // _NAME
            data = ctypes.string_at(self._ids[k], 2) + ctypes.string_at(self._parts[k], self._lengths[k])
            peer = _peer(self._name_views[i].tobytes())
            self._late.append((data, peer, _reply_control(self._info(i)) if self._wildcard else []))
        self.reactor.addWriter(self)


_NO_TALLY: Final[list[int]] = []


def _nothing(_: bytes) -> None:
    return None


def _peer(raw: bytes) -> Any:
    """An address as the socket module writes it, from the kernel's bytes."""
    port = int.from_bytes(raw[2:4], "big")
    if len(raw) == 16:
        return socket.inet_ntop(socket.AF_INET, raw[4:8]), port
    flow = int.from_bytes(raw[4:8], "big")
    return socket.inet_ntop(socket.AF_INET6, raw[8:24]), port, flow, int.from_bytes(raw[24:28], sys.byteorder)
