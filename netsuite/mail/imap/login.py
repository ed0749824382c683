"""Commands before anybody is known: CAPABILITY, STARTTLS, LOGIN, AUTHENTICATE and what goes in every state.

RFC 3501 sections 6.1 and 6.2; RFC 4959; RFC 2971; RFC 2595 section 3.2.
"""

from __future__ import annotations

import base64
from typing import Final

from netsuite.common.body import Body
from netsuite.common.errors import Unavailable
from netsuite.common.identity import Accepted, Challenge, Throttled
from netsuite.mail.imap.session import Outcome, Session
from netsuite.mail.imap.wire.commands import Command
from netsuite.mail.imap.wire.connection import Answer, Prompt
from netsuite.sansio.connection import Channel
from netsuite.sansio.sasl import decoded

__all__ = [
    "authenticate",
    "capabilities",
    "capability",
    "greeting",
    "identify",
    "login",
    "logout",
    "proceed",
    "starttls",
]

_ALWAYS: Final = b"IMAP4rev1 LITERAL+ SASL-IR ID ENABLE"
_KNOWN: Final = b"IDLE NAMESPACE CHILDREN UIDPLUS MOVE UNSELECT ESEARCH CONDSTORE SPECIAL-USE CREATE-SPECIAL-USE"


def capabilities(session: Session) -> bytes:
    """What this client is offered now."""
    return _capabilities(session.server.mechanisms(session.adapter.channel), session.adapter.channel, session)


def greeting(mechanisms: tuple[str, ...], channel: Channel) -> bytes:
    """The first line."""
    return b"* OK [CAPABILITY " + _capabilities(mechanisms, channel, None) + b"] ready\r\n"


def _capabilities(mechanisms: tuple[str, ...], channel: Channel, session: Session | None) -> bytes:
    words = [_ALWAYS]
    if session is None or session.account is None:
        if channel.tls is None:
            words.append(b"STARTTLS")
        if "PLAIN" not in mechanisms:
            words.append(b"LOGINDISABLED")
        words += [b"AUTH=" + name.encode() for name in mechanisms]
    words.append(_KNOWN)
    return b" ".join(words)


def capability(session: Session, command: Command, body: Body) -> Outcome:
    """CAPABILITY."""
    return session.ok(command, "that is all", data=b"* CAPABILITY " + capabilities(session) + b"\r\n")


def identify(session: Session, command: Command, body: Body) -> Outcome:
    """ID."""
    return session.ok(command, "pleased to meet you", data=b'* ID ("name" "netsuite")\r\n')


def logout(session: Session, command: Command, body: Body) -> Outcome:
    """LOGOUT."""
    session.leave()
    return session.ok(command, "good bye", data=b"* BYE you asked for it\r\n", then="close")


def starttls(session: Session, command: Command, body: Body) -> Outcome:
    """STARTTLS."""
    if session.adapter.channel.tls is not None:
        return session.no(command, "TLS is there already", word=b"BAD")
    session.adapter.data = None  # nothing that was learnt in clear survives
    return session.ok(command, "begin TLS", then="secure")


async def login(session: Session, command: Command, body: Body) -> Outcome:
    """LOGIN."""
    channel = session.adapter.channel
    if "PLAIN" not in session.server.mechanisms(channel):
        return session.no(command, "passwords only under TLS: STARTTLS first", code=b"PRIVACYREQUIRED")
    name, password = command.arguments
    try:
        user = await session.server.commons.identity.verify(name, password, channel.peer[0], "imap login")
    except (Throttled, Unavailable) as error:
        return session.no(command, str(error), code=b"UNAVAILABLE")
    if user is None:
        return session.no(command, "wrong name or password", code=b"AUTHENTICATIONFAILED")
    return _welcome(session, command, user)


async def authenticate(session: Session, command: Command, body: Body) -> Outcome:
    """AUTHENTICATE, with an initial response or without."""
    mechanism, initial = command.arguments
    session.authentication = session.server.commons.identity.begin(mechanism, session.adapter.channel)
    if session.authentication is None:
        return session.no(command, "there is no such mechanism here", code=b"CANNOT")
    if initial is None:
        return await _step(session, command, None)
    return await proceed(session, command, b"" if initial == b"=" else initial)


async def proceed(session: Session, command: Command, text: bytes) -> Outcome:
    """What the client says to a challenge."""
    session.waiting = None
    if text == b"*":
        session.authentication = None
        return session.no(command, "as you wish", word=b"BAD")
    data = decoded(text)
    if data is None:
        session.authentication = None
        return session.no(command, "base64 expected", word=b"BAD")
    return await _step(session, command, data)


async def _step(session: Session, command: Command, data: bytes | None) -> Outcome:
    outcome = await session.authentication.respond(data)
    if isinstance(outcome, Challenge):
        session.waiting = command
        return Prompt(b" " + base64.b64encode(outcome.data))
    session.authentication = None
    if isinstance(outcome, Accepted):
        if outcome.data:
            # the mechanism's last word needs a round of its own (RFC 3501 section 6.2.2)
            session.authentication = _Spoken(outcome)
            session.waiting = command
            return Prompt(b" " + base64.b64encode(outcome.data))
        return _welcome(session, command, outcome.user)
    code = b"UNAVAILABLE" if outcome.temporary else b"AUTHENTICATIONFAILED"
    return session.no(command, "authentication failed", code=code)


class _Spoken:
    """An authentication that is over but for the client's empty last line."""

    def __init__(self, outcome: Accepted) -> None:
        self._outcome = outcome._replace(data=b"")

    async def respond(self, data: bytes | None) -> Accepted:
        """Accept whatever the client says."""
        return self._outcome


def _welcome(session: Session, command: Command, user: str) -> Answer:
    session.account = session.server.store.account(user)
    session.server.logins += 1
    return session.ok(command, "welcome", code=b"CAPABILITY " + capabilities(session), then="known")
