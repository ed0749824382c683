"""Virtual hosts, and texts compressed on the way, at a real socket."""

from __future__ import annotations

import gzip

from tests.integration.http.serving import Serving


class Sites(Serving):
    async def serve_sites(self, **settings):
        sites = [
            {"hosts": ["one.test", "*.one.test"], "root": "ONE", "index": ["start.html"], "max_age": 5},
            {"hosts": ["*.deep.one.test"], "root": "DEEP", "listing": True},
            {"hosts": ["old.test"], "redirect": "https://new.test/moved/"},
        ]
        folder = self.mktemp()
        from pathlib import Path

        for site in sites:
            if "root" in site:
                site["root"] = Path(folder).absolute() / site["root"]
                site["root"].mkdir(parents=True)
                (site["root"] / "start.html").write_text(f"start of {site['root'].name}")
        await self.serve(site=sites, **settings)

    async def test_each_host_has_its_site(self):
        await self.serve_sites()
        for host, body in (
            (b"one.test", b"start of ONE"),
            (b"ONE.test:8080", b"start of ONE"),
            (b"www.one.test.", b"start of ONE"),
            (b"a.b.one.test", b"start of ONE"),
            (b"other.test", b"home"),
            (b"127.0.0.1", b"home"),
            (b"[::1]:80", b"home"),
            (b"xone.test", b"home"),
        ):
            for _ in range(2):
                status, fields, got = await self.ask(b"/", host=host)
                self.assertEqual((status, got), (200, body), host)
        status, fields, _ = await self.ask(b"/", host=b"one.test")
        self.assertEqual(fields[b"cache-control"], b"max-age=5")
        self.assertIn(b"start.html", (await self.ask(b"/", host=b"x.deep.one.test"))[2])
        # what an absolute target names is stronger than Host
        self.assertEqual((await self.ask(b"http://one.test/", host=b"other.test"))[2], b"start of ONE")

    async def test_a_site_that_has_moved(self):
        await self.serve_sites()
        status, fields, _ = await self.ask(b"/a%20b?c=d", host=b"old.test")
        self.assertEqual((status, fields[b"location"]), (301, b"https://new.test/moved/a%20b?c=d"))
        self.assertEqual((await self.ask(b"/", host=b"old.test", method=b"POST"))[0], 308)

    async def test_hosts_that_are_not_served(self):
        await self.serve_sites(hosts=["main.test"])
        self.assertEqual((await self.ask(b"/", host=b"main.test"))[2], b"home")
        self.assertEqual((await self.ask(b"/", host=b"a.one.test"))[2], b"start of ONE")
        self.assertEqual((await self.ask(b"/", host=b"other.test"))[0], 421)
        await self.stop()
        self.settings = {**self.settings, "hosts": [], "root": None}
        self.start()
        self.assertEqual((await self.ask(b"/", host=b"one.test"))[2], b"start of ONE")
        self.assertEqual((await self.ask(b"/", host=b"other.test"))[0], 421)

    async def test_rules_for_one_host(self):
        await self.serve_sites(rule=[{"path": "/", "hosts": ["one.test"], "clients": ["192.0.2.1"]}])
        self.assertEqual((await self.ask(b"/", host=b"one.test"))[0], 403)
        self.assertEqual((await self.ask(b"/", host=b"other.test"))[0], 200)

    async def test_small_texts_are_compressed_where_that_is_set(self):
        await self.serve(compress=True)
        text = "all work and no play\n" * 200
        (self.root / "long.txt").write_text(text)
        (self.root / "short.txt").write_text("short")
        (self.root / "noise.bin").write_bytes(b"x" * 4000)
        _, plain, _ = await self.ask(b"/long.txt")
        for _ in range(3):
            _, fields, body = await self.ask(b"/long.txt", b"Accept-Encoding: gzip, br")
            self.assertEqual(gzip.decompress(body).decode(), text)
            self.assertEqual((fields[b"content-encoding"], fields[b"vary"]), (b"gzip", b"accept-encoding"))
        self.assertNotEqual(fields[b"etag"], plain[b"etag"])
        status, *_ = await self.ask(b"/long.txt", b"Accept-Encoding: gzip", b"If-None-Match: " + fields[b"etag"])
        self.assertEqual(status, 304)
        for target in (b"/short.txt", b"/noise.bin"):
            self.assertNotIn(b"content-encoding", (await self.ask(target, b"Accept-Encoding: gzip"))[1])
