"""Random histories against an origin that negotiates, ignores some of the query, and groups its responses.

Whatever the cache answers by itself is what the origin would have answered: no weight, no order of parameters and no group
leads to another language, another query's response, or an older version.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from tests.unit.http.cache.scenario import Scenario

OFFERED = ["de", "en", "pt-BR"]
GROUPS = {"1": "odd", "2": "even", "3": "odd"}
QUERIES = st.lists(st.sampled_from(["a=1", "a=2", "a=3", "utm=x", "utm=y", "b=%31", "b=1", ""]), max_size=4).map(
    "&".join
)
WEIGHTS = st.sampled_from(["", ";q=1", ";q=0.9", ";q=0.5", "; Q=0.50", ";q=0.1", ";q=0"])
RANGES = st.tuples(st.sampled_from(["de", "EN", "pt-br", "pt", "fr", "*"]), WEIGHTS).map("".join)
WANTED = st.lists(RANGES, max_size=4).map(", ".join)


def matters(query):
    return sorted(
        (pair for pair in parse_qsl(query, keep_blank_values=True) if pair[0] != "utm"), key=lambda pair: pair[0]
    )


def negotiated(wanted):
    """What the origin sends: the offer with the greatest weight, of several the first; the first if there is none."""
    weights = dict.fromkeys(OFFERED, 0.0)
    for offer in OFFERED:
        for member in filter(None, (part.strip() for part in wanted.split(","))):
            name, _, weight = re.sub(r"\s", "", member.lower()).partition(";q=")
            if name in ("*", offer.lower()) or offer.lower().startswith(name + "-"):
                weights[offer] = max(weights[offer], float(weight or 1))
    return max(OFFERED, key=lambda offer: (weights[offer], -OFFERED.index(offer)))


class History(RuleBasedStateMachine):
    """Versions count per value of ``a``."""

    def __init__(self):
        super().__init__()
        self.scenario = Scenario(budget=200_000, object_limit=50_000)
        self.versions = dict.fromkeys(["1", "2", "3", None], 0)

    def group(self, query):
        return GROUPS.get(dict(parse_qsl(query)).get("a"), "none")

    def body(self, query, wanted):
        """The whole of a response."""
        version = self.versions[dict(parse_qsl(query)).get("a")]
        return f"{matters(query)} {negotiated(wanted)} {version}".encode()

    @rule(query=QUERIES, wanted=WANTED, absent=st.booleans())
    def get(self, query, wanted, absent):
        wanted = "" if absent else wanted
        fields = [
            ("Cache-Control", "max-age=1000"),
            ("Vary", "Accept-Language"),
            ("Content-Language", negotiated(wanted)),
            ("No-Vary-Search", 'key-order, params=("utm")'),
            ("Cache-Groups", f'"{self.group(query)}"'),
        ]
        self.scenario.origin = (200, fields, self.body(query, wanted))
        headers = [] if absent else [("Accept-Language", wanted)]
        seen = self.scenario.ask(f"/p?{query}", headers=headers)
        assert seen.body == self.body(query, wanted), seen.how

    @rule(query=QUERIES)
    def write(self, query):
        a = dict(parse_qsl(query)).get("a")
        self.versions[a] += 1
        group = self.group(query)
        self.scenario.origin = (204, [("Cache-Group-Invalidation", f'"{group}"')], b"")
        self.scenario.ask("/elsewhere", "POST")

    @rule(query=QUERIES)
    def write_here(self, query):
        """What a client wrote to is new in all its equivalents; others of its group may have gone, none needs to."""
        self.scenario.origin = (200, [], b"")
        self.scenario.ask(f"/p?{query}", "PUT")
        key = self.scenario.key(f"/p?{query}")
        assert not self.scenario.cache.candidates(key)

    @rule(seconds=st.sampled_from([1, 400, 2000]))
    def wait(self, seconds):
        self.scenario.pass_time(seconds)


History.TestCase.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
TestHistory = History.TestCase
