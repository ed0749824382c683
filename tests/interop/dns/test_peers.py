"""Our answers beside those of NSD, Knot DNS and BIND: the same generated zones, the same questions, the same answers.

Zones are dense with wildcards, cuts, aliases within and across zones, DNAMEs, empty names and large RRsets. What may
differ, and why, is in :data:`tests.dnspeers.DIFFERENCES`; how much of it is compared in :func:`tests.dnspeers.meaning`.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from twisted.trial.unittest import SkipTest, TestCase

from tests.dnspeers import Comparison, free_port, knotd, meaning, nsd

__all__ = ["PeerTests", "free_port", "knotd", "meaning", "nsd"]

ZONES = 500
QUESTIONS = 20


class PeerTests(TestCase):
    """One test a peer; a missing one is skipped by name."""

    timeout = 120

    def compare(self, program):
        if shutil.which(program) is None:
            raise SkipTest(f"{program} is not installed")
        folder = Path(tempfile.mkdtemp(prefix="peers"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        comparison = Comparison(folder, seed=20261121, zones=ZONES, questions=QUESTIONS)
        different = comparison.differences(program)
        if different:
            question, ours, theirs, zone = different[0]
            self.fail(
                f"{len(different)} of {len(comparison.queries)} answers differ from {program}'s, first {question}\n"
                f"ours   {ours}\ntheirs {theirs}\n{zone}"
            )
        self.assertLess(sum(comparison.explained.values()), len(comparison.queries) / 4)

    def test_nsd(self):
        """Beside NSD."""
        self.compare("nsd")

    def test_knot(self):
        """Beside Knot DNS."""
        self.compare("knotd")

    def test_bind(self):
        """Beside BIND."""
        self.compare("named")
