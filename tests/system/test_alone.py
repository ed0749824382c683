"""Every plugin by itself, with the options of its everyday use, and what it needs of others built for it."""

from __future__ import annotations

import ftplib
import imaplib
import json
import poplib
import re
import shutil
import subprocess
import urllib.request
from unittest import SkipTest

from twisted.trial.unittest import TestCase

from tests.system.running import NETSUITE, PATIENCE, ROOT, TWISTD, Running, call, environment, folder, free_port

ZONE = """$TTL 60
@ SOA ns host 1 2 3 4 5
@ NS ns
ns A 127.0.0.1
www A 127.0.0.1
"""

MAIL_KEYS = ("MAIL__IMAP", "MAIL__POP3", "SMTP__LISTEN", "SMTP__SUBMISSION")


def fetch(url: str, proxy: str | None = None) -> tuple[int, dict[str, str], bytes]:
    """Status, fields and body of what is there."""
    handler = urllib.request.ProxyHandler({"http": proxy} if proxy else {})
    with urllib.request.build_opener(handler).open(url, timeout=PATIENCE) as answer:
        return answer.status, {name.lower(): value for name, value in answer.headers.items()}, answer.read()


class Alone(TestCase):
    """One process a server."""

    def setUp(self) -> None:
        entered = folder()
        self.folder = entered.__enter__()
        self.addCleanup(entered.__exit__, None, None, None)
        self.count = 0

    def running(self, plugin: str, *arguments: str) -> int:
        """A server with a port and a data directory of its own; answers the port."""
        self.count += 1
        port = free_port()
        data = ("--set", f"common.data=data{self.count}")
        running = Running(plugin, "--listen", f"127.0.0.1:{port}", *data, *arguments, cwd=self.folder)
        self.addCleanup(self.ends, running)
        running.ready()
        return port

    def ends(self, running: Running) -> None:
        with running:
            self.assertEqual(running.end(), 0, running.said())
            self.assertEqual(running.complaint(), "")

    def dig(self, port: int, *question: str) -> str:
        if shutil.which("dig") is None:
            raise SkipTest("dig is not installed")
        command = ["dig", "@127.0.0.1", "-p", str(port), "+time=5", "+tries=1", "+short", *question]
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False).stdout.strip()

    def zone(self, name: str, text: str = ZONE) -> str:
        (self.folder / "zone").write_text(text)
        return f"{name}=zone"

    def site(self) -> str:
        (self.folder / "www").mkdir()
        (self.folder / "www/page.txt").write_text("a page\n")
        return "www"

    def test_dns(self) -> None:
        zone = self.zone("a.test")
        port = self.running("netsuite-dns", "--zone", zone, "--zone", "b.test=zone")
        for name in ("www.a.test", "www.b.test"):
            self.assertEqual(self.dig(port, name), "127.0.0.1")

    def test_resolver_from_hints_and_a_forwarder_before_it(self) -> None:
        above = self.running("netsuite-dns", "--zone", self.zone("."))
        (self.folder / "hints").write_text(". 60 NS ns.\nns. 60 A 127.0.0.1\n")
        resolver = self.running("netsuite-resolver", "--root-hints", "hints", "--upstream-port", str(above))
        self.assertEqual(self.dig(resolver, "www."), "127.0.0.1")
        forwarder = self.running("netsuite-resolver", "--forward", f"127.0.0.1:{resolver}")
        self.assertEqual(self.dig(forwarder, "www."), "127.0.0.1")

    def test_http(self) -> None:
        port = self.running("netsuite-http", "--root", self.site())
        self.assertEqual(fetch(f"http://127.0.0.1:{port}/page.txt")[2], b"a page\n")

    def test_http_takes_files_and_mounts_applications(self) -> None:
        shop = ROOT / "etc" / "examples" / "shop.py"
        port = self.running(
            "netsuite-http", "--root", self.site(),
            "--set", 'http.rule=[{path = "/up", methods = ["PUT"]}]',
            "--set", f'http.mount=[{{path = "/shop", app = "{shop}:application"}}]',
        )  # fmt: skip
        base = f"http://127.0.0.1:{port}"
        request = urllib.request.Request(f"{base}/up/new.txt", b"new", {"If-None-Match": "*"}, method="PUT")
        with urllib.request.urlopen(request, timeout=20) as answer:
            self.assertEqual(answer.status, 201)
        self.assertEqual(fetch(f"{base}/up/new.txt")[2], b"new")
        self.assertIn(b"Welcome, visitor 1.", fetch(f"{base}/shop")[2])

    def test_ftp(self) -> None:
        port = self.running("netsuite-ftp", "--root", self.site())
        with ftplib.FTP(timeout=20) as client:
            client.connect("127.0.0.1", port)
            client.login()
            lines: list[str] = []
            client.retrlines("RETR page.txt", lines.append)
            self.assertEqual(lines, ["a page"])

    def test_proxy_finds_names_by_the_system(self) -> None:
        origin = self.running("netsuite-http", "--root", self.site(), "--set", "http.max_age=60")
        proxy = self.running("netsuite-proxy")
        answers = [fetch(f"http://localhost:{origin}/page.txt", f"http://127.0.0.1:{proxy}") for _ in range(2)]
        self.assertEqual([answer[2] for answer in answers], [b"a page\n"] * 2)
        self.assertRegex(answers[1][1]["cache-status"], "hit")

    def test_proxy_finds_names_by_a_resolver_elsewhere(self) -> None:
        above = self.running("netsuite-dns", "--zone", self.zone("."))
        (self.folder / "hints").write_text(". 60 NS ns.\nns. 60 A 127.0.0.1\n")
        resolver = self.running("netsuite-resolver", "--root-hints", "hints", "--upstream-port", str(above))
        origin = self.running("netsuite-http", "--root", self.site())
        proxy = self.running("netsuite-proxy", "--set", f"common.resolver=127.0.0.1:{resolver}")
        self.assertEqual(fetch(f"http://www:{origin}/page.txt", f"http://127.0.0.1:{proxy}")[2], b"a page\n")

    def test_reverse_proxy(self) -> None:
        origin = self.running("netsuite-http", "--root", self.site())
        proxy = self.running("netsuite-proxy", "--origin", f"http://127.0.0.1:{origin}")
        self.assertEqual(fetch(f"http://127.0.0.1:{proxy}/page.txt")[2], b"a page\n")

    def test_mail(self) -> None:
        ports = free_port(), free_port()
        done = subprocess.run(
            [*NETSUITE, "user", "add", "alice@example.test", "--data", str(self.folder / "data")],
            input="secret\n",
            env=environment(),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        listens = ("--imap", f"127.0.0.1:{ports[0]}", "--pop3", str(ports[1]))
        running = Running("netsuite-mail", *listens, "--set", "common.data=data", cwd=self.folder)
        self.addCleanup(self.ends, running)
        running.ready()
        imap = imaplib.IMAP4("127.0.0.1", ports[0], timeout=PATIENCE)
        imap.login("alice@example.test", "secret")
        self.assertEqual(imap.append("INBOX", None, None, b"Subject: a\r\n\r\ntext\r\n")[0], "OK")
        imap.logout()
        pop3 = poplib.POP3("127.0.0.1", ports[1], timeout=PATIENCE)
        pop3.user("alice@example.test")
        pop3.pass_("secret")
        self.assertEqual(pop3.retr(1)[1], [b"Subject: a", b"", b"text"])
        pop3.quit()

    def test_admin_with_a_server_built_for_it(self) -> None:
        port = self.running("netsuite-admin")
        health = json.loads(fetch(f"http://127.0.0.1:{port}/health")[2])
        self.assertEqual((health["ok"], set(health["services"])), (True, {"http", "admin"}))

    def test_check_prints_one_line_and_opens_nothing(self) -> None:
        self.site()
        done = call(TWISTD, "netsuite-http", "--root", "www", "--check", cwd=self.folder)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "fine: http\n", ""))
        self.assertEqual([each.name for each in self.folder.iterdir()], ["www"])
        done = call(TWISTD, "netsuite-http", "--root", "elsewhere", "--check", cwd=self.folder)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertTrue(re.fullmatch(r"http\.root: .*/elsewhere is not a folder; .*\n", done.stderr), done.stderr)

    def test_the_built_in_site_can_be_checked(self) -> None:
        done = call(TWISTD, "netsuite", "--check", cwd=self.folder)
        self.assertEqual(done.stderr, "")
        self.assertEqual(done.stdout, "fine: dns, resolver, http, proxy, upper, mail, smtp, tracker, peer, admin\n")

    def test_the_examples_in_etc_are_sound(self) -> None:
        done = call(NETSUITE, "check", "-c", str(ROOT / "etc/netsuite.toml"), cwd=self.folder)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        moved = {
            f"NETSUITE_{name}__LISTEN": str(free_port()) for name in ("DNS", "RESOLVER", "PROXY", "UPPER", "ADMIN")
        }
        port = free_port()
        moved |= {"NETSUITE_HTTP__LISTEN": str(port), "NETSUITE_COMMON__DATA": str(self.folder / "data")}
        moved |= {f"NETSUITE_{name}": str(free_port()) for name in MAIL_KEYS}
        with Running("-y", str(ROOT / "etc/site.tac"), cwd=self.folder, **moved) as running:
            running.ready()
            self.assertIn(b"example.test", fetch(f"http://127.0.0.1:{port}/")[2])
            self.assertEqual(running.end(), 0, running.said())

    def test_a_site_that_was_just_initialised_runs(self) -> None:
        self.assertEqual(call(NETSUITE, "init", "mine", "--domain", "shop.example", cwd=self.folder).returncode, 0)
        done = call(NETSUITE, "check", "-c", "mine/netsuite.toml", cwd=self.folder)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        ports = {name: free_port() for name in ("dns", "resolver", "http", "proxy", "upper", "admin")}
        listens = [text for name, port in ports.items() for text in ("--listen", f"{name}={port}")]
        stub = f'resolver.stubs={{ "shop.example" = ["127.0.0.1:{ports["dns"]}"] }}'
        moved = {f"NETSUITE_{name}": str(free_port()) for name in MAIL_KEYS}
        arguments = ("-c", "mine/netsuite.toml", *listens, "--set", stub)
        with Running("netsuite", *arguments, cwd=self.folder, **moved) as running:
            running.ready()
            self.assertEqual(self.dig(ports["resolver"], "www.shop.example").splitlines()[-1], "127.0.0.1")
            url = f"http://www.shop.example:{ports['http']}/"
            self.assertIn(b"shop.example", fetch(url, f"http://127.0.0.1:{ports['proxy']}")[2])
            self.assertEqual(running.end(), 0, running.said())
