"""Bytes a second: whatever the pieces in which a body comes, a client gets it at its rate from the beginning."""

from __future__ import annotations

import os

import pytest
from twisted.internet.task import Clock

from netsuite.common.filespan import FileSpan
from netsuite.common.job import run
from netsuite.http.cache.content import Joined
from netsuite.http.proxy.bodies import FileSource
from netsuite.http.proxy.limits import Limits
from tests.memoryfiles import memory_file

BODY = os.urandom(1 << 20) + b"end"
RATE = 100_000


def of_a_file():
    return FileSource(FileSpan(memory_file(BODY), 0, len(BODY)))


def of_bytes():
    return Joined([BODY])


def of_small_ones():
    return Joined([BODY[at : at + 1000] for at in range(0, len(BODY), 1000)])


@pytest.mark.parametrize("source", [of_a_file, of_bytes, of_small_ones])
def test_a_body_passes_at_its_rate(source):
    clock = Clock()
    paced = Limits(clock, requests=0, burst=0, concurrent=0, bytes_per_second=RATE).paced("client", source())
    pieces, ends, problems = [], [], []
    take = pieces.append

    async def read():
        async for piece in paced:
            take(bytes(piece))
        await paced.aclose()

    run(read(), ends.append, problems.append)
    while not ends and clock.seconds() < 60:
        due = clock.seconds() * RATE
        got = sum(map(len, pieces))
        assert due - 1000 <= got + 16 * 1024
        assert got <= due + RATE / 2 + 16 * 1024
        clock.advance(0.01)
    assert not problems
    assert b"".join(pieces) == BODY
    assert max(map(len, pieces)) <= 16 * 1024
    assert abs(clock.seconds() - (len(BODY) / RATE - 0.5)) < 0.2


def test_spans_stay_spans():
    """What the kernel can send is not read for being cut."""
    paced = Limits(Clock(), requests=0, burst=0, concurrent=0, bytes_per_second=1 << 30).paced("client", of_a_file())
    ends = []

    async def read():
        return {type(piece) async for piece in paced}

    run(read(), ends.append, ends.append)
    assert ends == [{FileSpan}]
