"""Names from strangers become safe ones, the same as libtorrent makes of them."""

from __future__ import annotations

import pytest

from netsuite.bittorrent.paths import component, distinct


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (b"plain.txt", "plain.txt"),
        ("naïve 文件 😀".encode(), "naïve 文件 😀"),
        (b"a:b?*|<>\"'", "a:b?*|<>\"'"),
        (b" . ", " . "),
        (b"", ""),
        (b".", ""),
        (b"..", ""),
        (b"...", "..."),
        (b"/", ""),
        (b"../", ""),
        (b"/etc", "etc"),
        (b"a/../../b", "a....b"),
        (b"..\\..\\b", "....b"),
        (b"\0", ""),
        (b".\0.", ""),
        (b"a\0b", "ab"),
        (b"\n", "_"),
        (b"a\x1b[31m", "a_[31m"),
        (b"a\x7f", "a_"),
        ("a\x9b".encode(), "a_"),
        ("\u202egpj.exe".encode(), "gpj.exe"),
        ("\u2066\u200b\ufeff..".encode(), ""),
        (b"\xff", "_"),
        (b"a\xffb\xc3", "a_b_"),
        (b"\xe2\x82abc", "_bc"),
        (b"\xf8\x88\x80\x80\x80x", "_x"),
        (b"\xfc\x01", "__"),
        (b"\xc0\xaf", "_"),
        (b"\xed\xa0\x80", "_"),
        (b"a" * 239, "a" * 239),
        (b"a" * 300, "a" * 240),
        (b"a" * 300 + b".txt", "a" * 240 + ".txt"),
        (b"a" * 300 + b".toolongextension", "a" * 240),
        (b"a" * 300 + b".t\x01t", "a" * 240 + ".t_t"),
        (b"/" * 300 + b"x", "x"),
        (b"\xff" * 300, "_" * 240),
        (("é" * 200 + ".txt").encode(), "é" * 120 + ".txt"),
    ],
)
def test_component(raw, name):
    assert component(raw) == name
    assert len(component(raw).encode()) <= 255


def path(text):
    return tuple(text.split("/"))


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ("t/a t/b", "t/a t/b"),
        ("t/a t/a", "t/a t/a.1"),
        ("t/a.txt t/a.txt t/a.txt", "t/a.txt t/a.1.txt t/a.2.txt"),
        ("t/a.txt t/a.txt t/a.1.txt", "t/a.txt t/a.1.txt t/a.1.1.txt"),
        ("t/a t/A", "t/a t/A.1"),
        ("t/é t/É", "t/é t/É.1"),
        ("t/e\u0301 t/\u00e9", "t/e\u0301 t/\u00e9.1"),
        ("t/ß t/SS", "t/ß t/SS.1"),
        ("t/a t/a/b", "t/a.1 t/a/b"),
        ("t/a/b t/A", "t/a/b t/A.1"),
        ("t/a t/A/b t/a/B", "t/a.1 t/A/b t/a/B.1"),
        ("t/.h t/.h", "t/.h t/.1.h"),
        ("t/n. t/n.", "t/n. t/n.1."),
        ("t/x.d/f t/x.d/f", "t/x.d/f t/x.d/f.1"),
        ("a/x b/x", "a/x b/x"),
    ],
)
def test_distinct(given, made):
    assert distinct([path(each) for each in given.split()], 10) == [path(each) for each in made.split()]


def test_a_number_keeps_a_name_within_what_a_file_may_have():
    long = ("é" * 125 + ".txt",)
    first, second = distinct([long, long], 10)
    assert first == long
    assert second == ("é" * 124 + ".1.txt",)
    assert len(second[0].encode()) <= 255


def test_a_list_made_to_be_expensive():
    assert len(distinct([("a",)] * 6, 10)) == 6
    assert distinct([("a",)] * 7, 10) is None


def test_of_a_monster_both_ends_are_looked_at():
    """A name of 60 MB costs no more than one of a few thousand bytes, whatever is dropped from it."""
    assert component(b"x" + b"/" * 60_000_000 + b".txt") == "x.txt"
    assert component(b"a" * 60_000_000 + b".txt") == "a" * 240 + ".txt"
