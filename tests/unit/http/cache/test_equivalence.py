"""Random histories against an origin that negotiates, ignores some of the query, and groups its responses.

Whatever the cache answers by itself is what the origin would have answered: no weight, no order of parameters and no
group leads to another language, another query's response, or an older version.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from urllib.parse import parse_qsl

import pytest

from tests.unit.http.cache.scenario import Scenario

OFFERED = ["de", "en", "pt-BR"]
GROUPS = {"1": "odd", "2": "even", "3": "odd"}
QUERIES = [
    "a=1",
    "a=1&utm=x",
    "utm=y&a=1",
    "a=1&b=1",
    "b=%31&a=1",
    "a=1&a=2",
    "a=2&a=1",
    "a=2",
    "a=3",
    "",
    "utm=x&",
    "&a=3&b",
]
WANTED = [
    "de", "DE;q=0.9, en;q=0.5", "de, en", "en, de;q=0.9", "en;q=0.5, de;q=0.50", "fr, de;q=0.1", "*", "en",
    "de;q=0, en;q=0.1", "pt", "pt-br, de;q=0.3", "fr", "fr;q=0.5, en", "*, de;q=0.5", None,
]  # fmt: skip


def matters(query):
    pairs = [pair for pair in parse_qsl(query, keep_blank_values=True) if pair[0] != "utm"]
    return sorted(pairs, key=lambda pair: pair[0])


def negotiated(wanted):
    """What the origin sends: the offer with the greatest weight, of several the first; the first if there is none."""
    weights = dict.fromkeys(OFFERED, 0.0)
    for offer in OFFERED:
        for member in filter(None, (part.strip() for part in wanted.split(","))):
            name, _, weight = re.sub(r"\s", "", member.lower()).partition(";q=")
            if name in ("*", offer.lower()) or offer.lower().startswith(name + "-"):
                weights[offer] = max(weights[offer], float(weight or 1))
    return max(OFFERED, key=lambda offer: (weights[offer], -OFFERED.index(offer)))


class History:
    """Versions count per value of ``a``."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.scenario = Scenario(budget=200_000, object_limit=50_000)
        self.versions = dict.fromkeys(["1", "2", "3", None], 0)
        self.found = Counter()

    def body(self, query, wanted):
        """The whole of a response."""
        version = self.versions[dict(parse_qsl(query)).get("a")]
        return f"{matters(query)} {negotiated(wanted)} {version}".encode()

    def get(self):
        query, wanted = self.rng.choice(QUERIES), self.rng.choice(WANTED)
        fields = [
            ("Cache-Control", "max-age=1000"),
            ("Vary", "Accept-Language"),
            ("Content-Language", negotiated(wanted or "")),
            ("No-Vary-Search", 'key-order, params=("utm")'),
            ("Cache-Groups", f'"{group(query)}"'),
        ]
        self.scenario.origin = (200, fields, self.body(query, wanted or ""))
        headers = [] if wanted is None else [("Accept-Language", wanted)]
        seen = self.scenario.ask(f"/p?{query}", headers=headers)
        assert seen.body == self.body(query, wanted or ""), f"{seen.how}: {query} {wanted}"
        self.found[seen.how] += 1

    def write_elsewhere(self):
        """What it changes is told by a group alone."""
        query = self.rng.choice(QUERIES)
        self.versions[dict(parse_qsl(query)).get("a")] += 1
        self.scenario.origin = (204, [("Cache-Group-Invalidation", f'"{group(query)}"')], b"")
        self.scenario.ask("/elsewhere", "POST")

    def write_here(self):
        """What was written to is gone, with all its equivalents."""
        query = self.rng.choice(QUERIES)
        self.scenario.origin = (200, [], b"")
        self.scenario.ask(f"/p?{query}", "PUT")
        assert not self.scenario.cache.candidates(self.scenario.key(f"/p?{query}"))

    def wait(self):
        self.scenario.pass_time(self.rng.choice([1, 400, 2000]))


def group(query):
    return GROUPS.get(dict(parse_qsl(query)).get("a"), "none")


@pytest.mark.parametrize("seed", range(30))
def test_history(seed):
    history = History(seed)
    steps = [history.get] * 60 + [history.write_elsewhere, history.write_here, history.wait]
    for _ in range(400):
        history.rng.choice(steps)()
    assert history.found["hit"] > 50
