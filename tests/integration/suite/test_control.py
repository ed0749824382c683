"""The control socket: who asks gets an answer, and what else may come does no harm."""

from __future__ import annotations

import json
import os
import socket
import stat
from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from netsuite.common.errors import StartError
from netsuite.common.service import NetsuiteService
from netsuite.interfaces import Address, Health
from netsuite.suite.control import ControlPort, ask
from netsuite.testing.commons import make_commons


class Well(NetsuiteService):
    """A service that is well."""

    def addresses(self):
        return [Address("tcp", "127.0.0.1", 99, "try it")]

    def health(self):
        return Health(True, "quite")

    def figures(self):
        return [("things", 3)]


class Site:
    """A site of one service."""

    version = "1.2.3"

    def __init__(self, commons):
        self.started = commons.clock.seconds() - 5
        self.found = [Well("well", commons)]

    def services(self):
        return self.found


def converse(path: Path, data: bytes) -> list:
    """What is answered to these bytes, until the other end closes or a second of silence."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(2)
        connection.connect(str(path))
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as lines:
            return [json.loads(line) for line in lines]


class Control(TestCase):
    """A ControlPort on the real reactor."""

    def setUp(self) -> None:
        from twisted.internet import reactor

        folder = TemporaryDirectory(prefix="netsuite-test-")
        self.addCleanup(folder.cleanup)
        self.data = Path(folder.name)
        self.commons = make_commons(self.data, reactor)
        self.commons.data.folder()
        self.site = Site(self.commons)
        self.port = ControlPort(self.site, self.commons)
        self.port.open()
        self.addCleanup(self.close)

    def close(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.port.close())

    async def test_status(self) -> None:
        answer = (await deferToThread(ask, self.data, "status"))["status"]
        self.assertEqual((answer["version"], answer["pid"], answer["ok"]), ("1.2.3", os.getpid(), True))
        self.assertGreaterEqual(answer["uptime"], 5)
        self.assertEqual(
            answer["services"],
            [
                {
                    "name": "well",
                    "ok": True,
                    "detail": "quite",
                    "addresses": [{"address": "tcp:127.0.0.1:99", "kind": "tcp", "hint": "try it"}],
                    "figures": [{"name": "things", "value": 3}],
                }
            ],
        )

    def test_it_is_its_owners_alone(self) -> None:
        self.assertEqual(stat.S_IMODE((self.data / "control.sock").stat().st_mode), 0o600)

    async def test_what_is_no_request_gets_a_clear_answer(self) -> None:
        lines = b'nonsense\n[]\n{}\n{"ask": 5}\n{"ask": "more"}\n' + b"[" * 4000 + b"\n"
        answers = await deferToThread(converse, self.data / "control.sock", lines)
        self.assertEqual([each["ok"] for each in answers], [False] * 6)
        self.assertEqual(answers[4]["error"], "cannot answer 'more'; I know status, user, and what services add")

    async def test_a_line_without_end_is_cut(self) -> None:
        self.assertEqual(await deferToThread(converse, self.data / "control.sock", b"x" * 10000), [])

    async def test_a_service_that_cannot_tell_does_not_hide_the_rest(self) -> None:
        self.site.found.append(Well("dumb", self.commons))
        self.site.found[1].figures = lambda: 1 / 0
        answer = (await deferToThread(ask, self.data, "status"))["status"]
        self.assertEqual([each["name"] for each in answer["services"]], ["well", "dumb"])
        self.assertEqual(answer["services"][1]["figures"], [])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    async def test_a_site_that_cannot_tell_says_so(self) -> None:
        self.site.services = lambda: 1 / 0
        with self.assertRaises(StartError) as caught:
            await deferToThread(ask, self.data, "status")
        self.assertIn("ZeroDivisionError", str(caught.exception))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    async def test_a_socket_that_was_left_behind_is_replaced(self) -> None:
        await self.port.close()
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(str(self.data / "control.sock"))
        with self.assertRaises(StartError):
            await deferToThread(ask, self.data, "status")
        self.port.open()
        self.assertTrue((await deferToThread(ask, self.data, "status"))["ok"])
        await self.port.close()
        self.assertFalse((self.data / "control.sock").exists())

    async def test_paths_longer_than_a_sockets_address(self) -> None:
        from twisted.internet import reactor

        deep = self.data / ("d" * 100) / ("e" * 100)
        commons = make_commons(deep, reactor)
        commons.data.folder()
        port = ControlPort(Site(commons), commons)
        port.open()
        self.assertEqual(stat.S_IMODE((deep / "control.sock").stat().st_mode), 0o600)
        self.assertTrue((await deferToThread(ask, deep, "status"))["ok"])
        await port.close()
        self.assertFalse((deep / "control.sock").exists())

    async def test_nobody_there(self) -> None:
        with self.assertRaises(StartError) as caught:
            ask(self.data / "elsewhere", "status")
        self.assertTrue(str(caught.exception).startswith(f"nothing runs on {self.data}/elsewhere: start it with"))
        await self.port.close()
        with self.assertRaises(StartError):
            ask(self.data, "status")
