"""Postfix hands us mail and takes it from us: a private instance on loopback, in a folder that goes away."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import smtplib
import subprocess
import tempfile
from pathlib import Path

from twisted.trial.unittest import SkipTest

from tests.interop.mail.sites import ALICE, BOB, PATIENCE, MailCase, program, text
from tests.system.running import accepts, free_port, until

SERVICES = {
    "cleanup": "unix n - n - 0 cleanup",
    "qmgr": "unix n - n 300 1 qmgr",
    "rewrite": "unix - - n - - trivial-rewrite",
    "bounce": "unix - - n - 0 bounce",
    "defer": "unix - - n - 0 bounce",
    "trace": "unix - - n - 0 bounce",
    "verify": "unix - - n - 1 verify",
    "proxymap": "unix - - n - - proxymap",
    "smtp": "unix - - n - - smtp",
    "relay": "unix - - n - - smtp",
    "showq": "unix n - n - - showq",
    "error": "unix - - n - - error",
    "retry": "unix - - n - - error",
    "discard": "unix - - n - - discard",
    "anvil": "unix - - n - 1 anvil",
    "scache": "unix - - n - 1 scache",
    "tlsmgr": "unix - - n 1000? 1 tlsmgr",
    "postlog": "unix-dgram n - n - 1 postlogd",
}
QUEUES = ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "pid", "private", "saved")


class Postfix:
    """One Postfix: mail for ``example.test`` goes to ``relay``, for ``sink.test`` away, for others nowhere."""

    def __init__(self, port: int, *, relay: int) -> None:
        master = Path("/usr/lib/postfix/sbin/master")
        try:
            owner = pwd.getpwnam("postfix")
        except KeyError:
            raise SkipTest("Postfix's user is missing") from None
        if not master.exists() or os.getuid():
            raise SkipTest("Postfix's master is not installed, or we are not root")
        self.port = port
        self.home = Path(tempfile.mkdtemp(prefix="netsuite-postfix-"))
        self.home.chmod(0o755)
        etc, spool, data = (self.home / name for name in ("etc", "spool", "data"))
        for folder in (etc, spool, data, spool / "public", spool / "maildrop", *(spool / name for name in QUEUES)):
            folder.mkdir()
            if folder not in (etc, spool):
                shutil.chown(folder, owner.pw_uid)
        shutil.chown(spool / "pid", 0)
        main = {
            "compatibility_level": "3.6",
            "queue_directory": spool,
            "data_directory": data,
            "maillog_file": self.home / "log",
            "maillog_file_prefixes": self.home,
            "inet_interfaces": "127.0.0.1",
            "inet_protocols": "ipv4",
            "myhostname": "postfix.test",
            "mydestination": "",
            "mynetworks": "",
            "relay_domains": "example.test, sink.test",
            "relay_transport": f"smtp:[127.0.0.1]:{relay}",
            "alias_maps": "",
            "local_recipient_maps": "",
            "smtp_dns_support_level": "disabled",
            "smtp_tls_security_level": "may",
            "minimal_backoff_time": "1s",
            "queue_run_delay": "1s",
            "transport_maps": "inline:{sink.test=discard:}",
            "virtual_alias_maps": f"inline:{{back@sink.test={BOB}}}",
            "smtpd_relay_restrictions": "reject_unauth_destination",
        }
        (etc / "main.cf").write_text("".join(f"{name} = {value}\n" for name, value in main.items()))
        lines = [f"127.0.0.1:{self.port} inet n - n - - smtpd", *(f"{name} {rest}" for name, rest in SERVICES.items())]
        (etc / "master.cf").write_text("\n".join(lines) + "\n")
        self.process = subprocess.Popen(
            [master, "-d", "-c", etc],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        until("Postfix", lambda: accepts(self.port) or self.process.poll() is not None)

    def log(self) -> str:
        """What it has noted so far."""
        path = self.home / "log"
        return path.read_text() if path.exists() else ""

    def end(self) -> None:
        """Stop it with all that it started."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE)
        shutil.rmtree(self.home, ignore_errors=True)


class BothWays(MailCase):
    def setUp(self) -> None:
        program("postfix")
        port = free_port()
        self.begin({"route": [f"*=127.0.0.1:{port}"]})
        self.postfix = Postfix(port, relay=self.port("smtp"))
        self.addCleanup(self.postfix.end)
        self.assertIsNone(self.postfix.process.poll(), self.postfix.log())

    def noted(self, pattern: str, count: int = 1) -> None:
        """Wait for Postfix to have noted something so many times, and not more often."""
        found = until(pattern, lambda: len(lines := re.findall(pattern, self.postfix.log())) >= count and lines)
        self.assertEqual(len(found), count, found)

    def test_postfix_relays_to_us(self) -> None:
        with smtplib.SMTP("127.0.0.1", self.postfix.port, timeout=PATIENCE) as client:
            for number in range(5):
                body = f".\r\n..two\r\n{'x' * 900}\r\n" * (1 + number * 200)
                client.sendmail("ann@else.test", [ALICE, BOB], text(f"n{number}", body))
            client.sendmail("ann@else.test", ["nobody@example.test"], text("lost"))
        for user in (ALICE, BOB):
            found = self.arrived(*(f"n{number}" for number in range(5)), user=user)
            self.assertEqual(len(found), 5)
            longest = max(found, key=len)
            self.assertIn(b"by postfix.test (Postfix)", longest)
            self.assertIn(b"with ESMTPS", longest)
            self.assertEqual(longest.count(b"\r\n..two\r\n"), 801)
        self.noted(r"status=sent \(250 2\.0\.0 queued as", 10)
        self.noted(r"status=bounced .*550 5\.1\.1")

    def test_we_relay_to_postfix(self) -> None:
        with smtplib.SMTP("127.0.0.1", self.port("submission"), timeout=PATIENCE) as client:
            client.login(ALICE, self.passwords[ALICE])
            for number in range(5):
                client.sendmail(ALICE, [f"r{number}@sink.test", "s@sink.test"], text(f"n{number}", ".\r\n" * 5000))
            client.sendmail(ALICE, ["x@sink.test", "y@void.test"], text("half"))
            client.sendmail(ALICE, ["back@sink.test"], text("round", ".\r\n..two\r\n"))
        self.noted(r" to=<\w+@sink\.test>,.*status=sent", 11)  # not orig_to=: that one went on to Bob
        self.assertIn(b"Received: from mail.example.test", self.arrived("round")[0])
        self.assertTrue(self.inbox()[0].endswith(b"\r\n\r\n.\r\n..two\r\n\r\n"), self.inbox()[0])
        (report,) = until("the report", lambda: self.inbox(ALICE))
        self.assertIn(b"Final-Recipient: rfc822; y@void.test", report)
        self.assertIn(b"Action: failed", report)
        self.assertNotIn(b"x@sink.test", report.partition(b"message/rfc822")[0])
