"""Workers and the line to them, with real processes that do what their site text says."""

from __future__ import annotations

import errno
import os
import signal
import socket
import sys
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import TestCase

from netsuite.common import workers as workers_module
from netsuite.common.line import Line, LineLost
from netsuite.common.metrics import Metrics
from netsuite.common.sharing import Sharing
from netsuite.common.workers import Inheritance, Workers

WORKER = """
import os, signal, socket, sys
from netsuite.common.line import Line
from netsuite.common.workers import LINE_FD, inherit
from twisted.internet import reactor
from twisted.internet.protocol import Factory, Protocol

handed = inherit()
sharing = handed.sharing()
print(f"I am {handed.index} of {handed.count}", flush=True)
if handed.site == "dies":
    print("x" * 20_000)
    print("dying", end="", file=sys.stderr, flush=True)
    sys.exit(3)

class Named(Protocol):
    def connectionMade(self):
        self.transport.write(b"%d %d" % (handed.index, os.getpid()))
        self.transport.loseConnection()

served = Factory.forProtocol(Named)
served.noisy = False
for kind, host, port in handed.keys:
    bound = sharing.socket(kind, host, port)
    reactor.adoptStreamPort(bound.fileno(), bound.family, served)
for name in handed.names:
    bound = sharing.named(name)
    reactor.adoptStreamPort(bound.fileno(), bound.family, served)

def asked(what, detail):
    if what == "report":
        lines = {"name": "netsuite_lines", "help": "Lines.", "kind": "counter", "labels": [], "per_process": False}
        return {"metrics": [{**lines, "values": [[[], 10]]}], "figures": {"upper": [["lines", handed.index]]}}
    if what == "reload":
        return [f"{handed.index} reloaded"]
    if what == "control" and detail["request"].get("up"):
        return line.ask("control", {"word": detail["word"], "request": {"from": handed.index}})
    if what == "control":
        return {"ok": True, "did": [handed.index, detail["word"], detail["request"]]}
    if what == "stop" and handed.site != "deaf":
        reactor.callLater(0, reactor.stop)

def orphaned():
    if reactor.running:
        reactor.callLater(0, reactor.stop)

line = Line.over(reactor, socket.socket(fileno=LINE_FD), asked, orphaned)
line.ask("ready").addErrback(lambda _: None)
reactor.run()
"""


def alive(pid):
    """Whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


@inlineCallbacks
def until(test, patience=20.0):
    """Wait for something to become true."""
    end = reactor.seconds() + patience
    while not test():
        if reactor.seconds() > end:
            raise AssertionError("waited for too long")
        yield deferLater(reactor, 0.02)


def greeting(port):
    """Which worker accepted, and its process."""
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.settimeout(10)
        index, pid = connection.recv(100).split()
        return int(index), int(pid)


class WorkersCase(TestCase):
    timeout = 60

    def setUp(self):
        self.logged = []
        globalLogPublisher.addObserver(self.logged.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.logged.append)
        self.patch(workers_module, "FIRST_WAIT", 0.05)

    def workers(self, count=3, site="well", sharing=None):
        """Workers on one shared port; the parent does not accept there."""
        self.sharing = sharing or Sharing(count=count, tables=["upper"])
        own = self.sharing.socket("tcp", "127.0.0.1", 0)
        self.port = own.getsockname()[1]
        own.close()
        script = Path(self.mktemp())
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text(WORKER)
        environ = {**os.environ, "PYTHONWARNINGS": "ignore"}
        command = (sys.executable, str(script))
        made = Workers(reactor, self.sharing, site, command=command, environ=environ, controlled=self.controlled)
        self.addCleanup(lambda: Deferred.fromCoroutine(made.stop(0.5)))
        made.start()
        return made

    async def controlled(self, word, request):
        """What the parent's services answer."""
        return {"ok": True, "parent": [word, request]}

    def said(self, text):
        return [event for event in self.logged if text in event.get("line", "") + event.get("log_format", "")]


class RunningWorkers(WorkersCase):
    @inlineCallbacks
    def test_each_gets_its_own_socket_of_the_port(self):
        made = self.workers()
        self.assertFalse(made.health().ok)
        self.assertEqual(made.health().detail, "not running: worker 1, 2")
        yield until(lambda: made.health().ok)
        found = set()
        for _ in range(60):
            index, pid = yield deferToThread(greeting, self.port)
            self.assertIn(pid, made.pids())
            found.add(index)
        self.assertEqual(found, {1, 2})
        self.assertEqual(made.figures(), (("processes", 2), ("replaced", 0)))

    @inlineCallbacks
    def test_a_socket_with_a_name_is_accepted_from_together(self):
        handed = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(handed.close)
        sharing = Sharing(count=2, tables=["upper"], named={"web": handed})
        sharing.named("web", "upper").close()
        made = self.workers(sharing=sharing)
        yield until(lambda: made.health().ok)
        index, _ = yield deferToThread(greeting, handed.getsockname()[1])
        self.assertEqual(index, 1)

    @inlineCallbacks
    def test_they_are_asked_for_what_they_counted(self):
        made = self.workers()
        yield until(lambda: made.health().ok)
        self.assertIs(self.sharing.crew, made)
        reports = yield Deferred.fromCoroutine(self.sharing.gather())
        self.assertEqual(
            {index: report["figures"] for index, report in reports.items()},
            {index: {"upper": [["lines", index]]} for index in (1, 2)},
        )

    @inlineCallbacks
    def test_one_that_does_not_answer_is_waited_for_a_while_only(self):
        self.patch(workers_module, "SCRAPE_PATIENCE", 0.2)
        made = self.workers()
        yield until(lambda: made.health().ok)
        stopped = made.pids()[0]
        os.kill(stopped, signal.SIGSTOP)
        try:
            reports = yield Deferred.fromCoroutine(made.reports())
        finally:
            os.kill(stopped, signal.SIGCONT)
        self.assertEqual(list(reports), [2])
        reports = yield Deferred.fromCoroutine(made.reports())
        self.assertEqual(list(reports), [1, 2])
        os.kill(stopped, signal.SIGSTOP)
        try:
            reports = yield Deferred.fromCoroutine(made.reports())
        finally:
            os.kill(stopped, signal.SIGCONT)
        self.assertEqual(list(reports), [1, 2], "as it answered last")

    @inlineCallbacks
    def test_a_reload_reaches_all(self):
        made = self.workers()
        yield until(lambda: made.health().ok)
        lines = yield Deferred.fromCoroutine(made.reload())
        self.assertEqual(lines, ["worker 1: 1 reloaded", "worker 2: 2 reloaded"])

    @inlineCallbacks
    def test_a_command_reaches_all_those_that_only_start_too(self):
        made = self.workers()
        answers = yield Deferred.fromCoroutine(made.control("cache", {"do": "purge"}))
        self.assertEqual(answers, {index: {"ok": True, "did": [index, "cache", {"do": "purge"}]} for index in (1, 2)})

    @inlineCallbacks
    def test_one_that_does_not_do_what_it_is_told_is_named(self):
        self.patch(workers_module, "CONTROL_PATIENCE", 0.3)
        made = self.workers()
        yield until(lambda: made.health().ok)
        stopped = made.pids()[0]
        os.kill(stopped, signal.SIGSTOP)
        try:
            answers = yield Deferred.fromCoroutine(made.control("cache", {}))
        finally:
            os.kill(stopped, signal.SIGCONT)
        self.assertEqual(answers[1], {"ok": False, "error": "it does not answer"})
        self.assertTrue(answers[2]["ok"])

    @inlineCallbacks
    def test_a_worker_may_ask_the_services_of_its_parent(self):
        made = self.workers(count=2)
        yield until(lambda: made.health().ok)
        answers = yield Deferred.fromCoroutine(made.control("cache", {"up": True}))
        self.assertEqual(answers, {1: {"ok": True, "parent": ["cache", {"from": 1}]}})

    @inlineCallbacks
    def test_what_they_print_is_logged(self):
        made = self.workers(count=2)
        yield until(lambda: made.health().ok)
        self.assertTrue(self.said("I am 1 of 2"))

    @inlineCallbacks
    def test_no_descriptor_leaks(self):
        made = self.workers()
        yield until(lambda: made.health().ok)
        for pid in made.pids():
            held = {os.readlink(f"/proc/{pid}/fd/{each}") for each in os.listdir(f"/proc/{pid}/fd")}
            sockets = [each for each in held if each.startswith("socket:")]
            self.assertEqual(len(sockets), 2, "its port and its line")


class DyingWorkers(WorkersCase):
    @inlineCallbacks
    def test_one_that_dies_is_replaced_on_its_socket(self):
        made = self.workers(count=2)
        yield until(lambda: made.health().ok)
        (before,) = made.pids()
        os.kill(before, signal.SIGKILL)
        yield until(lambda: not made.health().ok)
        _, pid = yield deferToThread(greeting, self.port)
        self.assertNotEqual(pid, before)
        yield until(lambda: made.health().ok)
        self.assertEqual(made.figures(), (("processes", 1), ("replaced", 1)))
        self.assertTrue(self.said("worker {index} ended"))

    @inlineCallbacks
    def test_what_it_counted_is_kept(self):
        made = self.workers(count=2)
        metrics = Metrics(reactor)
        shown = []
        for life in range(3):
            yield until(lambda: made.health().ok)
            reports = yield Deferred.fromCoroutine(made.reports())
            text = metrics.exposition({index: report["metrics"] for index, report in reports.items()})
            shown.append(text.splitlines()[-1])
            os.kill(made.pids()[0], signal.SIGKILL)
            yield until(lambda life=life: made.restarts == life + 1)
        self.assertEqual(
            shown, [b"netsuite_lines_total 10.0", b"netsuite_lines_total 20.0", b"netsuite_lines_total 30.0"]
        )

    @inlineCallbacks
    def test_one_that_keeps_dying_is_replaced_more_and_more_slowly(self):
        made = self.workers(count=2, site="dies")
        yield until(lambda: made.restarts >= 3)
        waits = [event["wait"] for event in self.said("worker {index} ended")]
        self.assertEqual(waits[:3], [0.05, 0.1, 0.2])
        self.assertFalse(made.health().ok)
        self.assertTrue(self.said("dying"), "even without an end of line")
        self.assertTrue(self.said("x" * 8000))

    @inlineCallbacks
    def test_one_that_lived_long_is_replaced_soon(self):
        self.patch(workers_module, "STEADY", 0.0)
        made = self.workers(count=2, site="dies")
        yield until(lambda: made.restarts >= 3)
        self.assertEqual([event["wait"] for event in self.said("worker {index} ended")][:3], [0.05] * 3)

    @inlineCallbacks
    def test_a_stop_while_one_waits_to_be_replaced(self):
        made = self.workers(count=2, site="dies")
        yield until(lambda: made.restarts == 1)
        clean = yield Deferred.fromCoroutine(made.stop(5.0))
        self.assertTrue(clean)

    @inlineCallbacks
    def test_their_parents_death_ends_them(self):
        made = self.workers(count=2)
        yield until(lambda: made.health().ok)
        (pid,) = made.pids()
        made._workers[0].line.transport.abortConnection()
        yield until(lambda: not alive(pid))

    @inlineCallbacks
    def test_one_that_cannot_be_started_is_tried_again(self):
        """The machine has no process left, at first."""
        spawn, tries = Workers.spawn, []

        def refuse(made, *arguments):
            tries.append(arguments)
            if len(tries) < 3:
                raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
            return spawn(made, *arguments)

        self.patch(Workers, "spawn", refuse)
        made = self.workers(count=2)
        yield until(lambda: made.health().ok)
        self.assertEqual(len(self.said("worker {index} ended")), 2)
        self.assertEqual(made.restarts, 0)


class StoppingWorkers(WorkersCase):
    @inlineCallbacks
    def test_a_stop_waits_for_them(self):
        made = self.workers()
        yield until(lambda: made.health().ok)
        pids = made.pids()
        clean = yield Deferred.fromCoroutine(made.stop(20.0))
        self.assertTrue(clean)
        self.assertEqual([pid for pid in pids if alive(pid)], [])
        self.assertEqual(made.restarts, 0)
        with self.assertRaises(ConnectionRefusedError):
            yield deferToThread(greeting, self.port)

    @inlineCallbacks
    def test_one_that_does_not_end_in_time_is_killed(self):
        made = self.workers(site="deaf")
        yield until(lambda: made.health().ok)
        pids = made.pids()
        clean = yield Deferred.fromCoroutine(made.stop(0.3))
        self.assertFalse(clean)
        self.assertEqual([pid for pid in pids if alive(pid)], [])
        self.assertEqual(len(self.said("did not end in time")), 2)

    @inlineCallbacks
    def test_a_stop_before_they_are_ready(self):
        made = self.workers()
        clean = yield Deferred.fromCoroutine(made.stop(20.0))
        self.assertTrue(clean)
        self.assertEqual(made.pids(), [])


class LineTests(TestCase):
    timeout = 20

    def setUp(self):
        ours, theirs = socket.socketpair()
        self.lost = []
        self.ours = Line.over(reactor, ours, lambda *_: None, lambda: self.lost.append("ours"))
        self.theirs = Line.over(reactor, theirs, self.asked, lambda: self.lost.append("theirs"))
        self.waiting = Deferred()

    @inlineCallbacks
    def tearDown(self):
        self.ours.close()
        yield until(lambda: len(self.lost) == 2)

    def asked(self, what, detail):
        if what == "later":
            return self.waiting
        if what == "fail":
            raise RuntimeError("not today")
        return [what, detail]

    @inlineCallbacks
    def test_answers_find_their_questions(self):
        late = self.ours.ask("later")
        first = yield self.ours.ask("echo", {"a": [1, "é"]})
        self.assertEqual(first, ["echo", {"a": [1, "é"]}])
        self.waiting.callback("at last")
        self.assertEqual((yield late), "at last")

    @inlineCallbacks
    def test_large_answers(self):
        text = "x" * 5_000_000
        answer = yield self.ours.ask("echo", text)
        self.assertEqual(answer, ["echo", text])

    @inlineCallbacks
    def test_a_question_that_cannot_be_answered(self):
        with self.assertRaisesRegex(LineLost, "not today"):
            yield self.ours.ask("fail")
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual((yield self.ours.ask("echo")), ["echo", None])

    @inlineCallbacks
    def test_an_answer_that_is_not_fit_for_the_line(self):
        late = self.ours.ask("later")
        self.waiting.callback(object())
        yield until(lambda: self.flushLoggedErrors(TypeError))
        late.addErrback(lambda failure: failure.trap(LineLost))

    @inlineCallbacks
    def test_the_other_ends_death_ends_all_questions(self):
        late = self.ours.ask("later")
        self.theirs.close()
        with self.assertRaisesRegex(LineLost, "gone"):
            yield late
        with self.assertRaisesRegex(LineLost, "gone"):
            yield self.ours.ask("echo")
        self.waiting.callback("too late")

    @inlineCallbacks
    def test_an_answer_that_nobody_waits_for(self):
        late = self.ours.ask("later")
        late.addErrback(lambda _: None)
        late.cancel()
        self.waiting.callback("too late")
        self.assertEqual((yield self.ours.ask("echo")), ["echo", None])


class InheritanceTests(TestCase):
    def test_it_survives_the_pipe(self):
        handed = Inheritance(1, 3, ["dns"], "site é", [("udp", "::1", 53)], ["web"])
        read, write = os.pipe()
        with open(write, "wb") as pipe:
            pipe.write(handed.dump())
        found = workers_module.inherit(read)
        self.assertEqual((found.index, found.count, found.site), (1, 3, "site é"))
        self.assertEqual([tuple(key) for key in found.keys], [("udp", "::1", 53)])
        self.assertEqual((list(found.tables), list(found.names)), (["dns"], ["web"]))
