"""One client's session: states, commands, answers.

A session is asked one command at a time and answers with what the machine sends: an Answer, a Prompt or a coroutine of
one. What changed in the selected mailbox is told at the end of each command, and at once during IDLE.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from netsuite.common.adapter import StreamAdapter
from netsuite.common.body import Body
from netsuite.common.errors import Unavailable
from netsuite.mail.imap.codes import Refusal, refusal
from netsuite.mail.imap.view import NoSuchNumber, View
from netsuite.mail.imap.wire.commands import Command
from netsuite.mail.imap.wire.connection import Answer, Line, Prompt, Untagged
from netsuite.mail.store import Account, Mailbox, Refused
from netsuite.mail.store.errors import JournalBroken, StorageFull

if TYPE_CHECKING:
    from netsuite.mail.imap.server import ImapServer

__all__ = ["Session"]

Outcome = Answer | Prompt
Method = Callable[["Session", Command, Body], "Outcome | Coroutine[Any, Any, Outcome]"]

SLICE: Final = 0.02
"""Seconds that a long command works before others have their turn."""

KEEPS_NUMBERS: Final = frozenset(("FETCH", "STORE", "SEARCH"))
"""Commands (without UID) during which no message may be expunged from the view (RFC 3501 section 7.4.1)."""


class Session:
    """What the server knows of one connection since its (secure) beginning."""

    def __init__(self, server: ImapServer, adapter: StreamAdapter) -> None:
        self.server = server
        self.adapter = adapter
        self.account: Account | None = None
        self.view: View | None = None
        self.condstore = False
        self.waiting: Command | None = None  # the command that awaits the client's next line
        self.authentication: Any = None
        self._turn = 0.0

    def asked(self, message: Command | Line, body: Body) -> Any:
        """Answer a command, or the line that a command waits for."""
        if isinstance(message, Line):
            command = self.waiting
            assert command is not None
            if command.name == "IDLE":
                return self._idled(command, message)
            return self._guarded(command, self.server.methods["AUTHENTICATE"].proceed(self, command, message.text))
        method = self.server.methods[message.name]
        if method.state in ("known", "selected") and self.account is None:
            return self.no(message, "log in first", word=b"BAD" if not message.has_body else b"NO")
        if method.state == "selected" and self.view is None:
            return self.no(message, "no mailbox is selected", word=b"BAD")
        if method.state == "stranger" and self.account is not None:
            return self.no(message, "you have logged in already", word=b"BAD")
        view = self.view
        if view is not None and view.removed:
            return self._bereaved(view)
        answer = method.call(self, message, body)
        return self._guarded(message, answer) if isinstance(answer, Coroutine) else answer

    def gone(self) -> None:
        """The connection is over."""
        self.leave()

    # -- answers

    def ok(self, command: Command, text: str, *, code: bytes = b"", data: bytes = b"", then: str = "") -> Answer:
        """The end of a command that did what it should, with the news."""
        news = self.news(command)
        return Answer(
            b"%b%b%b OK %b%b\r\n" % (data, news, command.tag, code and b"[" + code + b"] ", text.encode()), then=then
        )

    def no(self, command: Command, text: str, *, code: bytes = b"", word: bytes = b"NO", data: bytes = b"") -> Answer:
        """The end of a command that was refused."""
        clean = " ".join(text.split()).encode("ascii", "replace")
        news = data + self.news(command)
        return Answer(b"%b%b %b %b%b\r\n" % (news, command.tag, word, code and b"[" + code + b"] ", clean))

    def news(self, command: Command | None = None) -> bytes:
        """What has changed in the selected mailbox, as far as it may be told now."""
        view = self.view
        if view is None or not view.news:
            return b""
        numbers_stay = command is not None and command.name in KEEPS_NUMBERS and not command.uid
        return view.tell(
            expunges=not numbers_stay,
            modseqs=self.condstore,
            recent=lambda uid: not view.read_only and self.server.first_seen(view.mailbox, self.user, uid),
        )

    def pour(self, command: Command, source: AsyncIterator[bytes], text: str, *, missing: bool) -> Answer:
        """An answer whose responses come from a source, and then the news and the tagged line.

        ``missing`` says that some messages are gone already.
        """

        async def whole() -> AsyncIterator[bytes]:
            async for chunk in source:
                yield chunk
            if missing:
                yield self.no(command, "some messages are gone", code=b"EXPUNGEISSUED").data
            else:
                yield self.ok(command, text).data

        return Answer(b"", whole())

    def breathe(self) -> Deferred[None] | None:
        """What a long command waits for between its steps, when its time is over."""
        now = self.adapter.seconds()
        if now - self._turn < SLICE:
            return None
        waited: Deferred[None] = deferLater(self.server.commons.clock, 0)

        def again(_: object) -> None:
            self._turn = self.adapter.seconds()

        waited.addCallback(again)
        return waited

    # -- the selected mailbox

    @property
    def user(self) -> str:
        """Who has logged in."""
        return self.mail.user

    @property
    def mail(self) -> Account:
        """The account of who has logged in."""
        assert self.account is not None
        return self.account

    @property
    def selected(self) -> View:
        """The view of the selected mailbox."""
        assert self.view is not None
        return self.view

    def mailbox(self, name: str, code: bytes = b"NONEXISTENT") -> Mailbox:
        """A mailbox by name; raises Refusal."""
        found = self.mail.mailbox(name)
        if found is None:
            raise Refusal("there is no such mailbox", code)
        return found

    def enter(self, mailbox: Mailbox, *, read_only: bool) -> View:
        """Select a mailbox."""
        self.leave()
        start = self.server.recent_from(mailbox, self.user, take=not read_only)
        self.view = View(mailbox, self._told, read_only=read_only, recent_from=start)
        return self.view

    def leave(self) -> None:
        """Select none."""
        view, self.view = self.view, None
        if view is not None:
            view.close()

    def writable(self) -> View:
        """The view, if it may be changed; raises Refusal."""
        if self.selected.read_only:
            raise Refusal("the mailbox was opened for reading only", b"READ-ONLY")
        return self.selected

    # -- IDLE

    def idle(self, command: Command) -> Prompt:
        """Tell news as they come, from now on (RFC 2177)."""
        self.waiting = command
        if self.view is not None and self.view.news:
            self.server.commons.reactor.callLater(0, self._told)
        return Prompt(b" idling")

    def _idled(self, command: Command, line: Line) -> Outcome:
        self.waiting = None
        if line.text.upper() != b"DONE":
            return self.no(command, "DONE expected", word=b"BAD")
        return self.ok(command, "that was all")

    def _told(self) -> None:
        """There is news: say it, if the client idles."""
        waiting, adapter = self.waiting, self.adapter
        if waiting is None or waiting.name != "IDLE" or adapter.closed or adapter.connection is None:
            return
        if self.view is not None and self.view.removed:
            adapter.send(Untagged(b"* BYE the mailbox was deleted\r\n"))
            adapter.close("the selected mailbox was deleted")
            return
        news = self.news()
        if news:
            adapter.send(Untagged(news))

    def _bereaved(self, view: View) -> Answer:
        self.leave()
        return Answer(b"* BYE the mailbox was deleted\r\n", then="close")

    async def _guarded(self, command: Command, answer: Coroutine[Any, Any, Outcome]) -> Outcome:
        self._turn = self.adapter.seconds()
        try:
            return await answer
        except NoSuchNumber:
            return self.no(command, "there is no message of that number", word=b"BAD")
        except Refusal as error:
            return self.no(command, error.text, code=error.code)
        except (Refused, JournalBroken, StorageFull, Unavailable) as error:
            return self.no(command, str(error), code=refusal(error))
