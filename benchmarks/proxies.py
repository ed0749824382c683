"""Reverse proxy caches: ``http-hit`` beside nginx proxy_cache and Varnish; wrk asks over kept connections."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import ssl
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs

from benchmarks.contest import Benchmark, Contender
from benchmarks.load import Load, missing, wrk
from benchmarks.ours import ours
from benchmarks.process import GENERATOR_CORE, free_port, running

__all__ = ["HttpHit"]

SIZES = {"1 KiB": ("1k", 1024), "100 KiB": ("100k", 102_400)}
LARGE_OBJECTS = 100
"""How many objects of 100 KiB there are at most, whatever the size of the scene."""


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
        return self.count if case == "1 KiB" else min(self.count, LARGE_OBJECTS)


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
    sizes = (100, 1_000, 10_000)
    cases = tuple(SIZES)

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
        if self._tls:
            chain, key = certificate(folder)
            secure = f"ssl_certificate {chain}; ssl_certificate_key {key}; ssl_protocols TLSv1.3;"
        return nginx(
            folder,
            f"proxy_cache_path {folder}/cache keys_zone=hits:32m max_size=1g inactive=1h;\n"
            f"    server {{ listen 127.0.0.1:{port}{' ssl' if self._tls else ''}; {secure}\n"
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


def _varnish(objects: Objects, folder: Path, port: int) -> Sequence[str | Path]:
    return [
        "varnishd", "-F", "-n", folder / "varnish", "-a", f"127.0.0.1:{port}", "-b", f"127.0.0.1:{objects.origin}",
        "-s", "malloc,1g", "-p", "thread_pools=1", "-p", "thread_pool_min=50", "-p", "timeout_idle=600",
        "-j", "none",
    ]  # fmt: skip
