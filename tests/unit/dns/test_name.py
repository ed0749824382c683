"""Names between text and bytes, and what is refused."""

from __future__ import annotations

import pytest

from netsuite.dns.wire.name import ROOT, BadName, expand, from_text, parent, skip, suffixes, to_text, within

WWW = b"\x03www\x07example\x04test\0"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (".", b"\0"),
        ("www.example.test.", WWW),
        ("www.example.test", WWW),
        (r"a\.b.test.", b"\x03a.b\x04test\0"),
        (r"\001\255.test.", b"\x02\x01\xff\x04test\0"),
        (r"two\ words.test.", b"\x09two words\x04test\0"),
        ("*.test.", b"\x01*\x04test\0"),
    ],
)
def test_text_to_name(text, name):
    assert from_text(text) == name


def test_relative_text_is_completed():
    origin = from_text("example.test.")
    assert from_text("www", origin) == WWW
    assert from_text("@", origin) == origin
    assert from_text("www.", origin) == b"\x03www\0"
    assert from_text(r"x\.", origin) == b"\x02x." + origin


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a..b.", "empty label"),
        ("", "empty label"),
        (".a.", "empty label"),
        ("x" * 64 + ".", "longer than 63"),
        (".".join(["x" * 50] * 6) + ".", "longer than 255"),
        (r"\256.", "above 255"),
        (r"\12.", "broken escape"),
        ("a\\", "broken escape"),
        ("bücher.test.", "xn--"),
    ],
)
def test_bad_text(text, reason):
    with pytest.raises(BadName, match=reason):
        from_text(text)


def test_name_to_text():
    assert to_text(ROOT) == "."
    assert to_text(WWW) == "www.example.test."
    assert to_text(b"\x04a.b\x07\x01$\0") == r"a\.b\007.\$."


def test_compressed_names_are_expanded():
    message = bytes(12) + WWW + b"\x04mail\xc0\x10" + b"\xc0\x0c"
    at = 12 + len(WWW)
    assert expand(message, at) == (b"\x04mail" + WWW[4:], at + 7)
    assert expand(message, at + 7) == (WWW, at + 9)
    assert skip(message, at) == at + 7
    assert skip(message, at + 7) == at + 9


@pytest.mark.parametrize(
    ("message", "at", "reason"),
    [
        (b"\xc0\x00", 0, "backwards"),
        (b"\x01a\xc0\x00", 0, "backwards"),
        (b"\xc0\x02\xc0\x00", 0, "backwards"),
        (b"\0\xc0\x03\xc0\x01", 3, "backwards"),
        (b"\x40a\0", 0, "reserved"),
        (b"\x80a\0", 0, "reserved"),
        (b"\x05abc", 0, "past the end"),
        (b"\x03abc", 0, "past the end"),
        (b"\xc0", 0, "past the end"),
        (b"", 0, "past the end"),
        (b"\x3f" + b"x" * 63, 0, "past the end"),
        ((b"\x3f" + b"x" * 63) * 4 + b"\0", 0, "255"),
    ],
)
def test_bad_bytes(message, at, reason):
    with pytest.raises(BadName, match=reason):
        expand(message, at)


def test_a_chain_of_pointers_cannot_exceed_a_name():
    # Each pointer goes back, each time collecting the same labels again.
    link = b"\x3f" + b"y" * 63
    message = link + b"\0"
    starts = [0]
    for _ in range(5):
        starts.append(len(message))
        message += link + (0xC000 | starts[-2]).to_bytes(2, "big")
    assert len(expand(message, starts[2])[0]) == 193
    with pytest.raises(BadName, match="255"):
        expand(message, starts[5])


def test_the_longest_name_is_a_name():
    name = (b"\x3f" + b"x" * 63) * 3 + b"\x3d" + b"y" * 61 + b"\0"
    assert len(name) == 255
    assert expand(name, 0) == (name, 255)
    assert from_text(to_text(name)) == name


def test_relations():
    assert parent(WWW) == WWW[4:]
    assert parent(ROOT) == ROOT
    assert suffixes(WWW) == [WWW, WWW[4:], b"\x04test\0", ROOT]
    assert within(WWW, WWW)
    assert within(WWW, ROOT)
    assert within(WWW, b"\x04test\0")
    assert not within(b"\x04test\0", WWW)
    # The end of one label that looks like a whole one.
    assert not within(b"\x06x\x04test\0", b"\x04test\0")
