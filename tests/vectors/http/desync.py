"""The desync vectors, played against the real origin server and the real proxy; writes what came of it.

``python -m tests.vectors.http.desync`` writes ``docs/reference/http-desync.md``; a test compares.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from pathlib import Path

from zope.interface import implementer

from netsuite.common.listen import StreamListener
from netsuite.http.server import HttpServer
from netsuite.interfaces import IHttpApplication
from tests.unit.http.proxy.stage import PROXY, Stage

SHARED = Path(os.environ.get("NETSUITE_SHARED", Path(__file__).parents[4] / "shared"))
FOLDER = SHARED / "vectors" / "http" / "desync"
PAGE = Path(__file__).parents[3] / "docs" / "reference" / "http-desync.md"
TIERS = ("Severe", "Ambiguous", "Acceptable", "Compliant")
BODY_LIMIT = 1 << 16
REFUSALS = (400, 413, 501, 505)

CODINGS = "RFC 9112 section 6.1: codings that are not implemented are answered with 501"
PARAMETERS = "RFC 9112 section 7.1: chunked has no parameters, and their presence is an error"
TARGETS = "RFC 9112 section 3.2: a target is not empty, is ASCII, and has no fragment"
STRICTER = {
    "more-compliant-tests-5": (501, CODINGS),
    "more-compliant-tests-7": (501, CODINGS),
    "more-compliant-tests-8": (501, CODINGS),
    "rfc-compliant-8": (501, CODINGS),
    "rfc-compliant-9": (501, CODINGS),
    "more-compliant-tests-9": (400, PARAMETERS),
    "rfc-compliant-10": (400, PARAMETERS),
    "rfc-compliant-11": (400, TARGETS),
    "rfc-compliant-12": (400, TARGETS),
    "rfc-compliant-13": (400, TARGETS),
}
"""Called compliant by the vectors, refused here on purpose: the status, and why."""

HEAD = """# Ambiguous requests

*Written by `python -m tests.vectors.http.desync`; do not edit.*

The requests of [http-desync-guardian](https://github.com/aws/http-desync-guardian), each with the `Host` and the body
that it lacks, are written to the origin server and to the proxy before a scripted origin. *Severe* and *ambiguous* ones
must be refused and the connection closed, before any byte goes further; *compliant* ones must be answered, and passed
on as one request that reads the same; *acceptable* ones may be either.

| tier | tried | origin server: as it should be | proxy: as it should be |
|---|---|---|---|
"""


def _bytes(text):
    text = str(text)
    return text.encode("latin-1" if all(ord(c) < 256 for c in text) else "utf-8")


def cases():
    """(name, case) of each recorded request."""
    import yaml

    for path in sorted(FOLDER.glob("*.yaml")):
        for number, case in enumerate(yaml.safe_load(path.read_text("utf-8")) or ()):
            yield f"{path.stem}-{number}", case


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


def announced(case):
    """The Content-Length, where it is one and more than is sent."""
    lengths = [
        _bytes(h["value"]).strip() for h in case["headers"] or () if _bytes(h["name"]).lower() == b"content-length"
    ]
    return lengths[0] if lengths and lengths[0].isdigit() and int(lengths[0]) > BODY_LIMIT else None


@implementer(IHttpApplication)
class Taker:
    """Takes whatever is asked, and reads it to its end."""

    def __init__(self):
        self.asked = []

    async def handle(self, request, body):
        self.asked.append((request.method, await body.read(1 << 20)))
        return 200, [], b"taken"


class Field:
    """Both servers, one after the other, on one in-memory network."""

    def __init__(self, folder):
        self.stage = Stage(folder, origin="http://origin.test")
        self.taker = Taker()
        self.server = HttpServer(self.stage.commons, "taker")
        self.server.mount("/", self.taker)
        listener = StreamListener(f"{PROXY}:10080", self.server.factory, self.stage.commons, "http.listen")
        listener.open()
        listener.accept()

    def write(self, raw, port):
        """What a client gets for these bytes: its talk, and the requests that went further."""
        talk = self.stage.connect(port=port)
        origin = self.stage.origin
        sides, asked, taken = len(origin.sides), len(origin.requests), len(self.taker.asked)
        talk.say(raw)
        self.stage.until(lambda: talk.ended or talk.statuses, 10)
        if not talk.ended and talk.statuses:
            talk.transport.loseWriteConnection()
            self.stage.until(lambda: talk.ended, 30)
        further = origin.requests[asked:] if port == 10081 else self.taker.asked[taken:]
        spoken = b"".join(side.data for side in origin.sides[sides:])
        talk.transport.abortConnection()
        return talk, further, spoken


def fault(name, case, talk, further, spoken):
    """What is wrong with what came of a request; None if nothing is."""
    tier = case["expected"]["tier"]
    length = announced(case)
    if length is not None and not talk.data and not talk.ended:
        # the rest of its body is still waited for
        good = tier in ("Compliant", "Acceptable") and (not spoken or b"\r\nContent-Length: %b\r\n" % length in spoken)
        return None if good else "its body is waited for"
    if spoken:
        return "bytes went further that are no request"
    if not talk.statuses:
        return "nothing was answered"
    refused = talk.statuses[0] in REFUSALS
    if refused and not (further == [] and talk.ended and talk.header("connection") == "close"):
        return "a refusal that is not the end of it"
    if not refused and (len(further) != 1 or len(talk.statuses) != 1):
        return f"{len(further)} requests went further, {len(talk.statuses)} were answered"
    if tier in ("Severe", "Ambiguous") and not refused:
        return "it was not refused"
    if tier == "Compliant":
        expected = STRICTER[name][0] if name in STRICTER else None
        if (talk.statuses[0] if refused else None) != expected:
            return f"it was answered with {talk.statuses[0]}"
    return None


def page():
    """The page as Markdown."""
    tried, good, stricter = Counter(), Counter(), Counter()
    with tempfile.TemporaryDirectory() as folder:
        field = Field(Path(folder))
        for name, case in cases():
            tier = case["expected"]["tier"]
            tried[tier] += 1
            if name in STRICTER:
                stricter[STRICTER[name][1]] += 1
            for port in (10080, 10081):
                good[tier, port] += fault(name, case, *field.write(completed(case), port)) is None
        field.stage.close()
    rows = [f"| {tier} | {tried[tier]} | {good[tier, 10080]} | {good[tier, 10081]} |\n" for tier in TIERS]
    sums = [sum(good[tier, port] for tier in TIERS) for port in (10080, 10081)]
    rows.append(f"| all | {tried.total()} | {sums[0]} | {sums[1]} |\n")
    words = ["\nOf the compliant ones these are refused on purpose, which is counted as it should be:\n\n"]
    words += [f"* {count}: {reason}.\n" for reason, count in stricter.items()]
    return HEAD + "".join(rows) + "".join(words)


def main():
    """Write the page."""
    PAGE.write_text(page())


if __name__ == "__main__":
    main()
