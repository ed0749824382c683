"""Other servers, and who of them may do what: by address, by key, by name and type."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from ipaddress import ip_address
from typing import NamedTuple

import dns.rdatatype

from netsuite.common.access import Access, Rule
from netsuite.dns.wire.name import from_text, within

__all__ = ["Grant", "Permission", "Remote"]

_PORT = 53


class Remote(NamedTuple):
    """Another server: its address, and the name of the key that we share with it."""

    host: str
    port: int
    key: str | None

    @classmethod
    def parse(cls, text: str) -> Remote:
        """From ``HOST[:PORT][ key:NAME]``, the host an address; raises ValueError."""
        place, _, rest = text.strip().partition(" ")
        key = rest.strip()
        if key and not key.startswith("key:"):
            raise ValueError(f"{text!r}: what follows the address is key:NAME")
        host, port = place, ""
        if place.startswith("["):
            host, _, after = place[1:].partition("]")
            port = after.removeprefix(":")
        elif place.count(":") == 1:
            host, _, port = place.partition(":")
        try:
            ip_address(host.partition("%")[0])
            number = int(port) if port else _PORT
        except ValueError:
            raise ValueError(f"{text!r}: give an address, such as 192.0.2.1 or [2001:db8::1]:5353") from None
        if not 0 < number < 65536:
            raise ValueError(f"{text!r}: no port has number {number}")
        return cls(host, number, key[4:] or None)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Permission:
    """Whether somebody may, by key or by address. Made of ``key:NAME`` and networks."""

    __slots__ = ("_keys", "_rule")

    def __init__(self, texts: Sequence[str], access: Access) -> None:
        self._keys = frozenset(from_text(text[4:]).lower() for text in texts if text.startswith("key:"))
        networks = [text for text in texts if not text.startswith("key:")]
        self._rule: Rule | None = access.rule(networks) if networks else None

    def permits(self, host: str, key: bytes | None) -> bool:
        """``key`` is the name of the key that the request was signed with, if it was."""
        return (key is not None and key in self._keys) or (self._rule is not None and self._rule.permits(host))


class Grant:
    """What one key, or some addresses, may change."""

    __slots__ = ("_below", "_key", "_names", "_rule", "_types")

    def __init__(
        self, key: str | None, allow: Sequence[str], names: Iterable[str], types: Iterable[str], access: Access
    ) -> None:
        self._key = from_text(key).lower() if key is not None else None
        self._rule = access.rule(allow) if allow else None
        names = list(names)
        self._names = frozenset(from_text(name).lower() for name in names if not name.startswith("*."))
        self._below = tuple(from_text(name[2:]).lower() for name in names if name.startswith("*."))
        self._types = frozenset(int(dns.rdatatype.from_text(each)) for each in types)

    def to(self, host: str, key: bytes | None) -> Callable[[bytes, int], bool] | None:
        """What it lets somebody change, as ``permits(owner, type)``; None if it is not theirs."""
        if self._key is not None and key != self._key:
            return None
        if self._rule is not None and not self._rule.permits(host):
            return None
        return self._permits

    def _permits(self, owner: bytes, rdtype: int) -> bool:
        if self._types and rdtype not in self._types:
            return False
        if not self._names and not self._below:
            return True
        return owner in self._names or any(owner != name and within(owner, name) for name in self._below)
