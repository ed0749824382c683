"""No-Vary-Search: which queries of one path get the same response, and where such a response is stored.

A response says which parameters of the query do not matter, or whether their order does. Whoever asks for another query
that is equivalent by this rule may get it. The index finds it without a search: by path, the few rules that responses
of this path had lately; by path, rule and normal form of a query, the target that was stored.

Implements: draft-ietf-httpbis-no-vary-search-10 sections 3 to 6 (RFC to be)
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

from netsuite.sansio.structured import InnerList, Item, Member, parse_dictionary

__all__ = ["SearchIndex", "Variance", "variance_of"]

_RULES_OF_A_PATH: Final = 4
_TARGETS_THAT_MEAN_THE_SAME: Final = 4
_LONGEST_QUERY: Final = 2048


class Variance(NamedTuple):
    """What of a query matters: with ``ignored`` None only the parameters ``kept``, else all but those ``ignored``."""

    ordered: bool
    ignored: frozenset[str] | None
    kept: frozenset[str]

    def normal(self, query: bytes) -> tuple[tuple[str, str], ...]:
        """What matters of a query (without its question mark), the same for all that are equivalent."""
        if self.ignored is None:
            pairs = [pair for pair in _parameters(query) if pair[0] in self.kept]
        else:
            pairs = [pair for pair in _parameters(query) if pair[0] not in self.ignored]
        if not self.ordered:
            # by code units of the name alone, and stable: values of one name keep their order
            pairs.sort(key=lambda pair: pair[0].encode("utf-16-be"))
        return tuple(pairs)


def _text(encoded: bytes) -> str:
    return unquote_to_bytes(encoded.replace(b"+", b" ")).decode("utf-8", "replace")


@lru_cache(maxsize=64)
def _parameters(query: bytes) -> tuple[tuple[str, str], ...]:
    """A query as application/x-www-form-urlencoded."""
    found = []
    for part in query.split(b"&"):
        if part:
            name, _, value = part.partition(b"=")
            found.append((_text(name), _text(value)))
    return tuple(found)


def variance_of(lines: Sequence[bytes]) -> Variance | None:
    """The rule of No-Vary-Search; None if every difference matters, or if the field is not valid."""
    return _variance(b", ".join(lines)) if lines else None


@lru_cache(maxsize=256)
def _variance(value: bytes) -> Variance | None:
    members = parse_dictionary(value)
    if not members:
        return None
    order, params, exception = (members.get(name) for name in ("key-order", "params", "except"))
    free_order = False
    if order is not None:
        if not isinstance(order, Item) or not isinstance(order.value, bool):
            return None
        free_order = order.value
    ignored: frozenset[str] | None = frozenset()
    if isinstance(params, InnerList):
        ignored = _names(params)
        if ignored is None:
            return None
    elif params is not None:
        if not isinstance(params.value, bool):
            return None
        ignored = None if params.value else frozenset()
    kept: frozenset[str] | None = frozenset()
    if exception is not None:
        kept = _names(exception) if ignored is None else None
        if kept is None:
            return None
    if not free_order and ignored is not None and not ignored:
        return None
    return Variance(not free_order, ignored, kept or frozenset())


def _names(member: Member) -> frozenset[str] | None:
    """The strings of an inner list; None if it is none, or holds anything else."""
    if not isinstance(member, InnerList) or any(type(each.value) is not str for each in member.items):
        return None
    return frozenset(_text(str(each.value).encode("ascii")) for each in member.items)


class SearchIndex:
    """Targets that are stored under one query and good for others; at most ``limit`` such queries are remembered.

    It only proposes: whoever asks looks whether the target is still stored, and by the same rule. ``used`` is false as
    long as there is nothing to propose.
    """

    __slots__ = ("_limit", "_rules", "_targets", "used")

    def __init__(self, limit: int = 16384) -> None:
        self._limit = limit
        self.used = False
        self._rules: OrderedDict[bytes, tuple[Variance, ...]] = OrderedDict()
        self._targets: OrderedDict[int, tuple[bytes, ...]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._targets)

    def add(self, key: bytes, rule: Variance) -> None:
        """A response for a target was stored that has a rule."""
        path, _, query = key.partition(b"?")
        if len(query) > _LONGEST_QUERY:
            return
        self.used = True
        others = [each for each in self._rules.pop(path, ()) if each != rule]
        self._rules[path] = (rule, *others)[:_RULES_OF_A_PATH]
        mark = hash((path, rule, rule.normal(query)))
        others_like_it = [each for each in self._targets.pop(mark, ()) if each != key]
        self._targets[mark] = (key, *others_like_it)[:_TARGETS_THAT_MEAN_THE_SAME]
        if len(self._targets) > self._limit:
            self._targets.popitem(last=False)
        if len(self._rules) > self._limit:
            self._rules.popitem(last=False)

    def equivalent(self, key: bytes) -> list[tuple[bytes, Variance]]:
        """Other targets whose responses may be good for this one, each with the rule by which."""
        path, _, query = key.partition(b"?")
        rules = self._rules.get(path)
        if rules is None or len(query) > _LONGEST_QUERY:
            return []
        found = []
        for rule in rules:
            normal = rule.normal(query)
            for other in self._targets.get(hash((path, rule, normal)), ()):
                its_path, _, its_query = other.partition(b"?")
                # the mark is only a hash: what it leads to must be equal in truth
                if other != key and its_path == path and rule.normal(its_query) == normal:
                    found.append((other, rule))
        return found
