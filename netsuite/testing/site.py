"""A running suite for tests: the real thing in a process of its own, on free ports, in a folder that goes away.

::

    with site({"http": {"root": "./pages"}, "upper": {}}) as running:
        host, port = running.address("http")

With pytest the fixture ``netsuite_site`` does the same (:mod:`netsuite.testing.pytest_plugin`). Nothing here needs a
reactor.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from netsuite.common import toml
from netsuite.common.datadir import DataDirectory
from netsuite.common.errors import StartError
from netsuite.suite import builtin
from netsuite.suite.control import ask
from netsuite.suite.site import Site, read_site

__all__ = ["RunningSite", "SiteFailed", "on_free_ports", "site"]

_TWISTD: Final = "import sys; sys.argv[0] = 'twistd'; from twisted.scripts.twistd import run; run()"
_ATTEMPTS: Final = 3
_POLL: Final = 0.02
_LISTEN_KEYS: Final = frozenset(("listen", "submission", "imap", "pop3", "http", "udp"))
_LISTEN_PORT: Final = re.compile(r"(?:^|(?<=:))([1-9][0-9]{0,4})(?=$|:)")
_LOOPBACK_PORT: Final = re.compile(r"(?<![\w.])(127(?:\.[0-9]{1,3}){3}|localhost|\[::1\]):([0-9]{1,5})(?![0-9])")
_LOOPBACK: Final = re.compile(r"127(?:\.[0-9]{1,3}){3}|(?<=\[)::1(?=\])")


class SiteFailed(Exception):
    """The site did not start, or did not end as it should; the text has the end of its log."""


class RunningSite:
    """A site that is ready: where it is, what it says, and how it is."""

    def __init__(self, data: Path, process: subprocess.Popen[bytes], log: Path, settings: Mapping[str, Any]) -> None:
        self.data = data
        self.process = process
        self.settings = settings
        """The tables it runs with, its ports included."""
        self._log = log
        self._addresses: dict[str, list[tuple[str, str, int]]] = {}

    @property
    def ca_path(self) -> Path:
        """The certificate of the site's own authority (PEM): what its clients should trust."""
        return self.data / "ca.pem"

    @property
    def log(self) -> str:
        """All that the process has written so far."""
        return self._log.read_text(errors="replace")

    def status(self) -> dict[str, Any]:
        """The state of every service, as ``netsuite status --json`` prints it."""
        try:
            found: dict[str, Any] = ask(self.data, "status")["status"]
        except StartError as error:
            raise SiteFailed(f"{error}\n{self._last_words()}") from None
        return found

    def address(self, table: str, kind: str | None = None) -> tuple[str, int]:
        """Host and port of a table's first address, or of its first one of a kind (``udp``, ``https`` ...)."""
        if not self._addresses:
            for service in self.status()["services"]:
                texts = [each["address"].partition(":") for each in service["addresses"]]
                self._addresses[service["name"]] = [
                    (name, where.rpartition(":")[0].strip("[]"), int(where.rpartition(":")[2]))
                    for name, _, where in texts
                    if name != "unix"
                ]
        for name, host, port in self._addresses.get(table, ()):
            if kind in (None, name):
                return host, port
        raise LookupError(f"[{table}] has no {kind or 'address'}; there are {self._addresses}")

    def port(self, table: str, kind: str | None = None) -> int:
        """The port of :meth:`address`."""
        return self.address(table, kind)[1]

    def url(self, table: str = "http", kind: str = "http") -> str:
        """``http://HOST:PORT`` of a table, without a slash at the end."""
        host, port = self.address(table, kind)
        return f"{kind}://[{host}]:{port}" if ":" in host else f"{kind}://{host}:{port}"

    def wait(self, timeout: float) -> None:
        """Until it is ready; SiteFailed if it ends before, or takes longer."""
        end = time.monotonic() + timeout
        while " is ready." not in self.log:
            if self.process.poll() is not None:
                raise SiteFailed(f"the site ended with status {self.process.returncode}\n{self._last_words()}")
            if time.monotonic() > end:
                raise SiteFailed(f"the site is not ready after {timeout} seconds\n{self._last_words()}")
            time.sleep(_POLL)

    def stop(self, timeout: float = 30.0) -> None:
        """End it with SIGTERM; SiteFailed if its exit status is not 0, or it does not end."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise SiteFailed(f"the site did not end within {timeout} seconds\n{self._last_words()}") from None
        if status:
            raise SiteFailed(f"the site ended with status {status}\n{self._last_words()}")

    def kill(self) -> None:
        """End it at once."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def _last_words(self) -> str:
        return "\n".join(self.log.splitlines()[-30:])


@contextlib.contextmanager
def site(
    tables: Mapping[str, Any] | None = None,
    *,
    config: Path | str | None = None,
    data: Path | str | None = None,
    timeout: float = 30.0,
) -> Iterator[RunningSite]:
    """Run a site while the ``with`` block lasts.

    It has these ``tables`` (as in ``netsuite.toml``), those of a site file ``config``, or neither: then it is the
    built-in site. Every port is replaced by a free one, the same by the same, also where one table names another's
    (``origin``, ``upstream_port``). ``data`` is kept; without it there is a folder that goes away.

    Raises SettingsError for settings that are wrong, SiteFailed if it does not start or does not end well.
    """
    with contextlib.ExitStack() as stack:
        if data is None:
            folder = tempfile.TemporaryDirectory(prefix="netsuite-site-", ignore_cleanup_errors=True)
            data = stack.enter_context(folder)
        running = _started(tables, config, Path(data).resolve(), timeout)
        stack.callback(running.kill)
        yield running
        running.stop(timeout)


def _started(tables: Any, config: Path | str | None, data: Path, timeout: float) -> RunningSite:
    wanted = _settings(tables, config, data)
    for attempt in range(_ATTEMPTS):
        settings = on_free_ports(wanted)
        if tables is None and config is None:
            builtin.share(DataDirectory(data), settings["tracker"]["http"])
        running = _launched(settings, data)
        try:
            running.wait(timeout)
        except SiteFailed as failed:
            running.kill()
            # somebody took one of the ports between our look and the start
            if attempt < _ATTEMPTS - 1 and "already in use" in str(failed):
                continue
            raise
        except BaseException:
            running.kill()
            raise
        return running
    raise AssertionError("the last attempt returns or raises")


def _settings(tables: Any, config: Path | str | None, data: Path) -> dict[str, Any]:
    """All tables with all values, as plain data; paths are absolute."""
    if tables is not None and config is not None:
        raise ValueError("give tables or config, not both")
    if tables is None and config is None:
        folder = DataDirectory(data)
        builtin.write_missing(folder)
        builtin.people(folder)
        tables = builtin.tables(data)
    read: Site = read_site(config, environ={}, built_in=lambda _: _plain(tables))
    found: dict[str, Any] = {name: table.model_dump(mode="json") for name, table in read.tables.items()}
    return {"common": {**read.common.model_dump(mode="json"), "data": str(data)}, **found}


def _plain(value: Any) -> Any:
    """Paths as text."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return str(value.absolute()) if isinstance(value, Path) else value


def _launched(settings: Mapping[str, Any], data: Path) -> RunningSite:
    file, log = data / "site.toml", data / "output.txt"
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    lines = []
    for table, values in settings.items():
        lines.append(f"[{table}]")
        lines += [f"{toml.key([key])} = {toml.value(value)}" for key, value in _without_none(values).items()]
    file.write_text("\n".join([*lines, ""]))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NETSUITE_")}
    root = str(Path(__file__).resolve().parents[2])
    if root not in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib")):
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (root, environment.get("PYTHONPATH"))))
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter
            [sys.executable, "-c", _TWISTD, "-n", "--pidfile=", "netsuite", "-c", str(file)],
            cwd=data,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    return RunningSite(data, process, log, settings)


def _without_none(value: Any) -> Any:
    """What TOML can say: a key without a value is left out."""
    if isinstance(value, Mapping):
        return {key: _without_none(inner) for key, inner in value.items() if inner is not None}
    return [_without_none(inner) for inner in value] if isinstance(value, list) else value


def on_free_ports(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The same settings with each port that is listened on replaced by a free one, wherever it is named."""
    listens = list(_listens(settings))
    hosts = sorted({found for text in listens for found in _LOOPBACK.findall(text)} | {"127.0.0.1"})
    ports = dict.fromkeys(int(found[1]) for text in listens if (found := _LISTEN_PORT.search(text)))
    with contextlib.ExitStack() as held:
        chosen = {port: _free_port(hosts, held) for port in ports}
    replaced: dict[str, Any] = _replaced(settings, "", chosen)
    return replaced


def _listens(value: Any, key: str = "") -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _listens(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from _listens(inner, key)
    elif isinstance(value, str) and key in _LISTEN_KEYS and not value.startswith(("unix:", "systemd:", "inherited:")):
        yield value


def _replaced(value: Any, key: str, chosen: Mapping[int, int]) -> Any:
    if isinstance(value, Mapping):
        return {name: _replaced(inner, name, chosen) for name, inner in value.items()}
    if isinstance(value, list):
        return [_replaced(inner, key, chosen) for inner in value]
    if isinstance(value, int) and not isinstance(value, bool) and key.endswith("port"):
        return chosen.get(value, value)
    if not isinstance(value, str):
        return value
    if key in _LISTEN_KEYS:
        if value.startswith(("unix:", "systemd:", "inherited:")):
            return value
        return _LISTEN_PORT.sub(lambda found: str(chosen[int(found[1])]), value, count=1)
    return _LOOPBACK_PORT.sub(lambda found: f"{found[1]}:{chosen.get(int(found[2]), int(found[2]))}", value)


def _free_port(hosts: list[str], held: contextlib.ExitStack) -> int:
    """A port that is free now on all hosts, for TCP and UDP; bound until ``held`` is closed."""
    while True:
        with contextlib.ExitStack() as trying:
            port = 0
            try:
                for host in hosts:
                    family = socket.AF_INET6 if ":" in host else socket.AF_INET
                    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                        bound = trying.enter_context(socket.socket(family, kind))
                        bound.bind((host, port))
                        port = bound.getsockname()[1]
            except OSError:
                if not port:
                    raise
                continue
            held.push(trying.pop_all())
            return port
