"""What other ways of choosing, and other budgets, would have answered: shadow caches beside the real one.

Of all targets one in ``sample`` is looked at, chosen by a hash, and each shadow has its share of the budget: so it
meets the same mixture of the popular and the rare as the whole would (spatial sampling, as in SHARDS). A shadow holds
no content, only keys and sizes. What it counts as a request is what the store could have answered: uses, and responses
that came to be stored. A hit means that the response would have been there; whether it would have been fresh is another
matter, and the same for all of them. Purges are not followed.

Known weakness: responses larger than an eighth of the smallest shadow are left out, since one of them would stand for
too many; and where one target draws most of the requests, whether it is in the sample decides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from netsuite.http.cache.stored import StoredResponse
from netsuite.sansio.budgeted import BudgetedMap
from netsuite.sansio.gdsf import Gdsf
from netsuite.sansio.lru import Lru
from netsuite.sansio.s3fifo import S3Fifo
from netsuite.sansio.sieve import Sieve

__all__ = ["FACTORS", "POLICIES", "Shadows"]

POLICIES: Final[dict[str, Callable[..., BudgetedMap[Any, Any]]]] = {
    "gdsf": Gdsf,
    "s3-fifo": S3Fifo,
    "sieve": Sieve,
    "lru": Lru,
}
"""By the names that settings give them."""

FACTORS: Final = (0.5, 1.0, 2.0)
"""Budgets, as parts of the real one."""

_SHARE_OF_ONE: Final = 8


class _Shadow:
    """One policy at one size."""

    __slots__ = ("entries", "factor", "hit_bytes", "hits", "policy")

    def __init__(self, policy: str, factor: float, budget: int) -> None:
        self.policy = policy
        self.factor = factor
        self.entries = POLICIES[policy](budget)
        self.hits = 0
        self.hit_bytes = 0


class Shadows:
    """All policies at all sizes, of a store with this budget; one in ``sample`` targets is looked at.

    ``settle`` is called before anything is told, for uses that have been counted elsewhere.
    """

    def __init__(self, budget: int, sample: int, settle: Callable[[], object] = lambda: None) -> None:
        self.sample = sample
        self._settle = settle
        self.requests = 0
        self.bytes = 0
        self._largest = max(1, int(budget * FACTORS[0]) // sample // _SHARE_OF_ONE)
        self._shadows = [
            _Shadow(policy, factor, max(1, int(budget * factor) // sample)) for policy in POLICIES for factor in FACTORS
        ]

    def used(self, stored: StoredResponse, times: int) -> None:
        """A response was asked for as often as this."""
        mark = hash(stored.key)
        if mark % self.sample:
            return
        size = stored.cost
        if size > self._largest:
            return
        if stored.vary:
            mark = hash((mark, stored.selection))
        length = stored.content.size
        self.requests += times
        self.bytes += times * length
        for shadow in self._shadows:
            entries = shadow.entries
            hits = times
            if not entries.touch(mark, times):
                entries.put(mark, None, size)
                hits -= 1
                if hits:
                    entries.touch(mark, hits)
            shadow.hits += hits
            shadow.hit_bytes += hits * length

    def figures(self) -> list[tuple[str, float]]:
        """For the page of people: what each would answer with the budget that there is, in per cent."""
        self._settle()
        return [
            (f"shadow {shadow.policy}, hits in per cent", round(100 * shadow.hits / self.requests, 1))
            for shadow in self._shadows
            if shadow.factor == 1 and self.requests
        ]

    def requests_by_policy(self) -> dict[tuple[str, str, str], int]:
        """By policy, part of the budget, and ``hit`` or ``miss``."""
        self._settle()
        return self._by_policy([shadow.hits for shadow in self._shadows], self.requests)

    def bytes_by_policy(self) -> dict[tuple[str, str, str], int]:
        """By policy, part of the budget, and ``hit`` or ``miss``."""
        self._settle()
        return self._by_policy([shadow.hit_bytes for shadow in self._shadows], self.bytes)

    def _by_policy(self, hits: Sequence[int], total: int) -> dict[tuple[str, str, str], int]:
        found: dict[tuple[str, str, str], int] = {}
        for shadow, number in zip(self._shadows, hits, strict=True):
            found[shadow.policy, f"{shadow.factor:g}", "hit"] = number
            found[shadow.policy, f"{shadow.factor:g}", "miss"] = total - number
        return found

    def report(self) -> list[dict[str, Any]]:
        """A row for each policy and size: requests and bytes of the sample, and how many of these were hits."""
        self._settle()
        return [
            {
                "policy": shadow.policy,
                "factor": shadow.factor,
                "requests": self.requests,
                "bytes": self.bytes,
                "hits": shadow.hits,
                "hit_bytes": shadow.hit_bytes,
            }
            for shadow in self._shadows
        ]
