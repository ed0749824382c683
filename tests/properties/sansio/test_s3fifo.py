"""S3-FIFO against a plain model: the paper's three queues, written as lists, with nothing done cleverly."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from netsuite.sansio.s3fifo import S3Fifo

KEYS = st.integers(0, 12)
SIZES = st.integers(1, 30)
BUDGET = 60


class Model:
    """Lists of [key, value, size, uses]."""

    def __init__(self):
        self.small, self.main, self.ghost, self.evicted = [], [], [], []

    def _held(self, key):
        for queue in (self.small, self.main):
            for row in queue:
                if row[0] == key:
                    return queue, row
        return None, None

    def total(self):
        return sum(row[2] for row in self.small + self.main)

    def get(self, key):
        _, row = self._held(key)
        if row is None:
            return None
        row[3] += 1
        return row[1]

    def drop(self, key):
        queue, row = self._held(key)
        if row is not None:
            queue.remove(row)
        return row

    def put(self, key, value, size):
        queue, row = self._held(key)
        if size > BUDGET:
            self.drop(key)
            return False
        if row is not None and size <= row[2]:
            row[1], row[2] = value, size
            return True
        if row is None:
            ghost = next((g for g in self.ghost if g[0] == key), None)
            queue, row = self.small, [key, value, size, 0]
            self._room(size)
            ghost = next((g for g in self.ghost if g[0] == key), None)
            if ghost is not None:
                self.ghost.remove(ghost)
                queue = self.main
        else:
            queue.remove(row)
            row = [key, value, size, row[3]]
            self._room(size)
        queue.append(row)
        return True

    def _room(self, size):
        while self.total() + size > BUDGET:
            small = sum(row[2] for row in self.small)
            if small > BUDGET // 10 or not self.main:
                row = self.small.pop(0)
                if row[3] >= 2:
                    self.main.append([*row[:3], 0])
                else:
                    self.ghost = [g for g in self.ghost if g[0] != row[0]] + [(row[0], row[2])]
                    while sum(g[1] for g in self.ghost) > BUDGET:
                        self.ghost.pop(0)
                    self.evicted.append((row[0], row[1]))
            else:
                row = self.main.pop(0)
                if row[3]:
                    self.main.append([*row[:3], min(row[3], 3) - 1])
                else:
                    self.evicted.append((row[0], row[1]))


class S3FifoMachine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.evicted = []
        self.map = S3Fifo(BUDGET, lambda key, value: self.evicted.append((key, value)))
        self.model = Model()
        self.count = 0
        self.hits = self.misses = 0

    @rule(key=KEYS, size=SIZES)
    def put(self, key, size):
        self.count += 1
        assert self.map.put(key, self.count, size) == self.model.put(key, self.count, size)

    @rule(key=KEYS)
    def put_what_is_larger_than_the_budget(self, key):
        assert self.map.put(key, -1, BUDGET + 1) is False
        self.model.put(key, -1, BUDGET + 1)
        assert key not in self.map

    @rule(key=KEYS)
    def get(self, key):
        expected = self.model.get(key)
        assert self.map.get(key) == expected
        if expected is None:
            self.misses += 1
        else:
            self.hits += 1

    @precondition(lambda self: len(self.map))
    @rule(data=st.data())
    def hit(self, data):
        key = data.draw(st.sampled_from(sorted(self.map)))
        entry = self.map.find(key)
        entry.uses += 1
        assert entry.value == self.model.get(key)

    @rule(key=KEYS)
    def discard(self, key):
        assert self.map.discard(key) == (self.model.drop(key) is not None)

    @rule(key=KEYS)
    def pop(self, key):
        row = self.model.drop(key)
        assert self.map.pop(key, "none") == ("none" if row is None else row[1])

    @rule()
    def clear(self):
        self.map.clear()
        self.model.small, self.model.main, self.model.ghost = [], [], []

    @invariant()
    def same(self):
        rows = self.model.small + self.model.main
        assert dict(self.map.items()) == {row[0]: row[1] for row in rows}
        assert len(self.map) == len(rows)
        assert self.map.bytes == self.model.total() <= BUDGET
        assert self.evicted == self.model.evicted
        assert self.map.evictions == len(self.evicted)
        assert (self.map.hits, self.map.misses) == (self.hits, self.misses)


TestS3Fifo = S3FifoMachine.TestCase
TestS3Fifo.settings = settings(max_examples=200, stateful_step_count=60, deadline=None)
