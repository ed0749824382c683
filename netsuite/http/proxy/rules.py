"""Access lists: who may ask for what, where and when; the first rule that fits decides.

Rules are compiled once. What a rule needs to know and the request does not tell (who the client is, where a name
leads) is asked for only when the decision depends on it: :meth:`RuleBook.judge` then answers AUTHENTICATE or RESOLVE.

Where there is room for doubt, a rule that denies fits more than a rule that allows: it denies if *any* address of a
name lies in its networks and if either form of a path fits, the one sent or the one with its escapes and dots worked
out; a rule that allows wants all addresses, and both forms.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

from netsuite.common.access import Rule as Peers
from netsuite.common.access import networks
from netsuite.common.errors import StartError
from netsuite.http.proxy.hosts import Ip, canonical, faces, literal

__all__ = ["ANYONE", "Action", "Asked", "BadRule", "RuleBook", "RuleText", "Verdict", "hours", "normal_path"]

WEEK: Final = 7 * 24 * 60
ANYONE: Final = "*"
"""As a rule's user: whoever has logged in."""

_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOURS: Final = re.compile(r"([0-2]?\d):([0-5]\d)-([0-2]?\d):([0-5]\d)")
_WORDS: Final = ("loopback", "private")


class BadRule(ValueError):
    """What a rule says cannot be meant; the text is one line."""


class Action(enum.Enum):
    """What becomes of a request."""

    ALLOW = "allow"
    DENY = "deny"
    AUTHENTICATE = "ask who it is, then judge again"
    RESOLVE = "find the addresses of the host, then judge again"


class Verdict(NamedTuple):
    """What to do, and the name of the rule that said so (empty where none did)."""

    action: Action
    rule: str


class Asked(NamedTuple):
    """What a request is to rules.

    ``host`` is in its canonical form; ``path`` is None for a tunnel, whose path nobody sees; ``minute`` is the minute
    of the week, from Monday's first on, in local time.
    """

    client: str
    user: str | None
    method: bytes
    host: str
    port: int
    path: bytes | None
    minute: int


class RuleText(NamedTuple):
    """A rule as it is written in the settings; an empty condition is none."""

    name: str
    action: str
    clients: Sequence[str] = ()
    users: Sequence[str] = ()
    methods: Sequence[str] = ()
    hosts: Sequence[str] = ()
    ports: Sequence[int | str] = ()
    paths: Sequence[str] = ()
    times: Sequence[str] = ()


class RuleBook:
    """Rules in order; ``otherwise`` is what happens to a request that none of them fits."""

    def __init__(self, texts: Iterable[RuleText], *, otherwise: str = "allow") -> None:
        self._rules = [_Rule(text) for text in texts]
        self._otherwise = Verdict(Action(otherwise), "")

    @property
    def knows_users(self) -> bool:
        """Whether a rule names users."""
        return any(rule.users for rule in self._rules)

    @property
    def by_message_alone(self) -> bool:
        """Whether the same message is judged the same whoever sends it, whenever."""
        return not any(rule.depends_on_more for rule in self._rules)

    def judge(self, asked: Asked, addresses: Sequence[str] | None = None) -> Verdict:
        """What becomes of a request; ``addresses`` are those of its host, where they are known."""
        for rule in self._rules:
            fit = rule.fits(asked, addresses)
            if fit is not None:
                return fit
        return self._otherwise


class _Rule:
    """One rule, compiled."""

    __slots__ = (
        "_ask",
        "_denies",
        "_hosts",
        "_methods",
        "_paths",
        "_peers",
        "_ports",
        "_resolve",
        "_times",
        "_verdict",
        "users",
    )

    def __init__(self, text: RuleText) -> None:
        self._verdict = Verdict(Action(text.action), text.name)
        self._ask = Verdict(Action.AUTHENTICATE, text.name)
        self._resolve = Verdict(Action.RESOLVE, text.name)
        self._denies = text.action == "deny"
        self._peers = Peers(text.clients) if text.clients else None
        self.users = frozenset(text.users)
        self._methods = frozenset(method.encode() for method in text.methods)
        self._hosts = _Hosts(text.hosts) if text.hosts else None
        self._ports = [_ports(each) for each in text.ports]
        self._paths = _paths(text.paths) if text.paths else None
        self._times = hours(text.times) if text.times else b""

    @property
    def depends_on_more(self) -> bool:
        """Whether it asks for the client, the user, the time, or addresses."""
        networks = self._hosts is not None and self._hosts.networks
        return bool(self._peers is not None or self.users or self._times or networks)

    def fits(self, asked: Asked, addresses: Sequence[str] | None) -> Verdict | None:
        """The rule's verdict, what it must know first, or None if it does not fit."""
        if self._methods and asked.method not in self._methods:
            return None
        if self._times and not self._times[asked.minute]:
            return None
        if self._peers is not None and not self._peers.permits(asked.client):
            return None
        if self._ports and not any(first <= asked.port <= last for first, last in self._ports):
            return None
        if self._paths is not None and not self._fits_path(asked.path):
            return None
        if self.users and asked.user is not None and asked.user not in self.users and ANYONE not in self.users:
            return None
        hosts = self._hosts
        if hosts is not None and not hosts.names(asked.host):
            if not hosts.networks:
                return None
            if addresses is None and literal(asked.host) is None:
                return self._resolve
            found = [asked.host] if addresses is None else addresses
            if not hosts.lead(found, every=not self._denies):
                return None
        if self.users and asked.user is None:
            return self._ask
        return self._verdict

    def _fits_path(self, path: bytes | None) -> bool:
        if path is None or self._paths is None:
            return False
        forms = self._paths.fullmatch(path), self._paths.fullmatch(normal_path(path))
        return any(forms) if self._denies else all(forms)


class _Hosts:
    """Names, suffixes of names and networks."""

    __slots__ = ("_all", "_exact", "_suffixes", "networks")

    def __init__(self, texts: Sequence[str]) -> None:
        self._all = ANYONE in texts
        self._exact: set[str] = set()
        self._suffixes: set[str] = set()
        self.networks: list[IPv4Network | IPv6Network] = []
        for text in texts:
            if text != ANYONE:
                self._add(text)

    def _add(self, text: str) -> None:
        try:
            if text in _WORDS or "/" in text or literal(text) is not None:
                self.networks += networks([text if text in _WORDS or "/" in text else canonical(text)])
                return
            name = canonical(text.removeprefix("."))
            if not name.isascii():
                name = name.encode("idna").decode()
        except StartError as error:
            raise BadRule(str(error)) from None
        except ValueError as error:
            raise BadRule(f"{text!r} is no host ({error})") from None
        if not re.fullmatch(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*", name):
            raise BadRule(f"{text!r} is no host: write a name, .suffix for all below it, an address or a network")
        (self._suffixes if text.startswith(".") else self._exact).add(name)

    def names(self, host: str) -> bool:
        """Whether the host is named, whatever its addresses."""
        if self._all or host in self._exact:
            return True
        if not self._suffixes:
            return False
        while host:
            if host in self._suffixes:
                return True
            host = host.partition(".")[2]
        return False

    def lead(self, addresses: Sequence[str], *, every: bool) -> bool:
        """Whether one of the addresses, or every one, lies in the networks."""
        found = [any(self._inside(face) for face in faces(address)) for address in addresses]
        return bool(found) and (all(found) if every else any(found))

    def _inside(self, address: Ip) -> bool:
        return any(address in network for network in self.networks)


def _ports(text: int | str) -> tuple[int, int]:
    """A port, or a range of ports."""
    first, dash, last = str(text).partition("-")
    try:
        ends = int(first), int(last) if dash else int(first)
    except ValueError:
        ends = (0, 0)
    if not 0 < ends[0] <= ends[1] < 65536:
        raise BadRule(f"{text!r} is neither a port nor a range of ports like 8000-8999")
    return ends


def _paths(texts: Sequence[str]) -> re.Pattern[bytes]:
    """Patterns in which ``*`` stands for anything."""
    for text in texts:
        if text[:1] not in ("/", "*"):
            raise BadRule(f"{text!r} is no path: it begins with / or *")
    options = [b".*".join(re.escape(part) for part in text.encode().split(b"*")) for text in texts]
    return re.compile(b"|".join(options), re.DOTALL)


def normal_path(path: bytes) -> bytes:
    """A path as most servers understand it: escapes decoded, no parameters, dots worked out, slashes not doubled."""
    plain = unquote_to_bytes(path).replace(b"\\", b"/")
    kept: list[bytes] = []
    segments = plain.split(b"/")
    for segment in segments:
        name = segment.partition(b";")[0]
        if name == b"..":
            if kept:
                kept.pop()
        elif name not in (b"", b"."):
            kept.append(name)
    folder = segments[-1].partition(b";")[0] in (b"", b".", b"..")
    return b"/" + b"/".join(kept) + (b"/" if folder and kept else b"")


def hours(texts: Iterable[str]) -> bytes:
    """The minutes of a week (1 where one is meant) that times such as ``mon-fri 08:00-18:00`` stand for.

    Days or hours may be left out; hours that end before they begin last into the next day.
    """
    week = bytearray(WEEK)
    for text in texts:
        *days, last = text.lower().split() or ["-"]
        found = _HOURS.fullmatch(last)
        if found is None:
            days, begin, length = [*days, last], 0, 24 * 60
        else:
            begin, end = int(found[1]) * 60 + int(found[2]), int(found[3]) * 60 + int(found[4])
            if begin >= 24 * 60 or end > 24 * 60:
                raise BadRule(f"{text!r}: a day ends at 24:00")
            length = (end - begin) % (24 * 60) or 24 * 60
        for day in _days(",".join(days), text):
            for minute in range(day * 1440 + begin, day * 1440 + begin + length):
                week[minute % WEEK] = 1
    return bytes(week)


def _days(words: str, text: str) -> list[int]:
    """Days of the week, 0 for Monday."""
    if not words:
        return list(range(7))
    found: list[int] = []
    for word in words.split(","):
        first, dash, last = word.partition("-")
        if first not in _DAYS or (dash and last not in _DAYS):
            raise BadRule(f'{text!r} is no time: write days and hours like "mon-fri 08:00-18:00"')
        begin = _DAYS.index(first)
        found += [(begin + more) % 7 for more in range(((_DAYS.index(last) - begin) % 7 if dash else 0) + 1)]
    return found
