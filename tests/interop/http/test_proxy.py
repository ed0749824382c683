"""curl and Chromium through the proxy: http, https by CONNECT, a page with its parts."""

from __future__ import annotations

import shutil
import subprocess
from unittest import SkipTest

from twisted.internet.threads import deferToThread

from tests.integration.http.scripted import reply
from tests.integration.http.test_proxy import FRESH, ProxyCase


class ClientCase(ProxyCase):
    timeout = 60

    async def start(self):
        await super().start()
        self.forward = self.serve()
        self.through = f"http://127.0.0.1:{self.forward.addresses()[0].port}"

    async def run_program(self, *command):
        """What a program prints; the test is skipped where it is not installed."""
        program = shutil.which(command[0])
        if program is None:
            raise SkipTest(f"{command[0]} is not installed")
        done = await deferToThread(
            subprocess.run, [program, *command[1:]], capture_output=True, text=True, timeout=50, check=False
        )
        return done.stdout


class Curl(ClientCase):
    async def test_the_second_time_it_is_a_hit(self):
        for expected in ("fwd=uri-miss", "; hit;"):
            out = await self.run_program("curl", "-s", "-i", "-m", "5", "-x", self.through, self.origin.url + "/page")
            self.assertTrue(out.startswith("HTTP/1.1 200 OK"))
            self.assertTrue(out.endswith("hello"))
            self.assertIn(expected, out)

    async def test_https_by_connect(self):
        secure = self.serve(listen=["secure:127.0.0.1:0"], origin=self.origin.url)
        url = f"https://localhost:{secure.addresses()[0].port}/"
        authority = str(self.commons.certificates.ca_path)
        out = await self.run_program("curl", "-s", "-m", "5", "--cacert", authority, "-x", self.through, url)
        self.assertEqual(out, "hello")

    async def test_a_range_and_an_upload(self):
        url = self.origin.url + "/page"
        await self.run_program("curl", "-s", "-m", "5", "-x", self.through, url)
        self.assertEqual(await self.run_program("curl", "-s", "-m", "5", "-r", "1-3", "-x", self.through, url), "ell")
        self.script = lambda side, head, body: side.say(reply(b"%d" % len(body)))
        out = await self.run_program("curl", "-s", "-m", "5", "-d", "x" * 100, "-x", self.through, url)
        self.assertEqual(out, "100")


class Chromium(ClientCase):
    async def test_a_page_with_a_dozen_parts(self):
        def script(side, head, body):
            path = head.split(" ")[1]
            if path == "/":
                parts = "".join(f'<script src="/part/{n}.js"></script>' for n in range(12))
                page = f"<!doctype html><title>t</title><p id=sum></p>{parts}<script>sum.textContent='sum '+s</script>"
                side.say(reply(page.encode(), FRESH, "Content-Type: text/html"))
            else:
                side.say(reply(b"s=(window.s||0)+1;", FRESH, "Content-Type: text/javascript"))

        self.script = script
        out = await self.run_program(
            "chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--proxy-server={self.through}",
            "--proxy-bypass-list=<-loopback>", f"--user-data-dir={self.folder.name}/chromium", "--dump-dom",
            self.origin.url + "/",
        )  # fmt: skip
        self.assertIn("sum 12", out)
        self.assertGreaterEqual(self.forward.server.requests, 13)
