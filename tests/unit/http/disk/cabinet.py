"""A memory store over a disk tier in a folder, on a fake clock, with its threads done at once."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from netsuite.common.datadir import DataDirectory
from netsuite.common.threads import Inline
from netsuite.http.cache.content import InMemory
from netsuite.http.cache.store import Store
from netsuite.http.cache.stored import Request, Response, StoredResponse
from netsuite.http.cache.variants import secondary_key
from netsuite.http.disk.log import Log
from netsuite.http.disk.recovery import recover
from netsuite.http.disk.tier import DiskTier

START = 1_800_000_000.0


class Cabinet:
    """``memory`` and ``budget`` are in bytes."""

    def __init__(self, folder, *, memory=1 << 16, budget=1 << 22, segment_size=1 << 16, limit=1 << 15):
        self.clock = Clock()
        self.clock.advance(START)
        self.folder = folder
        self.settings = (memory, budget, segment_size, limit)
        self.start()

    def start(self):
        memory, budget, segment_size, limit = self.settings
        inline = Inline()
        self.log = Log(DataDirectory(self.folder), budget, inline, self.clock.seconds, segment_size=segment_size)
        recover(self.log)
        self.tier = DiskTier(self.log, inline, self.clock.callLater)
        self.store = Store(memory, limit)
        self.store.lower = self.tier

    def stop(self):
        done = Deferred.fromCoroutine(self.tier.close())
        self.clock.advance(1)
        assert done.called

    def crash(self):
        """Begin anew from what the files hold."""
        self.log.marks.close()
        self.start()

    def put(self, key, body, *fields, vary=(), asked=(), status=200, etag=b'"1"'):
        lines = [(b"cache-control", b"max-age=1000"), (b"etag", etag), *fields]
        if vary:
            lines.append((b"vary", b", ".join(vary)))
        now = self.clock.seconds()
        response = Response(status, lines, now, now)
        stored = StoredResponse(response, InMemory(body), secondary_key(response.vary, Request(b"GET", asked).fields))
        return self.store.put(key, stored, self.store.generation(key))

    def refresh(self, key, *fields):
        (stored,) = self.store.lookup(key)
        now = self.clock.seconds()
        fresh = stored.freshened(fields, Request(b"GET", ()), now, now)
        assert self.store.put(key, fresh, self.store.generation(key))

    def forget_memory(self):
        """As if memory had been wanted for other things."""
        lower, self.store.lower = self.store.lower, None
        self.store.clear()
        self.store.lower = lower

    def bodies(self, key):
        return sorted(stored.content.body for stored in self.store.lookup(key))

    def pass_time(self):
        for _ in range(2000):
            if not self.clock.getDelayedCalls():
                break
            self.clock.advance(0)
