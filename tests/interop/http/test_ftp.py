"""FTP clients that are not ours against a running site: curl and lftp."""

from __future__ import annotations

import filecmp
import os
import shutil
import subprocess
from pathlib import Path

from twisted.trial.unittest import SkipTest, TestCase

from netsuite.suite.control import ask
from netsuite.testing.site import site


def needs(program):
    found = shutil.which(program)
    if found is None:
        raise SkipTest(f"{program} is not installed")
    return found


class FtpClients(TestCase):
    timeout = 180

    def setUp(self):
        self.folder = Path(self.mktemp()).absolute()
        self.root = self.folder / "root"
        (self.root / "tree" / "deep").mkdir(parents=True)
        (self.root / "hello.txt").write_text("hello\n")
        for number in range(20):
            (self.root / "tree" / "deep" / f"file {number}.bin").write_bytes(os.urandom(number * 1000))
        self.large = os.urandom(5 << 20)
        (self.root / "large.bin").write_bytes(self.large)
        tables = {
            "ftp": {
                "listen": ["127.0.0.1:10021", "secure:127.0.0.1:10990"],
                "root": str(self.root),
                "writers": ["alice"],
            }
        }
        manager = site(tables)
        self.site = manager.__enter__()
        self.addCleanup(manager.__exit__, None, None, None)
        ask(self.site.data, "user", do="add", name="alice", password="apple")
        self.ftp, self.ftps = (self.site.url("ftp", kind).rstrip("/") for kind in ("ftp", "ftps"))

    def run_client(self, *command):
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=120, cwd=self.folder)
        self.assertEqual(done.returncode, 0, done.stderr.decode(errors="replace")[-2000:])
        return done.stdout

    def curl(self, *arguments):
        trusted = ("--cacert", str(self.site.ca_path))
        return self.run_client(needs("curl"), "-sS", "--max-time", "60", *trusted, *arguments)

    def test_curl(self):
        user = ("-u", "alice:apple")
        for base, options in (
            (self.ftp, ()),
            (self.ftp, ("--ssl-reqd", *user)),
            (self.ftps, user),
            (self.ftp, ("--ftp-port", "127.0.0.1")),
            (self.ftp, ("--disable-epsv",)),
        ):
            self.assertTrue(self.curl(*options, f"{base}/large.bin") == self.large, options)
            self.assertIn(b"hello.txt", self.curl(*options, f"{base}/"))
        self.assertEqual(self.curl("-r", "2-", f"{self.ftp}/hello.txt"), b"llo\n")
        (self.folder / "new").write_bytes(self.large)
        self.curl("-T", "new", "--ftp-create-dirs", *user, f"{self.ftp}/made/by/curl.bin")
        self.assertTrue((self.root / "made/by/curl.bin").read_bytes() == self.large)
        (self.root / "part").write_bytes(self.large[:1_000_000])
        self.curl("-C", "-", "-T", "new", "--ssl-reqd", *user, f"{self.ftp}/part")
        self.assertTrue((self.root / "part").read_bytes() == self.large)
        self.curl("-Q", "DELE part", *user, f"{self.ftp}/")
        self.assertFalse((self.root / "part").exists())

    def test_lftp_mirrors(self):
        lftp = needs("lftp")
        secure = f"set ssl:ca-file {self.site.ca_path}; set ssl:check-hostname no; set net:max-retries 2;"
        for number, settings in enumerate((
            "set ftp:ssl-allow no;",
            f"{secure} set ftp:ssl-force yes; set ftp:ssl-protect-data yes;",
            "set ftp:ssl-allow no; set ftp:passive-mode off;",
        )):  # fmt: skip
            here, there = self.folder / f"down{number}", f"up{number}"
            address = self.ftp.removeprefix("ftp://")
            script = (
                f"{settings} open -u alice,apple ftp://{address}; mirror tree {here}; "
                f"mirror -R {here} {there}; mv {there} {there}b; ls {there}b; bye"
            )
            self.run_client(lftp, "-c", script)
            for got in (here, self.root / f"{there}b"):
                names = sorted(os.listdir(self.root / "tree" / "deep"))
                match, *different = filecmp.cmpfiles(self.root / "tree" / "deep", got / "deep", names, shallow=False)
                self.assertEqual((len(match), different), (20, [[], []]))

    async def test_the_client_of_twisted(self):
        from twisted.internet import protocol, reactor
        from twisted.protocols.ftp import FTPClient

        class Whole(protocol.Protocol):
            data = b""

            def dataReceived(self, data):
                self.data += data

        port = self.site.port("ftp", "ftp")
        creator = protocol.ClientCreator(reactor, FTPClient, "alice", "apple", passive=1)

        client = await creator.connectTCP("127.0.0.1", port)
        whole = Whole()
        await client.retrieveFile("large.bin", whole)
        self.assertTrue(whole.data == self.large)
        await client.makeDirectory("by twisted")
        await client.quit()
        self.assertTrue((self.root / "by twisted").is_dir())
