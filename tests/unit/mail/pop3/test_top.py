"""What TOP shows."""

from __future__ import annotations

import pytest

from netsuite.mail.pop3.top import Top

TEXT = b"A: 1\r\nB: 2\r\n\r\none\r\ntwo\r\n\r\nfour"


CASES = [
    (TEXT, 0, b"A: 1\r\nB: 2\r\n\r\n"),
    (TEXT, 1, b"A: 1\r\nB: 2\r\n\r\none\r\n"),
    (TEXT, 3, b"A: 1\r\nB: 2\r\n\r\none\r\ntwo\r\n\r\n"),
    (TEXT, 4, TEXT),
    (TEXT, 99, TEXT),
    (b"A: 1\r\n", 5, b"A: 1\r\n"),
    (b"\r\nbody\r\nmore\r\n", 1, b"\r\nbody\r\n"),
    (b"", 1, b""),
]


@pytest.mark.parametrize(("text", "lines", "shown"), CASES)
def test_the_top_of_a_message(text, lines, shown):
    for size in (1, 2, 3, 5, 7, 100):
        top = Top(lines)
        assert b"".join(top.feed(text[at : at + size]) for at in range(0, len(text), size)) == shown
