"""Tunnels and upgrades through the proxy: what is passed, when, how each side ends, and what is refused."""

from __future__ import annotations

import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Ping, Pong
from wsproto.events import Request as Handshake

from tests.integration.http.scripted import reply
from tests.unit.http.proxy.stage import Stage, close_all

CONNECT = b"CONNECT origin.test:80 HTTP/1.1\r\nHost: origin.test:80\r\n\r\n"
WEBSOCKET = (
    b"GET http://origin.test/chat HTTP/1.1\r\nHost: origin.test\r\nConnection: Upgrade, X-Mine\r\n"
    b"Upgrade: websocket\r\nX-Mine: 1\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-Theirs: 1\r\n\r\n"


@pytest.fixture(autouse=True)
def closed():
    yield
    close_all()


@pytest.fixture
def stage(tmp_path):
    return lambda **settings: Stage(tmp_path, **settings)


def silent(proxy):
    """An origin that keeps all that comes, and does not end by itself."""
    proxy.origin.script = lambda side: None
    proxy.origin.closes = False


def tunnel(proxy, early=b""):
    """A tunnel that stands, and its two ends."""
    client = proxy.connect()
    client.say(CONNECT + early)
    assert proxy.until(lambda: b"\r\n\r\n" in client.data)
    assert client.data.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"ontent-length" not in client.data.lower() and b"transfer-encoding" not in client.data.lower()
    client.data = client.body
    assert proxy.until(lambda: proxy.origin.sides)
    return client, proxy.origin.sides[-1]


def log(proxy):
    return [entry for entry in proxy.commons.journal.recent() if "CONNECT" in str(entry) or "chat" in str(entry)]


class TestConnect:
    def test_bytes_that_come_with_the_request_follow_it(self, stage):
        proxy = stage()
        silent(proxy)
        client, origin = tunnel(proxy, b"early")
        assert proxy.until(lambda: origin.data == b"early")
        origin.say(b"\0\xff\r\n\r\nHTTP/1.1 500 No\r\n\r\n")
        assert proxy.until(lambda: client.data == b"\0\xff\r\n\r\nHTTP/1.1 500 No\r\n\r\n")

    def test_nothing_that_came_with_a_refused_one_is_read(self, stage):
        proxy = stage()
        client = proxy.connect()
        client.say(CONNECT.replace(b":80 ", b":25 ") + b"GET http://origin.test/evil HTTP/1.1\r\nHost: a\r\n\r\n")
        assert proxy.until(lambda: client.ended)
        assert client.statuses == [403]
        assert proxy.origin.requests == []

    def test_a_client_that_ends_its_side_still_hears_the_answer(self, stage):
        proxy = stage()
        silent(proxy)
        client, origin = tunnel(proxy)
        client.say(b"question")
        client.transport.loseWriteConnection()
        assert proxy.until(lambda: origin.ended)
        assert (origin.data, client.ended) == (b"question", False)
        origin.say(b"answer" * 1000)
        origin.transport.loseConnection()
        assert proxy.until(lambda: client.ended)
        assert client.data == b"answer" * 1000
        assert not proxy.server.factory.adapters and not proxy.server.client.open

    def test_an_origin_that_ends_its_side_still_hears_the_client(self, stage):
        proxy = stage()
        silent(proxy)
        client, origin = tunnel(proxy)
        origin.say(b"bye")
        origin.transport.loseWriteConnection()
        assert proxy.until(lambda: client.ended)
        assert (client.data, len(proxy.server.factory.adapters)) == (b"bye", 1)
        for _ in range(3):
            client.say(b"and then ")
            proxy.network.advance(20)
        assert origin.data == b"and then " * 3
        client.transport.loseConnection()
        assert proxy.until(lambda: origin.ended)
        assert not proxy.server.factory.adapters and not proxy.server.client.open

    @pytest.mark.parametrize("ends", ["client", "origin"])
    def test_one_that_was_left_by_one_side_is_not_held_for_long(self, stage, ends):
        proxy = stage(tunnel_time=600)
        silent(proxy)
        client, origin = tunnel(proxy)
        (client if ends == "client" else origin).transport.loseWriteConnection()
        proxy.network.advance(59)
        assert proxy.server.factory.adapters and proxy.server.client.open
        proxy.network.advance(3)
        assert client.ended and origin.ended
        assert not proxy.server.factory.adapters and not proxy.server.client.open

    @pytest.mark.parametrize("ends", ["client", "origin"])
    def test_a_reset_ends_both(self, stage, ends):
        proxy = stage()
        silent(proxy)
        client, origin = tunnel(proxy)
        (client if ends == "client" else origin).transport.abortConnection()
        assert proxy.until(lambda: client.ended and origin.ended)
        proxy.network.advance(3)
        assert not proxy.server.factory.adapters and not proxy.server.client.open

    def test_a_silent_one_is_closed(self, stage):
        proxy = stage(tunnel_time=100)
        silent(proxy)
        client, origin = tunnel(proxy)
        for _ in range(3):
            proxy.network.advance(90)
            origin.say(b".")
        proxy.network.advance(90)
        assert not client.ended
        proxy.network.advance(20)
        assert client.ended and origin.ended

    def test_the_log_has_it_with_its_bytes_when_it_is_over(self, stage):
        proxy = stage()
        silent(proxy)
        client, origin = tunnel(proxy)
        client.say(b"x" * 1234)
        origin.say(b"y" * 5678)
        assert proxy.until(lambda: len(client.data) == 5678)
        assert log(proxy) == []
        client.transport.loseConnection()
        origin.transport.loseConnection()
        proxy.network.advance(1)
        (entry,) = log(proxy)
        assert (entry["status"], entry["size"]) == (200, 5678)
        assert (proxy.server.tunnels.opened, proxy.server.tunnels.bytes_up) == (1, 1234)

    def test_who_does_not_read_holds_the_other_back(self, stage):
        proxy = stage()
        silent(proxy)
        client, origin = tunnel(proxy)
        client.transport.pauseProducing()
        origin.say(b"z" * (8 << 20))
        proxy.network.advance(20)
        held = sum(len(adapter.transport.dataBuffer) for adapter in proxy.server.factory.adapters)
        assert held < 2 << 20
        client.transport.resumeProducing()
        assert proxy.until(lambda: len(client.data) == 8 << 20, 60)

    def test_a_reverse_proxy_opens_none(self, stage):
        proxy = stage(origin="http://origin.test")
        assert proxy.ask("origin.test:80", method="CONNECT").status == 405
        assert proxy.origin.sides == []


def switch(proxy, request=WEBSOCKET):
    """A WebSocket through the proxy, and its two ends."""
    proxy.origin.closes = False

    def script(side):
        for _ in proxy.origin.heads(side):
            side.say(SWITCHED)
            proxy.origin.script = lambda side: None

    proxy.origin.script = script
    client = proxy.connect()
    client.say(request)
    assert proxy.until(lambda: b"\r\n\r\n" in client.data)
    return client, proxy.origin.sides[-1]


class TestUpgrade:
    @pytest.mark.parametrize("reverse", [False, True])
    def test_both_sides_agree_and_then_all_passes(self, stage, reverse):
        proxy = stage(**({"origin": "http://origin.test"} if reverse else {}))
        request = WEBSOCKET.replace(b"http://origin.test", b"") if reverse else WEBSOCKET
        client, origin = switch(proxy, request + b"early")
        head = proxy.origin.requests[0][0]
        assert head.startswith("GET /chat HTTP/1.1\r\n")
        for line in ("Upgrade: websocket", "Connection: Upgrade", "Sec-Websocket-Key: dGhlIHNhbXBsZSBub25jZQ=="):
            assert line.lower() in head.lower()
        assert "x-mine" not in head.lower()
        assert client.status == 101
        assert client.header("upgrade") == "websocket" and client.header("connection") == "Upgrade"
        assert client.header("via") is not None
        client.data = client.body
        origin.say(b"HTTP/1.1 200 OK\r\n\r\n")
        assert proxy.until(lambda: client.data == b"HTTP/1.1 200 OK\r\n\r\n" and origin.data == b"early")
        client.say(b"GET /smuggled HTTP/1.1\r\n\r\n")
        assert proxy.until(lambda: origin.data.endswith(b"\r\n\r\n"))
        client.transport.loseWriteConnection()
        assert proxy.until(lambda: origin.ended)
        origin.say(b"last")
        origin.transport.loseConnection()
        assert proxy.until(lambda: client.ended)
        assert client.data.endswith(b"last")
        assert log(proxy)[0]["status"] == 101
        assert not proxy.server.client.open

    def test_interim_responses_come_before_the_agreement(self, stage):
        proxy = stage()
        proxy.origin.script = lambda side: [
            side.say(b"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n" + SWITCHED) for _ in proxy.origin.heads(side)
        ]
        client = proxy.connect()
        client.say(WEBSOCKET)
        assert proxy.until(lambda: client.statuses == [103, 101])

    def test_nothing_passes_before_the_origin_has_agreed(self, stage):
        proxy = stage()
        silent(proxy)
        client = proxy.connect()
        client.say(WEBSOCKET + b"frames")
        proxy.network.advance(1)
        assert proxy.origin.sides[0].data.endswith(b"\r\n\r\n") and b"frames" not in proxy.origin.sides[0].data

    @pytest.mark.parametrize("status", ["200 OK", "400 Bad", "426 Upgrade Required", "503 Later"])
    def test_a_refusal_is_passed_on_and_the_connection_goes_on(self, stage, status):
        proxy = stage()
        proxy.origin.script = lambda side: [
            side.say(reply(b"no", "Connection: Upgrade", "Upgrade: websocket", status=status))
            for _ in proxy.origin.heads(side)
        ]
        client = proxy.connect()
        client.say(WEBSOCKET + b"GET http://origin.test/next HTTP/1.1\r\nHost: origin.test\r\n\r\n")
        assert proxy.until(lambda: len(client.statuses) == 2)
        assert client.statuses == [int(status[:3])] * 2
        assert b"pgrade: websocket" not in client.data
        assert len(proxy.origin.requests) == 2

    @pytest.mark.parametrize(
        "answer",
        [
            SWITCHED.replace(b"Upgrade: websocket", b"Upgrade: h2c"),
            SWITCHED.replace(b"Upgrade: websocket\r\n", b""),
        ],
    )
    def test_another_protocol_than_was_asked_for_is_a_502(self, stage, answer):
        proxy = stage()
        proxy.origin.script = lambda side: [side.say(answer + b"evil") for _ in proxy.origin.heads(side)]
        client = proxy.connect()
        client.say(WEBSOCKET)
        assert proxy.until(lambda: b"</html>" in client.data)
        assert client.status == 502 and b"evil" not in client.data
        proxy.network.advance(1)
        assert not proxy.server.client.open

    def test_a_101_that_nobody_asked_for_is_a_502(self, stage):
        proxy = stage()
        proxy.origin.script = lambda side: [side.say(SWITCHED + b"evil") for _ in proxy.origin.heads(side)]
        talk = proxy.ask()
        assert talk.status == 502 and b"evil" not in talk.data

    @pytest.mark.parametrize(
        "fields",
        [
            b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
            b"Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
            b"Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n",
            b"Connection: Upgrade\r\nUpgrade: TLS/1.3\r\n",
            b"Upgrade: websocket\r\n",
        ],
    )
    def test_what_is_not_passed_on_is_a_plain_request(self, stage, fields):
        proxy = stage()
        client = proxy.connect()
        more = b"GET http://origin.test/next HTTP/1.1\r\nHost: origin.test\r\n\r\n"
        client.say(b"GET http://origin.test/ HTTP/1.1\r\nHost: origin.test\r\n" + fields + b"\r\n" + more)
        assert proxy.until(lambda: len(client.statuses) == 2)
        assert client.statuses == [200, 200]
        for head, _ in proxy.origin.requests:
            assert "pgrade" not in head and "HTTP2-Settings".lower() not in head.lower()

    def test_an_upgrade_with_a_body_is_a_plain_request(self, stage):
        proxy = stage()
        talk = proxy.ask("http://origin.test/", "Connection: Upgrade", "Upgrade: websocket", method="POST", body=b"abc")
        assert (talk.status, proxy.origin.requests[0][1]) == (200, b"abc")
        assert "pgrade" not in proxy.origin.requests[0][0]

    def test_a_silent_one_is_closed(self, stage):
        proxy = stage(tunnel_time=100)
        client, origin = switch(proxy)
        proxy.network.advance(99)
        assert not client.ended
        proxy.network.advance(3)
        assert client.ended and origin.ended


class Echo:
    """A WebSocket server behind the proxy, by wsproto."""

    def __init__(self, proxy):
        self.machines = {}
        proxy.origin.script = self.heard
        proxy.origin.closes = False

    def heard(self, side):
        machine = self.machines.setdefault(side, WSConnection(ConnectionType.SERVER))
        data, side.data = side.data, b""
        machine.receive_data(data)
        for event in machine.events():
            if isinstance(event, Handshake):
                side.say(machine.send(AcceptConnection(subprotocol="chat")))
            elif isinstance(event, BytesMessage):
                side.say(machine.send(BytesMessage(event.data[::-1], message_finished=event.message_finished)))
            elif isinstance(event, Ping):
                side.say(machine.send(event.response()))
            elif isinstance(event, CloseConnection):
                side.say(machine.send(event.response()))
                side.transport.loseConnection()


def conversation(machine, say, heard):
    """Messages of all sizes, a ping and the close, over a WebSocket that stands; ``heard(n)`` waits for n events."""
    for size in (0, 1, 125, 126, 65535, 65536, 1 << 20):
        message = bytes(range(256)) * (size // 256 + 1)
        say(machine.send(BytesMessage(message[:size])))
        got = b""
        while True:
            event = heard()
            assert isinstance(event, BytesMessage)
            got += event.data
            if event.message_finished:
                break
        assert got == message[:size][::-1] or len(got) == size
    say(machine.send(Ping(b"there?")))
    assert heard() == Pong(b"there?")
    say(machine.send(CloseConnection(1000, "done")))
    assert isinstance(heard(), CloseConnection)


def test_a_websocket_of_wsproto(tmp_path):
    proxy = Stage(tmp_path)
    Echo(proxy)
    client, machine = proxy.connect(), WSConnection(ConnectionType.CLIENT)
    raw = machine.send(Handshake("origin.test", "/chat", subprotocols=["chat"]))
    client.say(raw.replace(b"GET /chat", b"GET http://origin.test/chat"))
    waiting = []

    def heard():
        def look():
            data, client.data = client.data, b""
            machine.receive_data(data or b"") if data else None
            waiting.extend(machine.events())
            return waiting

        assert proxy.until(look, 20)
        return waiting.pop(0)

    assert isinstance(heard(), AcceptConnection)
    conversation(machine, client.say, heard)
    assert proxy.until(lambda: client.ended)
    client.transport.loseConnection()
    assert proxy.until(lambda: not proxy.server.client.open)


class Http2Client:
    """h2 as the client of the proxy, in memory."""

    def __init__(self, proxy):
        self.proxy = proxy
        self.talk = proxy.connect()
        config = h2.config.H2Configuration(
            header_encoding=None, validate_outbound_headers=False, normalize_outbound_headers=False
        )
        self.h2 = h2.connection.H2Connection(config)
        self.h2.initiate_connection()
        self.events = []
        self.flush()
        assert proxy.until(lambda: self.look(h2.events.RemoteSettingsChanged))

    def flush(self):
        self.talk.say(self.h2.data_to_send())

    def look(self, kind):
        data, self.talk.data = self.talk.data, b""
        if data:
            self.events += self.h2.receive_data(data)
            for event in self.events:
                if isinstance(event, h2.events.DataReceived) and not getattr(event, "taken", False):
                    event.taken = True
                    if event.flow_controlled_length:
                        self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            self.flush()
        return [event for event in self.events if isinstance(event, kind)]

    def next(self, kind, seconds=10):
        assert self.proxy.until(lambda: self.look(kind), seconds), self.events
        event = self.look(kind)[0]
        if kind is h2.events.DataReceived and not event.data:
            self.events.remove(event)
            return self.next(kind, seconds)
        self.events.remove(event)
        return event

    def ask(self, *fields, end=False):
        stream = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream, [(name.encode(), value.encode()) for name, value in fields], end_stream=end)
        self.flush()
        return stream


EXTENDED = (
    (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"), (":authority", "origin.test"),
    (":path", "/chat"), ("sec-websocket-version", "13"),
)  # fmt: skip


class TestHttp2:
    def test_a_tunnel_is_half_closed_by_either_side(self, tmp_path):
        proxy = Stage(tmp_path)
        silent(proxy)
        client = Http2Client(proxy)
        for first in ("client", "origin"):
            stream = client.ask((":method", "CONNECT"), (":authority", "origin.test:80"))
            client.next(h2.events.ResponseReceived)
            origin = proxy.origin.sides[-1]
            if first == "client":
                client.h2.send_data(stream, b"question", end_stream=True)
                client.flush()
                assert proxy.until(lambda: origin.ended)  # noqa: B023
                origin.say(b"answer")
                origin.transport.loseConnection()
                assert client.next(h2.events.DataReceived).data == b"answer"
                client.next(h2.events.StreamEnded)
            else:
                origin.say(b"bye")
                origin.transport.loseWriteConnection()
                assert client.next(h2.events.DataReceived).data == b"bye"
                client.next(h2.events.StreamEnded)
                client.h2.send_data(stream, b"still here", end_stream=True)
                client.flush()
                assert proxy.until(lambda: origin.ended)  # noqa: B023
            assert origin.data == (b"question" if first == "client" else b"still here")
            origin.transport.loseConnection()
        proxy.network.advance(1)
        assert not proxy.server.client.open
        assert not [event for event in client.events if isinstance(event, h2.events.StreamReset)]

    def test_a_websocket_of_wsproto_on_a_stream(self, tmp_path):
        proxy = Stage(tmp_path, origin="http://origin.test")
        Echo(proxy)
        client = Http2Client(proxy)
        assert client.h2.remote_settings[h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL] == 1
        stream = client.ask(*EXTENDED, ("sec-websocket-protocol", "chat"))
        head = dict(client.next(h2.events.ResponseReceived).headers)
        assert (head[b":status"], head[b"sec-websocket-protocol"]) == (b"200", b"chat")
        assert b"sec-websocket-accept" not in head and b"upgrade" not in head
        machine = WSConnection(ConnectionType.CLIENT)
        # the handshake is done: wsproto's own is fed what it wants to hear
        raw = machine.send(Handshake("origin.test", "/chat"))
        key = next(line for line in raw.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key")).split()[1]
        server = WSConnection(ConnectionType.SERVER)
        server.receive_data(raw)
        list(server.events())
        machine.receive_data(server.send(AcceptConnection()))
        assert key and isinstance(next(machine.events()), AcceptConnection)
        waiting = []

        def say(data):
            while data:
                room = min(client.h2.local_flow_control_window(stream), client.h2.max_outbound_frame_size)
                if room <= 0:
                    proxy.network.advance(0.05)
                    client.look(h2.events.WindowUpdated)
                    continue
                client.h2.send_data(stream, data[:room])
                data = data[room:]
                client.flush()

        def heard():
            while not waiting:
                machine.receive_data(client.next(h2.events.DataReceived).data)
                waiting.extend(machine.events())
            return waiting.pop(0)

        conversation(machine, say, heard)
        client.next(h2.events.StreamEnded)

    @pytest.mark.parametrize(
        "answer",
        [
            reply(b"a page"),
            SWITCHED.replace(b"X-Theirs: 1", b"Sec-WebSocket-Accept: wrong"),
            SWITCHED,
        ],
    )
    def test_what_is_no_websocket_is_a_502(self, tmp_path, answer):
        proxy = Stage(tmp_path, origin="http://origin.test")
        proxy.origin.script = lambda side: [side.say(answer + b"evil") for _ in proxy.origin.heads(side)]
        client = Http2Client(proxy)
        client.ask(*EXTENDED)
        assert dict(client.next(h2.events.ResponseReceived).headers)[b":status"] == b"502"
        proxy.network.advance(1)
        assert not proxy.server.client.open

    def test_a_refusal_is_passed_on(self, tmp_path):
        proxy = Stage(tmp_path, origin="http://origin.test")
        proxy.origin.script = lambda side: [side.say(reply(b"no", status="403 No")) for _ in proxy.origin.heads(side)]
        client = Http2Client(proxy)
        client.ask(*EXTENDED)
        assert dict(client.next(h2.events.ResponseReceived).headers)[b":status"] == b"403"
