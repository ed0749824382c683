"""The whole mail site is killed at random moments, under SMTP load and while several IMAP clients change mailboxes.

What was acknowledged must be there afterwards: messages, their places, their flags; and a UID never names another
message.
"""

from __future__ import annotations

import contextlib
import imaplib
import random
import re
import smtplib
import threading
import time
from collections import Counter
from functools import partial
from typing import Any

from tests.interop.mail.sites import ALICE, BOB, MailCase, text
from tests.system.running import until

ROUNDS = 3
BOXES = ("Left", "Right")
BROKEN = (OSError, imaplib.IMAP4.error, smtplib.SMTPException)


class Sender(threading.Thread):
    """Sends messages to alice and bob until the connection breaks; ``taken`` have been acknowledged."""

    def __init__(self, port: int, name: str) -> None:
        super().__init__(daemon=True)
        self.port, self.prefix = port, name
        self.taken: list[str] = []

    def run(self) -> None:
        number = 0
        with contextlib.suppress(*BROKEN), smtplib.SMTP("127.0.0.1", self.port, timeout=10) as client:
            while True:
                number += 1
                mark = f"s-{self.prefix}-{number}"
                client.sendmail("ann@else.test", [ALICE, BOB], text(mark, "x" * 500))
                self.taken.append(mark)


class Message:
    """What a client knows of a message of its own: where it is for certain, or may be (``places``), with which UID."""

    def __init__(self, place: str | None, uid: int | None, flags: set[str]) -> None:
        self.places: set[str | None] = {place}
        self.uid = uid
        self.sure, self.possible = flags, set(flags)


class Changer(threading.Thread):
    """Changes its own messages in mailboxes that others change too; one command at a time may be in doubt."""

    def __init__(self, client: imaplib.IMAP4, name: str, mine: dict[str, Message], seed: int) -> None:
        super().__init__(daemon=True)
        self.client, self.prefix, self.mine = client, name, mine
        self.random = random.Random(seed)
        self.done = 0
        self.fault = ""

    def run(self) -> None:
        try:
            while True:
                self.step()
                self.done += 1
        except AssertionError as fault:
            self.fault = str(fault)
        except BROKEN:
            pass

    def said(self, answer: tuple[str, list[Any]], pattern: bytes) -> int:
        """The number that a response code ends with."""
        assert answer[0] == "OK", answer
        texts = [each for each in answer[1] if each] + (self.client.response("COPYUID")[1] or [])
        found = [match for each in texts if each and (match := re.search(pattern, each))]
        assert found, (answer, pattern)
        return int(found[0][1])

    def step(self) -> None:
        known = [mark for mark, message in self.mine.items() if message.places != {None}]
        what = self.random.choice(("append", "append", "flag", "flag", "move", "expunge")) if known else "append"
        if what == "append":
            self.append(f"{self.prefix}-{len(self.mine)}")
            return
        mark = self.random.choice(known)
        message = self.mine[mark]
        (place,) = message.places
        assert place is not None
        assert self.client.select(place)[0] == "OK"
        uid = str(message.uid)
        if what == "flag":
            flag = f"$k{self.random.randrange(9)}"
            if flag in message.sure and self.random.random() < 0.5:
                message.sure.discard(flag)
                assert self.client.uid("STORE", uid, "-FLAGS.SILENT", f"({flag})")[0] == "OK"
                message.possible.discard(flag)
            else:
                message.possible.add(flag)
                assert self.client.uid("STORE", uid, "+FLAGS.SILENT", f"({flag})")[0] == "OK"
                message.sure.add(flag)
        elif what == "move":
            other = BOXES[place == BOXES[0]]
            message.places.add(other)
            message.uid = None
            self.client.untagged_responses.clear()
            message.uid = self.said(self.client.uid("MOVE", uid, other), rb"(\d+)(?:\]|$)")
            message.places = {other}
        else:
            message.possible.add(r"\Deleted")
            assert self.client.uid("STORE", uid, "+FLAGS.SILENT", r"(\Deleted)")[0] == "OK"
            message.sure.add(r"\Deleted")
            message.places.add(None)
            assert self.client.uid("EXPUNGE", uid)[0] == "OK"
            message.places = {None}

    def append(self, mark: str) -> None:
        place = self.random.choice(BOXES)
        message = self.mine[mark] = Message(place, None, {"$first"})
        message.places.add(None)
        answer = self.client.append(place, "($first)", None, text(mark, "y" * 300).encode())
        message.uid = self.said(answer, rb"APPENDUID \d+ (\d+)")
        message.places = {place}


class Killed(MailCase):
    timeout = 90

    def connected(self) -> imaplib.IMAP4:
        client = imaplib.IMAP4("127.0.0.1", self.port("imap"), timeout=10)
        client.login(BOB, self.passwords[BOB])
        return client

    def contents(self, box: str) -> tuple[int, list[tuple[int, str, set[str]]]]:
        """The UIDVALIDITY; UID, subject and flags of each message."""
        client = self.connected()
        count = int(client.select(box, readonly=True)[1][0])
        validity = int(client.response("UIDVALIDITY")[1][0])
        rows = client.uid("FETCH", "1:*", "(FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1] if count else []
        found = []
        for at, row in enumerate(rows):
            if isinstance(row, tuple):
                after = rows[at + 1] if isinstance(rows[at + 1], bytes) else b""
                head = row[0] + after
                uid, flags = re.search(rb"UID (\d+)", head), re.search(rb"FLAGS \(([^)]*)\)", head)
                assert uid and flags, head
                names = set(flags[1].decode().split()) - {r"\Recent"}
                found.append((int(uid[1]), row[1].decode().split()[1], names))
        client.logout()
        self.assertEqual(len(found), count)
        return validity, found

    def live(self, round_: int, chance: random.Random) -> None:
        """One life: load from all sides, and death."""
        senders = [Sender(self.port("smtp"), f"{round_}-{number}") for number in range(3)]
        changers = [
            Changer(self.connected(), f"c{number}-{round_}", self.messages[number], chance.randrange(1 << 30))
            for number in range(3)
        ]
        for each in (*senders, *changers):
            each.start()
        time.sleep(chance.uniform(0.8, 1.6))
        self.running.kill()
        for each in (*senders, *changers):
            each.join(15)
            self.assertFalse(each.is_alive())
        for changer in changers:
            self.assertEqual(changer.fault, "")
            changer.client.shutdown()
            self.changed += changer.done
        self.taken += [mark for sender in senders for mark in sender.taken]

    def check(self) -> None:
        """What the clients were told is true; what was in doubt is settled for the next round."""
        places: dict[str, list[tuple[str, int, set[str]]]] = {}
        for box in BOXES:
            validity, found = self.contents(box)
            self.assertEqual(self.validities.setdefault(box, validity), validity)
            for uid, mark, flags in found:
                places.setdefault(mark, []).append((box, uid, flags))
                self.assertEqual(self.owners.setdefault((box, uid), mark), mark, f"UID {uid} of {box} was used again")
        for mine in self.messages:
            for mark, message in mine.items():
                where = places.pop(mark, [])
                self.assertLessEqual(len(where), 1, (mark, where))
                place, uid, flags = where[0] if where else (None, None, set())
                self.assertIn(place, message.places, mark)
                if message.uid is not None and place is not None:
                    self.assertEqual(uid, message.uid, mark)
                if place is not None:
                    self.assertTrue(message.sure <= flags <= message.possible, (mark, message.sure, flags))
                if message.uid is not None and len(message.places) == 1 and place is not None:
                    self.owners[(place, message.uid)] = mark
                message.places, message.uid = {place}, uid
                message.sure, message.possible = set(flags), set(flags)
        self.assertEqual(places, {}, "messages that nobody made")

    def test_what_was_acknowledged_is_there(self) -> None:
        seed = random.randrange(1 << 30)
        chance = random.Random(seed)
        self.begin()
        self.messages: list[dict[str, Message]] = [{}, {}, {}]
        self.validities: dict[str, int] = {}
        self.owners: dict[tuple[str, int], str] = {}
        self.taken: list[str] = []
        self.changed = 0
        client = self.connected()
        for box in BOXES:
            client.create(box)
        client.logout()
        for round_ in range(ROUNDS):
            self.live(round_, chance)
            self.again()
            self.check()
        self.assertGreater(len(self.taken), 50, seed)
        self.assertGreater(self.changed, 100, seed)
        for user in (ALICE, BOB):
            counts = until("all that was taken", partial(self.delivered, user), 20)
            self.assertLessEqual(max(counts.values()), 2, seed)

    def delivered(self, user: str) -> Counter[str] | None:
        """How often each message is in an inbox, once all are."""
        found = [message.partition(b"Subject: ")[2].split()[0].decode() for message in self.inbox(user)]
        counts = Counter(found)
        return counts if not set(self.taken) - set(counts) else None
