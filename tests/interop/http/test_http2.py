"""Foreign clients that speak HTTP/2: curl, nghttp, h2load, a browser, kdig; to files, through the proxy, to DNS."""

from __future__ import annotations

import os
import tempfile

from tests.integration.http.scripted import reply
from tests.integration.http.test_proxy import FRESH
from tests.interop.http.test_clients import SiteCase, needs
from tests.interop.http.test_proxy import ClientCase

VERSION = ("-o", os.devnull, "-w", "%{http_version} %{http_code} %{size_download}")


class Files(SiteCase):
    """The same folder as for HTTP/1.1, other clients."""

    def curl2(self, *arguments):
        return self.curl("--cacert", str(self.site.ca_path), "--http2", *arguments)

    def test_curl_by_alpn_and_by_prior_knowledge(self):
        large, small = self.url("/large.bin", self.https), self.url("/small.txt", self.https)
        self.assertEqual(self.curl2(large), self.large)
        self.assertEqual(self.curl2("-r", "100-199", large), self.large[100:200])
        self.assertEqual(self.curl2(*VERSION, large), b"2 200 %d" % len(self.large))
        self.assertEqual(self.curl2(*VERSION, "-I", large), b"2 200 0")
        self.assertEqual(self.curl2(*VERSION, "-X", "BREW", small), b"2 501 34")
        self.assertEqual(self.curl2("-Z", *[small] * 40), b"small\n" * 40)
        clear = self.curl("--http2-prior-knowledge", *VERSION, self.url("/large.bin"))
        self.assertEqual(clear, b"2 200 %d" % len(self.large))

    def test_nghttp_loads_a_page_with_its_parts(self):
        said = self.run_client(needs("nghttp"), "-ans", self.url("/page.html")).decode()
        self.assertEqual(said.count(" 200 "), 14)

    def test_h2load_sees_no_errors(self):
        said = self.run_client(needs("h2load"), "-n", "3000", "-c", "10", "-m", "20", self.url("/small.txt")).decode()
        self.assertIn("3000 succeeded, 0 failed, 0 errored, 0 timeout", said)

    def test_a_browser_loads_a_page_over_http2(self):
        browser = needs("chromium")
        page = (self.folder / "root" / "page.html").read_text()
        script = 'document.body.append(performance.getEntriesByType("resource").map(e => e.nextHopProtocol).join())'
        (self.folder / "root" / "over2.html").write_text(f"{page}<script>{script}</script>")
        with tempfile.TemporaryDirectory() as profile:
            page = self.run_client(
                browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                "--disable-background-networking", "--disable-component-update", "--disable-sync",
                "--ignore-certificate-errors", f"--user-data-dir={profile}", "--dump-dom",
                self.url("/over2.html", self.https),
            )  # fmt: skip
        self.assertIn(b"parts 12 rgb(1, 2, 3)", page)
        self.assertIn(b",".join([b"h2"] * 13), page)

    def test_kdig_asks_over_https(self):
        port = str(self.site.port("http", "https"))
        for method in ("+https", "+https-get"):
            said = self.run_client(needs("kdig"), "@127.0.0.1", "-p", port, "+https", method, "localhost", "A")
            self.assertIn(b"127.0.0.1", said)
            self.assertIn(b"HTTP/2-", said)


class Proxy(ClientCase):
    async def test_a_reverse_proxy_and_its_cache(self):
        reverse = self.serve(listen=["secure:127.0.0.1:0", "127.0.0.1:0"], origin=self.origin.url)
        secure, clear = (address.port for address in reverse.addresses())
        trust = ("--cacert", str(self.commons.certificates.ca_path))
        for expected in ("fwd=uri-miss", "; hit;", "; hit;"):
            url = f"https://localhost:{secure}/page"
            out = await self.run_program("curl", "-s", "-i", "-m", "5", "--http2", *trust, url)
            self.assertTrue(out.startswith("HTTP/2 200"), out)
            self.assertTrue(out.endswith("hello"))
            self.assertIn(expected, out)
        self.script = lambda side, head, body: side.say(reply(b"%d" % len(body)))
        url = f"http://127.0.0.1:{clear}/up"
        out = await self.run_program("curl", "-s", "-m", "5", "--http2-prior-knowledge", "-d", "x" * 100_000, url)
        self.assertEqual(out, "100000")

    async def test_hits_by_the_thousand(self):
        self.script = lambda side, head, body: side.say(reply(b"x" * 1000, FRESH))
        reverse = self.serve(listen=["127.0.0.1:0"], origin=self.origin.url)
        url = f"http://127.0.0.1:{reverse.addresses()[0].port}/hot"
        out = await self.run_program("h2load", "-n", "2000", "-c", "4", "-m", "10", url)
        self.assertIn("2000 succeeded, 0 failed", out)
        self.assertGreater(reverse.server.shortcuts.hot.hits, 1000)
