"""Commands about mailboxes as a whole.

RFC 3501 sections 6.3.1 to 6.3.11; RFC 2342; RFC 6154; RFC 5258 section 3 (as far as RFC 6154 needs it); RFC 5161;
RFC 7162 section 3.1; RFC 4315 (APPENDUID).
"""

from __future__ import annotations

from typing import Final

from netsuite.common.body import Body
from netsuite.mail.imap.codes import Refusal
from netsuite.mail.imap.patterns import LONGEST, matcher
from netsuite.mail.imap.session import Outcome, Session
from netsuite.mail.imap.wire.commands import Command
from netsuite.mail.imap.wire.serial import flag_list
from netsuite.mail.imap.wire.serial import mailbox as name_text
from netsuite.mail.store import Folder

__all__ = [
    "append",
    "create",
    "delete",
    "enable",
    "listing",
    "lsub",
    "namespace",
    "rename",
    "select",
    "status",
    "subscribe",
]

_SYSTEM: Final = ("\\Answered", "\\Deleted", "\\Draft", "\\Flagged", "\\Seen")


async def select(session: Session, command: Command, body: Body) -> Outcome:
    """SELECT and EXAMINE."""
    name, condstore = command.arguments
    session.leave()
    mailbox = session.mailbox(name)
    session.condstore = session.condstore or condstore
    read_only = command.name == "EXAMINE"
    view = session.enter(mailbox, read_only=read_only)
    flags = sorted({*_SYSTEM, *mailbox.flags})
    unseen = next((at for at, entry in enumerate(mailbox.messages, 1) if "\\Seen" not in entry.flags), 0)
    made = [
        b"* FLAGS %b\r\n" % flag_list(flags),
        b"* %d EXISTS\r\n* %d RECENT\r\n" % (len(view.uids), len(view.recent)),
        b"* OK [UNSEEN %d] the first one\r\n" % unseen if unseen else b"",
        b"* OK [PERMANENTFLAGS %b] kept\r\n" % (b"()" if read_only else flag_list([*flags, "\\*"])),
        b"* OK [UIDVALIDITY %d] valid\r\n" % mailbox.uidvalidity,
        b"* OK [UIDNEXT %d] next\r\n" % mailbox.uidnext,
        b"* OK [HIGHESTMODSEQ %d] highest\r\n" % mailbox.highestmodseq,
    ]
    return session.ok(command, "opened", code=b"READ-ONLY" if read_only else b"READ-WRITE", data=b"".join(made))


async def create(session: Session, command: Command, body: Body) -> Outcome:
    """CREATE."""
    name, use = command.arguments
    if use is not None:
        uses = ("\\Archive", "\\Drafts", "\\Junk", "\\Sent", "\\Trash")
        use = next((known for known in uses if known.lower() == use.lower()), None)
        if use is None:
            raise Refusal("that special use is not known here", b"USEATTR")
    await session.mail.create(name, use)
    return session.ok(command, "made")


async def delete(session: Session, command: Command, body: Body) -> Outcome:
    """DELETE; the selected mailbox, deleted by its own session, is left."""
    (name,) = command.arguments
    mailbox = session.mail.mailbox(name)
    view = session.view
    if view is not None and mailbox is not None and mailbox.uidvalidity == view.mailbox.uidvalidity:
        await session.mail.delete(name)
        session.leave()
    else:
        await session.mail.delete(name)
    return session.ok(command, "deleted")


async def rename(session: Session, command: Command, body: Body) -> Outcome:
    """RENAME."""
    await session.mail.rename(*command.arguments)
    return session.ok(command, "renamed")


async def subscribe(session: Session, command: Command, body: Body) -> Outcome:
    """SUBSCRIBE and UNSUBSCRIBE."""
    (name,) = command.arguments
    if command.name == "SUBSCRIBE":
        await session.mail.subscribe(name)
    else:
        await session.mail.unsubscribe(name)
    return session.ok(command, "noted")


def listing(session: Session, command: Command, body: Body) -> Outcome:
    """LIST."""
    reference, patterns, options, returns = command.arguments
    if patterns == ("",):
        return session.ok(command, "listed", data=b'* LIST (\\Noselect) "/" ""\r\n')
    if any(len(reference + pattern) > LONGEST for pattern in patterns):
        return session.no(command, "the pattern is too long", code=b"LIMIT")
    tests = [matcher(reference + pattern) for pattern in patterns]
    made = []
    for folder in session.mail.list():
        if not any(test(folder.name) for test in tests):
            continue
        if "SPECIAL-USE" in options and folder.use is None:
            continue
        if "SUBSCRIBED" in options and not folder.subscribed:
            continue
        attributes = _attributes(folder, subscribed="SUBSCRIBED" in options or "SUBSCRIBED" in returns)
        made.append(b'* LIST %b "/" %b\r\n' % (attributes, name_text(folder.name)))
    return session.ok(command, "listed", data=b"".join(made))


def _attributes(folder: Folder, *, subscribed: bool) -> bytes:
    words = [] if folder.selectable else ["\\Noselect"]
    words.append("\\HasChildren" if folder.children else "\\HasNoChildren")
    if folder.use is not None:
        words.append(folder.use)
    if subscribed and folder.subscribed:
        words.append("\\Subscribed")
    return ("(" + " ".join(words) + ")").encode()


def lsub(session: Session, command: Command, body: Body) -> Outcome:
    """LSUB; a parent that ``%`` matches, and that is not subscribed to, is shown as such (RFC 3501 section 6.3.9)."""
    reference, pattern = command.arguments
    if len(reference + pattern) > LONGEST:
        return session.no(command, "the pattern is too long", code=b"LIMIT")
    matches = matcher(reference + pattern)
    names = session.mail.subscriptions
    shown = {name: b"()" for name in names if matches(name)}
    if "%" in pattern:
        for name in names:
            levels = name.split("/")
            for depth in range(1, len(levels)):
                parent = "/".join(levels[:depth])
                if matches(parent):
                    shown.setdefault(parent, b"(\\Noselect)")
    made = [b'* LSUB %b "/" %b\r\n' % (shown[name], name_text(name)) for name in sorted(shown)]
    return session.ok(command, "listed", data=b"".join(made))


async def status(session: Session, command: Command, body: Body) -> Outcome:
    """STATUS."""
    name, items = command.arguments
    mailbox = session.mailbox(name)
    if "HIGHESTMODSEQ" in items:
        session.condstore = True
    values = {
        "MESSAGES": lambda: len(mailbox.messages),
        "RECENT": lambda: session.server.recent_count(mailbox, session.user),
        "UIDNEXT": lambda: mailbox.uidnext,
        "UIDVALIDITY": lambda: mailbox.uidvalidity,
        "UNSEEN": lambda: len(mailbox.messages) - mailbox.count("\\Seen"),
        "HIGHESTMODSEQ": lambda: mailbox.highestmodseq,
    }
    told = b" ".join(b"%b %d" % (item.encode(), values[item]()) for item in items)
    return session.ok(command, "told", data=b"* STATUS %b (%b)\r\n" % (name_text(name), told))


def namespace(session: Session, command: Command, body: Body) -> Outcome:
    """NAMESPACE: one's own mailboxes only."""
    return session.ok(command, "told", data=b'* NAMESPACE (("" "/")) NIL NIL\r\n')


def enable(session: Session, command: Command, body: Body) -> Outcome:
    """ENABLE: of the extensions here, only CONDSTORE asks for it."""
    wanted = "CONDSTORE" in command.arguments
    session.condstore = session.condstore or wanted
    return session.ok(command, "done", data=b"* ENABLED" + (b" CONDSTORE" if wanted else b"") + b"\r\n")


async def append(session: Session, command: Command, body: Body) -> Outcome:
    """APPEND; what cannot be kept is refused before the client sends it."""
    name, flags, date, size = command.arguments
    limit = session.server.store.limits.message
    mailbox = session.mailbox(name, b"TRYCREATE")
    if size > limit:
        raise Refusal(f"the message has more than {limit} bytes", b"TOOBIG")
    data = await body.read(size)
    if b"\0" in data:
        raise Refusal("a message may not contain NUL", b"CANNOT")
    uid = await mailbox.append(data, flags, date)
    return session.ok(command, "kept", code=b"APPENDUID %d %d" % (mailbox.uidvalidity, uid))
