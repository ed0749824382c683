"""Downloads that are resumed or done in pieces: curl, wget and aria2 through the proxy, each byte fetched once."""

from __future__ import annotations

import os
from pathlib import Path

from netsuite.http.origin.service import build
from netsuite.http.origin.settings import HttpSettings
from tests.integration.http.test_partial import WHOLE
from tests.integration.http.test_proxy import sleep, together
from tests.interop.http.test_proxy import ClientCase


class Downloads(ClientCase):
    async def start(self):
        await super().start()
        self.site = Path(self.folder.name) / "site"
        self.site.mkdir()
        (self.site / "file").write_bytes(WHOLE)
        os.utime(self.site / "file", (1e9, 1e9))  # so old that it is fresh for a day
        self.http = build(HttpSettings(listen=["127.0.0.1:0"], root=self.site), self.commons)
        self.http.open()
        self.http.startService()
        address = self.http.addresses()[0]
        self.proxy = self.serve(origin=f"http://127.0.0.1:{address.port}")
        self.url = f"http://127.0.0.1:{self.proxy.addresses()[0].port}/file"

    async def stop(self):
        await super().stop()
        await self.http.drain(self.reactor.seconds() + 0.5)
        await (self.http.stopService() or sleep(self.reactor, 0))

    def torn(self, name, size):
        """A download that was given up after so many bytes."""
        path = Path(self.folder.name) / name
        path.write_bytes(WHOLE[:size])
        return path

    async def test_curl_asks_for_a_range(self):
        path = str(Path(self.folder.name) / "part")
        for first, last, how in [(5_000_000, 5_999_999, "uri-miss"), (5_500_000, 6_100_000, "partial"),
                                 (5_100_000, 6_000_000, "hit")]:  # fmt: skip
            out = await self.run_program(
                "curl", "-s", "-m", "20", "-r", f"{first}-{last}", "-o", path, "-D", "-", self.url
            )
            self.assertTrue(Path(path).read_bytes() == WHOLE[first : last + 1])
            self.assertIn(how, out)

    async def test_curl_resumes(self):
        path = self.torn("curl", 3_000_000)
        await self.run_program("curl", "-s", "-m", "20", "-C", "-", "-o", str(path), self.url)
        self.assertTrue(path.read_bytes() == WHOLE)

    async def test_wget_resumes_and_completes_what_another_began(self):
        await self.run_program("curl", "-s", "-m", "20", "-r", "4000000-6000000", "-o", "/dev/null", self.url)
        path = self.torn("file", 3_000_000)
        await self.run_program("wget", "-q", "-c", "-O", str(path), self.url)
        self.assertTrue(path.read_bytes() == WHOLE)

    async def test_three_aria2_with_eight_connections_each(self):
        await self.run_program("curl", "-s", "-m", "20", "-r", "0-0", "-o", "/dev/null", self.url)
        words = ("-q", "-x", "8", "-s", "8", "-k", "1M", "-d", self.folder.name)
        names = [f"aria{number}" for number in range(3)]
        await together(self.run_program("aria2c", *words, "-o", name, self.url) for name in names)
        for name in names:
            self.assertTrue((Path(self.folder.name) / name).read_bytes() == WHOLE)
        self.assertEqual(self.proxy.server.client.requests, 11, "bytes 0, and the rest of ten slices")
