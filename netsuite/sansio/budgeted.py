"""What all maps with a budget of bytes have in common, whatever they choose to forget.

There are :class:`~netsuite.sansio.lru.Lru`, :class:`~netsuite.sansio.sieve.Sieve`, :class:`~netsuite.sansio.gdsf.Gdsf`
and :class:`~netsuite.sansio.s3fifo.S3Fifo`; each may stand in for another.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol, TypeVar

__all__ = ["BudgetedMap"]

K = TypeVar("K", bound=Hashable, contravariant=True)
V = TypeVar("V")


class BudgetedMap(Protocol[K, V]):
    """A map whose entries' sizes never sum to more than ``budget`` bytes; ``bytes`` is what they sum to now.

    ``on_evict(key, value)``, an optional argument of every constructor, is told what was forgotten for want of room,
    ``evictions`` counts that; what was replaced or discarded is no eviction.
    """

    budget: int
    bytes: int
    evictions: int

    def __len__(self) -> int: ...

    def __contains__(self, key: object) -> bool: ...

    def get(self, key: K) -> V | None:
        """The value of a key, which is used thereby."""

    def touch(self, key: K, times: int = 1) -> bool:
        """Use a key as often as this; False if it is not there."""

    def put(self, key: K, value: V, size: int) -> bool:
        """Hold a value, forgetting others for it; False if it is larger than the whole budget (and not held)."""

    def discard(self, key: K) -> bool:
        """Drop a key; False if it was not there."""
