"""The mail store on a real disk, with real threads."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from twisted.internet.defer import ensureDeferred, gatherResults
from twisted.trial.unittest import TestCase

from netsuite.common.datadir import DataDirectory
from netsuite.common.errors import InUse
from netsuite.mail.store import Appeared, DiskStore

ALICE = "alice@example.test"


class DiskStoreTests(TestCase):
    """Eight clients, then a restart."""

    timeout = 60

    def store(self) -> DiskStore:
        """A store in this test's own folder."""
        from twisted.internet import reactor

        made = DiskStore(DataDirectory(self.data), reactor, reactor)
        made.open()
        self.addCleanup(made.close)
        return made

    def setUp(self) -> None:
        """A folder that is not there yet."""
        self.data = Path(self.mktemp()).absolute()

    async def test_clients_share_commits_and_all_is_kept(self) -> None:
        """Small and big messages, read back before and after a restart with and without snapshots."""
        store = self.store()
        inbox = store.account(ALICE).mailbox("INBOX")
        assert inbox is not None
        told: list[int] = []

        def watch(change: object) -> None:
            assert isinstance(change, Appeared)
            told.extend(entry.uid for entry in change.entries)

        inbox.watch(watch)
        sent: dict[int, bytes] = {}

        async def client(number: int) -> None:
            for n in range(10):
                data = b"%d.%d\r\n" % (number, n) * (20_000 if n == 3 else 100)
                uid = await inbox.append(data, ["\\Seen"])
                sent[uid] = data

        await gatherResults([ensureDeferred(client(number)) for number in range(8)])
        self.assertEqual(told, list(range(1, 81)))
        log = store._log
        self.assertLess(log._journal.commits, 80)  # type: ignore[attr-defined]
        self.assertEqual((self.data / "mail" / "journal").stat().st_mode & 0o777, 0o700)
        for snapshot in (True, False):
            await store.close()
            if not snapshot:
                shutil.rmtree(self.data / "mail" / "index")
            store = self.store()
            again = store.account(ALICE).mailbox("INBOX")
            assert again is not None
            self.assertEqual({entry.uid: await again.read(entry.uid) for entry in again.messages}, sent)
            self.assertEqual(await again.read(1, 2, 3), sent[1][2:5])

    async def test_it_has_one_owner(self) -> None:
        """The second one is told who."""
        store = self.store()
        with self.assertRaisesRegex(InUse, f"in use by process {os.getpid()}"):
            self.store()
        await store.close()
        await self.store().close()
