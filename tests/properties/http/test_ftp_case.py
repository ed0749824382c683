"""The FTP control connection against everything that a peer can do, and its small parsers."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from netsuite.http.ftp.wire.addresses import quoted, read_eprt, read_port, resolved
from netsuite.http.ftp.wire.connection import Command, FtpConnection, Reply
from netsuite.http.ftp.wire.listings import (
    FACTS,
    Listed,
    facts_of,
    from_network_lines,
    line_of,
    to_network_lines,
    when,
)
from netsuite.sansio.connection import NEED_DATA, PAUSED, Close


def machine(**options):
    return FtpConnection(0.0, fresh=lambda channel: machine(greeting=None), **options)


def commands(connection, chunks):
    """Feed chunks, answer each command with 200; the commands, and whether it closed."""
    got, closed = [], False
    for chunk in chunks:
        connection.receive(chunk, 0.0)
        while (event := connection.next_event()) is not NEED_DATA and event is not PAUSED:
            if isinstance(event, Command):
                got.append(event)
                connection.send(Reply(200, "yes"), 0.0)
            elif isinstance(event, Close):
                closed = True
    return got, closed


LINES = st.lists(
    st.one_of(st.binary(max_size=30), st.sampled_from([b"NOOP", b"abor", b"RETR a b", b"\xff\xf4\xff\xf2ABOR"])),
    max_size=8,
)


@given(LINES, st.data())
def test_any_split_gives_the_same_commands(lines, data):
    whole = b"".join(line + b"\r\n" for line in lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=5)))
    chunks = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True) if a < b]
    assert commands(machine(), chunks) == commands(machine(), [whole] if whole else [])


@given(st.lists(st.binary(min_size=1, max_size=9000), max_size=4))
def test_nothing_that_comes_raises(chunks):
    connection = machine()
    commands(connection, [*chunks, b""])
    connection.tick(1e9)
    assert connection.next_event() is NEED_DATA or isinstance(connection.next_event(), object)


def test_limits():
    connection = machine()
    assert commands(connection, [b"x" * 5000])[1]
    connection = machine()
    assert commands(connection, [b"\xff\r\n" * 20])[1]
    connection = machine()
    connection.outgoing()
    assert connection.deadline() == 300.0
    connection.tick(300.0)
    assert isinstance(connection.next_event(), Close)
    assert b"".join(connection.outgoing()).startswith(b"421 ")


def test_only_abor_is_taken_out_of_turn():
    connection = machine()
    connection.receive(b"RETR x\r\nNOOP\r\n", 0.0)
    assert connection.next_event().verb == "RETR"
    connection.send(Reply(150, "here"), 0.0)
    assert connection.next_event() is PAUSED
    connection.send(Reply(226, "done"), 0.0)
    assert connection.next_event().verb == "NOOP"
    connection.receive(b"ABOR\r\nABOR\r\n", 0.0)
    assert connection.next_event().verb == "ABOR"
    assert connection.next_event() is PAUSED


def test_no_reply_can_be_two():
    connection = machine(greeting=None)
    connection.receive(b"NOOP\r\n", 0.0)
    connection.next_event()
    connection.send(Reply(257, "a\r\n226 b"), 0.0)
    assert b"".join(connection.outgoing()) == b"257 a  226 b\r\n"


@given(st.binary(max_size=40))
def test_any_address_is_read(argument):
    for read in (read_port, read_eprt):
        address = read(argument)
        assert address is None or 0 <= address[1] < 65536


def test_addresses():
    assert read_port(b"127,0,0,1,19,137") == ("127.0.0.1", 5001)
    assert read_eprt(b"|1|127.0.0.1|5001|") == ("127.0.0.1", 5001)
    assert read_eprt(b"!2!::1!5001!") == ("::1", 5001)
    assert read_eprt(b"|1|::1|5001|") is None
    assert read_eprt(b"|1|127.0.0.1|65536|") is None


@given(st.lists(st.binary(min_size=1, max_size=3)), st.binary(max_size=30))
def test_paths_stay_below_the_root(folder, path):
    names = resolved(folder if all(b"/" not in name and name not in (b".", b"..") for name in folder) else [], path)
    assert all(name not in (b"", b".", b"..") and b"/" not in name for name in names)


def test_quotes_are_doubled():
    assert quoted([b'a"b', b"c"]) == '"/a""b/c"'


async def _gathered(source):
    return b"".join([chunk async for chunk in source])


async def _given(chunks):
    for chunk in chunks:
        yield chunk


@given(st.lists(st.text("ab\r\n", max_size=5).map(str.encode), max_size=6))
def test_texts_come_through_whole(chunks):
    whole = b"".join(chunks)
    sent = asyncio.run(_gathered(to_network_lines(_given(chunks))))
    assert sent == whole.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    assert asyncio.run(_gathered(from_network_lines(_given(chunks)))) == whole.replace(b"\r\n", b"\n")


def test_listings():
    file, folder = Listed(b"a b", False, 10, 1_000_000_000.5), Listed(b"d", True, 4096, 0.0)
    assert when(1_000_000_000.5) == "20010909014640"
    assert facts_of(file, FACTS, writing=False) == b"type=file;size=10;modify=20010909014640;perm=r; a b"
    assert facts_of(folder, FACTS, writing=True) == b"type=dir;modify=19700101000000;perm=elcmfdp; d"
    assert facts_of(file, (), writing=True) == b" a b"
    assert line_of(file, 1_000_000_100.0, writing=False) == b"-r--r--r-- 1 ftp ftp           10 Sep  9 01:46 a b"
    assert line_of(folder, 2e9, writing=True) == b"drwxr-xr-x 1 ftp ftp         4096 Jan  1  1970 d"
