"""Random histories: no answer is older than its rules allow, none belongs to another request, none outlives a write."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from tests.unit.http.cache.scenario import Scenario

PATHS = st.sampled_from(["/a", "/b", "/c?x", "/c?y"])
VARIANTS = st.sampled_from(["1", "2", "3"])
AGES = st.sampled_from([0, 1, 5, 20, 100])


class History(RuleBasedStateMachine):
    """Bodies say for whom they were made, in which version, when, and for how long they are good."""

    def __init__(self):
        super().__init__()
        self.scenario = Scenario(budget=30_000, object_limit=10_000)
        self.versions = dict.fromkeys(["/a", "/b", "/c?x", "/c?y"], 0)

    @rule(
        path=PATHS,
        variant=VARIANTS,
        age=AGES,
        vary=st.booleans(),
        tagged=st.booleans(),
        size=st.sampled_from([0, 3000]),
    )
    def get(self, path, variant, age, vary, tagged, size):
        scenario, version = self.scenario, self.versions[path]
        name = f"{path} {variant if vary else '*'} {version}"

        def origin(upstream):
            tag = ("ETag", f'"{name}"')
            fields = [
                ("Cache-Control", f"max-age={age}"),
                *([("Vary", "Foo")] if vary else []),
                *([tag] if tagged else []),
            ]
            if tagged and f'"{name}"' in upstream.get("if-none-match", ""):
                return (304, fields, b"")
            return (200, fields, f"{name}|{scenario.now}|{age}|".encode() + b"x" * size)

        scenario.origin = origin
        seen = scenario.ask(path, headers=[("Foo", variant)])
        assert seen.status == 200
        of = seen.body.decode().partition("|")[0]
        its_path, its_variant, its_version = of.split(" ")
        assert its_path == path
        assert its_variant in ("*", variant)
        assert int(its_version) == version
        if seen.how == "hit":
            control = seen.header("cache-control")
            lifetime = int(control.removeprefix("max-age="))
            assert int(seen.header("age")) < max(lifetime, 1)
        assert scenario.store.size <= 30_000

    @rule(path=PATHS, method=st.sampled_from(["PUT", "POST", "DELETE", "WHATEVER"]))
    def write(self, path, method):
        self.versions[path] += 1
        self.scenario.origin = (204, [], b"")
        self.scenario.ask(path, method)

    @rule(seconds=st.sampled_from([0.5, 2, 10, 50]))
    def wait(self, seconds):
        self.scenario.pass_time(seconds)


History.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestHistory = History.TestCase
