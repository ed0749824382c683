"""Which pool a request goes to: the longest matching host, then the longest matching path."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Generic, NamedTuple, TypeVar

__all__ = ["Route", "Routes"]

T = TypeVar("T")

_ANY: Final = b""


class Route(NamedTuple):
    """``host`` is a name, ``*.NAME`` or empty; what lies at or below ``path`` matches."""

    host: str
    path: str
    goal: Any


class Routes(Generic[T]):
    """An exact host is stronger than a wildcard, a longer wildcard than a shorter, and any of them than none.

    Where no path of the strongest host matches, the next host's are looked at.
    """

    __slots__ = ("_exact", "_wild")

    def __init__(self, routes: Iterable[Route]) -> None:
        self._exact: dict[bytes, list[tuple[bytes, bytes, T]]] = {}
        self._wild: dict[bytes, list[tuple[bytes, bytes, T]]] = {}
        for host, path, goal in routes:
            named = host.lower().encode()
            table, name = (self._wild, named[1:]) if named.startswith(b"*.") else (self._exact, named)
            prefix = path.encode().rstrip(b"/")
            table.setdefault(name, []).append((prefix, prefix + b"/", goal))
        for paths in (*self._exact.values(), *self._wild.values()):
            paths.sort(key=lambda each: len(each[0]), reverse=True)

    def find(self, authority: bytes, path: bytes) -> T | None:
        """The goal for a request, or None."""
        if len(self._exact) == 1 and not self._wild and _ANY in self._exact:
            return _below(self._exact[_ANY], path)
        host = _host(authority)
        paths = self._exact.get(host)
        if paths is not None and (goal := _below(paths, path)) is not None:
            return goal
        dot = host.find(b".")
        while dot >= 0 and self._wild:
            paths = self._wild.get(host[dot:])
            if paths is not None and (goal := _below(paths, path)) is not None:
                return goal
            dot = host.find(b".", dot + 1)
        return _below(self._exact.get(_ANY, ()), path)


def _below(paths: Iterable[tuple[bytes, bytes, T]], path: bytes) -> T | None:
    for exact, below, goal in paths:
        if path == exact or path.startswith(below) or (not exact and path == b"*"):
            return goal
    return None


def _host(authority: bytes) -> bytes:
    """The host of an authority, in lower case, without its port and without a root's dot."""
    host, colon, port = authority.lower().rpartition(b":")
    name = host if colon and (port.isdigit() or not port) and not host.endswith(b":") else authority.lower()
    return name.rstrip(b".")
