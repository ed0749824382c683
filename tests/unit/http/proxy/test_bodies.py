"""Where complete bodies lie in memory, and that nobody can tell by what they get."""

from __future__ import annotations

import random

import pytest

from netsuite.common.filespan import FileSpan
from netsuite.common.job import run
from netsuite.http.cache.content import InMemory, Joined
from netsuite.http.proxy.bodies import InArena, Keeper

BODY = random.Random(1).randbytes(700_000)


@pytest.fixture
def keeper():
    return Keeper(256 << 20)


def whole(piece):
    found = []

    async def read():
        found.extend([bytes(chunk) async for chunk in Joined([piece])])

    run(read(), lambda _: None, pytest.fail)
    return b"".join(found)


def test_short_bodies_are_bytes_and_so_are_all_where_there_is_little_memory(keeper):
    assert type(keeper.keep(BODY[:65_535])) is InMemory
    assert type(keeper.keep(BODY[:65_536])) is InArena
    assert type(Keeper(32 << 20).keep(BODY)) is InMemory


def test_a_body_without_a_place_is_bytes(keeper, monkeypatch):
    def fails(body):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(keeper.arena, "lodge", fails)
    assert keeper.keep(BODY).at_hand() == BODY


@pytest.mark.parametrize(("first", "stop"), [(0, 700_000), (0, 1), (699_999, 700_000), (5, 262_149), (5, 262_150)])
def test_any_part_can_be_had(keeper, first, stop):
    assert whole(keeper.keep(BODY).piece(first, stop)) == BODY[first:stop]


def test_it_has_the_size_and_spans_of_its_body(keeper):
    content = keeper.keep(BODY)
    assert (content.size, content.cost, content.spans(), content.body) == (700_000, 700_000, ((0, 700_000),), None)
    found = content.at_hand()
    assert isinstance(found, FileSpan)
    assert bytes(found) == BODY
