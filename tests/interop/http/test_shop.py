"""The shop of the textbook, uploads and WebSockets on a running site: curl with a cookie jar, and a browser."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from twisted.trial.unittest import SkipTest, TestCase

from netsuite.suite.control import ask
from netsuite.testing.site import site

EXAMPLES = Path(__file__).parents[3] / "etc" / "examples"
PAGE = """<!doctype html><p id="out">waiting</p><script>
const socket = new WebSocket(`ws://${location.host}/echo`);
socket.onopen = () => socket.send("h\\u00e4llo ".repeat(1000));
socket.onmessage = event => { document.getElementById("out").textContent =
  "echo " + event.data.length + " " + event.data.slice(0, 5) + " " + socket.extensions; };
// the browser's virtual time stands still while something is fetched, not while a WebSocket is waited for
(async () => { for (let n = 0; n < 2000 && out.textContent == "waiting"; n++) await fetch("/page.html?" + n); })();
</script>"""


def needs(program):
    found = shutil.which(program)
    if found is None:
        raise SkipTest(f"{program} is not installed")
    return found


class Applications(TestCase):
    timeout = 180

    def setUp(self):
        self.folder = Path(self.mktemp()).absolute()
        self.root = self.folder / "root"
        self.root.mkdir(parents=True)
        (self.root / "page.html").write_text(PAGE)
        tables = {
            "http": {
                # a browser refuses some ports, among them 10080; this one becomes a free one
                "listen": ["127.0.0.1:10080", "secure:127.0.0.1:10443"],
                "root": str(self.root),
                "mount": [
                    {"path": "/shop", "app": f"{EXAMPLES / 'shop.py'}:application"},
                    {"path": "/echo", "app": f"{EXAMPLES / 'echo.py'}:Echo", "kind": "netsuite"},
                ],
                "rule": [{"path": "/up", "methods": ["PUT", "DELETE"], "users": ["alice"]}],
            }
        }
        manager = site(tables)
        self.site = manager.__enter__()
        self.addCleanup(manager.__exit__, None, None, None)
        ask(self.site.data, "user", do="add", name="alice", password="apple")
        self.http, self.https = self.site.url("http", "http"), self.site.url("http", "https")

    def run_client(self, *command):
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=120, cwd=self.folder)
        self.assertEqual(done.returncode, 0, done.stderr.decode(errors="replace")[-2000:])
        return done.stdout.decode()

    def curl(self, *arguments):
        trusted = ("--cacert", str(self.site.ca_path))
        return self.run_client(needs("curl"), "-sS", "--max-time", "60", *trusted, *arguments)

    def test_a_customer_with_a_cookie_jar(self):
        jar = ("-L", "-c", "jar", "-b", "jar")
        shop = f"{self.https}/shop/"
        page = self.curl(*jar, f"{self.https}/shop")
        self.assertIn("Welcome, visitor 1.", page)
        cookies = (self.folder / "jar").read_text()
        self.assertIn("#HttpOnly_127.0.0.1\tFALSE\t/shop/\tTRUE\t", cookies)

        def send(path, *fields):
            token = re.search(r'name="token" value="([0-9a-f]+)"', self.page)[1]
            parts = [part for field in (f"token={token}", *fields) for part in ("--data-urlencode", field)]
            self.page = self.curl(*jar, *parts, shop + path)

        self.page = page
        send("cart", "item=tea")
        self.assertIn("Welcome back, visitor 1.", self.page)
        send("cart", "item=book")
        send("join", "name=alice", "password=correct horse", "address=1 Lane")
        self.assertIn("Welcome back, alice.", self.page)
        send("order")
        self.assertIn("63.49", self.page)
        self.assertIn("Your cart is empty.", self.page)
        self.assertIn("Welcome, visitor 2.", self.curl(shop))
        self.assertTrue((self.site.data / "shop.sqlite").exists())

    def test_uploads(self):
        data = os.urandom(5 << 20)
        (self.folder / "file").write_bytes(data)
        status = ("-o", os.devnull, "-w", "%{http_code}")
        who = ("-u", "alice:apple")
        for base, version in ((self.http, "--http1.1"), (self.https, "--http2")):
            target = f"{base}/up/{version[-1]}/file"
            self.assertEqual(self.curl(*status, version, "-T", "file", target), "401")
            self.assertEqual(self.curl(*status, version, *who, "-T", "file", target), "201")
            self.assertEqual(self.curl(*status, version, *who, "-T", "file", target), "204")
            self.assertTrue((self.root / "up" / version[-1] / "file").read_bytes() == data)
            self.assertEqual(self.curl(*status, version, *who, "-T", "-", target, "-X", "DELETE"), "204")
            self.assertEqual(self.curl(*status, version, target), "404")
        allow = self.curl("-X", "OPTIONS", "-D", "-", f"{self.http}/up/x")
        self.assertIn("GET, HEAD, OPTIONS, PUT, DELETE", allow)

    def test_a_browser_talks_by_websocket(self):
        browser = needs("chromium")
        with tempfile.TemporaryDirectory() as profile:
            shown = self.run_client(
                browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}",
                "--virtual-time-budget=10000", "--dump-dom", f"{self.http}/page.html",
            )  # fmt: skip
        self.assertIn("echo 6000 hällo permessage-deflate", shown)
