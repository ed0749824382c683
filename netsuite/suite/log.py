"""The server's own log where the site file says how it is to be written; a ``.tap`` file keeps its observer."""

from __future__ import annotations

import json
import sys
import weakref
from pathlib import Path
from typing import Any, Literal, TextIO

from twisted.logger import ILogObserver, LogEvent, eventAsText, formatEventAsClassicLogText, formatTime
from zope.interface import implementer

from netsuite.common.errors import StartError

__all__ = ["SiteLog", "reopen_logs"]

_open: weakref.WeakSet[SiteLog] = weakref.WeakSet()


@implementer(ILogObserver)
class SiteLog:
    """Writes each event as one line, of text or of JSON, to a file, or to standard output if ``path`` is None.

    Nothing is opened before the first event.
    """

    def __init__(self, path: Path | None, form: Literal["text", "json"]) -> None:
        self.path = path
        self.form = form
        self._file: TextIO | None = None

    def __call__(self, event: LogEvent) -> None:
        """Write an event down."""
        text = _json_line(event) if self.form == "json" else formatEventAsClassicLogText(event)
        if text:
            file = self._opened()
            file.write(text)
            file.flush()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_file": None}

    def check(self) -> None:
        """StartError if the file cannot be written."""
        try:
            self._opened()
        except OSError as error:
            raise StartError(f"common.log: cannot write {self.path} ({error.strerror}): name another file") from error

    def reopen(self) -> None:
        """Have the next event open the file anew."""
        if self._file is not None and self.path is not None:
            self._file.close()
            self._file = None

    def _opened(self) -> TextIO:
        if self._file is None:
            # what twistd puts in place of sys.stdout leads back into the log
            assert sys.__stdout__ is not None
            self._file = sys.__stdout__ if self.path is None else self.path.open("a", encoding="utf-8")
            _open.add(self)
        return self._file


def reopen_logs() -> None:
    """Reopen the files of all logs: whoever rotates them has renamed them."""
    for each in list(_open):
        each.reopen()


def _json_line(event: LogEvent) -> str:
    level = event.get("log_level")
    fields = {
        "time": formatTime(event.get("log_time")),
        "level": level.name if level else "info",
        "source": event.get("log_namespace", ""),
        "text": eventAsText(event, includeTimestamp=False, includeSystem=False),
    }
    return json.dumps(fields) + "\n" if fields["text"] else ""
