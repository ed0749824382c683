"""Clients that are not ours against a running site: curl, wget, wrk and a browser."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from twisted.trial.unittest import SkipTest, TestCase

from netsuite.testing.site import site


def needs(program):
    found = shutil.which(program)
    if found is None:
        raise SkipTest(f"{program} is not installed")
    return found


class SiteCase(TestCase):
    """A running site with a folder of files, and programs that ask it."""

    timeout = 180
    listen = ("127.0.0.1:10080", "secure:127.0.0.1:10443")

    def setUp(self):
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        root = self.folder / "root"
        root.mkdir()
        self.large = os.urandom(5 << 20)
        (root / "large.bin").write_bytes(self.large)
        (root / "small.txt").write_text("small\n")
        (root / "style.css").write_text("body { color: rgb(1, 2, 3) }")
        for number in range(12):
            (root / f"part{number}.js").write_text(f"window.parts = (window.parts || 0) + 1; // {number}")
        scripts = "".join(f'<script src="part{number}.js"></script>' for number in range(12))
        (root / "page.html").write_text(
            f'<!doctype html><link rel="stylesheet" href="style.css">{scripts}'
            '<p id="out"></p><script>document.getElementById("out").textContent ='
            ' "parts " + window.parts + " " + getComputedStyle(document.body).color</script>'
        )
        tables = {
            "http": {"listen": list(self.listen), "root": str(root)},
            "resolver": {"listen": ["127.0.0.1:10054"]},
        }
        manager = site(tables)
        self.site = manager.__enter__()
        self.addCleanup(manager.__exit__, None, None, None)
        self.http, self.https = self.site.url("http", "http"), self.site.url("http", "https")

    def run_client(self, *command, ok=(0,)):
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=120, cwd=self.folder)
        self.assertIn(done.returncode, ok, done.stderr.decode(errors="replace")[-2000:])
        return done.stdout

    def curl(self, *arguments, **options):
        return self.run_client(needs("curl"), "-sS", "--max-time", "60", *arguments, **options)

    def url(self, path, base=None):
        return (base or self.http).rstrip("/") + path


class Clients(SiteCase):
    def test_curl_gets_and_asks_again(self):
        self.assertEqual(self.curl(self.url("/large.bin")), self.large)
        self.assertEqual(self.curl("--range", "100-199", self.url("/large.bin")), self.large[100:200])
        status = ("-o", os.devnull, "-w", "%{http_code}")
        self.curl("-R", "-o", "copy.txt", self.url("/small.txt"))
        self.assertEqual(self.curl(*status, "-z", "copy.txt", self.url("/small.txt")), b"304")
        self.assertEqual(self.curl(*status, "-I", self.url("/small.txt")), b"200")
        self.assertEqual(self.curl(*status, "--path-as-is", self.url("/../etc/passwd")), b"404")
        self.assertEqual(self.curl(*status, "-X", "BREW", self.url("/")), b"501")
        self.assertEqual(self.curl(*status, "--http1.0", self.url("/small.txt")), b"200")
        self.assertEqual(self.curl(*status, "-F", "a=b", self.url("/small.txt")), b"405")

    def test_curl_takes_up_where_it_was_cut(self):
        part = self.folder / "part.bin"
        part.write_bytes(self.large[:1_000_000])
        self.curl("-C", "-", "-o", str(part), self.url("/large.bin"))
        self.assertEqual(part.read_bytes(), self.large)

    def test_curl_saves_what_the_entity_tag_tells(self):
        tag = self.folder / "tag"
        tag.write_text("")
        arguments = ("--etag-save", str(tag), "--etag-compare", str(tag), self.url("/small.txt"))
        self.assertEqual(self.curl(*arguments), b"small\n")
        self.assertEqual(self.curl(*arguments), b"")

    def test_curl_reuses_its_connection(self):
        count = self.curl(
            "-o", os.devnull, "-w", "%{num_connects} ", self.url("/small.txt"), "-o", os.devnull, self.url("/page.html")
        )
        self.assertEqual(count, b"1 0 ")

    def test_curl_with_an_upgrade_that_is_not_taken(self):
        self.assertEqual(self.curl("--http2", self.url("/small.txt")), b"small\n")

    def test_https_with_the_local_authority(self):
        trusted = ("--cacert", str(self.site.ca_path))
        self.assertEqual(self.curl(*trusted, self.url("/large.bin", self.https)), self.large)
        self.curl(self.url("/small.txt", self.https), ok=(60,))

    def test_wget(self):
        wget = needs("wget")
        self.run_client(wget, "-q", "-N", "-P", "got", self.url("/large.bin"))
        self.assertEqual((self.folder / "got" / "large.bin").read_bytes(), self.large)
        self.run_client(wget, "-q", "-N", "-P", "got", self.url("/large.bin"))

    def test_wrk_sees_no_errors(self):
        said = self.run_client(needs("wrk"), "-t1", "-c20", "-d1s", self.url("/small.txt")).decode()
        self.assertIn("requests in", said)
        self.assertNotIn("Non-2xx", said)
        self.assertNotIn("Socket errors", said)

    def test_a_browser_loads_a_page_with_a_dozen_objects(self):
        browser = needs("chromium")
        with tempfile.TemporaryDirectory() as profile:
            page = self.run_client(
                browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                "--disable-background-networking", "--disable-component-update", "--disable-sync",
                f"--user-data-dir={profile}", "--dump-dom", self.url("/page.html"),
            )  # fmt: skip
        self.assertIn(b"parts 12 rgb(1, 2, 3)", page)
