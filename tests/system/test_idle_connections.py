"""10,000 kept connections that say nothing: both HTTP servers hold them, within a stated memory."""

from __future__ import annotations

import resource
import tempfile
from pathlib import Path

from twisted.trial.unittest import SkipTest, TestCase

from benchmarks.contest import OURS
from benchmarks.idle import Idle

COUNT = 10_000
MOST = 6_000
"""Bytes of resident memory a connection; measured are some 4,700."""


class IdleConnections(TestCase):
    timeout = 60

    def held(self, benchmark: Idle) -> float:
        """Bytes a connection."""
        if why := benchmark.missing():
            raise SkipTest(why)
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        if hard != resource.RLIM_INFINITY and hard < COUNT + 500:
            raise SkipTest(f"a process may open {hard} files only")
        (ours,) = [contender for contender in benchmark.contenders() if contender.name == OURS]
        with tempfile.TemporaryDirectory() as name:
            Path(name).chmod(0o755)
            (Path(name) / "www").mkdir()
            with benchmark.scene(Path(name) / "www") as scene:
                return benchmark.measure(ours, scene, COUNT)[0].value

    def test_by_the_origin_server(self) -> None:
        self.assertLess(self.held(Idle()), MOST)

    def test_by_the_proxy(self) -> None:
        self.assertLess(self.held(Idle(proxied=True)), MOST)
