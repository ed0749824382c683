"""The receive buffer against a plain bytes object."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from netsuite.sansio.buffer import NO_LINE_YET, TOO_LONG, ReceiveBuffer

LIMIT = 100


class BufferMachine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.buffer = ReceiveBuffer(LIMIT)
        self.model = b""

    @rule(data=st.text("ab\n", min_size=1, max_size=40).map(str.encode) | st.binary(min_size=70_000, max_size=70_001))
    def append(self, data):
        self.model += data
        assert self.buffer.append(data) == (len(self.model) <= LIMIT)

    @rule(count=st.integers(0, 50) | st.just(66_000))
    def take(self, count):
        taken = self.buffer.take(count)
        if count > len(self.model):
            assert taken is None
        else:
            assert type(taken) is bytes
            assert taken == self.model[:count]
            self.model = self.model[count:]

    @rule(count=st.integers(0, 50))
    def peek(self, count):
        assert self.buffer.peek(count) == self.model[:count]

    @rule(longest=st.integers(1, 60))
    def line(self, longest):
        end = self.model.find(b"\n", 0, longest) + 1
        if not end:
            end = TOO_LONG if len(self.model) >= longest else NO_LINE_YET
        assert self.buffer.line(longest) == end

    @rule()
    def take_all(self):
        assert self.buffer.take_all() == self.model
        self.model = b""

    @rule()
    def clear(self):
        self.buffer.clear()
        self.model = b""

    @invariant()
    def same(self):
        assert len(self.buffer) == len(self.model)


TestBuffer = BufferMachine.TestCase
TestBuffer.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)


def test_a_chunk_taken_whole_is_not_copied():
    buffer = ReceiveBuffer(LIMIT)
    chunk = bytes(1000)
    buffer.append(chunk)
    assert buffer.take(1000) is chunk
    buffer.append(chunk)
    assert buffer.take_all() is chunk
