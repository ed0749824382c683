"""Who may do what with which paths: the ``[[http.rule]]`` tables.

Of the rules whose path covers a request's and that name its method (or none), those with the longest path count, and
among these the ones that name the method; one of them must let the request pass, by the client's address and by its
user. What no rule covers is open, but for changes to files: these need a rule that names PUT or DELETE.

A path is compared segment by segment, decoded. While there are rules, paths that an application could take for others
(dot segments, empty ones, encoded slashes) do not exist. What may not be read by all is never kept ready for the next.

Passwords are taken by HTTP Basic, over TLS or from loopback only.

Implements: RFC 7617 section 2; RFC 9110 sections 11.6.1, 11.6.2, 15.5.2, 15.5.4; RFC 6585 section 4
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from types import CoroutineType
from typing import Any, Final, cast
from urllib.parse import unquote_to_bytes

from zope.interface import implementer

from netsuite.common.access import is_loopback
from netsuite.common.commons import Commons
from netsuite.common.errors import Unavailable
from netsuite.common.identity import Throttled
from netsuite.http.hosts import HostTable
from netsuite.http.origin.settings import RuleSettings
from netsuite.http.server import error_page
from netsuite.http.wire.credentials import Basic, basic_challenge, read_basic
from netsuite.interfaces import HttpAnswer, IHttpApplication, IHttpRequest

__all__ = ["Guarded", "IdentifiedRequest", "Permission"]

ANYBODY: Final = "*"
"""In a rule's users: every user of the site."""


class IdentifiedRequest:
    """A request whose sender has logged in: ``user`` is the canonical name."""

    def __init__(self, request: IHttpRequest, user: str) -> None:
        self._request = request
        self.user = user

    def __getattr__(self, name: str) -> Any:
        return getattr(self._request, name)


class _Rule:
    __slots__ = ("clients", "hosts", "methods", "names", "users")

    def __init__(self, commons: Commons, settings: RuleSettings) -> None:
        names = plain_names(settings.path.encode())
        self.names = [name for name in names or [] if name]
        self.methods = {method.upper().encode() for method in settings.methods}
        if b"GET" in self.methods:
            self.methods.add(b"HEAD")
        self.users = {user if user == ANYBODY else commons.identity.canonical(user) for user in settings.users}
        self.clients = commons.access.rule(settings.clients)
        self.hosts = HostTable(dict.fromkeys(settings.hosts, True))

    def lets(self, user: str) -> bool:
        return not self.users or ANYBODY in self.users or user in self.users


class Permission:
    """The rules of a server."""

    def __init__(self, commons: Commons, rules: Sequence[RuleSettings]) -> None:
        self._identity = commons.identity
        self._rules = [_Rule(commons, each) for each in rules]
        self.asks_for_users = any(rule.users for rule in self._rules)

    def __bool__(self) -> bool:
        return bool(self._rules)

    def covering(self, request: IHttpRequest, method: bytes) -> list[_Rule] | None:
        """The rules that decide about a method here; None for a path that must not exist."""
        names = [] if request.path == b"*" else plain_names(request.path)
        if names is None:
            return None
        found: list[_Rule] = []
        best = (-1, False)
        for rule in self._rules:
            length = len(rule.names)
            if names[:length] != rule.names or (rule.methods and method not in rule.methods):
                continue
            if rule.hosts and not rule.hosts.find(request.authority):
                continue
            rank = (length, bool(rule.methods))
            if rank > best:
                best, found = rank, []
            if rank == best:
                found.append(rule)
        return found

    def grants(self, request: IHttpRequest, method: bytes) -> bool:
        """Whether a rule names this method for this client; for one that has not logged in: for some user."""
        user = getattr(request, "user", None)
        return any(
            rule.methods and rule.clients.permits(request.peer[0]) and (user is None or rule.lets(user))
            for rule in self.covering(request, method) or ()
        )

    async def user(self, given: Basic, peer: str) -> str | HttpAnswer:
        """Who logs in with this, or the answer to who may not."""
        try:
            user = await self._identity.verify(given.name, given.password, peer, "http basic")
        except Throttled as throttled:
            status, fields, page = error_page(429, "Too many attempts failed. Try again later.")
            return status, [*fields, (b"retry-after", b"%d" % max(1, round(throttled.retry_after)))], page
        except Unavailable:
            return error_page(503, "Log-ins cannot be checked now.")
        return user if user is not None else self.challenge("Name or password is wrong.")

    def challenge(self, detail: str) -> HttpAnswer:
        """Ask for a name and a password."""
        status, fields, page = error_page(401, detail)
        return status, [*fields, (b"www-authenticate", basic_challenge(self._identity.domain))], page


@implementer(IHttpApplication)
class Guarded:
    """An application to which only those come who may."""

    def __init__(self, app: IHttpApplication, permission: Permission) -> None:
        self._app = app
        self._permission = permission

    def handle(self, request: IHttpRequest, body: AsyncIterator[bytes]) -> Any:
        """The application's answer, or a refusal."""
        permission = self._permission
        rules = permission.covering(request, request.method)
        if rules is None:
            return error_page(404)
        if not rules:
            return self._app.handle(request, body)
        peer = request.peer[0]
        rules = [rule for rule in rules if rule.clients.permits(peer)]
        if not rules:
            return error_page(403, "You may not do that from where you are.")
        if not all(rule.users for rule in rules):
            answer = self._app.handle(request, body)
            return _private(answer) if isinstance(answer, tuple) else _later(answer)
        if request.scheme != "https" and not is_loopback(peer):
            return error_page(403, "This needs a password, and passwords are only taken over HTTPS.")
        given = read_basic(request.header(b"authorization"))
        if given is None:
            return permission.challenge("Log in to do that.")
        return self._known(request, body, rules, given)

    async def _known(
        self, request: IHttpRequest, body: AsyncIterator[bytes], rules: list[_Rule], given: Basic
    ) -> HttpAnswer:
        user = await self._permission.user(given, request.peer[0])
        if not isinstance(user, str):
            return user
        if not any(rule.lets(user) for rule in rules):
            return error_page(403, "You may not do that.")
        answer = self._app.handle(cast(IHttpRequest, IdentifiedRequest(request, user)), body)
        return _private(await answer if isinstance(answer, CoroutineType) else answer)


async def _later(answer: Any) -> HttpAnswer:
    return _private(await answer)


def _private(answer: Any) -> HttpAnswer:
    """An answer that nobody keeps for others, neither we nor a cache on the way."""
    status, fields, content = answer[:3]
    kept = [(name, b"private, " + value if name == b"cache-control" else value) for name, value in fields]
    if not any(name == b"cache-control" for name, _ in fields):
        kept.append((b"cache-control", b"private"))
    return status, kept, content


def plain_names(path: bytes) -> list[bytes] | None:
    """The decoded segments of a path, without a last empty one; None if it may mean another one too."""
    if path[:1] != b"/":
        return None
    names = [unquote_to_bytes(raw) for raw in path[1:].split(b"/")]
    if not names[-1]:
        names.pop()
    for name in names:
        if name in (b"", b".", b"..") or b"/" in name or b"\\" in name or b"\0" in name:
            return None
    return names
