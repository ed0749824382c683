"""Commands: from the bytes of one to a value.

:func:`parse` reads a whole command; :func:`append_head` recognises the part of APPEND in front of the message.

Implements: RFC 3501 sections 6 and 9; RFC 2177; RFC 2971; RFC 3691; RFC 4315; RFC 4959; RFC 5161; RFC 6851;
RFC 7162 section 3.1; RFC 2342.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from netsuite.mail.imap.wire.cursor import Cursor, Unparsable
from netsuite.mail.imap.wire.fetching import fetch
from netsuite.mail.imap.wire.searching import search

__all__ = ["Command", "Malformed", "append_head", "parse"]

_TAG: Final = re.compile(rb"([^\x00-\x20\x7f-\xff(){%*\"\\+]+) ")
_VERB: Final = re.compile(rb"[A-Za-z]+")


class Command(NamedTuple):
    """One command: its tag, name in upper case, and arguments as its parser makes them; ``uid`` for UID's."""

    tag: bytes
    name: str
    arguments: tuple[Any, ...] = ()
    uid: bool = False
    stream: int = 0
    has_body: bool = False
    source: None = None


class Malformed(NamedTuple):
    """What cannot be read as a command, and why; ``tag`` is ``*`` if there is none."""

    tag: bytes
    reason: str


def parse(data: bytes) -> Command | Malformed:
    """A command without its last line end."""
    found = _TAG.match(data)
    if found is None:
        return Malformed(b"*", "a tag and a command expected")
    tag = found[1]
    cursor = Cursor(data, found.end())
    name, uid = _verb(cursor), False
    if name == "UID" and cursor.skip(b" "):
        name, uid = _verb(cursor), True
        if name not in _UID:
            return Malformed(tag, "FETCH, STORE, COPY, MOVE, SEARCH or EXPUNGE expected behind UID")
    grammar = _GRAMMARS.get(name)
    if grammar is None:
        return Malformed(tag, "no such command")
    try:
        arguments = _set(cursor) if uid and name == "EXPUNGE" else grammar(cursor)
        cursor.done()
    except (Unparsable, RecursionError) as error:
        return Malformed(tag, f"{name}: {error}")
    return Command(tag, name, arguments, uid)


def append_head(data: bytes) -> Command | None:
    """APPEND up to its message, if that is what comes next: (mailbox, flags, date or None); else None."""
    found = _TAG.match(data)
    if found is None:
        return None
    cursor = Cursor(data, found.end())
    if _verb(cursor) != "APPEND":
        return None
    try:
        cursor.space()
        mailbox = cursor.mailbox()
        cursor.space()
        flags: tuple[str, ...] = ()
        date = None
        if cursor.peek(b"("):
            flags = cursor.flags()
            cursor.space()
        if cursor.peek(b'"'):
            date = cursor.time()
            cursor.space()
        cursor.done()
    except Unparsable:
        return None
    return Command(found[1], "APPEND", (mailbox, flags, date), has_body=True)


def _verb(cursor: Cursor) -> str:
    found = _VERB.match(cursor.data, cursor.at)
    if found is None:
        return ""
    cursor.at = found.end()
    return found[0].decode().upper()


def _nothing(cursor: Cursor) -> tuple[Any, ...]:
    return ()


def _set(cursor: Cursor) -> tuple[Any, ...]:
    cursor.space()
    return (cursor.ranges(),)


def _name(cursor: Cursor) -> tuple[Any, ...]:
    cursor.space()
    return (cursor.mailbox(),)


def _select(cursor: Cursor) -> tuple[Any, ...]:
    """(mailbox, whether CONDSTORE is asked for)."""
    (mailbox,) = _name(cursor)
    words = cursor.words() if cursor.skip(b" ") else []
    if set(words) - {"CONDSTORE"}:
        raise Unparsable("CONDSTORE expected")
    return (mailbox, bool(words))


def _create(cursor: Cursor) -> tuple[Any, ...]:
    """(mailbox, SPECIAL-USE attribute or None) (RFC 6154 section 3)."""
    (mailbox,) = _name(cursor)
    use = None
    if cursor.skip(b" "):
        cursor.expect(b"(", "a list")
        if cursor.word() != "USE":
            raise Unparsable("USE expected")
        cursor.space()
        uses = cursor.flags()
        cursor.expect(b")", "the end of a list")
        use = uses[0] if uses else None
        if len(uses) > 1:
            raise Unparsable("one special use expected")
    return (mailbox, use)


def _two_names(cursor: Cursor) -> tuple[Any, ...]:
    return (*_name(cursor), *_name(cursor))


def _login(cursor: Cursor) -> tuple[Any, ...]:
    cursor.space()
    name = cursor.text()
    cursor.space()
    return (name, cursor.text())


def _authenticate(cursor: Cursor) -> tuple[Any, ...]:
    """(mechanism, initial response in base64 or None)."""
    cursor.space()
    mechanism = cursor.word()
    initial = None
    if cursor.skip(b" "):
        initial = cursor.data[cursor.at :]
        cursor.at = len(cursor.data)
    return (mechanism, initial)


def _list(cursor: Cursor) -> tuple[Any, ...]:
    """(reference, patterns, selection options, return options) (RFC 3501 6.3.8, RFC 5258 for SPECIAL-USE)."""
    cursor.space()
    options: list[str] = []
    if cursor.peek(b"("):
        options = _options(cursor)
        cursor.space()
    reference = cursor.mailbox()
    cursor.space()
    patterns: list[str] = []
    if cursor.skip(b"("):
        while not cursor.skip(b")"):
            if patterns:
                cursor.space()
            patterns.append(cursor.pattern())
    else:
        patterns.append(cursor.pattern())
    returns: list[str] = []
    if cursor.skip(b" "):
        if cursor.word() != "RETURN":
            raise Unparsable("RETURN expected")
        cursor.space()
        returns = _options(cursor)
    return (reference, tuple(patterns), tuple(options), tuple(returns))


def _options(cursor: Cursor) -> list[str]:
    words = cursor.words()
    for word in words:
        if word not in ("SUBSCRIBED", "SPECIAL-USE", "CHILDREN", "RECURSIVEMATCH", "REMOTE"):
            raise Unparsable(f"{word} is no option")
    return words


def _lsub(cursor: Cursor) -> tuple[Any, ...]:
    cursor.space()
    reference = cursor.mailbox()
    cursor.space()
    return (reference, cursor.pattern())


def _status(cursor: Cursor) -> tuple[Any, ...]:
    (mailbox,) = _name(cursor)
    cursor.space()
    words = cursor.words()
    for word in words:
        if word not in ("MESSAGES", "RECENT", "UIDNEXT", "UIDVALIDITY", "UNSEEN", "HIGHESTMODSEQ"):
            raise Unparsable(f"{word} is no status item")
    return (mailbox, tuple(words))


def _fetch(cursor: Cursor) -> tuple[Any, ...]:
    """(ranges, items, modseq or None)."""
    cursor.space()
    ranges = cursor.ranges()
    cursor.space()
    return (ranges, *fetch(cursor))


def _search(cursor: Cursor) -> tuple[Any, ...]:
    cursor.space()
    return search(cursor)


def _store(cursor: Cursor) -> tuple[Any, ...]:
    """(ranges, unchangedsince or None, "set", "add" or "remove", silent, flags)."""
    cursor.space()
    ranges = cursor.ranges()
    cursor.space()
    since = None
    if cursor.skip(b"("):
        if cursor.word() != "UNCHANGEDSINCE":
            raise Unparsable("UNCHANGEDSINCE expected")
        cursor.space()
        since = cursor.modseq()
        cursor.expect(b") ", "the end of a list")
    sign = "add" if cursor.skip(b"+") else "remove" if cursor.skip(b"-") else "set"
    word = cursor.word()
    if word not in ("FLAGS", "FLAGS.SILENT"):
        raise Unparsable("FLAGS expected")
    cursor.space()
    if cursor.peek(b"("):
        flags = cursor.flags()
    else:
        made = [cursor.flag()]
        while cursor.skip(b" "):
            made.append(cursor.flag())
        flags = tuple(made)
    return (ranges, since, sign, word == "FLAGS.SILENT", flags)


def _copy(cursor: Cursor) -> tuple[Any, ...]:
    cursor.space()
    ranges = cursor.ranges()
    return (ranges, *_name(cursor))


def _id(cursor: Cursor) -> tuple[Any, ...]:
    cursor.space()
    if cursor.skip(b"("):
        count = 0
        while not cursor.skip(b")"):
            if count:
                cursor.space()
            if count % 2 and cursor.skip(b"NIL"):
                pass
            else:
                cursor.string()
            count += 1
            if count > 60:
                raise Unparsable("30 pairs at most expected")
    elif cursor.word() != "NIL":
        raise Unparsable("NIL or a list expected")
    return ()


def _enable(cursor: Cursor) -> tuple[Any, ...]:
    made = []
    while cursor.left:
        cursor.space()
        made.append(cursor.word())
    if not made:
        raise Unparsable("a capability expected")
    return tuple(made)


def _refused_append(cursor: Cursor) -> tuple[Any, ...]:
    raise Unparsable("a mailbox, flags and date if any, and a literal expected")


_UID: Final = frozenset(("FETCH", "STORE", "COPY", "MOVE", "SEARCH", "EXPUNGE"))
_GRAMMARS: Final[dict[str, Callable[[Cursor], tuple[Any, ...]]]] = {
    **dict.fromkeys(
        ("CAPABILITY", "NOOP", "LOGOUT", "STARTTLS", "CHECK", "CLOSE", "EXPUNGE", "UNSELECT", "IDLE", "NAMESPACE"),
        _nothing,
    ),
    **dict.fromkeys(("DELETE", "SUBSCRIBE", "UNSUBSCRIBE"), _name),
    "CREATE": _create,
    "SELECT": _select,
    "EXAMINE": _select,
    "RENAME": _two_names,
    "LOGIN": _login,
    "AUTHENTICATE": _authenticate,
    "LIST": _list,
    "LSUB": _lsub,
    "STATUS": _status,
    "FETCH": _fetch,
    "SEARCH": _search,
    "STORE": _store,
    "COPY": _copy,
    "MOVE": _copy,
    "ID": _id,
    "ENABLE": _enable,
    "APPEND": _refused_append,
}
