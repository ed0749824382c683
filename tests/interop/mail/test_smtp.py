"""Programs that no one here wrote bring mail to the relay and take it from there: swaks, curl, Postfix's own tools."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import tempfile
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import SkipTest

from tests.integration.mail.relays import Mailboxes, RelayCase, eventually, free_port
from tests.system.running import accepts

_PLACES = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def program(name):
    """Where a program is; skips the test if it is nowhere."""
    found = shutil.which(name, path=_PLACES)
    if found is None:
        raise SkipTest(f"{name} is not installed")
    return found


class Background(ProcessProtocol):
    """A program that runs beside the test."""

    def __init__(self):
        self.ended = Deferred()

    def processEnded(self, reason):
        reason.trap(ProcessDone, ProcessTerminated)
        self.ended.callback(None)


class Interop(RelayCase):
    async def ready(self, **settings):
        self.boxes = Mailboxes("alice@example.test", "bob@example.test")
        service = self.relay(
            delivery=self.boxes,
            domains=["example.test"],
            submission=["127.0.0.1:0", "secure:127.0.0.1:0"],
            **settings,
        )
        await service.commons.identity.add("alice", "secret")
        self.relay_at = f"127.0.0.1:{service._listeners[0].port}"
        self.submission_at, self.secure_at = (f"127.0.0.1:{each.port}" for each in service._submissions)
        return service

    async def run_program(self, name, *words, code=0):
        out, err, status = await getProcessOutputAndValue(program(name), words, os.environ)
        assert status == code, (out.decode(), err.decode())
        return out.decode()

    async def sink_of_postfix(self, *options):
        """Postfix's smtp-sink; its address."""
        port = free_port()
        user = pwd.getpwuid(os.getuid()).pw_name
        words = ["smtp-sink", *(["-u", "nobody"] if user == "root" else []), *options, f"127.0.0.1:{port}", "100"]
        background = Background()
        process = reactor.spawnProcess(background, program("smtp-sink"), words, os.environ)

        async def end():
            if process.pid:
                process.signalProcess(signal.SIGTERM)
            await background.ended

        self.addCleanup(lambda: Deferred.fromCoroutine(end()))
        await eventually(lambda: accepts(port))
        return port

    async def test_swaks(self):
        await self.ready()
        everyone = ["--from", "alice@example.test", "--to", "bob@example.test"]
        login = ["--auth-user", "alice", "--auth-password", "secret"]
        # Debian's swaks has TLS only where Net::SSLeay is installed
        tls = "=== TLS supported" in await self.run_program("swaks", "--support")
        sent = [
            ["--server", self.relay_at],
            ["--server", self.relay_at, "--pipeline"],
            ["--server", self.submission_at, *(["-tls"] if tls else []), "-a", "PLAIN", *login],
            ["--server", self.submission_at, *(["-tls"] if tls else []), "-a", "LOGIN", *login],
        ]
        if tls:
            sent += [["--server", self.relay_at, "-tls"]]
            sent += [["--server", self.secure_at, "--tls-on-connect", "-a", "PLAIN", *login]]
        for words in sent:
            await self.run_program("swaks", *words, *everyone)
        denied = await self.run_program("swaks", "--server", self.relay_at, "--to", "x@elsewhere.test", code=24)
        assert "550 5.7.1" in denied
        await eventually(lambda: len(self.boxes.mail) == len(sent))

    async def test_curl(self):
        await self.ready()
        folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, folder, True)
        (folder / "mail").write_bytes(b"Subject: x\r\n\r\n" + b".\r\n" * 100_000)
        common = ["-sS", "-k", "--mail-from", "alice@example.test", "--mail-rcpt", "bob@example.test"]
        upload = ["-T", str(folder / "mail"), "--user", "alice:secret"]
        await self.run_program("curl", f"smtp://{self.submission_at}", "--ssl-reqd", *common, *upload)
        await self.run_program("curl", f"smtps://{self.secure_at}", *common, *upload)
        await eventually(lambda: len(self.boxes.mail) == 2)
        for message, *_ in self.boxes.mail:
            assert message.endswith(b"\r\n\r\n" + b".\r\n" * 100_000)

    async def test_from_smtp_source_to_smtp_sink(self):
        port = await self.sink_of_postfix()
        service = self.relay(relay_domains=["b.test"], route=[f"b.test=127.0.0.1:{port}"])
        to = f"127.0.0.1:{service._listeners[0].port}"
        words = ["-s", "10", "-m", "200", "-l", "5120", "-f", "a@a.test", "-t", "b@b.test", to]
        await self.run_program("smtp-source", *words)
        await self.run_program("smtp-source", "-d", "-r", "5", *words)
        assert service.relay.messages == 400
        await eventually(lambda: not service.queue.entries)
        assert service.queue.delivered == 200 + 200 * 5

    async def outcome(self, *options):
        """What the queue notes of a message for a sink with such faults, and how long it stays."""
        port = await self.sink_of_postfix(*options)
        service = await self.ready(relay_domains=["b.test"], route=[f"b.test=127.0.0.1:{port}"])
        words = ["-f", "alice@example.test", "-t", "b@b.test", self.relay_at]
        await self.run_program("smtp-source", *words)

        def tried():
            queue = service.queue
            return self.boxes.mail or any(
                each.attempts and not queue.under_way(each.id) for each in queue.entries.values()
            )

        await eventually(tried)
        if self.boxes.mail:
            return "report: " + self.boxes.mail[0][0].decode()
        return "waits: " + next(iter(service.queue.entries.values())).recipients[0].said

    async def test_faults_that_pass(self):
        for options, said in (
            (["-r", "MAIL"], "450"),
            (["-r", "RCPT"], "450"),
            (["-r", "DATA"], "450"),
            (["-r", "."], "450"),
            (["-r", "CONNECT"], "450"),
            (["-q", "MAIL"], "lost"),
            (["-q", "DATA"], "closed"),
            (["-q", "."], "closed"),
            (["-q", "CONNECT"], "closed"),
        ):
            found = await self.outcome(*options)
            assert found.startswith("waits: ")
            assert said in found or "closed" in found or "lost" in found, (options, found)

    async def test_faults_that_stay(self):
        for options in (["-f", "MAIL"], ["-f", "RCPT"], ["-f", "DATA"], ["-f", "."], ["-f", "CONNECT"]):
            found = await self.outcome(*options)
            assert found.startswith("report: "), (options, found)
            assert "Action: failed" in found
            assert "500 5.3.0" in found

    async def test_a_server_without_esmtp(self):
        port = await self.sink_of_postfix("-e")
        service = self.relay(relay_domains=["b.test"], route=[f"b.test=127.0.0.1:{port}"])
        await self.run_program("smtp-source", "-t", "b@b.test", f"127.0.0.1:{service._listeners[0].port}")
        await eventually(lambda: service.queue.delivered == 1)

    async def test_a_server_without_pipelining_that_is_slow(self):
        port = await self.sink_of_postfix("-p", "-w", "1")
        service = self.relay(relay_domains=["b.test"], route=[f"b.test=127.0.0.1:{port}"])
        to = f"127.0.0.1:{service._listeners[0].port}"
        await self.run_program("smtp-source", "-m", "5", "-s", "5", "-t", "b@b.test", to)
        await eventually(lambda: service.queue.delivered == 5)
