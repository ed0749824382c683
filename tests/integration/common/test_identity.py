"""Identity with real threads, real argon2id and a real database file."""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path

from twisted.cred.credentials import UsernamePassword
from twisted.cred.error import LoginDenied, UnauthorizedLogin
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.trial.unittest import TestCase

from netsuite.common.datadir import DataDirectory
from netsuite.common.errors import Overloaded, StartError
from netsuite.common.identity import Accepted, Identity, Throttled
from netsuite.common.identity.checker import PasswordChecker
from netsuite.common.identity.throttle import Limits
from netsuite.common.journal import Journal
from netsuite.common.metrics import Metrics
from netsuite.common.threads import Threads
from netsuite.sansio.connection import Channel
from netsuite.sansio.sasl import ScramClient

AWAY = "192.0.2.7"
LIMITS = Limits(peer=5, name=5)


def begun(coroutine):
    return Deferred.fromCoroutine(coroutine)


class ThreadsCase(TestCase):
    """A few threads, and a bound on what waits for them."""

    timeout = 30

    def setUp(self):
        self.threads = Threads(reactor, "test", most=2, waiting=3)
        self.addCleanup(self.threads.close)
        self.gate = threading.Event()
        self.addCleanup(self.gate.set)

    async def test_more_than_can_wait_is_refused_at_once_and_room_comes_back(self):
        answers = [self.threads.run(self.gate.wait, 10) for _ in range(5)]
        self.assertRaises(Overloaded, self.threads.run, int)
        self.gate.set()
        self.assertEqual(await gatherResults(answers), [True] * 5)
        self.assertEqual(self.threads.busy, 0)
        self.assertEqual(await self.threads.run(int, "7"), 7)

    async def test_what_fails_fails_for_who_asked(self):
        with self.assertRaises(ValueError):
            await self.threads.run(int, "seven")

    async def test_what_has_not_begun_can_be_taken_back(self):
        begun = [self.threads.run(self.gate.wait, 10) for _ in range(2)]
        waiting = self.threads.run(self.fail, "this must not run")
        waiting.cancel()
        with self.assertRaises(CancelledError):
            await waiting
        self.gate.set()
        await gatherResults(begun)
        await self.threads.run(int)
        self.assertEqual(self.threads.busy, 0)


class IdentityCase(TestCase):
    timeout = 60

    def setUp(self):
        self.data = DataDirectory(Path(self.mktemp()))
        self.identity = self.made()

    def made(self, data=None):
        identity = Identity(
            reactor,
            reactor,
            random.SystemRandom(),
            data or self.data,
            domains=["example.test"],
            journal=Journal(reactor, self.data, files=False),
            metrics=Metrics(reactor),
            limits=LIMITS,
        )
        self.addCleanup(identity.close)
        return identity

    def test_making_one_touches_nothing(self):
        self.assertFalse(self.data.path.exists())

    async def test_users_outlive_the_process(self):
        await self.identity.add("alice", "apple")
        self.identity.close()
        again = self.made(DataDirectory(self.data.path))
        again.open()
        self.assertEqual(again.names(), ["alice@example.test"])
        self.assertEqual(await again.verify("alice", "apple", AWAY), "alice@example.test")
        self.assertIsNone(await again.verify("alice", "pear", AWAY))

    async def test_a_second_look_at_a_right_password_costs_less_than_a_millisecond(self):
        await self.identity.add("alice", "apple")
        await self.identity.verify("alice", "apple", AWAY)
        best = 1.0
        for _ in range(50):
            start = time.perf_counter()
            await self.identity.verify("alice", "apple", AWAY)
            best = min(best, time.perf_counter() - start)
        self.assertLess(best, 0.001)

    async def test_a_name_that_does_not_exist_takes_as_long(self):
        await self.identity.add("alice", "apple")

        async def best(name):
            found = 10.0
            for number in range(4):
                start = time.perf_counter()
                self.assertIsNone(await self.identity.verify(name, f"guess {number}", ""))
                found = min(found, time.perf_counter() - start)
            return found

        known, unknown = await best("alice"), await best("nobody")
        self.assertLess(abs(known - unknown), 0.5 * max(known, unknown))
        self.assertGreater(unknown, 0.005)

    async def test_many_connections_of_one_client_have_their_password_checked_once(self):
        await self.identity.add("alice", "apple")
        checks = [begun(self.identity.verify("alice", "apple", AWAY)) for _ in range(500)]
        self.assertEqual(await gatherResults(checks), ["alice@example.test"] * 500)
        wrong = [begun(self.identity.verify("alice", "pear", AWAY)) for _ in range(10)]
        self.assertEqual(await gatherResults(wrong), [None] * 10)
        with self.assertRaises(Throttled):
            await self.identity.verify("alice", "apple", AWAY)

    async def test_a_connection_that_is_lost_takes_no_other_with_it(self):
        await self.identity.add("alice", "apple")
        first, second = (begun(self.identity.verify("alice", "apple", AWAY)) for _ in range(2))
        first.cancel()
        with self.assertRaises(CancelledError):
            await first
        self.assertEqual(await second, "alice@example.test")

    async def test_a_flood_of_guesses_is_shed(self):
        await self.identity.add("alice", "apple")
        guesses = [begun(self.identity.verify(f"n{n}", "x", f"192.0.2.{n}")) for n in range(200)]
        shed = [0]

        def count(failure):
            failure.trap(Overloaded)
            shed[0] += 1

        for guess in guesses:
            guess.addErrback(count)
        await gatherResults(guesses)
        self.assertGreaterEqual(shed[0], 200 - 2 * 66)
        self.assertEqual(await self.identity.verify("alice", "apple", AWAY), "alice@example.test")

    async def test_a_check_under_way_while_the_password_changes_is_not_remembered(self):
        await self.identity.add("alice", "apple")
        check = begun(self.identity.verify("alice", "apple", AWAY))
        await self.identity.set_password("alice", "pear")
        await check
        self.assertIsNone(await self.identity.verify("alice", "apple", AWAY))
        self.assertEqual(await self.identity.verify("alice", "pear", AWAY), "alice@example.test")

    async def test_another_process_sees_a_change_when_it_forgets(self):
        await self.identity.add("alice", "apple")
        other = self.made(DataDirectory(self.data.path))
        self.assertEqual(await other.verify("alice", "apple", AWAY), "alice@example.test")
        await self.identity.add("bob", "bread")
        self.assertEqual(await other.verify("bob", "bread", AWAY), "bob@example.test")

    async def test_scram(self):
        await self.identity.add("alice", "apple")
        channel = Channel(("192.0.2.1", 143), (AWAY, 50000))
        client = ScramClient("alice", "apple", "a-nonce-of-the-client")
        authentication = self.identity.begin("SCRAM-SHA-256", channel)
        challenge = await authentication.respond(client.first())
        end = await authentication.respond(client.final(challenge.data))
        self.assertIsInstance(end, Accepted)
        self.assertTrue(client.proven(end.data))

    async def test_cred(self):
        await self.identity.add("alice", "apple")
        checker = PasswordChecker(self.identity)
        good = UsernamePassword(b"alice@example.test", b"apple")
        self.assertEqual(await checker.requestAvatarId(good), b"alice@example.test")
        for wrong in (UsernamePassword(b"alice", b"pear"), UsernamePassword(b"\xff", b"\xff")):
            with self.assertRaises(UnauthorizedLogin):
                await checker.requestAvatarId(wrong)
        for _ in range(5):
            with self.assertRaises(UnauthorizedLogin):
                await checker.requestAvatarId(UsernamePassword(b"bob", b"pear"))
        with self.assertRaises(LoginDenied):
            await checker.requestAvatarId(UsernamePassword(b"bob", b"pear"))

    def test_what_cannot_be_opened_ends_the_start_in_one_line(self):
        self.data.write("netsuite.sqlite", b"nonsense" * 200)
        error = self.assertRaises(StartError, self.identity.open)
        self.assertNotIn("\n", str(error))
