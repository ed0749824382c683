"""git, pip, apt, wget and load programs through the forward proxy, from repositories that our origin server serves."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import socket
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

from twisted.internet.threads import deferToThread
from zope.interface import implementer

from netsuite.http.origin.service import build
from netsuite.http.origin.settings import HttpSettings
from netsuite.interfaces import IHttpApplication, IHttpServer
from tests.interop.http.test_clients import needs
from tests.interop.http.test_proxy import ClientCase

PASSWORD = "correct horse"


class RepositoryCase(ClientCase):
    """A folder served by our origin server, and the proxy between it and programs of all kinds."""

    async def start(self):
        await super().start()
        self.home = Path(self.folder.name)
        self.root = self.home / "root"
        self.root.mkdir()
        self.web = build(HttpSettings(listen=["127.0.0.1:0"], root=self.root, listing=True), self.commons)
        self.web.register(self.commons.offers)
        self.web.join(self.commons.offers)
        self.mounted(self.commons.offers.find(IHttpServer))
        self.web.open()
        self.web.startService()
        self.url = f"http://127.0.0.1:{self.web.addresses()[0].port}"

    def mounted(self, server):
        """Applications beside the folder."""

    async def stop(self):
        await self.web.drain(self.reactor.seconds() + 0.5)
        await (self.web.stopService() or deferToThread(lambda: None))
        await super().stop()

    def run_it(self, *command, ok=(0,), cwd=None, **environment):
        """What a program prints, in a thread; its environment names no other proxies or settings."""
        program = needs(command[0])
        clean = {
            "PATH": os.environ["PATH"], "HOME": str(self.home), "LANG": "C.UTF-8", "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0", "PIP_CONFIG_FILE": os.devnull, **environment,
        }  # fmt: skip

        def run():
            done = subprocess.run(
                [program, *command[1:]], capture_output=True, timeout=50, check=False, env=clean, cwd=cwd or self.home
            )
            if done.returncode not in ok:
                raise AssertionError(f"{command}: {done.returncode}\n{done.stdout[-1500:]!r}\n{done.stderr[-1500:]!r}")
            return done.stdout

        return deferToThread(run)

    @property
    def proxied(self):
        """How many requests and tunnels the forward proxy has seen."""
        return self.forward.server.requests + self.forward.server.shortcuts.hot.hits


class Wget(RepositoryCase):
    async def test_files_and_the_rest_of_a_file(self):
        large = os.urandom(3 << 20)
        (self.root / "large.bin").write_bytes(large)
        wget = ["wget", "-q", "-e", "use_proxy=on", "-e", f"http_proxy={self.through}"]
        await self.run_it(*wget, "-O", "whole.bin", self.url + "/large.bin")
        self.assertEqual((self.home / "whole.bin").read_bytes(), large)
        (self.home / "part.bin").write_bytes(large[:1_000_000])
        await self.run_it(*wget, "-c", "-O", "part.bin", self.url + "/large.bin")
        self.assertEqual((self.home / "part.bin").read_bytes(), large)
        self.assertEqual(self.proxied, 2)

    async def test_a_whole_tree(self):
        for name in ("a/b/c.txt", "a/d.txt", "e.txt"):
            path = self.root / "tree" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)
        await self.run_it(
            "wget", "-q", "-r", "-np", "-nH", "-e", "robots=off", "-e", "use_proxy=on",
            "-e", f"http_proxy={self.through}", self.url + "/tree/",
        )  # fmt: skip
        self.assertEqual((self.home / "tree" / "a" / "b" / "c.txt").read_text(), "a/b/c.txt")


class CurlAtTheGate(RepositoryCase):
    """A proxy under TLS that wants passwords, tunnels through it, and both versions of HTTP."""

    async def start(self):
        await super().start()
        (self.root / "page").write_text("hello")
        await self.commons.identity.add("alice", PASSWORD)
        self.gated = self.serve(
            listen=["secure:127.0.0.1:0"], users=True, rule=[{"action": "deny", "methods": ["DELETE"], "name": "keep"}]
        )
        port = self.gated.addresses()[0].port
        authority = str(self.commons.certificates.ca_path)
        self.curl = [
            "curl", "-sS", "-m", "10", "--proxy-cacert", authority, "--cacert", authority, "--noproxy", "",
            "-x", f"https://localhost:{port}",
        ]  # fmt: skip
        self.status = ["-o", os.devnull, "-w", "%{http_code} %{http_connect}"]

    async def test_who_logs_in_is_let_in(self):
        self.assertEqual(await self.run_it(*self.curl, *self.status, self.url + "/page"), b"407 000")
        for name, expected in (("alice", b"200 000"), ("alice@example.test", b"200 000"), ("bob", b"407 000")):
            got = await self.run_it(*self.curl, *self.status, "-U", f"{name}:{PASSWORD}", self.url + "/page")
            self.assertEqual(got, expected)
        got = await self.run_it(*self.curl, *self.status, "-U", f"alice:{PASSWORD}", "-X", "DELETE", self.url + "/page")
        self.assertEqual(got, b"403 000")

    async def test_a_tunnel_under_tls_to_tls(self):
        secure = self.serve(listen=["secure:127.0.0.1:0"], origin=self.url)
        url = f"https://localhost:{secure.addresses()[0].port}/page"
        self.assertEqual(await self.run_it(*self.curl, "-U", f"alice:{PASSWORD}", url), b"hello")
        self.assertEqual(await self.run_it(*self.curl, *self.status, url, ok=(56,)), b"000 407")


@implementer(IHttpApplication)
class SmartGit:
    """What ``git http-backend`` does for readers, without CGI: two requests of the smart protocol."""

    def __init__(self, repository):
        self.repository = str(repository)

    async def handle(self, request, body):
        kind = [(b"cache-control", b"no-cache")]
        if request.path.endswith(b"/info/refs"):
            said = await self.pack("--advertise-refs")
            first = b"# service=git-upload-pack\n"
            kind.append((b"content-type", b"application/x-git-upload-pack-advertisement"))
            return 200, kind, b"%04x%b0000%b" % (len(first) + 4, first, said)
        kind.append((b"content-type", b"application/x-git-upload-pack-result"))
        return 200, kind, await self.pack(given=await body.read(1 << 20))

    def pack(self, *options, given=b""):
        command = [needs("git"), "upload-pack", "--stateless-rpc", *options, self.repository]
        return deferToThread(lambda: subprocess.run(command, input=given, capture_output=True, check=True).stdout)


class Git(RepositoryCase):
    def mounted(self, server):
        server.mount("/smart.git", SmartGit(self.home / "work" / ".git"))

    async def start(self):
        needs("git")
        await super().start()
        work = self.home / "work"
        who = {f"GIT_{role}_{what}": "a@example.test" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        git = ["git", "-C", str(work)]
        await self.run_it("git", "init", "-q", "-b", "main", str(work))
        for number in range(5):
            (work / f"file{number}").write_bytes(os.urandom(10_000))
            await self.run_it(*git, "add", ".")
            await self.run_it(*git, "commit", "-q", "-m", f"change {number}", **who)
        self.head = await self.run_it(*git, "rev-parse", "HEAD")
        await self.run_it("git", "clone", "-q", "--bare", str(work), str(self.root / "dumb.git"))
        await self.run_it("git", "-C", str(self.root / "dumb.git"), "update-server-info")

    async def cloned(self, name):
        before = self.proxied
        await self.run_it("git", "-c", f"http.proxy={self.through}", "clone", "-q", f"{self.url}/{name}.git", name)
        self.assertEqual(await self.run_it("git", "-C", name, "rev-parse", "HEAD"), self.head)
        await self.run_it("git", "-C", name, "fsck", "--strict")
        return self.proxied - before

    async def test_a_clone_by_the_dumb_protocol(self):
        self.assertGreater(await self.cloned("dumb"), 3)

    async def test_a_clone_by_the_smart_protocol(self):
        self.assertGreaterEqual(await self.cloned("smart"), 2)


class Pip(RepositoryCase):
    async def test_a_package_from_an_index(self):
        index = self.root / "simple" / "thing"
        index.mkdir(parents=True)
        wheel = index / "thing-1.0-py3-none-any.whl"
        files = {
            "thing.py": "answer = 42\n",
            "thing-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n",
            "thing-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        with zipfile.ZipFile(wheel, "w") as archive:
            record = "thing-1.0.dist-info/RECORD,,\n"
            for name, text in files.items():
                archive.writestr(name, text)
                digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
                record += f"{name},sha256={digest},{len(text)}\n"
            archive.writestr("thing-1.0.dist-info/RECORD", record)
        (index / "index.html").write_text(f'<!doctype html><a href="{wheel.name}">{wheel.name}</a>')
        pip = [sys.executable, "-m", "pip", "--isolated", "--disable-pip-version-check", "--no-cache-dir"]
        where = ["--proxy", self.through, "--index-url", f"{self.url}/simple/", "--retries", "0"]
        for number in range(2):
            target = self.home / f"installed{number}"
            await self.run_it(*pip, "install", "-q", *where, "--no-deps", "--target", str(target), "thing")
            self.assertEqual((target / "thing.py").read_text(), "answer = 42\n")
        self.assertGreaterEqual(self.proxied, 4)


class Apt(RepositoryCase):
    def deb(self):
        """A package: an archive of ar with three members."""
        control = (
            b"Package: thing\nVersion: 1.0\nArchitecture: all\nMaintainer: a <a@example.test>\nDescription: thing\n"
        )

        def tar(name, data):
            packed = io.BytesIO()
            with tarfile.open(fileobj=packed, mode="w:gz") as archive:
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
            return packed.getvalue()

        made = b"!<arch>\n"
        members = {
            "debian-binary": b"2.0\n",
            "control.tar.gz": tar("./control", control),
            "data.tar.gz": tar("./usr/share/thing", b"x"),
        }
        for name, data in members.items():
            made += (
                f"{name:16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(data):<10}`\n".encode() + data + b"\n" * (len(data) % 2)
            )
        return control, made

    async def test_a_flat_repository(self):
        needs("apt-get")
        control, package = self.deb()
        flat = self.root / "flat"
        flat.mkdir()
        (flat / "thing_1.0_all.deb").write_bytes(package)
        digest = hashlib.sha256(package).hexdigest()
        listed = control + f"Filename: flat/thing_1.0_all.deb\nSize: {len(package)}\nSHA256: {digest}\n\n".encode()
        (flat / "Packages").write_bytes(listed)
        (flat / "Release").write_text(
            "Suite: flat\nDate: Thu, 01 Jan 2026 00:00:00 UTC\n"
            f"SHA256:\n {hashlib.sha256(listed).hexdigest()} {len(listed)} Packages\n"
        )
        apt = self.home / "apt"
        for name in ("etc/apt.conf.d", "etc/preferences.d", "state/lists/partial", "cache/archives/partial", "log"):
            (apt / name).mkdir(parents=True)
        (apt / "status").touch()
        (apt / "etc" / "sources.list").write_text(f"deb [trusted=yes] {self.url} flat/\n")
        (apt / "apt.conf").write_text(
            f'Dir "{apt}";\nDir::Etc "{apt}/etc";\nDir::State "{apt}/state";\nDir::State::status "{apt}/status";\n'
            f'Dir::Cache "{apt}/cache";\nDir::Log "{apt}/log";\nAcquire::http::Proxy "{self.through}";\n'
            'APT::Sandbox::User "";\nAcquire::Languages "none";\nAcquire::Retries "0";\n'
            'Dir::Bin::methods "/usr/lib/apt/methods";\nAPT::Architecture "amd64";\n'
        )
        run = {"APT_CONFIG": str(apt / "apt.conf")}
        await self.run_it("apt-get", "-q", "update", **run)
        await self.run_it("apt-get", "-q", "download", "thing", **run)
        self.assertEqual((self.home / "thing_1.0_all.deb").read_bytes(), package)
        self.assertGreaterEqual(self.proxied, 3)
        await self.run_it("apt-get", "-q", "update", **run)


class Load(RepositoryCase):
    """Programs that measure, for the errors that they see."""

    async def start(self):
        await super().start()
        (self.root / "page").write_text("x" * 1000)
        before = self.serve(origin=self.url)
        self.page = f"http://127.0.0.1:{before.addresses()[0].port}/page"

    async def test_wrk(self):
        said = (await self.run_it("wrk", "-t1", "-c20", "-d2s", self.page)).decode()
        self.assertIn("requests in", said)
        self.assertNotIn("Non-2xx", said)
        self.assertNotIn("Socket errors", said)

    async def test_h2load(self):
        for version in ([], ["--h1"]):
            said = (await self.run_it("h2load", *version, "-n", "2000", "-c", "10", "-m", "10", self.page)).decode()
            self.assertIn("2000 succeeded, 0 failed, 0 errored, 0 timeout", said)


class Halves(RepositoryCase):
    """nc's way to talk through a tunnel: ask, end one's side, read the rest."""

    async def test_a_client_of_a_tunnel_that_ends_its_side(self):
        (self.root / "page").write_text("hello")
        port = self.forward.addresses()[0].port
        where = self.url.removeprefix("http://")

        def talk():
            with socket.create_connection(("127.0.0.1", port), 10) as client:
                client.sendall(f"CONNECT {where} HTTP/1.1\r\nHost: {where}\r\n\r\n".encode())
                client.sendall(b"GET /page HTTP/1.1\r\nHost: a\r\n\r\n")
                client.shutdown(socket.SHUT_WR)
                got = b""
                while data := client.recv(65536):
                    got += data
                return got

        said = await deferToThread(talk)
        self.assertTrue(said.startswith(b"HTTP/1.1 200 OK\r\n"))
        self.assertTrue(said.endswith(b"hello"))
