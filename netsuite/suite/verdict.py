"""How a start that fails is told: one line on standard error and a status that is not 0, whoever runs us.

``twistd`` prints a traceback for what escapes a start, or, daemonised, two lines with the first hundred bytes of it;
and it exits with 0 however a run ended. Here is what mends that:

* :func:`refuse` writes the line to the terminal that the person sits at and raises :class:`Refusal`, an
  exception that twistd takes for a failed start (it removes its pidfile) and the interpreter for a silent exit.
* Daemonised, that terminal is the one of the parent, which twistd keeps waiting. :func:`await_daemon` makes the
  first fork leave a pipe between the two: the parent writes what the child sends, and twistd's own words to nowhere;
  a child that says nothing leaves the parent to twistd.
* :func:`exit_with` sets the status of a process whose reactor has run.

Known weakness: fork hooks cannot be taken back, so they stay, disarmed, for the life of the process.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
from typing import NoReturn

from netsuite.common.errors import StartError

__all__ = ["Refusal", "await_daemon", "complain", "exit_with", "refuse", "started"]


class Refusal(SystemExit, Exception):
    """A start that cannot be; it has been said already."""


class _Line:
    """The pipe from a daemon to the process that the person started."""

    def __init__(self) -> None:
        self.waiting_pid = 0
        self.ends: tuple[int, int] | None = None
        self.hooked = False

    def before_fork(self) -> None:
        if self.waiting_pid == os.getpid():
            self.ends = os.pipe()

    def in_parent(self) -> None:
        if self.ends is None or self.waiting_pid != os.getpid():
            return
        self.waiting_pid = 0
        read, write = self.ends
        os.close(write)
        with open(read, "rb") as pipe:
            said = pipe.read()
        if said not in (b"", b"\n"):
            os.write(2, said)
            sys.__stderr__ = open(os.devnull, "w")  # type: ignore[misc]  # noqa: SIM115 - all this process does is exit

    def in_child(self) -> None:
        if self.ends is not None and self.waiting_pid:
            os.close(self.ends[0])
            self.waiting_pid = 0

    def say(self, text: str) -> bool:
        """Send the verdict, if anyone waits for it; False if not.

        A refusal leaves the pipe open: it closes with this process, so the parent ends after all is cleared away.
        """
        if self.ends is None:
            return False
        (_, write), self.ends = self.ends, None
        with contextlib.suppress(OSError):
            os.write(write, text.encode() + b"\n")
        if not text:
            os.close(write)
        return True


_line = _Line()


def await_daemon() -> None:
    """From now until the start is told, a fork is twistd's daemonising; nothing is opened before it."""
    _line.waiting_pid = os.getpid()
    if not _line.hooked:
        _line.hooked = True
        os.register_at_fork(before=_line.before_fork, after_in_parent=_line.in_parent, after_in_child=_line.in_child)


def started() -> None:
    """The start has succeeded: whoever waits for it may go."""
    _line.waiting_pid = 0
    _line.say("")


def complain(error: Exception) -> None:
    """Write an error's lines where the person who made the start reads them."""
    _line.waiting_pid = 0
    text = str(error) if isinstance(error, StartError) else f"{type(error).__name__}: {error}"
    if not _line.say(text):
        with contextlib.suppress(OSError, ValueError):
            print(text, file=sys.__stderr__, flush=True)


def refuse(error: Exception) -> NoReturn:
    """End a start: say why, in one line each, and raise Refusal."""
    complain(error)
    raise Refusal(1) from None


def exit_with(status: int) -> None:
    """Have this process exit with a status, after everything else that is done at exit."""

    def leave() -> None:
        for stream in (sys.__stdout__, sys.__stderr__):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                stream.flush()  # type: ignore[union-attr]
        os._exit(status)

    atexit.register(leave)
