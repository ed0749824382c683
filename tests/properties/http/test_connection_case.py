"""Both machines keep every promise of a Connection."""

from __future__ import annotations

from netsuite.http.wire import ClientConnection, Request, Response, ServerConnection
from netsuite.sansio.connection import Channel, Finish, Part
from netsuite.testing.connection_case import START, ConnectionCase, Conversation

CHANNEL = Channel(("127.0.0.1", 80), ("127.0.0.1", 40000))


async def _nothing():
    yield b""


def _poured(status, headers, stream):
    return [
        Response(status, headers, source=_nothing(), stream=stream),
        Part(stream, b"some "),
        Part(stream, b"bytes"),
        Finish(stream),
    ]


class TestServer(ConnectionCase):
    patience = 45.0

    def make(self):
        return ServerConnection(CHANNEL, now=START, upgrades=frozenset([b"echo"]))

    def make_peer(self):
        return ClientConnection(now=START)

    def conversations(self):
        get = Request(b"GET", b"/", [], authority=b"a", stream=1)
        return [
            Conversation(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", peer=(get,)),
            Conversation(b"GET /poured HTTP/1.1\r\nHost: a.test\r\nAccept: */*\r\n\r\n", peer=(get,)),
            Conversation(b"GET /counted HTTP/1.1\r\nHost: a.test\r\nX: \r\n\r\n", peer=(get,)),
            Conversation(b"GET /poured HTTP/1.0\r\n\r\n", peer=(get,)),
            Conversation(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", peer=(get,)),
            Conversation(
                b"HEAD / HTTP/1.1\r\nHost: a.test\r\n\r\n", peer=(Request(b"HEAD", b"/", [], authority=b"a", stream=1),)
            ),
            Conversation(b"\r\nPOST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello", peer=(get,)),
            Conversation(
                b"PUT / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"
                b"5;x=1\r\nhello\r\n0b\r\n, and more!\r\n0\r\nX-Sum: 15\r\n\r\n"
                b"GET /b HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n",
                peer=(get,),
            ),
            Conversation(b"OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n", peer=(get,)),
        ]

    def answer(self, message):
        stream = message.stream
        if message.path == b"/poured":
            return _poured(200, [(b"content-type", b"text/plain")], stream)
        if message.path == b"/counted":
            return _poured(200, [(b"content-length", b"10")], stream)
        return [Response(200, [(b"etag", b'"1"')], b"hello\n", stream=stream)]

    def check_read_back(self, sent, received):
        heads = [item for item in sent if type(item) is Response][:1]
        read = [event for event in received if type(event) is Response][:1]
        assert [head.status for head in heads] == [head.status for head in read]


class TestClient(ConnectionCase):
    patience = 90.0

    def make(self):
        return ClientConnection(now=START)

    def make_peer(self):
        return ServerConnection(CHANNEL, now=START)

    def conversations(self):
        get = (Request(b"GET", b"/", [(b"accept", b"*/*")], authority=b"a.test", stream=1),)
        head = (Request(b"HEAD", b"/", [], authority=b"a.test", stream=1),)
        put = (
            Request(b"PUT", b"/", [], authority=b"a.test", stream=1, source=_nothing()),
            Part(1, b"12345"),
            Part(1, b"6"),
            Finish(1, ((b"x-sum", b"6"),)),
        )
        post = (Request(b"POST", b"/", [], authority=b"a.test", stream=1, body=b"abc"),)
        connect = (Request(b"CONNECT", b"a.test:443", [], authority=b"a.test:443", stream=1, source=_nothing()),)
        return [
            Conversation(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", get),
            Conversation(b"HTTP/1.1 204 No Content\r\n\r\n", put),
            Conversation(b'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: "a"\r\n\r\n', get),
            Conversation(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", head),
            Conversation(
                b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                b"3\r\nabc\r\n0\r\nX: y\r\n\r\n",
                post,
            ),
            Conversation(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi", get),
            Conversation(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nhi", get),
            Conversation(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", connect),
        ]
