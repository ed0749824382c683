"""Our tracker among other people's programs alone: they find one another by it, over HTTP and UDP."""

from __future__ import annotations

import shutil
import subprocess

from twisted.trial.unittest import SkipTest

from netsuite.bittorrent.wire.announce import Announce, announce_url, read_reply, scrape_url
from tests.interop.test_swarm_clients import ForeignClients
from tests.system.test_peer import PeerCase


class WithoutUs(ForeignClients):
    timeout = 150

    def between(self, seed: str, leecher: str, scheme: str) -> None:
        tracker = self.tracker()
        torrent = self.torrent(scheme)
        getattr(self, seed)(torrent, whole=True)
        self.all_get_it(getattr(self, leecher)(torrent))
        self.ends_well(tracker)

    def test_aria2_from_libtorrent_over_http(self) -> None:
        self.between("libtorrent", "aria2", "http")

    def test_libtorrent_over_udp_from_aria2_over_http(self) -> None:
        self.between("aria2", "libtorrent", "udp")


class Curl(PeerCase):
    def curl(self, *words: str) -> tuple[str, bytes]:
        done = subprocess.run(["curl", "-s", "-i", "-m", "10", *words], capture_output=True, timeout=20, check=True)
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        return head.decode("latin-1"), body

    def test_curl_reads_what_we_write(self) -> None:
        if shutil.which("curl") is None:
            raise SkipTest("curl is not installed")
        tracker = self.tracker()
        url = self.url()
        replies = []
        for port in (7001, 7002, 7003):
            head, body = self.curl(announce_url(url, Announce(bytes(20), b"-XX0000-%012d" % port, port, left=1)))
            self.assertTrue(head.startswith("HTTP/1.1 200 OK"), head)
            replies.append(read_reply(body))
        self.assertEqual(sorted(replies[2].peers), [("127.0.0.1", 7001), ("127.0.0.1", 7002)])
        self.assertIn("Connection: close", head)
        head, body = self.curl("-I", str(scrape_url(url, [bytes(20)])))
        self.assertIn("Content-Type: text/plain", head)
        self.assertEqual(body, b"")
        self.assertTrue(self.curl("-X", "POST", url)[0].startswith("HTTP/1.1 405"))
        self.ends_well(tracker)
