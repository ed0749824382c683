"""Whatever comes, the parsers answer."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from netsuite.mail.imap.patterns import matcher
from netsuite.mail.imap.wire.commands import Command, Malformed, append_head, parse
from netsuite.mail.imap.wire.serial import dump
from netsuite.mail.imap.wire.utf7 import from_utf7, to_utf7
from netsuite.mail.mime import Section, envelope, extract, scan, structure
from netsuite.mail.mime.address import _parsed, _usual
from netsuite.mail.mime.words import body_texts, decoded_words

WORDS = st.sampled_from(
    [
        b"FETCH",
        b"UID",
        b"STORE",
        b"SEARCH",
        b"APPEND",
        b"LIST",
        b"LOGIN",
        b" ",
        b" ",
        b" ",
        b"(",
        b")",
        b"1:*",
        b"*",
        b"{3}\r\n",
        b"{2+}\r\n",
        b'"',
        b"\\",
        b"BODY[",
        b"]",
        b"<0.5>",
        b"HEADER.FIELDS (To)",
        b"FLAGS",
        b"NOT",
        b"OR",
        b"SINCE",
        b"1-Jan-2020",
        b"RETURN",
        b"CHARSET",
        b"MODSEQ",
        b"\x00",
        b"\xff",
        b"&AOk-",
        b"(UNCHANGEDSINCE 1)",
        b"(CHANGEDSINCE 1)",
        b"inbox",
    ]
)

PIECES = st.sampled_from(
    [
        b"Content-Type: multipart/mixed; boundary=b\r\n",
        b"Content-Type: message/rfc822\r\n",
        b"\r\n",
        b"\n",
        b"--b",
        b"--b\r\n",
        b"--b--\r\n",
        b'Content-Type: text/plain; charset="x',
        b"Content-Transfer-Encoding: base64\r\n",
        b"From: a <b@c>, (d\r\n",
        b"Subject: =?utf-8?b?4pi?=\r\n",
        b"\t",
        b" folded",
        b":",
        b"\x00",
        b"\xe9",
        b'To: x:;<@,@:"\\',
        b"Content-Disposition: a; b=c",
    ]
)


@given(st.lists(WORDS | st.binary(max_size=4), max_size=14).map(b"".join))
@settings(max_examples=600, deadline=None)
def test_any_command(said):
    for line in (said, b"a " + said):
        assert isinstance(parse(line), Command | Malformed)
        append_head(line)


@given(st.lists(PIECES | st.binary(max_size=6), max_size=25).map(b"".join))
@settings(max_examples=600, deadline=None)
def test_any_message(data):
    root = scan(data)
    assert (root.start, root.end) == (0, len(data))
    for part in root.walk():
        assert part.start <= part.body <= part.end <= len(data)
        for child in part.children:
            assert part.body <= child.start and child.end <= part.end
    dump(structure(data, root, extended=True))
    dump(envelope(data, root.fields))
    body_texts(data, root)
    decoded_words(data)
    assert extract(data, root, Section()) == data
    head, text = (extract(data, root, Section((), what)) for what in ("HEADER", "TEXT"))
    assert head + text == data


@given(st.text(st.characters(exclude_categories=("Cs",))))
def test_mailbox_names_come_back(name):
    assert from_utf7(to_utf7(name)) == name


@given(st.text("ab/*%", max_size=8), st.text("ab/", max_size=8))
@settings(max_examples=400)
def test_patterns_as_regular_expressions(pattern, name):
    import re

    expected = "".join({"*": ".*", "%": "[^/]*"}.get(sign, re.escape(sign)) for sign in pattern)
    assert matcher(pattern)(name) is (re.fullmatch(expected, name) is not None)


ADDRESSES = st.sampled_from(
    [b"a", b"b.c", b"@", b"<", b">", b",", b" ", b'"', b"x@y.test", b"<x@y.test>", b'"Q R"', b"\t", b"."]
)


@given(st.lists(ADDRESSES, max_size=10).map(b"".join))
@settings(max_examples=2000, deadline=None)
def test_the_quick_way_and_the_slow_one_agree_on_addresses(value):
    quick = _usual(value)
    assert quick is None or quick == _parsed(value)
