"""The store against a plain model: what is looked up after any order of puts, purges, sweeps and uses."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from netsuite.http.cache.content import InMemory
from netsuite.http.cache.store import Store
from netsuite.http.cache.stored import Response, StoredResponse

KEYS = st.sampled_from([b"http://a/x", b"http://a/x/1", b"http://a/x/2", b"http://a/y", b"http://b/x", b"http://b/x/1"])
PREFIXES = st.sampled_from([b"http://a/", b"http://a/x/", b"http://b/", b""])
TAGS = st.sampled_from([b"r", b"s", b"t"])
ORIGINS = st.sampled_from([None, b"http://a", b"http://b"])
NOW = 1000.0


class StoreMachine(RuleBasedStateMachine):
    """``model`` is what must be found: by key and language, the body and whether it is still fresh."""

    def __init__(self):
        super().__init__()
        self.store = Store(64 << 20, 1 << 20)
        self.model = {}
        self.tags = {}
        self.fetches = []
        self.number = 0
        self.alive = set()
        self.store.on_end = self.alive.discard

    @rule(key=KEYS, language=st.sampled_from([b"en", b"de"]), tags=st.sets(TAGS))
    def fetch(self, key, language, tags):
        self.fetches.append((key, language, tags, self.store.generation(key), []))

    @rule(which=st.integers(0, 5))
    def arrive(self, which):
        if not self.fetches:
            return
        key, language, tags, generation, covered = self.fetches.pop(which % len(self.fetches))
        self.number += 1
        body = b"%d" % self.number
        lines = [(b"cache-control", b"max-age=60"), (b"vary", b"accept-language"), (b"cache-tag", b",".join(tags))]
        stored = StoredResponse(Response(200, lines, NOW, NOW), InMemory(body), (language,))
        self.alive.add(stored)
        kept = self.store.put(key, stored, generation)
        assert kept == (not any(covered))
        if kept:
            self.model[key, language] = (body, True)
            self.tags[key, language] = tags
        else:
            self.alive.discard(stored)

    def purged(self, soft, meant):
        """What a purge does to the model, and to the fetches under way; how many it took."""
        for key, _, tags, _, covered in self.fetches:
            covered.append(meant(key, tags))
        gone = 0
        for where, (body, fresh) in list(self.model.items()):
            if meant(where[0], self.tags[where]):
                if not soft:
                    del self.model[where]
                    gone += 1
                elif fresh:
                    self.model[where] = (body, False)
                    gone += 1
        return gone

    @rule(key=KEYS, soft=st.booleans())
    def purge(self, key, soft):
        gone = self.store.purge(key, NOW if soft else None)
        assert gone == self.purged(soft, lambda other, tags: other == key)

    @rule(tag=TAGS, origin=ORIGINS, soft=st.booleans())
    def purge_tags(self, tag, origin, soft):
        def meant(key, tags):
            return tag in tags and (origin is None or key.startswith(origin + b"/"))

        assert self.store.purge_tags(origin, [tag], NOW if soft else None) == self.purged(soft, meant)

    @rule(prefix=PREFIXES, soft=st.booleans())
    def purge_prefix(self, prefix, soft):
        self.store.purge_prefix(prefix, NOW if soft else None)
        self.purged(soft, lambda key, tags: key.startswith(prefix))

    @rule(some=st.integers(1, 4))
    def sweep(self, some):
        self.store.sweep(some)

    @rule()
    def sweep_all(self):
        while self.store.sweep():
            pass
        assert len(self.store) == len(self.model)
        assert len(self.alive) == len(self.model)

    @invariant()
    def found(self):
        keys = {key for key, _ in self.model}
        for key in keys | set(self.store.targets()):
            variants = self.store.lookup(key)
            assert all(each.alive for each in variants)
            self.alive.update(variants)
            mine = {each.selection[0]: (each.content.body, each.age(NOW) < each.lifetime.seconds) for each in variants}
            assert mine == {language: row for (other, language), row in self.model.items() if other == key}


StoreMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestStore = StoreMachine.TestCase
