"""Where a store's records and messages are kept: the contract, and the twin that keeps them in memory."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Iterable, Sequence
from typing import Any, Protocol

from twisted.internet.defer import Deferred, succeed

from netsuite.mail.store.model import Model, Place

__all__ = ["Log", "MemoryLog"]


class Log(Protocol):
    """Keeps records in order."""

    def open(self, now: int) -> Model:
        """The state that all records make; blocks. A new log begins with the epoch, the time ``now``.

        Raises StartError.
        """

    def write(self, head: Sequence[Any], body: bytes = b"") -> Deferred[tuple[int, Place]]:
        """Keep a record: its number and its body's place once it is durable, in order.

        Fails with StorageFull or JournalBroken.
        """

    def put(self, data: bytes) -> Awaitable[str] | None:
        """Keep a big message apart, before its record: its name once durable. None if it belongs into the record."""

    def withdraw(self, name: str) -> None:
        """What was put apart is not needed, for its record has failed."""

    def read(self, place: Place, start: int, length: int) -> bytes | Awaitable[bytes]:
        """A piece of a message."""

    def dropped(self, blobs: Iterable[tuple[int, Place]]) -> None:
        """Nobody refers to these messages any more."""

    def tidy(self, model: Model) -> None:
        """Records were applied: clean up, if it is time."""

    @property
    def trouble(self) -> str | None:
        """Why nothing more can be kept, if so."""

    async def close(self, model: Model) -> None:
        """Finish what is under way, and close."""


class MemoryLog:
    """Durable at once, for as long as it lives: a store that is opened on it anew finds everything."""

    def __init__(self) -> None:
        self._records: list[str] = []
        self._bodies: dict[int, bytes] = {}

    def open(self, now: int) -> Model:
        """Apply all there is."""
        model = Model()
        if not self._records:
            self._records.append(json.dumps(["epoch", now]))
        for number, head in enumerate(self._records, 1):
            model.replay(number, json.loads(head), (number, 0))
        model.dropped.clear()
        return model

    def write(self, head: Sequence[Any], body: bytes = b"") -> Deferred[tuple[int, Place]]:
        """Keep it, at once."""
        self._records.append(json.dumps(head))
        number = len(self._records)
        if body:
            self._bodies[number] = body
        return succeed((number, (number, 0)))

    def put(self, data: bytes) -> None:
        """Every message belongs into its record."""

    def withdraw(self, name: str) -> None:
        """Nothing was put apart."""

    def read(self, place: Place, start: int, length: int) -> bytes:
        """A piece of a message."""
        assert not isinstance(place, str)
        return self._bodies.get(place[0], b"")[start : start + length]

    def dropped(self, blobs: Iterable[tuple[int, Place]]) -> None:
        """Forget their bytes."""
        for number, _ in blobs:
            self._bodies.pop(number, None)

    def tidy(self, model: Model) -> None:
        """There is nothing to clean up."""

    @property
    def trouble(self) -> str | None:
        """Memory gives none."""
        return None

    async def close(self, model: Model) -> None:
        """Nothing is under way."""
