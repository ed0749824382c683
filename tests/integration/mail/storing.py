"""A process that changes a mail store with four clients, and says what it was told is durable; to be killed.

``python -m tests.integration.mail.storing FOLDER SEED`` writes a line for each: ``append UID TEXT``, ``seen UID``,
``expunge UID``, ``start UID`` before an expunge.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

from netsuite.common.datadir import DataDirectory
from netsuite.mail.store import DiskStore, Mailbox

ALICE = "alice@example.test"


def say(*words: object) -> None:
    """A line, at once."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


async def client(inbox: Mailbox, dice: random.Random) -> None:
    """Random changes, for ever."""
    while True:
        what = dice.random()
        if what < 0.6 or not inbox.messages:
            text = f"{dice.randrange(1 << 30)}"
            padding = dice.choice((0, 0, 4_000, 100_000))
            say("append", await inbox.append(text.encode() + b"." * padding), text)
            continue
        uid = dice.choice(inbox.messages).uid
        if what < 0.8:
            for entry in (await inbox.change_flags([uid], "add", ["\\Seen"]))[0]:
                say("seen", entry.uid)
        else:
            say("start", uid)
            for gone in await inbox.expunge([uid]):
                say("expunge", gone)


def main(folder: str, seed: str) -> None:
    """Run until killed."""
    from twisted.internet import reactor
    from twisted.internet.defer import ensureDeferred

    store = DiskStore(DataDirectory(Path(folder)), reactor, reactor)
    store._log._every = 50  # type: ignore[attr-defined]
    store.open()
    inbox = store.account(ALICE).mailbox("INBOX")
    assert inbox is not None
    say("open", inbox.uidvalidity)
    for number in range(4):
        ensureDeferred(client(inbox, random.Random(f"{seed}.{number}")))
    reactor.run()  # type: ignore[attr-defined]


if __name__ == "__main__":
    main(*sys.argv[1:])
