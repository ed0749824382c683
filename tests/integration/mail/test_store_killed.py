"""A store whose process is killed at random moments keeps what it has said is durable."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from netsuite.common.datadir import DataDirectory
from netsuite.mail.store import DiskStore
from tests.integration.mail.storing import ALICE

ROUNDS = 6


class KilledStoreTests(TestCase):
    """SIGKILL, again and again, on one data directory."""

    timeout = 90

    async def test_what_was_acknowledged_survives(self) -> None:
        """Messages, flags and expunges; a UID never names another message."""
        folder = Path(self.mktemp()).absolute()
        dice = random.Random(7)
        texts: dict[int, str] = {}
        seen: set[int] = set()
        gone: set[int] = set()
        perhaps: set[int] = set()
        highest, validities = 0, set()
        for number in range(ROUNDS):
            for line in self.killed(folder, str(number), dice.uniform(0.1, 0.5)):
                word, first, *rest = line.split()
                uid = int(first)
                if word == "append":
                    self.assertGreater(uid, highest)
                    texts[uid] = rest[0]
                {"seen": seen, "expunge": gone, "start": perhaps, "open": validities}.get(word, set()).add(uid)
            store = DiskStore(DataDirectory(folder), reactor, reactor)
            store.open()
            inbox = store.account(ALICE).mailbox("INBOX")
            assert inbox is not None
            validities.add(inbox.uidvalidity)
            there = {entry.uid: entry for entry in inbox.messages}
            self.assertEqual(gone & there.keys(), set())
            self.assertLessEqual(texts.keys() - there.keys() - gone, perhaps)
            for uid in texts.keys() & there.keys():
                self.assertEqual((await inbox.read(uid)).rstrip(b".").decode(), texts[uid])
            for uid in seen & there.keys():
                self.assertIn("\\Seen", there[uid].flags)
            for uid in there.keys() - texts.keys():
                texts[uid] = (await inbox.read(uid)).rstrip(b".").decode()
            gone |= texts.keys() - there.keys()
            self.assertGreater(inbox.uidnext, max(texts, default=0))
            highest = inbox.uidnext - 1
            if number % 2:
                await store.close()
            else:
                store._work.close()
                store._data.release()
        self.assertGreater(len(texts), ROUNDS)
        self.assertEqual(len(validities), 1)

    def killed(self, folder: Path, seed: str, after: float) -> list[str]:
        """What a process said until it was killed, so many seconds after its first acknowledged message."""
        command = [sys.executable, "-m", "tests.integration.mail.storing", str(folder), seed]
        environment = {"PYTHONPATH": str(Path(__file__).parents[3])}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        assert process.stdout is not None
        try:
            lines = [process.stdout.readline(), process.stdout.readline()]
            time.sleep(after)
        finally:
            process.kill()
            rest = process.communicate(timeout=20)[0]
        whole = "".join(lines) + rest
        return whole[: whole.rfind("\n")].splitlines()
