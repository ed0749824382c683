"""SIGTERM finishes what is in flight, SIGHUP reloads, and nothing hangs."""

from __future__ import annotations

import os
import signal
import socket
import time

from twisted.trial.unittest import TestCase

from tests.system.running import NETSUITE, ROOT, Running, accepts, call, connection, folder, free_port, until, upper

SLOW = """
import os, netsuite.upper.server
from twisted.internet.task import deferLater

answer = netsuite.upper.server.UpperServer.answer_line

async def slowly(self, line, body, adapter):
    from twisted.internet import reactor
    while line.text == b"slow" and not os.path.exists("go"):
        await deferLater(reactor, 0.02)
    return answer(self, line, body, adapter)

netsuite.upper.server.UpperServer.answer_line = slowly
"""

HANGING = """
import netsuite.suite, netsuite.upper.service
from twisted.internet.defer import Deferred
netsuite.upper.service.UpperService.stopService = lambda self: {how}
application = netsuite.suite.application("site.toml")
"""


class Signals(TestCase):
    """What the suite does with signals."""

    def setUp(self) -> None:
        entered = folder()
        self.folder = entered.__enter__()
        self.addCleanup(entered.__exit__, None, None, None)
        self.port = free_port()
        self.drain(10)

    def drain(self, seconds: float) -> None:
        (self.folder / "site.toml").write_text(
            f'[common]\ndrain = {seconds}\n[upper]\nlisten = ["127.0.0.1:{self.port}"]\n'
        )

    def running(self, *arguments: str) -> Running:
        running = Running(*(arguments or ("netsuite", "-c", "site.toml")), cwd=self.folder)
        self.addCleanup(running.__exit__, None, None, None)
        return running.ready()

    def slow(self, *arguments: str) -> Running:
        """A site (and its workers) that answers "slow" only once there is a file named go."""
        (self.folder / "sitecustomize.py").write_text(SLOW)
        running = Running(
            *("netsuite", "-c", "site.toml", *arguments), cwd=self.folder, PYTHONPATH=f"{self.folder}:{ROOT}"
        )
        self.addCleanup(running.__exit__, None, None, None)
        return running.ready()

    def occupied(self, busy: socket.socket) -> None:
        """Have a connection wait for an answer."""
        busy.sendall(b"at once\nslow\n")
        self.assertEqual(busy.recv(100), b"AT ONCE\n")

    def test_what_is_in_flight_is_finished(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            running = self.slow()
            with connection(self.port) as busy, connection(self.port) as idle:
                self.occupied(busy)
                idle.sendall(b"idle\n")
                self.assertEqual(idle.recv(100), b"IDLE\n")
                running.send(number)
                self.assertEqual(idle.recv(100), b"", "an idle connection is closed at once")
                until("the port to close", lambda: not accepts(self.port))
                self.assertIsNone(running.process.poll())
                (self.folder / "go").touch()
                self.assertEqual(busy.recv(100), b"SLOW\n")
                self.assertEqual(busy.recv(100), b"")
            self.assertEqual(running.ended(), 0, running.said())
            (self.folder / "go").unlink()

    def test_workers_finish_what_is_in_flight(self) -> None:
        running = self.slow("--set", "common.workers=2")
        until("the worker", lambda: "and 1 workers" in call(NETSUITE, "status", cwd=self.folder).stdout)
        busy = []
        for _ in range(12):
            busy.append(connection(self.port))
            self.addCleanup(busy[-1].close)
            self.occupied(busy[-1])
        running.send(signal.SIGTERM)
        until("the port to close", lambda: not accepts(self.port))
        (self.folder / "go").touch()
        self.assertEqual([each.recv(100) for each in busy], [b"SLOW\n"] * 12)
        self.assertEqual(running.ended(), 0, running.said())

    def test_downloads_are_finished(self) -> None:
        """From the origin and through the proxy, by readers who take their time."""
        content = os.urandom(12 << 20)
        (self.folder / "big").write_bytes(content)
        proxy = free_port()
        http = f'[http]\nlisten = [{self.port}]\nroot = "."\n'
        (self.folder / "site.toml").write_text(f"{http}[proxy]\nlisten = [{proxy}]\n")
        running = self.running()
        target = f"http://127.0.0.1:{self.port}/big"
        readers = [connection(proxy), connection(self.port)]
        for reader in readers:
            self.addCleanup(reader.close)
            reader.sendall(f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n\r\n".encode())
        taken = [reader.recv(1000) for reader in readers]
        running.send(signal.SIGTERM)
        until("the proxy's port to close", lambda: not accepts(proxy))
        for index, reader in enumerate(readers):
            while data := reader.recv(1 << 16):
                taken[index] += data
        self.assertEqual([answer.partition(b"\r\n\r\n")[2] == content for answer in taken], [True, True])
        self.assertEqual(running.ended(), 0, running.said())

    def test_who_was_let_into_the_queue_is_answered(self) -> None:
        """Connections and requests that the process has not even seen when it is told to stop."""
        running = self.running()
        running.send(signal.SIGSTOP)
        waiting = []
        for _ in range(50):
            waiting.append(connection(self.port))
            self.addCleanup(waiting[-1].close)
            waiting[-1].sendall(b"hello\n")
        running.send(signal.SIGTERM)
        running.send(signal.SIGCONT)
        self.assertEqual([each.recv(100) for each in waiting], [b"HELLO\n"] * 50)
        self.assertEqual(running.ended(), 0, running.said())

    def test_the_deadline_ends_the_wait(self) -> None:
        self.drain(0.5)
        running = self.slow()
        with connection(self.port) as busy:
            self.occupied(busy)
            began = time.monotonic()
            self.assertEqual(running.end(), 0, running.said())
            self.assertLess(time.monotonic() - began, 5)

    def test_a_second_signal_ends_the_wait(self) -> None:
        running = self.slow()
        with connection(self.port) as busy:
            self.occupied(busy)
            running.send(signal.SIGTERM)
            until("the port to close", lambda: not accepts(self.port))
            began = time.monotonic()
            running.send(signal.SIGTERM)
            self.assertEqual(running.ended(), 1, running.said())
            self.assertLess(time.monotonic() - began, 5)

    def test_a_stop_that_hangs_is_left_behind(self) -> None:
        self.drain(0.2)
        (self.folder / "site.tac").write_text(HANGING.format(how="Deferred()"))
        running = self.running("-y", "site.tac")
        self.assertEqual(running.end(), 1)
        self.assertIn("upper: does not close", running.said())

    def test_a_stop_that_blocks_is_ended(self) -> None:
        (self.folder / "site.tac").write_text(HANGING.format(how="__import__('time').sleep(1000)"))
        running = self.running("-y", "site.tac")
        running.send(signal.SIGTERM)
        until("the stop to begin", lambda: "SIGTERM: stopping" in running.said())
        until("the port to close", lambda: not accepts(self.port))
        running.send(signal.SIGTERM)
        self.assertEqual(running.ended(20), 1)
        self.assertEqual(running.complaint(), "netsuite: something does not stop; the process was ended\n")

    def test_a_stop_that_fails_is_told_by_the_status(self) -> None:
        (self.folder / "site.tac").write_text(HANGING.format(how="1 / 0"))
        running = self.running("-y", "site.tac")
        self.assertEqual(running.end(), 1)
        self.assertIn("ZeroDivisionError", running.said())

    def test_hangup_reloads_and_never_kills(self) -> None:
        running = self.running()
        for count in (1, 2, 3):
            running.send(signal.SIGHUP)
            until("the reload", lambda count=count: running.said().count("reload: done") == count)
            self.assertEqual(upper(self.port), b"HELLO\n")
        self.assertEqual(running.end(), 0)

    def test_hangup_during_the_start_does_not_kill(self) -> None:
        (self.folder / "site.tac").write_text(
            "import os, signal, netsuite.suite, netsuite.upper.service\n"
            "opened = netsuite.upper.service.UpperService.open\n"
            "def open(self):\n    os.kill(os.getpid(), signal.SIGHUP)\n    opened(self)\n"
            "netsuite.upper.service.UpperService.open = open\n"
            'application = netsuite.suite.application("site.toml")\n'
        )
        running = self.running("-y", "site.tac")
        until("the reload", lambda: "reload: done" in running.said())
        self.assertEqual(running.end(), 0)

    def test_who_handled_hangup_before_is_told_too(self) -> None:
        (self.folder / "site.tac").write_text(
            "import signal, netsuite.suite\n"
            "signal.signal(signal.SIGHUP, lambda *_: print('heard it', flush=True))\n"
            'application = netsuite.suite.application("site.toml")\n'
        )
        running = self.running("-y", "site.tac")
        running.send(signal.SIGHUP)
        until("both", lambda: "heard it" in running.said() and "reload: done" in running.said())
        self.assertEqual(running.end(), 0)

    def test_the_terminals_interrupt_reaches_the_workers_too_and_cuts_nothing(self) -> None:
        running = self.running("netsuite", "-c", "site.toml", "--set", "common.workers=2")
        until("the worker", lambda: "and 1 workers" in call(NETSUITE, "status", cwd=self.folder).stdout)
        workers = [int(pid) for pid in children(running.process.pid)]
        self.assertEqual(len(workers), 1)
        for pid in workers:
            os.kill(pid, signal.SIGINT)
            os.kill(pid, signal.SIGHUP)
        for _ in range(8):
            self.assertEqual(upper(self.port), b"HELLO\n")
        self.assertEqual([int(pid) for pid in children(running.process.pid)], workers)
        os.kill(workers[0], signal.SIGTERM)
        until("another worker", lambda: "the next one starts in" in running.said())
        self.assertEqual(running.end(), 0)


def children(pid: int) -> list[str]:
    """The processes that a process started."""
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return file.read().split()
