"""The queue: what was accepted is delivered or sent back, whatever happens meanwhile.

One journal holds every message with the state of each recipient (:mod:`~netsuite.mail.smtp.ledger`).
:meth:`MailQueue.accept` returns once its record is durable; all that are accepted at the same time share one sync. What
becomes of a message (:mod:`~netsuite.mail.smtp.deliveries`) is written down a moment after it happened, so a crash in
between repeats an attempt: a remote server may get a message twice, our own store recognises the queue id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from netsuite.common.commons import Runtime
from netsuite.common.storage.files import FileLayer
from netsuite.common.storage.journal import JournalBroken, Later, Placed, StorageFull
from netsuite.mail.smtp import queued
from netsuite.mail.smtp.carrier import Carrier
from netsuite.mail.smtp.deliveries import Deliveries, QueueLimits
from netsuite.mail.smtp.ledger import WRITE_AGAIN, Ledger
from netsuite.mail.smtp.queued import DELIVERED, FAILED, Entry, Recipient
from netsuite.mail.smtp.report import bounce
from netsuite.mail.smtp.schedule import Retries
from netsuite.mail.smtp.spool import Defer
from netsuite.mail.smtp.trace import header_of
from netsuite.mail.smtp.wire.commands import Parameters
from netsuite.mail.smtp.wire.replies import Reply

__all__ = ["MailQueue", "QueueLimits"]

_log = Logger()

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_EVENTS: Final = {queued.WAITING: "defer", DELIVERED: "deliver", FAILED: "fail"}


class MailQueue:
    """``folder`` is its own; ``commit`` runs the journal's writes and ``run`` other blocking work, in threads.

    ``later`` lets the journal gather (see there). ``name`` is the server's; ``record(event, ident, who, detail)`` is
    told what happens.
    """

    def __init__(
        self,
        runtime: Runtime,
        folder: Path,
        carrier: Carrier,
        *,
        name: str,
        commit: Defer,
        run: Defer,
        later: Later | None = None,
        files: FileLayer | None = None,
        retries: Retries = Retries(),
        limits: QueueLimits = QueueLimits(),
        record: Callable[[str, str, str, str], None] = lambda *_: None,
        segment: int = 64 << 20,
    ) -> None:
        self._clock: IReactorTime = runtime.clock
        self._rng = runtime.rng
        self._name = name
        self._retries = retries
        self._limits = limits
        self._record = record
        self.ledger = Ledger(
            folder,
            self._clock,
            commit=commit,
            run=run,
            later=later,
            files=files,
            segment=segment,
            garbage=limits.garbage,
        )
        self.spool = self.ledger.spool
        self.entries = self.ledger.entries
        self._deliveries = Deliveries(
            self._clock,
            carrier,
            self.spool,
            self.entries,
            limits,
            later=later,
            heard=self._heard,
            concluded=self._conclude,
        )
        self._prefix = ""
        self._counter = 0
        self.accepted = self.delivered = self.deferred = self.failed = self.bounced = 0

    # -- opening and closing

    def open(self) -> None:
        """Read the journal; blocks. Raises Damaged and OSError."""
        self._prefix = "".join(self._rng.choice(_ALPHABET) for _ in range(8))
        self.ledger.open()
        for entry in self.entries.values():
            self._deliveries.put(entry)

    def start(self) -> None:
        """Begin to deliver."""
        self._deliveries.start()

    def stop(self) -> Deferred[None]:
        """Begin no more deliveries; fires when those under way are over."""
        return self._deliveries.stop()

    async def close(self) -> None:
        """Write down what happened, and close the journal."""
        self._deliveries.halt()
        await self.ledger.close()

    @property
    def broken(self) -> str:
        """Why it cannot write, or empty."""
        return self.ledger.broken

    # -- accepting

    def new_id(self) -> str:
        """A name for a message, never used before."""
        self._counter += 1
        return f"{self._prefix}{self._counter:06x}"

    @property
    def full(self) -> bool:
        """Whether it should take nothing more for now."""
        return len(self.entries) >= self._limits.messages

    def accept(
        self,
        ident: str,
        sender: str,
        recipients: Sequence[str],
        content: bytes,
        *,
        size: int,
        spooled: bool = False,
        parameters: Parameters | None = None,
        user: str | None = None,
    ) -> Deferred[None]:
        """Take a message over: fires when it is durable. Fails with StorageFull or JournalBroken.

        ``content`` is all of it, or empty if it is ``spooled``: then its file is durable already. Cancelling only
        means that nobody waits any more.
        """
        entry = Entry(
            ident,
            sender,
            [Recipient(address) for address in dict.fromkeys(recipients)],
            arrived=self._clock.seconds(),
            size=size,
            spooled=spooled,
            parameters=parameters,
            user=user,
        )
        record = b"".join(queued.take(entry, content))
        told: Deferred[None] = Deferred(_nobody_waits)

        def refused(failure: Any) -> None:
            self.ledger.complain(failure)
            if not told.called:
                told.errback(failure)

        def durable(placed: Placed) -> None:
            self._enter(entry, content, placed, len(record))
            if not told.called:
                told.callback(None)
            self._deliveries.pump_soon()

        self.ledger.append(record).addCallbacks(durable, refused)
        return told

    # -- for the operator

    def flush(self, ident: str | None = None) -> int:
        """Try one message, or all, now; how many that are. Those under way are not counted."""
        return self._deliveries.flush([ident] if ident is not None else list(self.entries))

    def under_way(self, ident: str) -> bool:
        """Whether a message is being tried now, or waits for its turn at a destination."""
        return self._deliveries.under_way(ident)

    @property
    def active(self) -> int:
        """Deliveries under way."""
        return self._deliveries.active

    # -- what becomes of messages

    def _heard(self, entry: Entry, places: Sequence[int], replies: Sequence[Reply]) -> None:
        """What servers said about some recipients."""
        for place, reply in zip(places, replies, strict=True):
            recipient = entry.recipients[place]
            recipient.hear(reply)
            self._record(_EVENTS[recipient.state], entry.id, recipient.address, recipient.said)
            if recipient.state == DELIVERED:
                self.delivered += 1
            elif recipient.state != FAILED:
                self.deferred += 1

    def _conclude(self, entry: Entry, changed: list[int]) -> None:
        """An attempt is over: what of it is written down."""
        now = self._clock.seconds()
        entry.attempts += 1
        due = self._retries.next(entry.arrived, entry.attempts, now)
        if due is not None:
            entry.due = due
        else:
            for recipient in entry.waiting():
                recipient.state = FAILED
                recipient.said = f"the message is too old; last: {recipient.said}"
                self._record("expire", entry.id, recipient.address, recipient.said)
        failed = [entry.recipients[place] for place in changed if entry.recipients[place].state == FAILED]
        self.failed += len(failed)
        over = not entry.waiting()
        operation = queued.drop(entry.id) if over else queued.note(entry, changed)
        if failed and entry.sender:
            Deferred.fromCoroutine(self._send_back(entry, failed, operation, over)).addErrback(
                lambda failure: _log.failure("a report could not be made", failure)
            )
            return
        self.ledger.note(operation, entry.id if over else None)
        self._settled(entry, over)

    def _settled(self, entry: Entry, over: bool) -> None:
        """What an attempt came to is being written down, or is."""
        if over:
            self.ledger.remove(entry)
        self._deliveries.settled(entry, over)

    async def _send_back(self, entry: Entry, failed: list[Recipient], operation: Iterable[bytes], over: bool) -> None:
        """Report to the sender: the report and what it is about become true together."""
        header = b""
        try:
            async for chunk in self.spool.chunks(entry.id):
                header = header_of(chunk)
                break
        except OSError:
            _log.failure("{ident}: its content cannot be read for a report", ident=entry.id)
        now = self._clock.seconds()
        ident = self.new_id()
        content = bounce(entry, failed, header, self._name, ident, now)
        parameters: Parameters = {"BODY": "8BITMIME"}
        if not header.isascii() or not entry.sender.isascii():
            parameters["SMTPUTF8"] = None
        report = Entry(ident, "", [Recipient(entry.sender)], arrived=now, size=len(content), parameters=parameters)
        while True:
            try:
                record = b"".join((*operation, *queued.take(report, content)))
                placed = await self.ledger.append(record)
                break
            except StorageFull as full:
                self.ledger.broken = str(full)
                wait: Deferred[None] = Deferred()
                self._clock.callLater(WRITE_AGAIN, wait.callback, None)
                await wait
            except JournalBroken as broken:
                self.ledger.broken = str(broken)
                return
        self.bounced += 1
        self._record("bounce", entry.id, entry.sender, ident)
        self._settled(entry, over)
        if over:
            self.spool.forget(entry.id)
        self._enter(report, content, placed, len(record))
        self._deliveries.pump()

    def _enter(self, entry: Entry, content: bytes, placed: Placed, length: int) -> None:
        self.ledger.enter(entry, content, placed, length)
        self.accepted += 1
        self._record("accept", entry.id, entry.sender, str(entry.size))
        self._deliveries.put(entry)


def _nobody_waits(_: object) -> None:
    """What a canceller does about something that happens all the same."""
