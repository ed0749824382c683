"""Servers under test: started on a core of their own, counted from /proc, ended with their block."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import attrs

__all__ = ["GENERATOR_CORE", "SERVER_CORE", "Running", "ServerFailed", "free_port", "pin", "running"]

_CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE = _CORES[0]
"""Where the server under test runs, workers, threads and children included."""
GENERATOR_CORE = _CORES[-1]
"""Where the load comes from, and where upstream servers run."""
PRIORITY = -10
"""Of servers and generators alike: else whatever runs beside them slows one that has few processes the most."""
_TICK = os.sysconf("SC_CLK_TCK")


class ServerFailed(Exception):
    """A server that did not start, or ended while it was measured; its last words are in the text."""


def pin(core: int) -> None:
    """Keep this process, and what it starts from now on, on one core, and as far as allowed ahead of all else there."""
    os.sched_setaffinity(0, {core})
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, PRIORITY)


def free_port() -> int:
    """A loopback port that is free now for UDP and TCP."""
    while True:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as stream,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram,
        ):
            stream.bind(("127.0.0.1", 0))
            port: int = stream.getsockname()[1]
            try:
                datagram.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def _family(root: int) -> list[int]:
    """A process and its living descendants."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    family = [root]
    for pid in family:
        family += [child for child, parent in parents.items() if parent == pid]
    return family


@attrs.frozen
class Running:
    """A server that answers, and what it has cost so far."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    start_seconds: float

    def cpu_seconds(self) -> float:
        """User and system time of the process and its descendants, those that ended and were waited for included."""
        ticks = 0
        for pid in _family(self.process.pid):
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                ticks += sum(map(int, fields[11:15]))
        return ticks / _TICK

    def _status(self, key: str) -> int:
        total = 0
        for pid in _family(self.process.pid):
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                    if line.startswith(key):
                        total += int(line.split()[1]) * 1024
        return total

    def peak_bytes(self) -> int:
        """The most memory that was ever resident (VmHWM), over the process and its descendants."""
        return self._status("VmHWM:")

    def resident_bytes(self) -> int:
        """What is resident now (VmRSS), over the process and its descendants."""
        return self._status("VmRSS:")

    def proportional_bytes(self) -> int:
        """What is resident now, pages that several of its processes share counted once (Pss)."""
        total = 0
        for pid in _family(self.process.pid):
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    if line.startswith("Pss:"):
                        total += int(line.split()[1]) * 1024
        return total

    def check(self) -> None:
        """Raise ServerFailed if it ended."""
        if self.process.poll() is not None:
            raise ServerFailed(f"ended with status {self.process.returncode}: {_last_words(self.log)}")


def _last_words(log: Path) -> str:
    text = log.read_text(errors="replace").strip()
    return " | ".join(text.splitlines()[-4:])[-600:]


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@contextlib.contextmanager
def running(
    command: Sequence[str | Path],
    folder: Path,
    port: int,
    *,
    core: int = SERVER_CORE,
    environment: Mapping[str, str] | None = None,
    seconds: float = 60,
) -> Iterator[Running]:
    """Run a server in a folder until the block ends; entered once its TCP port accepts."""
    log = folder / "output.log"
    began = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(word) for word in command],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
            preexec_fn=lambda: pin(core),
        )
    try:
        while not _answers(port):
            if process.poll() is not None or time.monotonic() - began > seconds:
                raise ServerFailed(f"{command[0]} does not answer on port {port}: {_last_words(log)}")
            time.sleep(0.02)
        yield Running(process, port, log, time.monotonic() - began)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
