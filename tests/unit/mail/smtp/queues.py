"""A queue on a fake clock and a file system that can fail, for tests."""

from __future__ import annotations

import random
from pathlib import Path

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock

from netsuite.common.commons import Runtime
from netsuite.mail.smtp.carrier import Down
from netsuite.mail.smtp.queue import MailQueue, QueueLimits
from netsuite.mail.smtp.schedule import Retries
from netsuite.mail.smtp.wire.replies import Reply
from netsuite.testing.faults import FaultyFiles

FOLDER = Path("/data/queue")
MESSAGE = b"Subject: hello\r\nFrom: a@a.test\r\n\r\nHow are you?\r\n"
GOOD = Reply(250, "taken", "2.0.0")
LATER = Reply(451, "later", "4.3.0")
NEVER = Reply(550, "nobody", "5.1.1")


class Carrier:
    """Carries as ``says(address)`` tells: a Reply, an exception, or a Deferred of a Reply; keeps what it carried."""

    def __init__(self, says=lambda address: GOOD):
        self.says = says
        self.carried = []
        self.tried = []

    def destination(self, address):
        return address.rpartition("@")[2]

    async def carry(self, entry, recipients, spool):
        content = await spool.read(entry.id)
        self.tried.append((entry.id, tuple(recipients)))
        replies = []
        for recipient in recipients:
            said = self.says(recipient)
            if isinstance(said, Deferred):
                said = await said
            if isinstance(said, Exception):
                raise said
            replies.append(said)
            if said.good:
                self.carried.append((entry.id, entry.sender, recipient, content))
        return tuple(replies)


class Site:
    """One life of a queue: :meth:`crash` cuts the power and begins the next."""

    def __init__(self, files=None, carrier=None, clock=None, seed=1, **options):
        self.files = files or FaultyFiles(seed)
        self.carrier = carrier or Carrier()
        self.clock = clock or Clock()
        if clock is None:
            self.clock.advance(1_000_000)
        self.options = options
        self.said = []
        self.queue = MailQueue(
            Runtime(self.clock, self.clock, random.Random(seed)),
            FOLDER,
            self.carrier,
            name="mx.test",
            commit=options.pop("commit", maybeDeferred),
            run=maybeDeferred,
            files=self.files,
            record=lambda *values: self.said.append(values),
            **options,
        )
        self.queue.open()

    def start(self):
        self.queue.start()
        return self

    def accept(self, recipients, sender="a@a.test", message=MESSAGE):
        """The id, once the message is durable; else the failure."""
        ident = self.queue.new_id()
        found = []
        self.queue.accept(ident, sender, recipients, message, size=len(message)).addBoth(found.append)
        assert found, "accept did not end"
        return ident if found[0] is None else found[0]

    def crash(self, carrier=None, seed=2):
        """The same queue after a power cut."""
        for call in self.clock.getDelayedCalls():
            call.cancel()
        return Site(self.files.crashed(), carrier or self.carrier, self.clock, seed, **self.options)

    def pass_time(self, seconds, step=1.0):
        """Let time pass."""
        end = self.clock.seconds() + seconds
        while self.clock.seconds() < end:
            self.clock.advance(min(step, end - self.clock.seconds()))


__all__ = ["FOLDER", "GOOD", "LATER", "MESSAGE", "NEVER", "Carrier", "Down", "QueueLimits", "Retries", "Site"]
