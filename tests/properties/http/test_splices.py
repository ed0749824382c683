"""Tunnels, whatever passes: each end gets what the other sent, in order, all of it unless somebody broke off.

CONNECT and WebSocket through the real proxy on the in-memory network; both ends say, wait, stop reading, end
their half or break off as hypothesis likes.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.http.proxy.stage import Stage
from tests.unit.http.proxy.test_tunnels import CONNECT, SWITCHED, WEBSOCKET

acts = st.lists(
    st.one_of(
        st.tuples(st.just("say"), st.sampled_from([1, 10, 1000, 70_000, 600_000])),
        st.tuples(st.just("say"), st.sampled_from([1, 10, 1000, 70_000])),
        st.tuples(st.just("wait"), st.sampled_from([0.0, 0.01, 0.5])),
        st.tuples(st.just("pause"), st.sampled_from([0.1, 2.0])),
        st.tuples(st.sampled_from(["end", "end", "abort"])),
    ),
    max_size=8,
)


class End:
    """One end of a tunnel, acting on its own."""

    def __init__(self, network, talk, acts, seed):
        self.network, self.talk, self.acts = network, talk, list(acts)
        self.sent = b""
        self.seed = seed
        self.aborted = self.over = False

    def step(self):
        later = None
        while self.acts and later is None and not self.talk.closed:
            kind, *more = self.acts.pop(0)
            if kind == "say":
                start = len(self.sent) + self.seed
                data = bytes((start + n * n) & 255 for n in range(min(more[0], 1000))) * (more[0] // 1000 or 1)
                self.sent += data
                self.talk.say(data)
            elif kind == "wait":
                later = more[0]
            elif kind == "pause":
                self.talk.transport.pauseProducing()
                later = more[0]
            elif kind == "end":
                self.acts.clear()
                self.over = True
                self.talk.transport.loseWriteConnection()
            else:
                self.acts.clear()
                self.aborted = True
                self.talk.transport.abortConnection()
        if later is not None:
            self.network.clock.callLater(later, self.on)

    def on(self):
        if not self.talk.closed:
            self.talk.transport.resumeProducing()
            self.step()


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.booleans(), acts, acts)
def test_what_one_end_sends_is_what_the_other_gets(websocket, of_client, of_origin):
    with tempfile.TemporaryDirectory() as folder, Stage(Path(folder)) as stage:
        stage.origin.closes = False
        head = []

        def script(side):
            if websocket and not head and b"\r\n\r\n" in side.data:
                head.append(side.data)
                side.data = b""
                side.say(SWITCHED)

        stage.origin.script = script
        talk = stage.connect()
        talk.say(WEBSOCKET if websocket else CONNECT)
        assert stage.until(lambda: b"\r\n\r\n" in talk.data and stage.origin.sides)
        talk.data = b""
        client = End(stage.network, talk, of_client, 0)
        origin = End(stage.network, stage.origin.sides[0], of_origin, 77)
        client.step()
        origin.step()
        stage.network.advance(30)
        broken = client.aborted or origin.aborted
        for one, other in ((client, origin), (origin, client)):
            got = other.talk.data
            assert one.sent.startswith(got)
            if not broken:
                assert got == one.sent
                # an end is passed on, and no other than the end that was said
                assert other.talk.ended is one.over
        if broken:
            assert client.talk.closed or client.talk.ended or origin.talk.closed
        stage.network.advance(61)
        if client.over or origin.over or broken:
            assert not stage.server.factory.adapters and not stage.server.client.open
        assert stage.server.factory.errors == 0
