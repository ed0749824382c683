"""Host names, and names with a star for everything below them, as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, TypeVar

__all__ = ["HostTable", "host_of"]

T = TypeVar("T")


def host_of(authority: bytes) -> bytes:
    """The host of an authority, without its port and a last dot, in lower case."""
    host, colon, port = authority.lower().rpartition(b":")
    if not colon or (port and not port.isdigit()):
        host = authority.lower()
    return host.removesuffix(b".")


class HostTable(Generic[T]):
    """Values by host name; ``*.example.test`` stands for every name below ``example.test``, the longest one wins."""

    def __init__(self, values: Mapping[str, T]) -> None:
        self._exact: dict[bytes, T] = {}
        self._below: dict[bytes, T] = {}
        for name, value in values.items():
            key = host_of(name.encode("idna") if not name.isascii() else name.encode())
            if key.startswith(b"*."):
                self._below[key[2:]] = value
            else:
                self._exact[key] = value

    def __bool__(self) -> bool:
        return bool(self._exact or self._below)

    def find(self, authority: bytes) -> T | None:
        """The value for the host of an authority, or None."""
        host = host_of(authority)
        found = self._exact.get(host)
        if found is not None or not self._below:
            return found
        while host:
            host = host.partition(b".")[2]
            if host in self._below:
                return self._below[host]
        return None
