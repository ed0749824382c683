"""Takes messages: from other servers for the domains that are ours, from users for everyone.

Who may send what is decided here, at RCPT TO where it can be, so that nothing is accepted that would have to be sent
back. A message is answered with 250 once the queue has it durably, never before.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from netsuite.common.access import ConcurrencyLimit, Rule
from netsuite.common.body import Body
from netsuite.common.commons import Commons
from netsuite.common.identity.authentication import Accepted, Authentication, Rejected
from netsuite.common.storage.journal import JournalBroken, StorageFull
from netsuite.common.stream import StreamAdapter, StreamFactory, StreamLimits
from netsuite.common.tls import TlsFilter
from netsuite.interfaces import IMailDelivery
from netsuite.mail.smtp.queue import MailQueue
from netsuite.mail.smtp.spool import Draft
from netsuite.mail.smtp.trace import MOST_HOPS, header_of, hops, missing_fields, received
from netsuite.mail.smtp.wire.commands import Content, Data, Envelope, Mail, Rcpt
from netsuite.mail.smtp.wire.replies import Reply
from netsuite.mail.smtp.wire.server import SmtpLimits, SmtpServerConnection
from netsuite.sansio.connection import Channel
from netsuite.sansio.sasl import Auth, AuthResponse

__all__ = ["SmtpPolicy", "SmtpServer"]

_log = Logger()

_FINE = Reply(250, "fine", "2.1.0")
_GOOD_RECIPIENT = Reply(250, "good recipient", "2.1.5")
_GO_ON = Reply(354, "go on, and end with a dot alone")
_FULL = Reply(452, "there is no room now, try again later", "4.3.1")


@attrs.frozen
class SmtpPolicy:
    """What both kinds of listener share. ``domains`` are delivered here, ``relay`` ones passed on from anyone.

    ``delivery()`` is where mail for ``domains`` goes; ``name`` is the server's; ``postmaster`` gets the postmaster's
    mail at domains without such a user.
    """

    name: str
    domains: frozenset[str]
    relay: frozenset[str]
    delivery: Callable[[], IMailDelivery | None]
    postmaster: str | None
    limits: SmtpLimits


class _TooManyHops(Exception):
    """The message goes round and round."""


class SmtpServer:
    """The sessions of one kind of listener: ``submission`` if only users may send there.

    ``messages`` counts those that were taken over, ``rejected`` the commands that were refused.
    """

    def __init__(
        self,
        commons: Commons,
        policy: SmtpPolicy,
        queue: MailQueue,
        *,
        submission: bool,
        rule: Rule,
        concurrency: ConcurrencyLimit,
    ) -> None:
        self._clock = commons.clock
        self._identity = commons.identity
        self._certificates = commons.certificates
        self._policy = policy
        self._queue = queue
        self._submission = submission
        self.factory = StreamFactory(
            commons,
            "submission" if submission else "smtp",
            self._machine,
            self._heard,
            rule=rule,
            concurrency=concurrency,
            filters={"tls": self._filter},
            limits=StreamLimits(drop_bytes=policy.limits.message),
        )
        self.messages = 0
        self.rejected = 0
        self._secure = partial(self._connection, greet=False)

    # -- machines

    def _machine(self, channel: Channel) -> SmtpServerConnection:
        return self._connection(channel)

    def _connection(self, channel: Channel, *, greet: bool = True) -> SmtpServerConnection:
        return SmtpServerConnection(
            channel,
            self._policy.name,
            self._clock.seconds(),
            limits=self._policy.limits,
            tls=True,
            mechanisms=self._identity.mechanisms(channel),
            greet=greet,
            fresh=self._secure,
        )

    def _filter(self) -> TlsFilter:
        return TlsFilter(self._certificates.server_context(), server=True)

    # -- commands

    def _heard(self, message: Any, body: Body, adapter: StreamAdapter) -> Any:
        kind = type(message)
        if kind is Rcpt:
            answer = self._recipient(message)
        elif kind is Mail:
            answer = self._sender(message)
        elif kind is Content:
            if message.data is None:
                return self._take(message.envelope, body, adapter.channel)
            return self._take_whole(message.envelope, message.data, adapter.channel)
        elif kind is Data:
            return _GO_ON
        elif kind is Auth:
            return self._begin_login(message, adapter)
        elif kind is AuthResponse:
            return self._login(message.data, adapter)
        else:
            return None
        self.rejected += not answer.good
        return answer

    def _sender(self, mail: Mail) -> Reply:
        if mail.user is None:
            if self._submission:
                return Reply(530, "log in first", "5.7.0")
        elif mail.sender and self._identity.canonical(mail.sender) != mail.user:
            return Reply(553, f"{mail.user} may not send as <{mail.sender}>", "5.7.1")
        if self._queue.full:
            return _FULL
        return _FINE

    def _recipient(self, rcpt: Rcpt) -> Reply:
        policy = self._policy
        if "@" not in rcpt.recipient and not policy.domains:
            return Reply(550, "there is no mailbox here", "5.1.1")
        address = self._address(rcpt.recipient)
        domain = address.rpartition("@")[2].lower().removesuffix(".")
        if domain in policy.domains:
            delivery = policy.delivery()
            if delivery is None:
                return Reply(451, "the mail store is not there", "4.3.0")
            return _GOOD_RECIPIENT if delivery.accepts(address) else Reply(550, "no such user here", "5.1.1")
        if domain in policy.relay or rcpt.envelope.user is not None:
            return _GOOD_RECIPIENT
        return Reply(550, "relaying denied: log in, or ask the domain's own server", "5.7.1")

    # -- logging in

    async def _begin_login(self, auth: Auth, adapter: StreamAdapter) -> Reply:
        login = self._identity.begin(auth.mechanism, adapter.channel)
        if login is None:
            return Reply(504, "that mechanism is not offered", "5.5.4")
        adapter.data = login
        return await self._login(auth.initial, adapter, first=True)

    async def _login(self, data: bytes | None, adapter: StreamAdapter, *, first: bool = False) -> Reply:
        login: Authentication | _Proven | None = adapter.data
        if login is None or (data is None and not first):
            adapter.data = None
            return Reply(501, "given up", "5.7.0")
        outcome = await login.respond(data)
        if isinstance(outcome, Accepted):
            if outcome.data:
                # SMTP's 235 carries nothing: what proves the server goes ahead as a challenge (RFC 4954 section 4)
                adapter.data = _Proven(outcome.user)
                return Reply(334, outcome.data.decode("latin-1"))
            adapter.data = None
            return Reply(235, "welcome", "2.7.0", user=outcome.user)
        if isinstance(outcome, Rejected):
            adapter.data = None
            if outcome.temporary:
                return Reply(454, "try again later", "4.7.0")
            return Reply(535, "name or password is wrong", "5.7.8")
        return Reply(334, outcome.data.decode("latin-1"))

    # -- messages

    async def _take(self, envelope: Envelope, body: Body, channel: Channel) -> Reply:
        """Collect a big message and hand it to the queue.

        If the body fails, so does this: the machine knows best what was wrong with it.
        """
        ident = self._queue.new_id()
        draft = Draft(self._queue.spool, ident, partial(self._head, envelope, channel, ident))
        taken = False
        try:
            async for chunk in body:
                if draft.add(chunk):
                    await draft.write()
            content = await draft.finish()
            await self._accept(ident, envelope, content, draft.size, draft.spooled)
            taken = True
        except (_TooManyHops, StorageFull, JournalBroken) as problem:
            return _refusal(problem)
        finally:
            if not taken:
                draft.discard()
        self.messages += 1
        return Reply(250, f"queued as {ident}", "2.0.0")

    async def _take_whole(self, envelope: Envelope, data: bytes, channel: Channel) -> Reply:
        """Hand a message that came in one piece to the queue."""
        ident = self._queue.new_id()
        try:
            content = self._head(envelope, channel, ident, data) + data
            await self._accept(ident, envelope, content, len(content), False)
        except (_TooManyHops, StorageFull, JournalBroken) as problem:
            return _refusal(problem)
        self.messages += 1
        return Reply(250, f"queued as {ident}", "2.0.0")

    def _accept(self, ident: str, envelope: Envelope, content: bytes, size: int, spooled: bool) -> Deferred[None]:
        return self._queue.accept(
            ident,
            envelope.sender,
            [self._address(recipient) for recipient in envelope.recipients],
            content,
            size=size,
            spooled=spooled,
            parameters=_kept(envelope),
            user=envelope.user,
        )

    def _address(self, recipient: str) -> str:
        """Whom a recipient means: ``postmaster`` may stand alone, and is somebody (RFC 5321 section 4.5.1)."""
        if not recipient.lower().startswith("postmaster"):
            return recipient
        policy = self._policy
        local, _, domain = recipient.lower().partition("@")
        domain = domain.removesuffix(".") or min(policy.domains, default="")
        delivery = policy.delivery()
        if local != "postmaster" or domain not in policy.domains or delivery is None:
            return recipient
        whole = f"{local}@{domain}"
        return whole if policy.postmaster is None or delivery.accepts(whole) else policy.postmaster

    def _head(self, envelope: Envelope, channel: Channel, ident: str, beginning: bytes) -> bytes:
        """What goes before a message; refuses one that loops."""
        header = header_of(beginning)
        if hops(header) > MOST_HOPS:
            raise _TooManyHops
        now = self._clock.seconds()
        name = self._policy.name
        tls = channel.tls.version if channel.tls is not None else None
        head = received(envelope, channel.peer[0], name, ident, now, tls)
        if self._submission:
            head += missing_fields(header, envelope.sender or f"postmaster@{name}", name, ident, now)
        return head


class _Proven:
    """A log-in that succeeded, but for the client's empty answer to the server's proof."""

    def __init__(self, user: str) -> None:
        self._user = user

    async def respond(self, data: bytes | None) -> Accepted | Rejected:
        """The client should have nothing to say."""
        return Accepted(self._user) if not data else Rejected("the client answered the proof")


def _refusal(problem: Exception) -> Reply:
    """What is said of a message that cannot be taken."""
    if isinstance(problem, _TooManyHops):
        return Reply(554, f"the message has gone through more than {MOST_HOPS} servers", "5.4.6")
    _log.warn("a message is put off: {problem}", problem=problem)
    return _FULL if isinstance(problem, StorageFull) else Reply(451, "local error, try again later", "4.3.0")


def _kept(envelope: Envelope) -> dict[str, str | None]:
    """The parameters that go along with the message."""
    return {key: value for key, value in envelope.parameters.items() if key in ("BODY", "SMTPUTF8")}
