"""Commands about the messages of the selected mailbox.

RFC 3501 sections 6.1.2 and 6.4; RFC 4315; RFC 3691; RFC 6851; RFC 4731; RFC 7162 section 3.1; RFC 5530 (EXPUNGEISSUED).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from netsuite.common.body import Body
from netsuite.mail.imap.codes import Refusal
from netsuite.mail.imap.fetch import responses
from netsuite.mail.imap.search import Search, modseq_asked
from netsuite.mail.imap.session import Outcome, Session
from netsuite.mail.imap.wire.commands import Command
from netsuite.mail.imap.wire.fetching import BodyItem, Item
from netsuite.mail.imap.wire.serial import ranges as set_text
from netsuite.mail.imap.wire.serial import string
from netsuite.mail.mime.words import known_charset
from netsuite.mail.store import Entry

__all__ = ["close", "copy", "expunge", "fetch", "noop", "search", "store", "unselect"]


def noop(session: Session, command: Command, body: Body) -> Outcome:
    """NOOP and CHECK: the news."""
    return session.ok(command, "that is the news")


async def close(session: Session, command: Command, body: Body) -> Outcome:
    """CLOSE: expunge without telling, unless opened for reading only."""
    view = session.selected
    if not view.read_only:
        doomed = [entry.uid for entry in view.mailbox.messages if "\\Deleted" in entry.flags]
        if doomed:
            await view.mailbox.expunge(doomed, origin=view)
    session.leave()
    return session.ok(command, "closed")


def unselect(session: Session, command: Command, body: Body) -> Outcome:
    """UNSELECT."""
    session.leave()
    return session.ok(command, "closed")


async def expunge(session: Session, command: Command, body: Body) -> Outcome:
    """EXPUNGE and UID EXPUNGE."""
    view = session.writable()
    if command.uid:
        entries = [entry for _, entry in view.entries(view.resolve(command.arguments[0], uid=True))]
    else:
        entries = [entry for _, entry in view.entries(range(len(view.uids)))]
    doomed = [entry.uid for entry in entries if "\\Deleted" in entry.flags]
    if doomed:
        await view.mailbox.expunge(doomed, origin=view)
    return session.ok(command, "expunged")


async def fetch(session: Session, command: Command, body: Body) -> Outcome:
    """FETCH and UID FETCH."""
    view = session.selected
    ranges, items, since = command.arguments
    places = view.resolve(ranges, uid=command.uid)
    if since is not None or "MODSEQ" in items:
        session.condstore = True
        items = (*items, "MODSEQ") if since is not None and "MODSEQ" not in items else items
    if command.uid and "UID" not in items:
        items = ("UID", *items)
    found = view.entries(places)
    missing = len(found) < len(places) and not command.uid
    if since is not None:
        found = [(number, entry) for number, entry in found if entry.modseq > since]
    reads = any(isinstance(item, BodyItem) and not item.peek for item in items)
    seen: set[int] = set()
    if reads and not view.read_only:
        unseen = [entry.uid for _, entry in found if "\\Seen" not in entry.flags]
        if unseen:
            changed, _ = await view.mailbox.change_flags(unseen, "add", ["\\Seen"], origin=view)
            seen = {entry.uid for entry in changed}
            found = view.entries([number - 1 for number, _ in found])
    view.known([entry.uid for _, entry in found] if "FLAGS" in items else [])
    return session.pour(command, _fetched(session, found, items, seen), "fetched", missing=missing)


async def _fetched(
    session: Session, found: Sequence[tuple[int, Entry]], items: Sequence[Item], seen: set[int]
) -> AsyncIterator[bytes]:
    """The responses; a message that has just become seen has its flags told too (RFC 3501 section 6.4.5)."""
    view = session.selected
    if not seen or "FLAGS" in items:
        async for chunk in responses(view, found, items, session.breathe):
            yield chunk
        return
    told: tuple[Item, ...] = (*items, "FLAGS")
    start = 0
    for at in range(1, len(found) + 1):
        if at == len(found) or (found[at][1].uid in seen) is not (found[start][1].uid in seen):
            chosen = told if found[start][1].uid in seen else items
            async for chunk in responses(view, found[start:at], chosen, session.breathe):
                yield chunk
            start = at


async def store(session: Session, command: Command, body: Body) -> Outcome:
    """STORE and UID STORE, conditional if asked."""
    view = session.writable()
    ranges, since, mode, silent, flags = command.arguments
    places = view.resolve(ranges, uid=command.uid)
    if since is not None:
        session.condstore = True
    uids = [view.uids[place] for place in places]
    if any(flag.lower() == "\\recent" for flag in flags):
        raise Refusal("\\Recent cannot be changed", b"CANNOT")
    changed, failed = await view.mailbox.change_flags(uids, mode, flags, since, origin=view)
    refused = set(failed)
    found = view.entries(places)
    made = []
    if silent:
        if session.condstore:
            fresh = {entry.uid for entry in changed}
            made = [
                view.flags_line(number, entry, modseqs=True, flags=False)
                for number, entry in found
                if entry.uid in fresh
            ]
    else:
        told = [(number, entry) for number, entry in found if entry.uid not in refused]
        made = [view.flags_line(number, entry, modseqs=session.condstore) for number, entry in told]
        view.known(entry.uid for _, entry in told)
    code = b""
    if failed:
        numbers = failed if command.uid else [n for uid in failed if (n := view.number(uid)) is not None]
        code = b"MODIFIED " + set_text(numbers)
    gone = len(found) < len(places) and not command.uid
    if gone and not code:
        return session.no(command, "some messages are gone", code=b"EXPUNGEISSUED", data=b"".join(made))
    return session.ok(command, "stored", code=code, data=b"".join(made))


async def copy(session: Session, command: Command, body: Body) -> Outcome:
    """COPY and MOVE, by number and by UID."""
    view = session.writable() if command.name == "MOVE" else session.selected
    ranges, name = command.arguments
    places = view.resolve(ranges, uid=command.uid)
    target = session.mailbox(name, b"TRYCREATE")
    uids = [view.uids[place] for place in places]
    if not uids:
        return session.ok(command, "there was nothing to do")
    if not command.uid and len(view.entries(places)) < len(places):
        raise Refusal("some messages are gone", b"EXPUNGEISSUED")
    if command.name == "COPY":
        pairs = await view.mailbox.copy(uids, target)
    else:
        pairs = await view.mailbox.move(uids, target)
    if not pairs:
        return session.ok(command, "there was nothing to do")
    code = b"COPYUID %d %b %b" % (target.uidvalidity, set_text(list(pairs)), set_text(list(pairs.values())))
    if command.name == "COPY":
        return session.ok(command, "copied", code=code)
    return session.ok(command, "moved", data=b"* OK [" + code + b"] moved\r\n")


async def search(session: Session, command: Command, body: Body) -> Outcome:
    """SEARCH and UID SEARCH, with RETURN or without."""
    returns, charset, key = command.arguments
    name = known_charset(charset) if charset is not None else "utf-8"
    if name is None:
        raise Refusal("that charset is not known here", b"BADCHARSET (UTF-8 US-ASCII ISO-8859-1)")
    view = session.selected
    modseq = modseq_asked(key)
    session.condstore = session.condstore or modseq
    try:
        found = await Search(view, key, name).run(session.breathe)
    except UnicodeDecodeError:
        raise Refusal("the text is not in that charset", b"BADCHARSET (UTF-8 US-ASCII ISO-8859-1)") from None
    numbers = [entry.uid if command.uid else number for number, entry in found]
    if returns is None:
        highest = b" (MODSEQ %d)" % max(entry.modseq for _, entry in found) if modseq and found else b""
        told = b"* SEARCH" + b"".join([b" %d" % number for number in numbers]) + highest + b"\r\n"
    else:
        told = _extended(command, returns, numbers, found, modseq)
    return session.ok(command, "searched", data=told)


def _extended(
    command: Command, returns: Sequence[str], numbers: Sequence[int], found: Sequence[tuple[int, Entry]], modseq: bool
) -> bytes:
    """ESEARCH (RFC 4731 section 3.1; with modseqs RFC 7162 section 3.1.10)."""
    words = [b"* ESEARCH (TAG %b)" % string(command.tag)]
    if command.uid:
        words.append(b"UID")
    if numbers:
        if "MIN" in returns:
            words.append(b"MIN %d" % numbers[0])
        if "MAX" in returns:
            words.append(b"MAX %d" % numbers[-1])
        if "ALL" in returns:
            words.append(b"ALL " + set_text(numbers))
    if "COUNT" in returns:
        words.append(b"COUNT %d" % len(numbers))
    if modseq and found:
        least, most = found[0][1].modseq, found[-1][1].modseq
        if set(returns) == {"MIN"}:
            highest = least
        elif set(returns) == {"MAX"}:
            highest = most
        elif set(returns) == {"MIN", "MAX"}:
            highest = max(least, most)
        else:
            highest = max(entry.modseq for _, entry in found)
        words.append(b"MODSEQ %d" % highest)
    return b" ".join(words) + b"\r\n"
