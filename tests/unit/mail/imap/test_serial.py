"""What is written: strings, names, sets, patterns."""

from __future__ import annotations

import pytest

from netsuite.mail.imap.patterns import matcher
from netsuite.mail.imap.wire.serial import astring, date_time, dump, flag_list, mailbox, ranges
from netsuite.mail.imap.wire.utf7 import from_utf7, to_utf7


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, b"NIL"),
        (b"", b'""'),
        (b'say "hi" \\', b'"say \\"hi\\" \\\\"'),
        ("é".encode(), b"{2}\r\n\xc3\xa9"),
        (b"a\r\nb", b"{4}\r\na\r\nb"),
        ((1, (b"x", None), ()), b'(1 ("x" NIL) ())'),
    ],
)
def test_values(value, written):
    assert dump(value) == written


def test_small_things():
    assert astring(b"nil") == b'"nil"' and astring(b"To") == b"To" and astring(b"a b") == b'"a b"'
    assert mailbox("Entwürfe & mehr") == b'"Entw&APw-rfe &- mehr"'
    assert ranges([1, 2, 3, 7, 9, 10]) == b"1:3,7,9:10"
    assert ranges([5, 4]) == b"5,4"
    assert flag_list({"\\Seen", "Work"}) == b"(Work \\Seen)" or flag_list({"\\Seen", "Work"}) == b"(\\Seen Work)"
    assert date_time(837596665) == b'"17-Jul-1996 09:44:25 +0000"'


@pytest.mark.parametrize(
    ("name", "sent"),
    [("~peter/mail/台北/日本語", b"~peter/mail/&U,BTFw-/&ZeVnLIqe-"), ("a&b", b"a&-b"), ("😀", b"&2D3eAA-")],
)
def test_modified_utf7(name, sent):
    assert to_utf7(name) == sent
    assert from_utf7(sent) == name


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("*", "a/b/c", True),
        ("%", "a/b", False),
        ("%/%", "a/b", True),
        ("a*c", "a/b/c", True),
        ("a%c", "a/b/c", False),
        ("inbox", "INBOX", True),
        ("IN%", "INBOX", True),
        ("*%*%*%*%*%*%*%*%*x", "a" * 200, False),
        ("", "", True),
    ],
)
def test_patterns(pattern, name, fits):
    assert matcher(pattern)(name) is fits
