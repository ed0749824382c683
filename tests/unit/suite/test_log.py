"""The server's own log, in text and in JSON."""

from __future__ import annotations

import json
import pickle

import pytest
from twisted.logger import ILogObserver, Logger, LogLevel
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from netsuite.common.errors import StartError
from netsuite.suite.log import SiteLog, reopen_logs


def event(**more):
    return {
        "log_time": 0.0,
        "log_level": LogLevel.info,
        "log_namespace": "here",
        "log_format": "{x}",
        "x": "hello",
        **more,
    }


def failure():
    return Failure(ZeroDivisionError("division by zero"))


@pytest.fixture
def to():
    """Makes logs, and closes them after the test."""
    made = []

    def make(path, form):
        made.append(SiteLog(path, form))
        return made[-1]

    yield make
    reopen_logs()


def test_text(tmp_path, to):
    log = to(tmp_path / "log", "text")
    assert verifyObject(ILogObserver, log)
    log(event())
    log(event(log_format=""))
    (line,) = (tmp_path / "log").read_text().splitlines()
    assert line.endswith("[here#info] hello")


def test_json(tmp_path, to):
    log = to(tmp_path / "log", "json")
    log(event())
    log(event(x="two\nlines", log_level=LogLevel.critical, log_failure=failure()))
    first, second = map(json.loads, (tmp_path / "log").read_text().splitlines())
    assert (first["level"], first["source"], first["text"]) == ("info", "here", "hello")
    assert second["level"] == "critical"
    assert second["text"].startswith("two\nlines")
    assert "ZeroDivisionError" in second["text"]


def test_nothing_is_opened_before_the_first_event_and_nothing_is_pickled(tmp_path, to):
    log = to(tmp_path / "log", "text")
    assert not (tmp_path / "log").exists()
    log(event())
    again = pickle.loads(pickle.dumps(log))
    again(event())
    assert len((tmp_path / "log").read_text().splitlines()) == 2
    again.reopen()


def test_reopening_follows_the_name(tmp_path, to):
    log = to(tmp_path / "log", "text")
    log(event())
    (tmp_path / "log").rename(tmp_path / "old")
    log(event())
    reopen_logs()
    log(event())
    assert len((tmp_path / "old").read_text().splitlines()) == 2
    assert len((tmp_path / "log").read_text().splitlines()) == 1


def test_a_file_that_cannot_be_written(tmp_path):
    with pytest.raises(StartError, match=r"common\.log: cannot write .*name another file"):
        SiteLog(tmp_path / "none" / "log", "text").check()


def test_standard_output_is_the_real_one(capfd):
    log = SiteLog(None, "json")
    log(event())
    reopen_logs()
    log(event())
    assert capfd.readouterr().out.count('"hello"') == 2


def test_a_real_logger_is_understood(tmp_path, to):
    log = to(tmp_path / "log", "json")
    Logger("somewhere", observer=log).warn("{what} happened", what="it")
    assert json.loads((tmp_path / "log").read_text())["text"] == "it happened"
