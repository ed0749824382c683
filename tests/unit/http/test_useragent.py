"""Small resources fetched by our servers: their limits, redirects, and what they must not reach."""

from __future__ import annotations

import pytest
from zope.interface import implementer
from zope.interface.verify import verifyObject

from netsuite.common.listen import StreamListener
from netsuite.http.server import HttpServer
from netsuite.http.useragent import UserAgent
from netsuite.interfaces import HttpFailed, IHttpApplication, IHttpClient, InternalTarget
from netsuite.testing.commons import make_commons
from netsuite.testing.fakes import KnownNames
from netsuite.testing.network import Network

SERVER, CLIENT, INSIDE = "93.184.216.34", "8.8.4.4", "10.0.0.1"


@implementer(IHttpApplication)
class Pages:
    """What the tests fetch; keeps the requests."""

    def __init__(self):
        self.requests = []

    def handle(self, request, body):
        self.requests.append(request)
        name = request.path.rpartition(b"/")[2].decode()
        return getattr(self, name or "plain")(request)

    def plain(self, request):
        return 200, [(b"content-type", b"text/plain")], b"hello"

    def missing(self, request):
        return 404, [], b"gone"

    def long(self, request):
        async def chunks():
            while True:
                yield bytes(1000)

        return 200, [], chunks()

    def moved(self, request):
        return 302, [(b"location", b"plain?again=1")], b""

    def circle(self, request):
        return 301, [(b"location", b"/circle")], b""

    def elsewhere(self, request):
        return 307, [(b"location", b"http://other.test/plain")], b""

    def inside(self, request):
        return 302, [(b"location", b"http://inside.test/plain")], b""

    def strange(self, request):
        return 302, [(b"location", b"ftp://www.test/plain")], b""


class House:
    """A client, and servers in public and inside."""

    def __init__(self, folder):
        self.network = Network()
        self.pages = Pages()
        self.names = KnownNames(
            {"www.test": [SERVER], "other.test": [SERVER], "inside.test": [INSIDE], "none.test": []}
        )
        self.serving = self._serve(folder / "server", self.network.host(SERVER, INSIDE))
        self.agent = UserAgent(make_commons(folder / "client", self.network.host(CLIENT)), self.names.addresses, None)

    def _serve(self, folder, host):
        commons = make_commons(folder, host)
        server = HttpServer(commons, "http")
        server.mount("/", self.pages)
        for address in (SERVER, INSIDE):
            listener = StreamListener(f"{address}:80", server.factory, commons, "http.listen")
            listener.open()
            listener.accept()
        return server

    def get(self, url, **options):
        return self.network.result(self.agent.get(url, **{"limit": 10_000, "timeout": 30.0, **options}), timeout=120)

    def refused(self, url, **options):
        with pytest.raises(HttpFailed) as caught:
            self.get(url, **options)
        return str(caught.value)


@pytest.fixture
def house(tmp_path):
    return House(tmp_path)


def test_it_is_what_the_interface_says(house):
    assert verifyObject(IHttpClient, house.agent)


def test_a_response_comes_whole_whatever_its_status(house):
    reply = house.get("http://www.test/plain?a=%20b", headers=[(b"accept", b"text/plain")])
    assert (reply.status, reply.body) == (200, b"hello")
    assert (b"content-type", b"text/plain") in reply.headers
    request = house.pages.requests[0]
    assert (request.path, request.query, request.authority) == (b"/plain", b"a=%20b", b"www.test")
    assert request.header(b"accept") == b"text/plain"
    assert request.header(b"user-agent").startswith(b"netsuite/")
    assert house.get("http://www.test/missing").status == 404
    assert house.get(f"http://{SERVER}").body == b"hello"


def test_redirects_are_followed_five_times(house):
    assert house.get("http://www.test/a/moved").body == b"hello"
    assert house.pages.requests[-1].path == b"/a/plain"
    assert house.refused("http://www.test/circle") == "www.test: more than 5 redirects"
    assert "no http or https URL" in house.refused("http://www.test/strange")


def test_credentials_do_not_travel_to_another_origin(house):
    sent = [(b"authorization", b"secret"), (b"accept", b"*/*")]
    house.get("http://www.test/moved", headers=sent)
    assert house.pages.requests[-1].header(b"authorization") == b"secret"
    house.get("http://www.test/elsewhere", headers=sent)
    assert house.pages.requests[-1].header(b"authorization") is None
    assert house.pages.requests[-1].header(b"accept") == b"*/*"


def test_a_body_beyond_the_limit_ends_the_exchange(house):
    assert house.refused("http://www.test/long") == "www.test: the response is longer than 10000 bytes"
    house.network.advance(60)
    assert not house.serving.factory.adapters
    assert house.get("http://www.test/plain", limit=5).body == b"hello"
    assert "longer than 4 bytes" in house.refused("http://www.test/plain", limit=4)


def test_the_whole_takes_no_longer_than_it_may(house):
    started = house.network.clock.seconds()
    house.network.partition(house.agent._free._runtime.reactor, house.serving.factory.commons.reactor)
    assert house.refused("http://www.test/plain", timeout=3) == "www.test took longer than 3 seconds"
    assert house.network.clock.seconds() - started == pytest.approx(3)
    assert not any(call.active() for call in house.network.clock.getDelayedCalls())


def test_internal_targets_are_for_the_unguarded(house):
    assert house.get("http://inside.test/plain").status == 200
    assert house.get("http://www.test/plain", guarded=True).status == 200
    for url in ("http://inside.test/", f"http://{INSIDE}/", "http://127.0.0.1/", "http://www.test/inside"):
        with pytest.raises(InternalTarget, match="internal address"):
            house.get(url, guarded=True)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "www.test",
        "ftp://www.test/",
        "http://",
        "http:///plain",
        "http://a b/",
        "http://www.test/a b",
        "http://www.test/\n",
        "http://user:secret@www.test/",
        "http://www.test:99999/",
        "http://www.test:x/",
        "http://[::1/",
        "http://m\u00fcnchen.test/",
    ],
)
def test_what_is_no_url_is_refused(house, url):
    assert "URL" in house.refused(url)
    assert house.pages.requests == []


def test_names_that_lead_nowhere(house):
    assert "has no address" in house.refused("http://none.test/")
    house.names._broken.add("broken.test")
    assert "no answer" in house.refused("http://broken.test/")


def test_an_internal_name_is_looked_up_once_and_its_answer_used(house):
    """A name that answers differently the second time (rebinding) gains nothing."""
    house.get("http://www.test/plain", guarded=True)
    assert house.names.asked == [("www.test", "A"), ("www.test", "AAAA")]
