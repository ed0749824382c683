"""Commands as a table: what is said, and what it means."""

from __future__ import annotations

import pytest

from netsuite.mail.imap.wire.commands import Command, Malformed, parse
from netsuite.mail.imap.wire.cursor import STAR
from netsuite.mail.imap.wire.fetching import BodyItem
from netsuite.mail.mime import Section

ALL = ((1, STAR),)

GOOD = [
    (b"a1 NOOP", "NOOP", ()),
    (b"a1 login alice {6}\r\nse cre", "LOGIN", ("alice", "se cre")),
    (b'a1 LOGIN "al\\"ice" "p\\\\w"', "LOGIN", ('al"ice', "p\\w")),
    (b"a1 AUTHENTICATE plain =", "AUTHENTICATE", ("PLAIN", b"=")),
    (b"a1 SELECT inbox (CONDSTORE)", "SELECT", ("inbox", True)),
    (b'a1 EXAMINE "R&AOk-sum&AOk-"', "EXAMINE", ("Résumé", False)),
    (b"a1 CREATE Spam (USE (\\Junk))", "CREATE", ("Spam", "\\Junk")),
    (b'a1 LIST "" *', "LIST", ("", ("*",), (), ())),
    (b'a1 LIST (SPECIAL-USE) "" "%" RETURN (CHILDREN)', "LIST", ("", ("%",), ("SPECIAL-USE",), ("CHILDREN",))),
    (b"a1 STATUS x (MESSAGES UNSEEN)", "STATUS", ("x", ("MESSAGES", "UNSEEN"))),
    (b"a1 STORE 1,3:5,7:* +flags.silent (\\Seen Work)", "STORE",
     (((1, 1), (3, 5), (7, STAR)), None, "add", True, ("\\Seen", "Work"))),
    (b"a1 STORE 1 (UNCHANGEDSINCE 12) FLAGS ()", "STORE", (((1, 1),), 12, "set", False, ())),
    (b"a1 STORE *:4 -FLAGS \\Seen \\Draft", "STORE", (((4, STAR),), None, "remove", False, ("\\Seen", "\\Draft"))),
    (b"a1 FETCH 1:* FAST", "FETCH", (ALL, ("FLAGS", "INTERNALDATE", "RFC822.SIZE"), None)),
    (b"a1 FETCH 2 (UID BODY.PEEK[1.2.MIME]<0.100>) (CHANGEDSINCE 5)", "FETCH",
     (((2, 2),), ("UID", BodyItem(Section((1, 2), "MIME"), b"BODY[1.2.MIME]<0>", True, (0, 100))), 5)),
    (b"a1 FETCH 2 body[header.fields.not (To {2}\r\nCc)]", "FETCH",
     (((2, 2),), (BodyItem(Section((), "HEADER.FIELDS.NOT", frozenset({b"to", b"cc"})),
                           b"BODY[HEADER.FIELDS.NOT (To Cc)]"),), None)),
    (b"a1 COPY 1:2 Trash", "COPY", (((1, 2),), "Trash")),
    (b'a1 ID ("name" "x" "version" NIL)', "ID", ()),
    (b"a1 ENABLE CONDSTORE X", "ENABLE", ("CONDSTORE", "X")),
    (b'a1 SEARCH UNSEEN FROM "a b" OR 1:3 NOT (SINCE 1-Feb-1994 LARGER 10)', "SEARCH",
     (None, None, ("and", (
         ("not", ("flag", "\\Seen")), ("header", b"from", b"a b"),
         ("or", ("set", ((1, 3),)), ("not", ("and", (("since", 8797), ("larger", 10))))))))),
    (b"a1 SEARCH RETURN () CHARSET utf-8 ALL", "SEARCH", (("ALL",), b"utf-8", ("all",))),
    (b"a1 SEARCH MODSEQ \"/flags/\\\\draft\" all 620162338", "SEARCH", (None, None, ("modseq", 620162338))),
]  # fmt: skip

BAD = [
    b"", b"a", b"a1 ", b"a1  NOOP", b"a1 UID NOOP", b"a1 FETCH 0 FLAGS", b"a1 FETCH 4294967296 FLAGS", b"a1 FETCH 1 ()",
    b"a1 FETCH 1 BODY[MIME]", b"a1 FETCH 1 BODY[1.]", b"a1 FETCH 1 BODY[]<1.0>", b"a1 STORE 1 FLAG \\Seen",
    b'a1 LOGIN "a', b"a1 LOGIN a {9}\r\nb", b"a1 SELECT &AAA", b"a1 SEARCH SINCE 31-Feb-2020", b"a1 SEARCH",
    b"a1 SEARCH " + b"(" * 200 + b"ALL" + b")" * 200, b"a1 SEARCH " + b"NOT " * 5000 + b"ALL", b"a1 APPEND x y",
    b"a1 STATUS x (SIZE)", b"a1 FETCH 1 (FLAGS", b"a1 EXPUNGE 1", b"a1 LIST x",
]  # fmt: skip


@pytest.mark.parametrize(("said", "name", "arguments"), GOOD, ids=[said.decode() for said, _, _ in GOOD])
def test_what_a_command_means(said, name, arguments):
    assert parse(said) == Command(b"a1", name, arguments)


def test_uid_in_front():
    assert parse(b"x UID EXPUNGE 3:*") == Command(b"x", "EXPUNGE", (((3, STAR),),), uid=True)


@pytest.mark.parametrize("said", BAD)
def test_what_is_no_command(said):
    assert isinstance(parse(said), Malformed)
