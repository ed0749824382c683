"""Real ``twistd`` processes in folders of their own."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TWISTD = [sys.executable, "-c", "import sys; sys.argv[0] = 'twistd'; from twisted.scripts.twistd import run; run()"]
NETSUITE = [sys.executable, "-c", "import sys; from netsuite.cli import main; sys.exit(main())"]
PATIENCE = 30.0


def environment(**more: str) -> dict[str, str]:
    """The environment of a process that shall find the checkout, and no settings of the caller's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NETSUITE_")}
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore::DeprecationWarning", **more}


def free_port() -> int:
    """A loopback port that is free now for both TCP and UDP."""
    while True:
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            port: int = tcp.getsockname()[1]
            with contextlib.suppress(OSError):
                udp.bind(("127.0.0.1", port))
                return port


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """A folder that goes away again."""
    with tempfile.TemporaryDirectory(prefix="netsuite-test-", ignore_cleanup_errors=True) as path:
        yield Path(path)


def until(what: str, test, patience: float = PATIENCE):
    """What ``test()`` answers once that is true."""
    end = time.monotonic() + patience
    while True:
        found = test()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"waited {patience} s for: {what}")
        time.sleep(0.02)


def connection(port: int, host: str = "127.0.0.1") -> socket.socket:
    """A connection, as soon as one is accepted."""

    def attempt() -> socket.socket | None:
        try:
            return socket.create_connection((host, port), PATIENCE)
        except OSError:
            return None

    made: socket.socket = until(f"a server on {host}:{port}", attempt)
    return made


def accepts(port: int) -> bool:
    """Whether something listens there."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def upper(port: int, line: bytes = b"hello\n") -> bytes:
    """What the upper-case server makes of a line."""
    with connection(port) as made:
        made.sendall(line)
        return made.recv(1000)


def call(command: list[str], *arguments: str, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [*command, *arguments],
        cwd=cwd,
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        stdin=subprocess.DEVNULL,
        check=False,
    )


class Running:
    """``twistd -n`` with these arguments; ``end`` stops it and collects what it wrote."""

    def __init__(self, *arguments: str, cwd: Path, **more: str) -> None:
        self.out = cwd / f"out-{time.monotonic_ns()}.txt"
        self.err = self.out.with_suffix(".err")
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen(
                [*TWISTD, "-n", "--pidfile=", *arguments],
                cwd=cwd,
                env=environment(**more),
                stdout=out,
                stderr=err,
                stdin=subprocess.DEVNULL,
            )

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(PATIENCE)

    def ready(self) -> Running:
        """Wait for the start to be over."""
        until("netsuite is ready", lambda: self.process.poll() is not None or "is ready." in self.said())
        assert self.process.poll() is None, self.said() + self.complaint()
        return self

    def said(self) -> str:
        """Its standard output so far, log included."""
        return self.out.read_text()

    def complaint(self) -> str:
        """Its standard error so far."""
        return self.err.read_text()

    def send(self, number: int) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def ended(self, patience: float = PATIENCE) -> int:
        """Its exit status, once it has ended by itself."""
        return self.process.wait(patience)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Stop it; its exit status."""
        self.send(number)
        return self.ended()
