"""Reverse proxies: ``http-hit`` beside nginx proxy_cache and Varnish, ``http-miss`` beside nginx; wrk asks."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import random
import re
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs

from benchmarks.contest import Benchmark, Contender
from benchmarks.load import Load, h2load, missing, wrk
from benchmarks.ours import ours
from benchmarks.process import GENERATOR_CORE, free_port, running

__all__ = ["HttpHit", "HttpHit2", "HttpHitPython", "HttpMiss"]

SIZES = {"1 KiB": ("1k", 1024), "100 KiB": ("100k", 102_400), "10 MiB": ("10m", 10 << 20)}
MOST_OBJECTS = {"100 KiB": 100, "10 MiB": 5}
"""How many large objects there are at most, whatever the size of the scene."""


@attrs.frozen
class Objects:
    """How many objects the origin serves, where it listens, and wrk's script that asks for one after the other."""

    count: int
    origin: int
    folder: Path

    def script(self, case: str) -> Path:
        """The Lua script that asks for random objects of a case."""
        return self.folder / f"{SIZES[case][0]}.lua"

    def many(self, case: str) -> int:
        """How many objects a case has."""
        return min(self.count, MOST_OBJECTS.get(case, self.count))


NGINX_COMMON = """user root;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log;
daemon off;
events {{ worker_connections 16384; }}
http {{
    access_log off;
    sendfile on;
    tcp_nodelay on;
    keepalive_requests 100000000;
    keepalive_timeout 600s;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/temp;
    {rest}
}}
"""


def nginx(folder: Path, rest: str) -> Sequence[str | Path]:
    """Nginx with one worker and these statements in its http block."""
    (folder / "nginx.conf").write_text(NGINX_COMMON.format(folder=folder, rest=rest))
    return ["nginx", "-e", folder / "error.log", "-c", folder / "nginx.conf"]


def certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed ECDSA P-256 certificate for localhost, as ours makes them: (chain, key)."""
    chain, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-keyout", key, "-out", chain],
        check=True, capture_output=True, timeout=30,
    )  # fmt: skip
    return chain, key


class HttpHit(Benchmark[Objects]):
    """Fresh objects from a proxy's cache over 32 kept connections."""

    what_grows = "objects in the cache"
    size = 100
    sizes: tuple[int, ...] = (100, 1_000, 10_000)
    cases = tuple(SIZES)

    http2 = False

    def __init__(self, *, tls: bool = False) -> None:
        self._tls = tls
        self.name = "http-hit-tls" if tls else "http-hit"
        self.title = "HTTPS cache hits" if tls else "HTTP cache hits"
        self.notes = "One worker each (Varnish: its threads on one core); access logs off; nginx as the origin of all."
        if tls:
            self.notes += " TLS 1.3 with an ECDSA P-256 certificate; Varnish speaks no TLS and is left out."

    def missing(self) -> str | None:
        """The generator and the origin are needed."""
        return missing("wrk") or missing("nginx") or (missing("openssl") if self._tls else None)

    def contenders(self) -> Sequence[Contender[Objects]]:
        """Ours, nginx proxy_cache and (without TLS) Varnish."""
        scheme = "secure:" if self._tls else ""
        mine: Contender[Objects] = ours(
            "netsuite-proxy",
            lambda objects, _, port: [
                "--listen", f"{scheme}127.0.0.1:{port}", "--origin", f"http://127.0.0.1:{objects.origin}"
            ],
        )  # fmt: skip
        cache: Contender[Objects] = Contender("nginx", "nginx", ["nginx", "-v"], self._proxy_cache)
        varnish = Contender("Varnish", "varnishd", ["varnishd", "-V"], _varnish)
        return (mine, cache) if self._tls else (mine, cache, varnish)

    def _proxy_cache(self, objects: Objects, folder: Path, port: int) -> Sequence[str | Path]:
        secure = ""
        options = (" ssl" if self._tls else "") + (" http2" if self.http2 else "")
        if self._tls:
            chain, key = certificate(folder)
            secure = f"ssl_certificate {chain}; ssl_certificate_key {key}; ssl_protocols TLSv1.3;"
        return nginx(
            folder,
            f"proxy_cache_path {folder}/cache keys_zone=hits:32m max_size=1g inactive=1h;\n"
            f"    server {{ listen 127.0.0.1:{port}{options}; {secure}\n"
            f"        location / {{ proxy_pass http://127.0.0.1:{objects.origin}; proxy_cache hits; }} }}",
        )

    @contextlib.contextmanager
    def scene(self, folder: Path, size: int) -> Iterator[Objects]:
        """The objects, served by nginx on the generator's core, fresh for an hour."""
        home, port = folder / "origin", free_port()
        objects = Objects(size, port, folder)
        for case, (name, length) in SIZES.items():
            (home / "www" / name).mkdir(parents=True)
            for number in range(objects.many(case)):
                (home / "www" / name / str(number)).write_bytes(os.urandom(length))
            objects.script(case).write_text(
                "local requests = {}\n"
                f"init = function(_) for i = 0, {objects.many(case) - 1} do"
                f" requests[i + 1] = wrk.format('GET', '/{name}/' .. i) end end\n"
                "request = function() return requests[math.random(#requests)] end\n"
            )
            (folder / f"{name}.list").write_text(
                "".join(
                    f"/{name}/{number}\n" for number in random.sample(range(objects.many(case)), objects.many(case))
                )
            )
        for place in (home, home / "www"):
            place.chmod(0o755)
        command = nginx(
            home,
            f'server {{ listen 127.0.0.1:{port}; root {home}/www; add_header Cache-Control "public, max-age=3600"; }}',
        )
        with running(command, home, port, core=GENERATOR_CORE):
            yield objects

    def _connection(self, port: int) -> http.client.HTTPConnection:
        if self._tls:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            return http.client.HTTPSConnection("localhost", port, timeout=10, context=context)
        return http.client.HTTPConnection("127.0.0.1", port, timeout=10)

    def _fetch(self, port: int, case: str, numbers: range) -> Iterator[tuple[int, str]]:
        connection = self._connection(port)
        with contextlib.closing(connection):
            for number in numbers:
                connection.request("GET", f"/{SIZES[case][0]}/{number}")
                response = connection.getresponse()
                yield response.status, hashlib.sha256(response.read()).hexdigest()

    def warm(self, scene: Objects, case: str, port: int) -> None:
        """Ask for every object once."""
        for status, _ in self._fetch(port, case, range(scene.many(case))):
            if status != 200:
                raise RuntimeError(f"status {status} for an object of {case}")

    def sample(self, scene: Objects, case: str, port: int) -> Any:
        """Status and hash of a few bodies."""
        return list(self._fetch(port, case, range(0, scene.many(case), max(1, scene.many(case) // 5))))

    def load(self, scene: Objects, case: str, port: int, seconds: float) -> Load:
        """Random objects."""
        scheme, host = ("https", "localhost") if self._tls else ("http", "127.0.0.1")
        return wrk(f"{scheme}://{host}:{port}/", seconds, script=scene.script(case))


class HttpHit2(HttpHit):
    """The same over HTTP/2 in clear, ten requests at a time on each of eight connections."""

    http2 = True
    cases = ("1 KiB", "100 KiB")

    def __init__(self) -> None:
        super().__init__()
        self.name = "http-hit-h2"
        self.title = "HTTP/2 cache hits"
        self.notes = (
            "One worker each; HTTP/2 by prior knowledge, without TLS; access logs off; nginx as the origin of all. "
            "Varnish has HTTP/2 as an option that is off by default, and is left out."
        )

    def missing(self) -> str | None:
        """Another generator is needed."""
        return missing("h2load") or missing("nginx")

    def contenders(self) -> Sequence[Contender[Objects]]:
        """Ours and nginx."""
        return super().contenders()[:2]

    def sample(self, scene: Objects, case: str, port: int) -> Any:
        """Status and hash of a few bodies, by curl."""
        found = []
        for number in range(0, scene.many(case), max(1, scene.many(case) // 5)):
            url = f"http://127.0.0.1:{port}/{SIZES[case][0]}/{number}"
            command = ["curl", "-sS", "--http2-prior-knowledge", "-w", "%{http_version} %{http_code}", url]
            found.append(hashlib.sha256(subprocess.run(command, capture_output=True, timeout=20).stdout).hexdigest())
        return found

    def warm(self, scene: Objects, case: str, port: int) -> None:
        """Ask for every object once."""
        h2load(port, scene.folder / f"{SIZES[case][0]}.list", requests=scene.many(case))

    def load(self, scene: Objects, case: str, port: int, seconds: float) -> Load:
        """All objects in turn, in an order of chance."""
        return h2load(port, scene.folder / f"{SIZES[case][0]}.list", seconds=seconds)


class HttpHitPython(HttpHit):
    """Hits of a forward proxy, beside what other Python proxies do with the same requests; neither has a cache."""

    cases = ("1 KiB",)
    sizes = (10, 100)

    def __init__(self) -> None:
        super().__init__()
        self.name = "http-hit-python"
        self.title = "HTTP cache hits, and Python's proxies"
        self.notes = (
            "All as forward proxies. proxy.py (one acceptor, threadless) and twisted.web's Proxy pass every request on "
            "to the origin, for neither keeps a cache; ours answers from its own."
        )

    def contenders(self) -> Sequence[Contender[Objects]]:
        """Ours, proxy.py and twisted.web."""
        python = sys.executable
        program = str(Path(python).parent / "proxy")
        mine: Contender[Objects] = ours("netsuite-proxy", lambda _, folder, port: ["--listen", f"127.0.0.1:{port}"])
        threadless: Contender[Objects] = Contender(
            "proxy.py",
            program,
            [python, "-c", "import importlib.metadata as m; print(m.version('proxy.py'))"],
            lambda _, folder, port: [
                program, "--hostname", "127.0.0.1", "--port", str(port), "--num-workers", "1", "--num-acceptors", "1",
                "--log-level", "ERROR",
            ],
        )  # fmt: skip
        twisted_web: Contender[Objects] = Contender(
            "twisted.web",
            python,
            [python, "-c", "import twisted; print(twisted.__version__)"],
            lambda _, folder, port: [python, Path(__file__).parent / "python_proxy.py", str(port)],
        )
        return (mine, threadless, twisted_web)

    def _asked(self, scene: Objects, port: int, numbers: range) -> Iterator[tuple[int, str]]:
        for number in numbers:
            # a connection for each: not all of them keep theirs
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            with contextlib.closing(connection):
                connection.request("GET", f"http://127.0.0.1:{scene.origin}/1k/{number}")
                response = connection.getresponse()
                yield response.status, hashlib.sha256(response.read()).hexdigest()

    def warm(self, scene: Objects, case: str, port: int) -> None:
        """Ask for every object once, by its absolute URI."""
        if any(status != 200 for status, _ in self._asked(scene, port, range(scene.many(case)))):
            raise RuntimeError(f"an object of {case} cannot be had")
        script = scene.script(case)
        script.write_text(re.sub(r"'/1k/'", f"'http://127.0.0.1:{scene.origin}/1k/'", script.read_text()))

    def sample(self, scene: Objects, case: str, port: int) -> Any:
        """Status and hash of a few bodies."""
        return list(self._asked(scene, port, range(0, scene.many(case), max(1, scene.many(case) // 5))))


@attrs.frozen
class Origin:
    """Where the origin of what no cache has listens, and wrk's scripts that never ask for anything twice."""

    port: int
    folder: Path
    cache: Path
    """Where a peer that stores in files has them."""

    def script(self, case: str) -> Path:
        """The Lua script of a case."""
        return self.folder / f"{case}.lua"


class HttpMiss(Benchmark[Origin]):
    """What no cache has, through to a fast origin, over 32 kept connections."""

    name = "http-miss"
    title = "HTTP cache misses"
    what_grows = "bytes of an answer"
    size = 1_000
    sizes = (1_000, 10_000, 100_000)
    cases = ("stored", "passed")
    notes = (
        "One worker each; access logs off; nginx as the origin, asked over kept connections. Every URL is asked once. "
        "What is stored goes to our memory, and to nginx's files on a file system in memory where there is one: no "
        "disk is waited for. What is passed may not be stored."
    )

    def missing(self) -> str | None:
        """The generator and the origin are needed."""
        return missing("wrk") or missing("nginx")

    def contenders(self) -> Sequence[Contender[Origin]]:
        """Ours, and nginx proxy_cache."""
        mine: Contender[Origin] = ours(
            "netsuite-proxy",
            lambda origin, _, port: [
                "--listen", f"127.0.0.1:{port}", "--origin", f"http://127.0.0.1:{origin.port}"
            ],
        )  # fmt: skip
        return mine, Contender("nginx", "nginx", ["nginx", "-v"], self._proxy_cache)

    def _proxy_cache(self, origin: Origin, folder: Path, port: int) -> Sequence[str | Path]:
        return nginx(
            folder,
            f"proxy_cache_path {origin.cache} keys_zone=misses:128m max_size=256m inactive=1h;\n"
            f"    upstream behind {{ server 127.0.0.1:{origin.port}; keepalive 64; keepalive_requests 100000000; }}\n"
            f"    server {{ listen 127.0.0.1:{port};\n"
            "        location / { proxy_pass http://behind; proxy_cache misses; proxy_http_version 1.1;\n"
            '            proxy_set_header Connection ""; } }',
        )

    @contextlib.contextmanager
    def scene(self, folder: Path, size: int) -> Iterator[Origin]:
        """One file of that size under every name, served by nginx on the generator's core."""
        home, port = folder / "origin", free_port()
        (home / "www").mkdir(parents=True)
        (home / "www" / "blob").write_bytes(os.urandom(size))
        shared = Path("/dev/shm")  # noqa: S108 - a folder of its own is made there
        with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else folder) as cache:
            yield from self._served(Origin(port, folder, Path(cache)), home)

    def _served(self, origin: Origin, home: Path) -> Iterator[Origin]:
        port = origin.port
        for case in self.cases:
            origin.script(case).write_text(
                "local number = 0\nlocal run = 0\n"
                "init = function(_) math.randomseed(os.time()); run = math.random(1000000000) end\n"
                "request = function() number = number + 1;"
                f" return wrk.format('GET', '/{case}/' .. run .. '/' .. number) end\n"
            )
        for place in (home, home / "www"):
            place.chmod(0o755)
        command = nginx(
            home,
            f"server {{ listen 127.0.0.1:{port}; root {home}/www; keepalive_requests 100000000;\n"
            '        location /stored/ { try_files /blob =404; add_header Cache-Control "max-age=3600"; }\n'
            '        location /passed/ { try_files /blob =404; add_header Cache-Control "no-store"; } }',
        )
        with running(command, home, port, core=GENERATOR_CORE):
            yield origin

    def sample(self, scene: Origin, case: str, port: int) -> Any:
        """Status and hash of a few bodies."""
        found = []
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        with contextlib.closing(connection):
            for number in range(3):
                connection.request("GET", f"/{case}/sample/{number}")
                response = connection.getresponse()
                found.append((response.status, hashlib.sha256(response.read()).hexdigest()))
        return found

    def load(self, scene: Origin, case: str, port: int, seconds: float) -> Load:
        """Names that were never asked for."""
        return wrk(f"http://127.0.0.1:{port}/", seconds, script=scene.script(case))


def _varnish(objects: Objects, folder: Path, port: int) -> Sequence[str | Path]:
    return [
        "varnishd", "-F", "-n", folder / "varnish", "-a", f"127.0.0.1:{port}", "-b", f"127.0.0.1:{objects.origin}",
        "-s", "malloc,1g", "-p", "thread_pools=1", "-p", "thread_pool_min=50", "-p", "timeout_idle=600",
        "-j", "none",
    ]  # fmt: skip
