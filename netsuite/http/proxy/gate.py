"""The gate of the proxy: who asks, whether the rules let that pass, and how much of it.

Every request is judged by itself, before the cache is looked at: what one client may have and has brought into the
store is not thereby given to another. A proxy follows no redirect, so where one leads is judged when the client asks.

Where a rule speaks of networks and a request names a host, the addresses that were judged are those that are connected
to: a name that leads elsewhere a moment later leads nobody there.

Passwords are taken under TLS, and in clear from this machine only. They are checked by the site's identities, in their
threads; what was right a moment ago is recognised for a short time without. Nothing of them is passed on or logged.

Implements: RFC 9110 sections 11.7.1, 11.7.2 and 15.5.8; RFC 7617; RFC 6585 section 4
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, tzinfo
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from netsuite.common.access import is_loopback
from netsuite.common.commons import Commons
from netsuite.common.errors import Unavailable
from netsuite.common.identity.errors import Throttled
from netsuite.common.passing import Counted
from netsuite.http.cache.content import Joined
from netsuite.http.cache.stored import Field
from netsuite.http.proxy.hosts import canonical
from netsuite.http.proxy.limits import Limits, counted_as
from netsuite.http.proxy.rules import Action, Asked, RuleBook, RuleText, Verdict
from netsuite.http.proxy.settings import ProxySettings
from netsuite.http.proxy.targets import split_authority
from netsuite.http.proxy.troubles import Forbidden
from netsuite.http.wire.credentials import basic_challenge, read_basic
from netsuite.http.wire.messages import Request, Response
from netsuite.interfaces import LookupFailed
from netsuite.sansio.connection import Channel

__all__ = ["Admitted", "Gate", "TurnedAway"]

_PORTS: Final = {"http": 80, "https": 443}
_REMEMBERED: Final = 30.0
_MOST: Final = 8192
_CHALLENGE: Final = (b"proxy-authenticate", basic_challenge("netsuite"))


class TurnedAway(NamedTuple):
    """A request that does not pass: the status, what to tell the client, and fields for the answer."""

    status: int
    detail: str
    headers: Sequence[Field] = ()


class Admitted:
    """A request that passes; :meth:`leave` is called once, when its answer is over.

    ``addresses`` are those that the host may be connected by, where the rules depended on them; ``user`` is a canonical
    name or None.
    """

    __slots__ = ("_key", "_left", "_limits", "addresses", "user")

    def __init__(self, user: str | None, addresses: Sequence[str], limits: Limits | None, key: str) -> None:
        self.user = user
        self.addresses = tuple(addresses)
        self._limits = limits
        self._key = key
        self._left = limits is None

    def paced(self, source: Any) -> Any:
        """A body, as fast as this client may have it."""
        return source if self._limits is None else self._limits.paced(self._key, source)

    @property
    def paces(self) -> bool:
        """Whether this client may have so many bytes a second and no more."""
        return self._limits is not None and self._limits.paces

    def until_left(self, response: Response) -> Response:
        """The response, whose end is the end of the client's use of the proxy."""
        if response.source is None and response.body and self.paces:
            body, response.body = response.body, b""
            if not any(name == b"content-length" for name, _ in response.headers):
                response.headers = [*response.headers, (b"content-length", b"%d" % len(body))]
            response.source = Joined([body])
        if response.source is None:
            self.leave()
        else:
            response.source = Counted(self.paced(response.source), lambda _: self.leave())
        return response

    def leave(self) -> None:
        """The answer is over."""
        if not self._left and self._limits is not None:
            self._left = True
            self._limits.leave(self._key)


class Gate:
    """See the module's docstring.

    ``resolve`` finds the addresses that a host may be connected by; ``zone`` is that of the rules' times, the
    machine's own if it is None. ``challenges`` and ``refusals`` count.
    """

    def __init__(
        self,
        settings: ProxySettings,
        commons: Commons,
        resolve: Callable[[str], Awaitable[list[str]]],
        zone: tzinfo | None = None,
    ) -> None:
        self._identity = commons.identity
        self._seconds = commons.clock.seconds
        self._resolve = resolve
        self._zone = zone
        self._users = settings.users
        self._book = RuleBook(
            (self._text(rule, number) for number, rule in enumerate(settings.rule)), otherwise=settings.otherwise
        )
        self._identifies = bool(self._users) or self._book.knows_users
        limits = settings.limits
        limited = limits.requests or limits.concurrent or limits.bytes_per_second
        self._limits = (
            Limits(
                commons.clock,
                requests=limits.requests,
                burst=limits.burst,
                concurrent=limits.concurrent,
                bytes_per_second=limits.bytes_per_second,
            )
            if limited
            else None
        )
        self._key = commons.rng.randbytes(32)
        self._right: OrderedDict[bytes, tuple[str, float]] = OrderedDict()
        self._minute = (-1, 0)
        self.challenges = self.refusals = 0

    @classmethod
    def of(
        cls, settings: ProxySettings, commons: Commons, resolve: Callable[[str], Awaitable[list[str]]]
    ) -> Gate | None:
        """The gate that the settings ask for; None if all may pass."""
        limits = settings.limits
        if settings.users or settings.rule or settings.otherwise == "deny" or any(limits.model_dump().values()):
            return cls(settings, commons, resolve)
        return None

    @property
    def by_message_alone(self) -> bool:
        """Whether what was let pass once may be answered by the same bytes again without asking here."""
        return not self._identifies and self._limits is None and self._book.by_message_alone

    def open(self) -> None:
        """Open the users' database, where it is needed; raises StartError."""
        if self._identifies:
            self._identity.open()

    async def admit(self, request: Request, channel: Channel) -> Admitted | TurnedAway:
        """Whether a request passes."""
        user = None
        if self._identifies:
            found = await self._identified(request, channel)
            if isinstance(found, TurnedAway):
                return found
            user = found
        split = split_authority(request.authority, _PORTS.get(request.scheme, 0))
        if split is None:
            return TurnedAway(400, "The target's port is none.")
        asked = Asked(
            channel.peer[0],
            user,
            request.method,
            canonical(split[0]),
            split[1],
            None if request.method == b"CONNECT" else request.path,
            self._minute_of_week(),
        )
        verdict = self._book.judge(asked)
        addresses: Sequence[str] = ()
        if verdict.action is Action.RESOLVE:
            try:
                addresses = await self._resolve(split[0])
            except Forbidden as forbidden:
                return self._denied(str(forbidden), b"destination_ip_prohibited")
            except LookupFailed as failed:
                return _unknown(str(failed))
            if not addresses:
                # without one to judge by, another might be found a moment later
                return _unknown(f"{split[0]} has no address")
            verdict = self._book.judge(asked, addresses)
        return self._ruled(verdict, user, addresses, channel)

    def _ruled(
        self, verdict: Verdict, user: str | None, addresses: Sequence[str], channel: Channel
    ) -> Admitted | TurnedAway:
        if verdict.action is Action.AUTHENTICATE:
            return self._challenge(channel)
        if verdict.action is Action.DENY:
            by = f"the rule {verdict.rule}" if verdict.rule else "what is not allowed is refused"
            return self._denied(f"Not allowed here: {by}")
        key = user or counted_as(channel.peer[0])
        if self._limits is not None:
            wait = self._limits.enter(key)
            if wait:
                self.refusals += 1
                return TurnedAway(429, "Too many requests.", [_retry(wait)])
        return Admitted(user, addresses, self._limits, key)

    def _denied(self, why: str, error: bytes = b"http_request_denied") -> TurnedAway:
        self.refusals += 1
        return TurnedAway(403, f"{why}.", [(b"proxy-status", b"netsuite; error=" + error)])

    # -- who it is

    async def _identified(self, request: Request, channel: Channel) -> str | TurnedAway | None:
        """The user, None for nobody where that may do, or the answer to who is not let in."""
        given = request.header(b"proxy-authorization")
        peer = channel.peer[0]
        if given is None:
            wanted = self._users is True or (self._users and not is_loopback(peer))
            return self._challenge(channel) if wanted else None
        if not _private(channel):
            return self._challenge(channel)
        now = self._seconds()
        mark = blake2b(b"%b\0%b" % (peer.encode(), given), key=self._key, digest_size=16).digest()
        known = self._right.get(mark)
        if known is not None and now < known[1]:
            return known[0]
        credentials = read_basic(given)
        if credentials is None:
            return self._challenge(channel)
        try:
            user = await self._identity.verify(*credentials, peer, "proxy")
        except Throttled as throttled:
            self.refusals += 1
            return TurnedAway(429, "Too many wrong passwords.", [_retry(throttled.retry_after)])
        except Unavailable:
            return TurnedAway(503, "Passwords cannot be checked now.", [_retry(1)])
        if user is None:
            return self._challenge(channel)
        self._right.pop(mark, None)
        self._right[mark] = user, now + _REMEMBERED
        if len(self._right) > _MOST:
            self._right.popitem(last=False)
        return user

    def _challenge(self, channel: Channel) -> TurnedAway:
        """Ask who it is, where a password may be told."""
        self.challenges += 1
        if not _private(channel):
            return TurnedAway(403, "Passwords are taken under TLS only: ask this proxy by https.")
        return TurnedAway(407, "This proxy wants to know who you are.", [_CHALLENGE])

    def _text(self, rule: Any, number: int) -> RuleText:
        """A rule of the settings, its users by their canonical names."""
        users = [name if name == "*" else self._identity.canonical(name) for name in rule.users]
        fields = rule.model_dump() | {"name": rule.name or f"proxy.rule[{number}]", "users": users}
        return RuleText(**fields)

    def _minute_of_week(self) -> int:
        now = int(self._seconds()) // 60
        if now != self._minute[0]:
            local = datetime.fromtimestamp(now * 60, self._zone)
            self._minute = now, local.weekday() * 1440 + local.hour * 60 + local.minute
        return self._minute[1]


def _private(channel: Channel) -> bool:
    """Whether nobody on the way can hear a password."""
    return channel.tls is not None or is_loopback(channel.peer[0])


def _unknown(why: str) -> TurnedAway:
    return TurnedAway(502, f"{why}.", [(b"proxy-status", b"netsuite; error=dns_error")])


def _retry(seconds: float) -> Field:
    return b"retry-after", b"%d" % max(1, math.ceil(seconds))
