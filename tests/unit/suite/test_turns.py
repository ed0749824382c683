"""The reactor's turns: everything that is ready is done, whatever one of them does, and what Twisted keeps private."""

from __future__ import annotations

import socket

import pytest
from twisted.internet import task
from twisted.internet.epollreactor import EPollReactor
from twisted.logger import globalLogPublisher

from netsuite.suite.turns import shorten


class End:
    """One end of a pair: reads, and does as it was told."""

    def __init__(self, sock, then=lambda: None):
        self.sock = sock
        self.then = then
        self.got = b""
        self.lost = None

    def fileno(self):
        return self.sock.fileno()

    def logPrefix(self):
        return "test"

    def doRead(self):
        self.got += self.sock.recv(100)
        return self.then()

    def connectionLost(self, reason):
        self.lost = reason


@pytest.fixture
def loop():
    reactor = EPollReactor()
    ends = []

    def pair(**more):
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        end = End(ours, **more)
        reactor.addReader(end)
        ends.extend((ours, theirs))
        return end, theirs

    yield reactor, pair
    reactor.removeAll()
    reactor._poller.close()
    for sock in ends:
        sock.close()


def test_what_twisted_keeps_private_is_as_it_was(loop):
    """Should this fail after an upgrade: see to netsuite.suite.turns."""
    reactor, _ = loop
    assert shorten(reactor)
    assert EPollReactor.doIteration is EPollReactor.doPoll
    assert reactor._selectables is not None
    assert callable(reactor._doReadOrWrite)
    assert callable(reactor._disconnectSelectable)
    assert callable(reactor._poller.poll)


def test_all_that_is_ready_is_done(loop):
    reactor, pair = loop
    shorten(reactor)
    ends = [pair() for _ in range(5)]
    for number, (_, peer) in enumerate(ends):
        peer.send(b"%d" % number)
    reactor.doIteration(1)
    assert [end.got for end, _ in ends] == [b"0", b"1", b"2", b"3", b"4"]
    reactor.doIteration(0)


def test_one_that_fails_is_ended_and_the_others_go_on(loop):
    reactor, pair = loop
    shorten(reactor)
    broken, first = pair(then=lambda: 1 / 0)
    fine, second = pair()
    for peer in (first, second):
        peer.send(b"x")
    reactor.doIteration(1)
    assert fine.got == b"x"
    assert broken.lost.check(ZeroDivisionError)
    second.send(b"y")
    reactor.doIteration(1)
    assert fine.got == b"xy"


def test_one_whose_end_fails_too(loop):
    reactor, pair = loop
    shorten(reactor)
    seen = []
    globalLogPublisher.addObserver(seen.append)
    try:
        broken, first = pair(then=lambda: RuntimeError("over"))
        broken.connectionLost = lambda reason: 1 / 0
        fine, second = pair()
        for peer in (first, second):
            peer.send(b"x")
        reactor.doIteration(1)
    finally:
        globalLogPublisher.removeObserver(seen.append)
    assert fine.got == b"x"
    assert any(event.get("log_format") == "a descriptor's turn failed" for event in seen)


def test_one_that_another_took_away_is_left_alone(loop):
    reactor, pair = loop
    shorten(reactor)
    ends = []

    def only():
        for end in ends:
            reactor.removeReader(end)

    for _ in range(2):
        end, peer = pair(then=only)
        ends.append(end)
        peer.send(b"x")
    reactor.doIteration(1)
    assert sorted(end.got for end in ends) == [b"", b"x"]


def test_other_reactors_are_left_as_they_are():
    assert not shorten(task.Clock())

    class Another(EPollReactor):
        pass

    another = Another()
    assert not shorten(another)
    assert "doIteration" not in vars(another)
