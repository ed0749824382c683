"""The requests of the desync vectors: what is severe or ambiguous is refused and the connection closed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from netsuite.http.wire import Request, ServerConnection
from netsuite.sansio.connection import NEED_DATA, PAUSED, Channel, Close

yaml = pytest.importorskip("yaml", reason="PyYAML is not installed: the desync vectors are YAML")

SHARED = Path(os.environ.get("NETSUITE_SHARED", Path(__file__).parents[4] / "shared"))
FOLDER = SHARED / "vectors" / "http" / "desync"
CHANNEL = Channel(("127.0.0.1", 80), ("127.0.0.1", 40000))
BODY_LIMIT = 1 << 16

STRICTER = {
    # RFC 9112 section 6.1: codings that are not implemented are answered with 501
    "more-compliant-tests-5": b"501",
    "more-compliant-tests-7": b"501",
    "more-compliant-tests-8": b"501",
    "rfc-compliant-8": b"501",
    "rfc-compliant-9": b"501",
    # section 7.1: chunked has no parameters, their presence is an error
    "more-compliant-tests-9": b"400",
    "rfc-compliant-10": b"400",
    # section 3.2: a target has no fragment, is ASCII, and is not empty
    "rfc-compliant-11": b"400",
    "rfc-compliant-12": b"400",
    "rfc-compliant-13": b"400",
}
"""Called compliant by the vectors, refused here on purpose."""


def _bytes(text):
    text = str(text)
    return text.encode("latin-1" if all(ord(c) < 256 for c in text) else "utf-8")


def cases():
    for path in sorted(FOLDER.glob("*.yaml")):
        for number, case in enumerate(yaml.safe_load(path.read_text("utf-8")) or ()):
            yield pytest.param(case, id=f"{path.stem}-{number}")


def completed(case):
    """The raw request, with the Host and the body that it lacks."""
    headers = [(_bytes(h["name"]), _bytes(h["value"])) for h in case["headers"] or ()]
    lines = [b"%b %b %b" % (_bytes(case["method"]), _bytes(case["uri"]), _bytes(case["version"]))]
    if not any(name.strip().lower() == b"host" for name, _ in headers):
        lines.append(b"Host: example.test")
    lines += [name + b":" + (value if value[:1] == b" " else b" " + value) for name, value in headers]
    named = {name.lower(): value.strip() for name, value in headers}
    body = b""
    length = named.get(b"content-length", b"")
    if b"transfer-encoding" in named:
        body = b"0\r\n\r\n"
    elif length.isdigit():
        body = b"x" * min(int(length), BODY_LIMIT)
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def heard(raw):
    machine = ServerConnection(CHANNEL)
    machine.receive(raw, 0.0)
    machine.receive(b"", 0.0)
    events = []
    while (event := machine.next_event()) not in (NEED_DATA, PAUSED):
        events.append(event)
        if type(event) is Close:
            break
    return events, b"".join(machine.outgoing())


@pytest.mark.skipif(not FOLDER.is_dir(), reason="the desync vectors are not there: set NETSUITE_SHARED")
@pytest.mark.parametrize("case", list(cases()))
def test_desync(case, request):
    events, written = heard(completed(case))
    refused = bool(events) and type(events[-1]) is Close and not any(type(event) is Request for event in events)
    tier = case["expected"]["tier"]
    if tier in ("Severe", "Ambiguous"):
        assert refused
        assert written.split(b" ")[1] in (b"400", b"413", b"501", b"505")
        assert b"\r\nConnection: close\r\n" in written
    elif tier == "Compliant":
        name = request.node.callspec.id
        assert (written.split(b" ")[1] if refused else None) == STRICTER.get(name)
