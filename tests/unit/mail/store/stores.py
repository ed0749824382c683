"""Stores for tests: everything happens at once, on files in memory that can fail."""

from __future__ import annotations

from pathlib import Path

from twisted.internet.defer import ensureDeferred, maybeDeferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from netsuite.mail.store import MailStore
from netsuite.mail.store.disk import DiskLog
from netsuite.mail.store.log import MemoryLog

FOLDER = Path("/data/mail")
ALICE = "alice@example.test"
BOB = "bob@example.test"


def at_once(function, *arguments):
    return maybeDeferred(function, *arguments)


def now(awaitable):
    """What a coroutine answers that need not wait."""
    found = []
    ensureDeferred(awaitable).addBoth(found.append)
    assert found, "it waits for something"
    if isinstance(found[0], Failure):
        found[0].raiseException()
    return found[0]


def clock(seconds=1_700_000_000):
    made = Clock()
    made.advance(seconds)
    return made


def disk_store(files, commits=at_once, work=at_once, *, time=None, inline=100, segment=2_000, every=10, **options):
    """A store on disk with small measures, so that everything is used."""
    log = DiskLog(FOLDER, commits, work, files=files, inline=inline, segment=segment, every=every)
    made = MailStore(log, time or clock(), **options)
    made.open()
    return made


def memory_store(log=None, *, time=None, **options):
    made = MailStore(log or MemoryLog(), time or clock(), **options)
    made.open()
    return made


def picture(store, users=(ALICE, BOB)):
    """All that can be seen of some accounts."""
    seen = {}
    for user in users:
        account = store.account(user)
        seen[user, "folders"] = (account.list(), account.subscriptions)
        for folder in account.list():
            box = account.mailbox(folder.name)
            if box is not None:
                seen[user, folder.name] = (
                    box.uidvalidity,
                    box.uidnext,
                    box.highestmodseq,
                    box.use,
                    box.size,
                    box.flags,
                    [(entry[:5], now(box.read(entry.uid))) for entry in box.messages],
                )
    return seen
