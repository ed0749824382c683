"""The built-in site as a user has it: from the wheel, in a clean environment, with clients that nobody here wrote."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

from twisted.trial.unittest import SkipTest, TestCase

from tests.system.running import PATIENCE, accepts, until
from tests.system.test_packaging import installed

HTTP = "http://127.0.0.1:10080"
WWW = "http://www.example.test:10080"
PROXY = "http://127.0.0.1:10081"
SECURE = "https://localhost:10443"
ADMIN = "http://127.0.0.1:10090"


class InstalledSiteTests(TestCase):
    """Each test has a fresh site in a folder of its own, which must end well."""

    def setUp(self) -> None:
        until("the site's ports to be free", lambda: not accepts(10053) and not accepts(10080))
        self.folder = Path(tempfile.mkdtemp(prefix="netsuite-site-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.environment = installed().clean
        self.log = self.folder / "site.log"
        with self.log.open("wb") as log:
            self.site = subprocess.Popen(
                [self.environment.bin / "twistd", "-n", "--pidfile=", "netsuite"],
                cwd=self.folder,
                env=self.environment.surroundings(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.addCleanup(self._end)
        until("the site is ready", lambda: self.site.poll() is not None or "is ready." in self.log.read_text())
        self.assertIsNone(self.site.poll(), self.log.read_text())

    def _end(self) -> None:
        if self.site.poll() is None:
            self.site.send_signal(signal.SIGTERM)
            try:
                self.site.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.site.kill()
                self.site.wait()
        self.assertEqual(self.site.returncode, 0, self.log.read_text())
        self.assertNotIn("Traceback", self.log.read_text())

    def call(self, program: str, *arguments: str) -> str:
        """What a foreign program prints; it must end well."""
        if not shutil.which(program):
            raise SkipTest(f"{program} is not installed")
        surroundings = self.environment.surroundings()
        alone = {name: value for name, value in surroundings.items() if not name.lower().endswith("_proxy")}
        done = subprocess.run(
            [program, *arguments],
            cwd=self.folder,
            env={**alone, "HOME": str(self.folder)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        self.assertEqual(done.returncode, 0, f"{program} {arguments}: {done.stdout}{done.stderr}")
        return done.stdout

    def dig(self, port: int, *arguments: str) -> str:
        return self.call("dig", "@127.0.0.1", "-p", str(port), "+time=5", "+tries=1", *arguments)

    def test_dig_asks_zone_and_resolver(self) -> None:
        for transport in ("+notcp", "+tcp"):
            self.assertRegex(self.dig(10053, "example.test", "SOA", transport), r"flags: qr aa[^;]*; .*ANSWER: 1")
            self.assertIn("mail.example.test", self.dig(10054, "example.test", "MX", "+short", transport))
        self.assertIn("status: NXDOMAIN", self.dig(10054, "nobody.example.test"))

    def test_kdig_asks_zone_and_resolver(self) -> None:
        asked = self.call("kdig", "@127.0.0.1", "-p", "10054", "home.example.test", "+short", "+tcp", "+keepopen")
        self.assertEqual(asked.split(), ["www.example.test.", "127.0.0.1"])
        asked = self.call("kdig", "@127.0.0.2", "-p", "10053", "www.example.test", "+norec")
        self.assertRegex(asked, r"test\.\s+\d+\s+IN\s+NS\s+ns\.test\.")

    def test_dnsperf_loses_nothing(self) -> None:
        (self.folder / "questions").write_text("www.example.test A\nnobody.example.test A\n")
        for port in ("10053", "10054"):
            said = self.call("dnsperf", "-s", "127.0.0.1", "-p", port, "-d", "questions", "-n", "1000", "-q", "20")
            self.assertRegex(said, r"Queries completed:\s+2000 \(100\.00%\)")

    def test_curl_fetches_asks_again_and_takes_parts(self) -> None:
        head = self.call("curl", "-sI", f"{HTTP}/words.txt")
        etag = next(line.split(": ")[1] for line in head.splitlines() if line.lower().startswith("etag"))
        code = ("-o", "page", "-w", "%{http_code} %{size_download}")
        self.assertEqual(self.call("curl", "-s", *code, "-H", f"If-None-Match: {etag}", f"{HTTP}/words.txt"), "304 0")
        self.assertEqual(self.call("curl", "-s", *code, "-r", "10-19", f"{HTTP}/words.txt"), "206 10")
        self.call("curl", "-sf", "-o", "page", "--cacert", "netsuite-data/ca.pem", f"{SECURE}/words.txt")
        self.assertEqual((self.folder / "page").read_bytes(), self.data("www/words.txt").read_bytes())

    def test_curl_goes_through_the_cache(self) -> None:
        first, second = (self.call("curl", "-si", "-x", PROXY, f"{WWW}/words.txt") for _ in range(2))
        self.assertRegex(first.lower(), r"(?m)^cache-status: .*fwd=uri-miss")
        self.assertRegex(second.lower(), r"(?m)^cache-status: .*; ?hit")
        self.assertEqual(first.partition("\n\n")[2], second.partition("\n\n")[2])

    def test_curl_finds_names_over_https(self) -> None:
        doh = ("--cacert", "netsuite-data/ca.pem", "--doh-url", f"{SECURE}/dns-query")
        self.assertEqual(json.loads(self.call("curl", "-sf", *doh, f"{WWW}/site.json"))["name"], "example.test")

    def test_wrk_sees_no_error(self) -> None:
        for url in (f"{HTTP}/words.txt", f"{SECURE}/words.txt"):
            said = self.call("wrk", "-t1", "-c16", "-d1s", url)
            self.assertNotIn("Non-2xx", said)
            self.assertNotIn("Socket errors", said)
            self.assertRegex(said, r"[1-9]\d* requests in")

    def test_chromium_shows_the_page_through_the_proxy(self) -> None:
        shown = self.call(
            "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            f"--user-data-dir={self.folder / 'profile'}", f"--proxy-server={PROXY}", "--virtual-time-budget=2000",
            "--dump-dom", "http://www.example.test:10088/",
        )  # fmt: skip
        self.assertIn("example.test", shown)
        self.assertIn("</html>", shown)
        self.assertIn("/try.html", shown)

    def test_upper_shouts(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
            datagrams.settimeout(PATIENCE)
            datagrams.sendto(b"hello", ("127.0.0.1", 12000))
            self.assertEqual(datagrams.recv(100).strip(), b"HELLO")
        with socket.create_connection(("127.0.0.1", 12000), PATIENCE) as stream:
            stream.sendall(b"hello\n")
            self.assertEqual(stream.recv(100), b"HELLO\n")

    def test_admin_and_the_command_tell_how_it_is(self) -> None:
        self.assertTrue(json.loads(self.call("curl", "-sf", f"{ADMIN}/health"))["ok"])
        self.assertIn("# TYPE", self.call("curl", "-sf", f"{ADMIN}/metrics"))
        told = json.loads(self.environment.run("netsuite", "status", "--json", cwd=self.folder))
        self.assertEqual(told["pid"], self.site.pid)
        self.assertTrue(told["ok"])
        names = sorted(service["name"] for service in told["services"])
        self.assertEqual(
            names, ["admin", "dns", "http", "mail", "peer", "proxy", "resolver", "smtp", "tracker", "upper"]
        )

    def test_what_is_in_flight_is_finished(self) -> None:
        if not shutil.which("curl"):
            raise SkipTest("curl is not installed")
        size = 24_000_000
        self.data("www/large").write_bytes(b"x" * size)
        ways: list[tuple[str, ...]] = [(f"{HTTP}/large",), ("-x", PROXY, f"{WWW}/large")]
        targets = [self.folder / f"large-{number}" for number in range(len(ways))]
        clients = [
            subprocess.Popen(["curl", "-s", "--noproxy", "", "--limit-rate", "8M", "-o", target, *way])
            for target, way in zip(targets, ways, strict=True)
        ]
        self.addCleanup(lambda: [client.kill() for client in clients if client.poll() is None])
        idle = self.enterContext(socket.create_connection(("127.0.0.1", 12000), PATIENCE))
        until("both have begun", lambda: all(target.exists() and target.stat().st_size for target in targets))
        self.site.send_signal(signal.SIGTERM)
        idle.settimeout(PATIENCE)
        self.assertEqual(idle.recv(1), b"")
        until("the proxy takes nobody new", lambda: not accepts(10081))
        self.assertIsNone(self.site.poll())
        for client, target in zip(clients, targets, strict=True):
            self.assertEqual(client.wait(PATIENCE), 0)
            self.assertEqual(target.stat().st_size, size)
        self.assertEqual(self.site.wait(PATIENCE), 0)

    def data(self, name: str) -> Path:
        """A file in the site's data directory."""
        return self.folder / "netsuite-data" / name
