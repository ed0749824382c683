from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from netsuite.common.errors import StartError
from netsuite.common.sharing import Key, Sharing


@pytest.fixture
def closing() -> Iterator[list[Sharing | socket.socket]]:
    made: list[Sharing | socket.socket] = []
    yield made
    for each in made:
        each.close()


def test_alone_nothing_is_shared() -> None:
    alone = Sharing()
    alone.tables.add("dns")
    assert not alone.shares("dns")
    assert alone.socket("tcp", "127.0.0.1", 0) is None
    assert alone.named("web") is None
    alone.close()


@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_the_parent_opens_one_for_each_process(kind: str, closing: list[Sharing | socket.socket]) -> None:
    parent = Sharing(count=3, tables=["dns"])
    closing.append(parent)
    assert parent.shares("dns")
    assert not parent.shares("admin")
    own = parent.socket(kind, "127.0.0.1", 0)  # type: ignore[arg-type]
    assert own is not None
    closing.append(own)
    ((key, group),) = parent.groups
    assert key == (kind, "127.0.0.1", 0)
    assert len(group) == 2
    assert {each.getsockname() for each in group} == {own.getsockname()}
    assert not own.getblocking()


def test_a_port_in_use_is_the_parents_failure(closing: list[Sharing | socket.socket]) -> None:
    taken = socket.create_server(("127.0.0.1", 0))
    parent = Sharing(count=3, tables=["dns"])
    closing += [taken, parent]
    with pytest.raises(OSError, match="in use"):
        parent.socket("tcp", "127.0.0.1", taken.getsockname()[1])
    assert parent.groups == []


@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_another_site_that_shares_the_port_is_noticed(kind: str, closing: list[Sharing | socket.socket]) -> None:
    """The kernel itself would let one user's processes share it."""
    one, other = Sharing(count=2, tables=["dns"]), Sharing(count=2, tables=["dns"])
    own = one.socket(kind, "127.0.0.1", 0)  # type: ignore[arg-type]
    assert own is not None
    closing += [one, other, own]
    with pytest.raises(OSError, match="in use"):
        other.socket(kind, "127.0.0.1", own.getsockname()[1])  # type: ignore[arg-type]


def test_a_worker_takes_its_own_in_order(closing: list[Sharing | socket.socket]) -> None:
    key: Key = ("tcp", "127.0.0.1", 0)
    one, other = socket.socket(), socket.socket()
    worker = Sharing(1, 3, ["http"], {key: [one, other]})
    closing += [worker, one, other]
    assert worker.socket(*key) is one
    assert worker.socket(*key) is other
    with pytest.raises(StartError, match=r"worker 1 got no socket for tcp 127.0.0.1:0"):
        worker.socket(*key)


def test_what_was_not_taken_is_closed() -> None:
    parent = Sharing(count=2, tables=["http"])
    own = parent.socket("tcp", "127.0.0.1", 0)
    assert own is not None
    with own:
        where = own.getsockname()
        held = parent.groups[0][1][0]
        parent.close()
        assert held.fileno() == -1
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(where, timeout=5)


def test_sockets_with_a_name(closing: list[Sharing | socket.socket]) -> None:
    web = socket.create_server(("127.0.0.1", 0))
    parent = Sharing(count=2, tables=["http"], named={"web": web})
    closing += [parent, web]
    for table, taken in (("admin", []), ("http", ["web"])):
        found = parent.named("web", table)
        assert found is not None
        closing.append(found)
        assert found.getsockname() == web.getsockname()
        assert not found.getblocking()
        assert not os.get_blocking(web.fileno()), "nobody's copy may block"
        assert list(parent.taken) == taken
    assert parent.named("other") is None


def test_sockets_that_systemd_named(monkeypatch: pytest.MonkeyPatch, closing: list[Sharing | socket.socket]) -> None:
    web = socket.create_server(("127.0.0.1", 0))
    closing.append(web)
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", "1")
    monkeypatch.setenv("LISTEN_FDNAMES", "web")
    monkeypatch.setattr("twisted.python.systemd.ListenFDs._START", web.fileno())
    alone = Sharing()
    found = alone.named("web")
    assert found is not None
    closing.append(found)
    assert found.getsockname() == web.getsockname()
    assert alone.named("other") is None
