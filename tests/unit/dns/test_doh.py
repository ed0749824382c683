"""DNS over HTTPS: RFC 8484's requests, and each way of asking wrongly."""

from __future__ import annotations

import base64
from types import SimpleNamespace

import dns.message
import pytest
from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer
from zope.interface.verify import verifyObject

from netsuite.dns.authoritative.answers import Answers
from netsuite.dns.doh import DnsOverHttps, freshness
from netsuite.interfaces import IDnsAnswers, IHttpApplication
from tests.unit.dns.zones import SITE, make_zone


@implementer(IDnsAnswers)
class Here:
    """Answers from a zone, now or later."""

    def __init__(self, answers, later=False):
        self.answers = answers
        self.later = later
        self.peers = []

    def answer(self, query, peer, stream, private=False):
        self.peers.append((peer, stream))
        out = self.answers.answer(query, stream)
        return succeed(out) if self.later else out


async def chunks(data):
    for at in range(0, len(data), 1000):
        yield data[at : at + 1000]


def run(coroutine):
    out = []
    Deferred.fromCoroutine(coroutine).addBoth(out.append)
    return out[0]


def request(app, method, query=None, body=b"", **fields):
    headers = {name.replace("_", "-").encode(): value for name, value in fields.items()}
    asked = SimpleNamespace(method=method, query=query, header=headers.get, peer=("192.0.2.55", 4444), scheme="http")
    return run(app.handle(asked, chunks(body)))


QUERY = dns.message.make_query("web.example.test.", "A", id=0).to_wire()
TEXT = b"dns=" + base64.urlsafe_b64encode(QUERY).rstrip(b"=")


@pytest.fixture(params=[False, True], ids=["now", "later"])
def app(tmp_path, request):
    return DnsOverHttps(Here(Answers([make_zone(tmp_path, SITE)]), request.param))


def test_get_and_post_answer_the_same(app):
    verifyObject(IHttpApplication, app)
    got = request(app, b"GET", TEXT)
    posted = request(app, b"POST", body=QUERY, content_type=b"application/dns-message; x=y")
    assert got == posted
    status, fields, body = got
    assert status == 200
    assert dict(fields) == {b"content-type": b"application/dns-message", b"cache-control": b"max-age=3600"}
    assert len(dns.message.from_wire(body).answer[0]) == 2
    assert app._answers.peers == [(("192.0.2.55", 4444), True)] * 2


def test_other_parameters_are_ignored(app):
    assert request(app, b"GET", b"a=b&" + TEXT + b"&c")[0] == 200


@pytest.mark.parametrize(
    ("method", "query", "body", "fields", "status"),
    [
        (b"GET", None, b"", {}, 400),
        (b"GET", b"", b"", {}, 400),
        (b"GET", b"dns=", b"", {}, 400),
        (b"GET", b"dns=AAAA", b"", {}, 400),
        (b"GET", TEXT + b"=", b"", {}, 400),
        (b"GET", TEXT + b"*", b"", {}, 400),
        (b"GET", TEXT[:-1] + b"+", b"", {}, 400),
        (b"GET", TEXT + b"&" + TEXT, b"", {}, 400),
        (b"GET", b"dns=" + base64.urlsafe_b64encode(QUERY[:2] + b"\x80" + QUERY[3:]).rstrip(b"="), b"", {}, 400),
        (b"PUT", TEXT, b"", {}, 405),
        (b"POST", None, QUERY, {}, 415),
        (b"POST", TEXT, QUERY, {"content_type": b"text/plain"}, 415),
        (b"POST", None, b"", {"content_type": b"application/dns-message"}, 400),
        (b"POST", None, bytes(65536), {"content_type": b"application/dns-message"}, 413),
    ],
)
def test_wrong_requests(app, method, query, body, fields, status):
    got, headers, text = request(app, method, query, body, **fields)
    assert got == status
    assert dict(headers)[b"cache-control"] == b"no-store"
    assert text.endswith(b"\n")
    assert (b"allow", b"GET, HEAD, POST") in headers or status != 405


@pytest.mark.parametrize(
    ("name", "rdtype", "seconds"),
    [
        ("www.example.test.", "A", 300),
        ("none.example.test.", "A", 300),
        ("www.example.test.", "AAAA", 300),
        ("sub.example.test.", "A", 0),
        ("other.test.", "A", 0),
    ],
)
def test_freshness(tmp_path, name, rdtype, seconds):
    answers = Answers([make_zone(tmp_path, SITE)])
    assert freshness(answers.answer(dns.message.make_query(name, rdtype).to_wire(), True)) == seconds


def test_freshness_of_what_cannot_be_read():
    assert freshness(bytes(4) + b"\0\1\0\1\0\0\0\0" + b"\x40") == 0
    assert freshness(bytes(4) + b"\0\0\0\1\0\0\0\0" + b"\0" + bytes(8) + b"\xff\xff") == 0
