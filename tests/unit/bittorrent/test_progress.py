"""What is shown of downloads: words and figures, on a terminal and in the log."""

from __future__ import annotations

import io

import pytest
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher

from netsuite.bittorrent.peer.progress import Progress, Standing, line, total

MIB = 1 << 20


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("standing", "down", "up", "shown"),
    [
        (
            Standing("debian.iso", 634 * MIB, 260 * MIB, peers=9),
            11.2 * MIB,
            0.8 * MIB,
            "debian.iso  [########............]   41 %  260 MiB of 634 MiB  11.2 MiB/s down  819 KiB/s up  9 peers"
            "  0:33 left",
        ),
        (
            Standing("a", 1000, 0),
            0,
            0,
            "a  [....................]    0 %  0 B of 1.0 KiB  0 B/s down  0 B/s up  0 peers",
        ),
        (Standing("a", 5 * MIB, 5 * MIB, peers=1), 0, 2048, "a  whole, 5.0 MiB  2.0 KiB/s up  1 peer"),
        (Standing("a", 9, 0, checked=0.5), 0, 0, "a  [##########..........]   50 %  checking what is there"),
        (
            Standing("a", 10, 5, trouble="no space left on /save"),
            9,
            9,
            "a  [##########..........]   50 %  no space left on /save",
        ),
        (Standing("empty", 0, 0), 0, 0, "empty  whole, 0 B  0 B/s up  0 peers"),
        (Standing("x" * 99, 10, 10), 0, 0, "x" * 27 + "...  whole, 10 B  0 B/s up  0 peers"),
        (Standing("\x1b[2J\n", 10, 10), 0, 0, "?[2J?  whole, 10 B  0 B/s up  0 peers"),
    ],
)
def test_the_line_says_how_it_stands(standing, down, up, shown):
    assert line(standing, down, up, 150) == shown


@pytest.mark.parametrize("width", [*range(1, 60), 80, 200])
def test_the_line_fits(width):
    for standing in (Standing("n" * 50, 10 * MIB, MIB), Standing("n", 1, 1), Standing("n", 9, 1, trouble="t" * 99)):
        assert len(line(standing, 1000, 1000, width)) <= width


def test_a_narrow_terminal_gets_what_matters():
    assert (
        line(Standing("debian.iso", 100 * MIB, 41 * MIB), MIB, 0, 50) == "debian.iso   41 %  1.0 MiB/s down  0:59 left"
    )


def test_several_torrents_are_summed_up():
    both = [Standing("a", 100, 50, 10, 1, 2), Standing("b", 300, 0, 5, 2, 3, trouble="it is stuck")]
    assert total(both) == Standing("2 torrents", 400, 50, 15, 3, 5, None, "b: it is stuck")
    checks = [Standing("a", 100, 0, checked=1.0), Standing("b", 300, 0, checked=0.0)]
    assert total(checks).checked == 0.25
    assert total([checks[0], both[0]]).checked is None


@pytest.fixture
def said():
    """The lines that are logged."""
    lines = []

    def listen(event):
        lines.append(event.get("line", ""))

    globalLogPublisher.addObserver(listen)
    yield lines
    globalLogPublisher.removeObserver(listen)


def watched(stream):
    clock = Clock()
    standings = [Standing("file", 100 * MIB, 0)]
    progress = Progress(clock, lambda: standings, stream)

    def move(seconds, have):
        standings[:] = [Standing("file", 100 * MIB, have * MIB, received=have * MIB)]
        clock.advance(seconds)

    return progress, move, clock


def test_a_terminal_gets_one_line_that_is_rewritten():
    terminal = Terminal()
    progress, move, clock = watched(terminal)
    progress.start()
    for second in range(1, 20):
        move(0.5, second)
    progress.stop()
    text = terminal.getvalue()
    assert text.count("\n") == 1
    assert text.endswith("\x1b[K\r\n")
    last = text.rstrip("\n").split("\r")[-2]
    assert " 19 %" in last
    assert "2.0 MiB/s down" in last
    assert not clock.getDelayedCalls()


@pytest.mark.parametrize("stream", [None, io.StringIO()])
def test_without_a_terminal_a_line_is_logged_now_and_then(stream, said):
    progress, move, _ = watched(stream)
    progress.start()
    for percent in range(1, 101):
        move(5, percent)
    for _ in range(100):
        move(5, 100)
    progress.stop()
    assert 5 <= len(said) <= 10
    assert "  0 %" in said[0]
    assert "whole" in said[-1]
    if stream is not None:
        assert stream.getvalue() == ""


def test_new_trouble_is_logged_at_once_and_only_once(said):
    standings = [Standing("file", 100, 50)]
    clock = Clock()
    progress = Progress(clock, lambda: standings, None)
    progress.start()
    for trouble in ("", "no space left", "no space left", "", "no space left", "it is broken", ""):
        standings[:] = [Standing("file", 100, 50, trouble=trouble)]
        clock.advance(0.5)
    progress.stop()
    assert [text.split("  ")[-1] for text in said] == ["0 peers", "no space left", "it is broken"]


def test_a_terminal_that_goes_away_is_no_trouble():
    terminal = Terminal()
    progress, move, _ = watched(terminal)
    progress.start()
    terminal.close()
    move(0.5, 1)
    progress.stop()
