"""Changes that travel: nsupdate to us, and zones from us to NSD, Knot DNS and BIND and from them to us, kept in step.

Every server gets a new version by NOTIFY and IXFR or AXFR, signed with TSIG; all must end with the same records.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import dns.query
import dns.rcode
import dns.tsig
import dns.update
import dns.zone
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import SkipTest, TestCase

from netsuite.dns.authoritative.service import build
from netsuite.dns.authoritative.settings import DnsSettings
from netsuite.testing.commons import make_commons
from tests.interop.dns.test_peers import free_port

SECRET = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
KEY = dns.tsig.Key("xfr.", SECRET, "hmac-sha256.")
ZONE = """$TTL 60
@ SOA ns1 host {serial} 3600 1 604800 5
@ NS ns1
ns1 A 127.0.0.1
www A 192.0.2.1
text TXT "some text" "and more"
@ MX 10 mail.elsewhere.test.
sub NS ns.sub
ns.sub A 192.0.2.2
*.wild AAAA 2001:db8::1
"""


def nsd(folder, ours, port, role):
    more = (
        f" request-xfr: 127.0.0.1@{ours} xfr\n allow-notify: 127.0.0.1 xfr\n"
        if role == "copy"
        else f" notify: 127.0.0.1@{ours} xfr\n provide-xfr: 127.0.0.1 xfr\n store-ixfr: yes\n create-ixfr: yes\n"
    )
    (folder / "nsd.conf").write_text(
        f'server:\n ip-address: 127.0.0.1@{port}\n server-count: 1\n username: ""\n chroot: ""\n zonesdir: "{folder}"\n'
        f' database: ""\n pidfile: "{folder}/pid"\n xfrdfile: "{folder}/xfrd"\n zonelistfile: "{folder}/list"\n'
        f' xfrdir: "{folder}"\n'
        f'remote-control:\n control-enable: no\nkey:\n name: xfr\n algorithm: hmac-sha256\n secret: "{SECRET}"\n'
        f'zone:\n name: "example.test"\n zonefile: "peer.zone"\n{more}'
    )
    return ["nsd", "-d", "-c", folder / "nsd.conf"]


def knotd(folder, ours, port, role):
    more = "    master: other\n    acl: told\n" if role == "copy" else "    notify: other\n    acl: copied\n"
    (folder / "knot.conf").write_text(
        f'server:\n    rundir: "{folder}"\n    listen: 127.0.0.1@{port}\n    udp-workers: 1\n    tcp-workers: 1\n'
        f"    background-workers: 1\n"
        f'database:\n    storage: "{folder}/knot"\nlog:\n  - target: stderr\n    any: info\n'
        f'key:\n  - id: xfr\n    algorithm: hmac-sha256\n    secret: "{SECRET}"\n'
        f"remote:\n  - id: other\n    address: 127.0.0.1@{ours}\n    key: xfr\n"
        f"acl:\n  - id: told\n    key: xfr\n    action: notify\n  - id: copied\n    key: xfr\n    action: transfer\n"
        f'zone:\n  - domain: "example.test"\n    file: "{folder}/peer.zone"\n    zonefile-load: difference\n'
        f"    journal-content: changes\n{more}"
    )
    return ["knotd", "-c", folder / "knot.conf"]


def named(folder, ours, port, role):
    more = (
        f"type secondary; primaries {{ 127.0.0.1 port {ours} key xfr; }};"
        if role == "copy"
        else "type primary; allow-transfer { key xfr; }; allow-update { key xfr; }; notify explicit;"
        f" also-notify {{ 127.0.0.1 port {ours} key xfr; }};"
    )
    (folder / "named.conf").write_text(
        f'key xfr {{ algorithm hmac-sha256; secret "{SECRET}"; }};\n'
        f'options {{ directory "{folder}"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};\n'
        f" pid-file none; session-keyfile none; recursion no; empty-zones-enable no; dnssec-validation no;\n"
        f" notify-delay 0; serial-query-rate 1000; transfer-source 127.0.0.1; }};\n"
        f'controls {{ }};\nzone "example.test" {{ file "{folder}/peer.zone"; {more} }};\n'
    )
    return ["named", "-g", "-n", "1", "-c", folder / "named.conf"]


def fetched(port, key=KEY):
    """All records of a server's zone."""
    zone = dns.zone.Zone("example.test.")
    dns.query.inbound_xfr("127.0.0.1", zone, _axfr(key), port=port, timeout=5)
    return sorted(f"{name} {ttl} {rdata}".lower() for name, ttl, rdata in zone.iterate_rdatas())


def _axfr(key):
    message = dns.message.make_query("example.test.", "AXFR")
    message.use_tsig(key)
    return message


class PeerCase(TestCase):
    """A server of ours and one of theirs; a missing one is skipped by name."""

    timeout = 60

    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="changes"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        (self.folder / "knot").mkdir()

    def serve(self, port, **zone):
        table = {
            "listen": [f"127.0.0.1:{port}"],
            "key": [{"name": "xfr", "secret": SECRET}],
            "zone": [{"name": "example.test", "transfer": ["key:xfr"], **zone}],
        }
        commons = make_commons(self.folder / "data", reactor)
        self.service = service = build(DnsSettings.model_validate(table, context={"base": self.folder}), commons)
        service.check()
        service.open()
        service.startService()

        self.addCleanup(lambda: service.drain(reactor.seconds() + 0.2))
        return service

    def start(self, program, configure, ours, role, port=None):
        if shutil.which(program) is None:
            raise SkipTest(f"{program} is not installed")
        port = port or free_port()
        command = [str(word) for word in configure(self.folder, ours, port, role)]
        with (self.folder / "log").open("ab") as log:
            self.process = process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder)

        def stop():
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)

        self.addCleanup(stop)
        return port

    async def until(self, what, test, patience=25.0):
        end = time.monotonic() + patience
        said = None
        while time.monotonic() < end:
            try:
                if await deferToThread(test):
                    return
            except Exception as error:
                said = error
            await deferLater(reactor, 0.1)
        log = (self.folder / "log").read_text(errors="replace") if (self.folder / "log").exists() else ""
        self.fail(f"{what} did not come about ({said!r}):\n{log[-1500:]}")


class ChangeTests(PeerCase):
    """One test a peer and direction."""

    def serial(self, port):
        message = dns.message.make_query("example.test.", "SOA")
        answer = dns.query.udp(message, "127.0.0.1", port=port, timeout=2)
        return answer.answer[0][0].serial

    def update(self, port, *changes):
        update = dns.update.UpdateMessage("example.test.", keyring=KEY)
        for act, *words in changes:
            getattr(update, act)(*words)
        answer = dns.query.udp(update, "127.0.0.1", port=port, timeout=5)
        self.assertEqual(answer.rcode(), dns.rcode.NOERROR)

    async def they_copy(self, program, configure):
        ours = free_port()
        port = self.start(program, configure, ours, "copy")
        (self.folder / "ours.zone").write_text(ZONE.format(serial=1))
        self.serve(ours, file="ours.zone", notify=[f"127.0.0.1:{port} key:xfr"], update=[{"key": "xfr", "types": []}])
        await self.until("the first copy", lambda: self.serial(port) == 1)
        for number in range(2, 6):
            await deferToThread(
                self.update,
                ours,
                ("add", f"n{number}.example.test.", 60, "A", f"192.0.2.{number}"),
                ("delete", f"n{number - 1}.example.test."),
            )
            await self.until(f"version {number}", lambda number=number: self.serial(port) == number)
        (self.folder / "ours.zone").write_text(ZONE.format(serial=77) + "edited TXT here\n")
        lines = await self.service.reload()
        self.assertIn("serial 77", lines[0])
        await self.until("the edited file", lambda: self.serial(port) == 77)
        log = (self.folder / "log").read_text(errors="replace").lower()
        mine = await deferToThread(fetched, ours)
        self.assertIn('edited 60 "here"', " ".join(mine).replace("txt ", ""))
        for name in ("www", "n5", "edited", "x.wild", "text"):
            for rdtype in ("A", "TXT", "AAAA"):
                query = dns.message.make_query(f"{name}.example.test.", rdtype)
                one = await deferToThread(dns.query.udp, query, "127.0.0.1", 5, ours)
                other = await deferToThread(dns.query.udp, query, "127.0.0.1", 5, port)
                self.assertEqual(one.answer, other.answer)
        return log

    async def test_nsd_copies_ours(self):
        await self.they_copy("nsd", nsd)

    async def test_knot_copies_ours(self):
        log = await self.they_copy("knotd", knotd)
        self.assertIn("ixfr, incoming", log)

    async def test_bind_copies_ours(self):
        log = await self.they_copy("named", named)
        # four SOA records and what changed: no whole copy
        self.assertIn("transfer completed: 1 messages, 6 records", log)

    async def we_copy(self, program, configure, change):
        (self.folder / "peer.zone").write_text("$ORIGIN example.test.\n" + ZONE.format(serial=1))
        ours = free_port()
        port = self.start(program, configure, ours, "primary")
        self.serve(ours, primary=[f"127.0.0.1:{port} key:xfr"])
        await self.until("the first copy", lambda: self.serial(ours) == 1)
        for number in range(2, 5):
            await change(port, number)
            await self.until(f"version {number}", lambda number=number: self.serial(ours) == number)
        self.assertEqual(await deferToThread(fetched, ours), await deferToThread(fetched, port))
        return [change.source for change in self.service._tended[0].history.changes]

    async def by_reload(self, port, number):
        """The peer's file is edited and the peer told so."""
        text = ZONE.format(serial=number) + f"n{number} A 192.0.2.{number}\n"
        (self.folder / "peer.zone").write_text("$ORIGIN example.test.\n" + text)
        if shutil.which("knotc") is None:
            raise SkipTest("knotc is not installed")
        out, err, status = await getProcessOutputAndValue(
            shutil.which("knotc"), ["-s", str(self.folder / "knot.sock"), "zone-reload", "example.test"]
        )
        self.assertEqual(status, 0, out + err)

    async def by_update(self, port, number):
        await deferToThread(self.update, port, ("add", f"n{number}.example.test.", 60, "A", f"192.0.2.{number}"))

    async def test_we_copy_bind_s(self):
        changes = await self.we_copy("named", named, self.by_update)
        self.assertEqual(len(changes), 3)

    async def test_we_copy_knot_s(self):
        changes = await self.we_copy("knotd", knotd, self.by_reload)
        self.assertEqual(len(changes), 3)

    async def test_we_copy_nsd_s(self):
        async def restart(port, number):
            """NSD without its control takes an edited file at SIGHUP."""
            text = ZONE.format(serial=number) + f"n{number} A 192.0.2.{number}\n"
            (self.folder / "peer.zone").write_text("$ORIGIN example.test.\n" + text)
            pid = int((self.folder / "pid").read_text())
            os.kill(pid, signal.SIGHUP)

        await self.we_copy("nsd", nsd, restart)

    async def test_nsupdate(self):
        if shutil.which("nsupdate") is None:
            raise SkipTest("nsupdate is not installed")
        port = free_port()
        (self.folder / "ours.zone").write_text(ZONE.format(serial=1))
        grants = [
            {"key": "xfr", "names": ["*.dyn.example.test"], "types": ["A", "TXT"]},
            {"allow": ["127.0.0.1"], "names": ["open.example.test"]},
        ]
        self.serve(port, file="ours.zone", update=grants)

        async def nsupdate(*lines, key=True, tcp=False):
            script = self.folder / "script"
            script.write_text("\n".join((f"server 127.0.0.1 {port}", "zone example.test", *lines, "send", "")))
            words = ["-y", f"hmac-sha256:xfr:{SECRET}"] if key else []
            out, err, status = await getProcessOutputAndValue(
                shutil.which("nsupdate"), [*words, *(["-v"] if tcp else []), str(script)]
            )
            return status, (out + err).decode()

        self.assertEqual((await nsupdate("update add a.dyn.example.test 60 A 192.0.2.9"))[0], 0)
        self.assertEqual((await nsupdate("update add b.dyn.example.test 60 TXT hello", tcp=True))[0], 0)
        self.assertEqual((await nsupdate("update add open.example.test 60 MX 1 m.test.", key=False))[0], 0)
        for lines, key in (
            (("update add a.dyn.example.test 60 MX 1 x.test.",), True),
            (("update add dyn.example.test 60 A 192.0.2.9",), True),
            (("update add a.dyn.example.test 60 A 192.0.2.8", "update delete www.example.test"), True),
            (("update add a.dyn.example.test 60 A 192.0.2.8",), False),
        ):
            status, said = await nsupdate(*lines, key=key)
            self.assertEqual((status, "REFUSED" in said), (2, True), said)
        known = "prereq nxdomain a.dyn.example.test"
        status, said = await nsupdate(known, "update add a.dyn.example.test 60 A 192.0.2.1")
        self.assertIn("YXDOMAIN", said)
        self.assertEqual(self.service._tended[0].zone.serial, 4)
