"""Chromium through the forward proxy: a page with a dozen pictures, as a person would see it."""

from __future__ import annotations

import struct
import zlib
from importlib.resources import files

from tests.interop.http.test_repositories import RepositoryCase

WIDTH, HEIGHT = 800, 600


def pixels(png):
    """Width, height and the rows of a PNG of 8 bits a channel, as bytes a pixel."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    at, packed, width, height, channels = 8, b"", 0, 0, 0
    while at < len(png):
        size, kind = struct.unpack_from(">L4s", png, at)
        data = png[at + 8 : at + 8 + size]
        if kind == b"IHDR":
            width, height, depth, colour = struct.unpack_from(">LLBB", data)
            assert depth == 8
            channels = {2: 3, 6: 4}[colour]
        elif kind == b"IDAT":
            packed += data
        at += 12 + size
    raw, rows, above = zlib.decompress(packed), [], bytearray(width * channels)
    for number in range(height):
        start = number * (width * channels + 1)
        row = bytearray(raw[start + 1 : start + 1 + width * channels])
        _unfilter(raw[start], row, above, channels)
        rows.append([bytes(row[x : x + channels]) for x in range(0, len(row), channels)])
        above = row
    return width, height, rows


def _unfilter(kind, row, above, channels):
    """Undo one of PNG's five filters, in place."""
    for x in range(len(row)) if kind else ():
        left = row[x - channels] if x >= channels else 0
        up, corner = above[x], above[x - channels] if x >= channels else 0
        if kind == 1:
            guess = left
        elif kind == 2:
            guess = up
        elif kind == 3:
            guess = (left + up) // 2
        else:
            base = left + up - corner
            guess = min((left, up, corner), key=lambda each: abs(base - each))
        row[x] = (row[x] + guess) & 255


class Browser(RepositoryCase):
    async def start(self):
        await super().start()
        pictures = files("netsuite.suite.builtin") / "data" / "www" / "pictures"
        names = sorted(each.name for each in pictures.iterdir() if each.name.endswith(".svg"))
        tags = []
        for number in range(12):
            (self.root / f"{number}.svg").write_bytes((pictures / names[number % len(names)]).read_bytes())
            tags.append(f'<img src="{number}.svg" style="background: hsl({30 * number} 80% 50%)">')
        (self.root / "index.html").write_text(
            "<!doctype html><style>body{margin:0}img{width:200px;height:200px;float:left}</style>"
            f"{''.join(tags)}<script>onload = () => document.title = document.images.length + ' ' + "
            "[...document.images].filter(each => each.naturalWidth).length</script>"
        )

    def chromium(self, *arguments):
        return self.run_it(
            "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
            "--disable-background-networking", "--disable-component-update", f"--proxy-server={self.through}",
            "--proxy-bypass-list=<-loopback>", f"--user-data-dir={self.home}/chromium",
            f"--window-size={WIDTH},{HEIGHT}", "--hide-scrollbars", *arguments, self.url + "/",
        )  # fmt: skip

    async def test_a_page_with_a_dozen_pictures_is_seen(self):
        picture = self.home / "page.png"
        await self.chromium(f"--screenshot={picture}")
        width, height, rows = pixels(picture.read_bytes())
        self.assertEqual((width, height), (WIDTH, HEIGHT))
        # each picture stands in its own place, on its own ground, and is drawn
        for number in range(12):
            left, top = 200 * (number % 4), 200 * (number // 4)
            colours = {pixel for row in rows[top : top + 200] for pixel in row[left : left + 200]}
            self.assertGreater(len(colours), 3, f"picture {number}")
        self.assertGreater(len({rows[y][x] for y in range(5, HEIGHT, 200) for x in range(5, WIDTH, 200)}), 3)
        self.assertGreaterEqual(self.proxied, 13)

    async def test_the_second_time_the_proxy_answers(self):
        for _ in range(2):
            document = await self.chromium("--dump-dom", "--incognito")
            self.assertIn(b"<title>12 12</title>", document)
        hits = (
            self.forward.server.answering.hits
            + self.forward.server.shortcuts.hot.hits
            + self.forward.server.answering.validations
        )
        self.assertGreaterEqual(hits, 12)
