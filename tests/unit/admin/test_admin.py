from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Sequence
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import attrs
import pytest
from pydantic import ValidationError
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from zope.interface import implementer
from zope.interface.verify import verifyObject

from netsuite.admin.page import POLICY
from netsuite.admin.service import AdminService, build
from netsuite.admin.settings import AdminSettings
from netsuite.common.errors import StartError
from netsuite.common.offers import Offers
from netsuite.common.service import NetsuiteService
from netsuite.common.sharing import Report
from netsuite.interfaces import (
    Address,
    Health,
    IHttpApplication,
    IHttpRequest,
    IHttpServer,
    INetsuiteService,
    ISite,
)
from netsuite.testing.commons import make_commons


class Shop(NetsuiteService):
    """A service with something to show."""

    state: Health | Exception = Health(True)
    sold = 3

    def addresses(self) -> Sequence[Address]:
        return [Address("tcp", "127.0.0.1", 7000, "nc 127.0.0.1 7000 <&'\"")]

    def health(self) -> Health:
        if isinstance(self.state, Exception):
            raise self.state
        return self.state

    def figures(self) -> Sequence[tuple[str, float]]:
        return [("things sold", self.sold), ("rate <of> sale", 1234567.5)]


@implementer(ISite)
class Street:
    version = "1.2.3"
    started = 50.0

    def __init__(self, services: Sequence[INetsuiteService]) -> None:
        self._services = services

    def services(self) -> Sequence[INetsuiteService]:
        return self._services


@implementer(IHttpServer)
class Ports:
    """An HTTP server that only remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Sequence[str], IHttpApplication]] = []

    def mount(self, path: str, app: IHttpApplication) -> None:
        raise NotImplementedError

    def listen(self, name: str, addresses: Sequence[str], app: IHttpApplication) -> Callable[[], Sequence[Address]]:
        self.asked.append((name, addresses, app))
        return lambda: [
            Address("http", "127.0.0.1", 10090),
            Address("https", "::1", 10091),
            Address("unix", "/run/admin.sock", 0),
        ]

    def websocket(self, request: Any, body: Any, talk: Any, **rest: Any) -> Any:
        raise NotImplementedError


@implementer(IHttpRequest)
@attrs.define
class Request:
    path: bytes = b"/"
    method: bytes = b"GET"
    authority: bytes = b"127.0.0.1:10090"
    peer: tuple[str, int] = ("127.0.0.1", 40000)
    query: bytes | None = None
    headers: Sequence[tuple[bytes, bytes]] = ()
    scheme: str = "http"

    def header(self, name: bytes) -> bytes | None:
        return None


async def nothing() -> AsyncIterator[bytes]:
    return
    yield b""


class Three:
    """Two workers besides the parent, who both say the same."""

    state = Health(True)

    def __init__(self, report: Report) -> None:
        self._report = report

    def reports(self) -> Deferred[dict[int, Report]]:
        return succeed({1: self._report, 2: self._report})

    def health(self) -> Health:
        return self.state

    def figures(self) -> Sequence[tuple[str, float]]:
        return (("processes", 2),)


class Visit:
    """A running admin service, and what it answers."""

    def __init__(self, path: Path, **settings: Any) -> None:
        self.clock = Clock()
        self.clock.advance(150.0)
        self.commons = make_commons(path, self.clock)
        self.ports = Ports()
        self.shop = Shop("shop", self.commons)
        self.service: AdminService = build(AdminSettings(**settings), self.commons)
        self.commons.offers.provide(IHttpServer, self.ports, "http")
        self.commons.offers.provide(ISite, Street([self.shop, self.service]), "suite")
        self.service.join(self.commons.offers)
        self.service.startService()

    def get(self, path: bytes = b"/", **facts: Any) -> tuple[int, dict[bytes, bytes], bytes]:
        request = Request(path=path, **facts)
        verifyObject(IHttpRequest, request)
        answer = self.service.application.handle(request, nothing())
        if not isinstance(answer, tuple):
            held: list[Any] = []
            Deferred.fromCoroutine(answer).addBoth(held.append)
            (answer,) = held
        status, headers, body = answer
        return status, dict(headers), body


@pytest.fixture
def visit(tmp_path: Path) -> Visit:
    return Visit(tmp_path / "data")


def test_it_is_a_service_that_only_the_parent_runs(visit: Visit) -> None:
    verifyObject(INetsuiteService, visit.service)
    verifyObject(IHttpApplication, visit.service.application)
    assert visit.service.workers == "one"


def test_it_listens_through_the_http_server(visit: Visit) -> None:
    assert visit.ports.asked == [("admin", ["127.0.0.1:10090"], visit.service.application)]
    assert [str(address) for address in visit.service.addresses()] == [
        "http:127.0.0.1:10090", "https:[::1]:10091", "unix:/run/admin.sock",
    ]  # fmt: skip
    assert [address.hint for address in visit.service.addresses()] == [
        "curl http://127.0.0.1:10090/health", "curl https://[::1]:10091/health", "",
    ]  # fmt: skip


def test_without_an_http_server_it_cannot_start(visit: Visit) -> None:
    with pytest.raises(StartError, match=r"add an \[http\] table"):
        build(AdminSettings(), visit.commons).join(Offers())


def test_metrics(visit: Visit) -> None:
    visit.commons.metrics.add("netsuite_things", "Things.", "counter", lambda: 7)
    status, headers, body = visit.get(b"/metrics")
    assert status == 200
    assert headers[b"content-type"] == b"text/plain; version=0.0.4; charset=utf-8"
    assert b"netsuite_things_total 7.0\n" in body
    assert b"netsuite_admin_requests_total 1.0\n" in body


def test_metrics_of_all_processes(visit: Visit) -> None:
    visit.commons.metrics.add("netsuite_things", "Things.", "counter", lambda: 7)
    report = Report(metrics=visit.commons.metrics.snapshot(), figures={"shop": [("things sold", 4), ("new", 1)]})
    visit.commons.sharing.crew = Three(report)
    assert b"netsuite_things_total 21.0\n" in visit.get(b"/metrics")[2]
    told = json.loads(visit.get(b"/status.json")[2])
    assert told["workers"] == 2
    figures = {figure["name"]: figure["value"] for figure in told["services"][0]["figures"]}
    assert figures == {"things sold": 11, "rate <of> sale": 1234567.5, "new": 2}
    assert told["services"][2]["figures"] == [{"name": "processes", "value": 2}]
    assert b" in 3 processes" in visit.get(b"/")[2]


def test_a_worker_that_is_missing_is_trouble(visit: Visit) -> None:
    crew = visit.commons.sharing.crew = Three(Report(metrics=[], figures={}))
    assert visit.get(b"/health")[0] == 200
    crew.state = Health(False, "not running: worker 2")
    status, _, body = visit.get(b"/health")
    assert status == 503
    assert json.loads(body)["services"]["workers"] == {"ok": False, "detail": "not running: worker 2"}
    assert b"not running: worker 2" in visit.get(b"/")[2]


def test_health(visit: Visit) -> None:
    status, headers, body = visit.get(b"/health")
    assert (status, headers[b"content-type"]) == (200, b"application/json")
    well = {"ok": True, "detail": ""}
    assert json.loads(body) == {"ok": True, "services": {"shop": well, "admin": well}}


@pytest.mark.parametrize(
    ("state", "detail"),
    [
        (Health(False, "the till is stuck"), "the till is stuck"),
        (RuntimeError("no till"), "its health cannot be told: no till"),
    ],
)
def test_trouble_is_503(visit: Visit, state: Health | Exception, detail: str) -> None:
    visit.shop.state = state
    status, _, body = visit.get(b"/health")
    assert status == 503
    assert json.loads(body)["services"]["shop"] == {"ok": False, "detail": detail}
    page = visit.get(b"/")[2].decode()
    assert f'<p class="detail">{detail}</p>' in page
    assert page.count('class="badge bad"') == 2
    assert json.loads(visit.get(b"/status.json")[2])["ok"] is False


def test_a_service_that_fails_does_not_hide_the_others(visit: Visit) -> None:
    def broken() -> Sequence[Any]:
        raise RuntimeError("no till")

    visit.shop.figures = broken  # type: ignore[method-assign]
    visit.shop.addresses = broken  # type: ignore[method-assign]
    shop, admin = json.loads(visit.get(b"/status.json")[2])["services"]
    assert (shop["figures"], shop["addresses"]) == ([], [])
    assert admin["figures"]
    assert visit.get(b"/")[0] == 200


def test_status(visit: Visit) -> None:
    status, headers, body = visit.get(b"/status.json")
    assert (status, headers[b"content-type"]) == (200, b"application/json")
    told = json.loads(body)
    assert (told["version"], told["uptime"], told["workers"], told["ok"]) == ("1.2.3", 100.0, 0, True)
    assert told["services"][0] == {
        "name": "shop",
        "ok": True,
        "detail": "",
        "addresses": [{"address": "tcp:127.0.0.1:7000", "kind": "tcp", "hint": "nc 127.0.0.1 7000 <&'\""}],
        "figures": [{"name": "things sold", "value": 3}, {"name": "rate <of> sale", "value": 1234567.5}],
    }


class Tags(HTMLParser):
    """A page's elements, and whether each that opens is closed."""

    VOID = frozenset(("meta", "link"))

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_the_page_shows_every_service(visit: Visit) -> None:
    status, headers, body = visit.get(b"/")
    assert (status, headers[b"content-type"]) == (200, b"text/html; charset=utf-8")
    tags = Tags(body.decode())
    shown = "".join(tags.text)
    for words in (
        "shop",
        "admin",
        "tcp:127.0.0.1:7000",
        "nc 127.0.0.1 7000 <&'\"",
        "1,234,567.5",
        "1 min 40 s",
        "1.2.3",
    ):
        assert words in shown
    assert [attributes["data-service"] for tag, attributes in tags.found if tag == "section"] == ["shop", "admin"]
    ids = [attributes["id"] for _, attributes in tags.found if "id" in attributes]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.9, "59 s"), (60, "1 min 0 s"), (3600, "1 h 0 min"), (90000, "1 d 1 h"), (864000, "10 d 0 h")],
)
def test_uptimes(visit: Visit, seconds: float, text: str) -> None:
    visit.service.application.site.started = visit.clock.seconds()  # type: ignore[union-attr]
    visit.clock.advance(seconds)
    assert f'<span id="uptime">{text}</span>'.encode() in visit.get(b"/")[2]


def test_the_page_is_accessible(visit: Visit) -> None:
    tags = Tags(visit.get(b"/")[2].decode())
    assert ("html", {"lang": "en"}) in tags.found
    assert sum(tag == "h1" for tag, _ in tags.found) == 1
    assert sum(tag == "main" for tag, _ in tags.found) == 1
    for tag, attributes in tags.found:
        if tag == "th":
            assert attributes["scope"] == "row"
    assert any(attributes.get("aria-live") == "polite" for _, attributes in tags.found)


def test_the_policy_lets_nothing_in_but_the_pages_own(visit: Visit) -> None:
    _, headers, body = visit.get(b"/")
    assert headers[b"content-security-policy"] == POLICY.encode()
    assert "unsafe" not in POLICY
    page = body.decode()
    for tag in ("style", "script"):
        (text,) = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        assert f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'" in POLICY
    assert not re.search(r"\son\w+=|\sstyle=|javascript:", page)


def test_names_and_numbers_are_escaped(visit: Visit) -> None:
    visit.shop.name = '<img src=x onerror="1">'
    visit.shop.state = Health(False, "</p><script>alert(1)</script>")
    page = visit.get(b"/")[2].decode()
    assert "<img" not in page
    assert "<script>alert" not in page
    Tags(page)


@pytest.mark.parametrize("path", [b"/nothing", b"/metrics/", b"//", b"*", b"/%2e%2e/health"])
def test_other_paths_are_not_there(visit: Visit, path: bytes) -> None:
    assert visit.get(path)[0] == 404


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"DELETE", b"OPTIONS", b"TRACE"])
def test_it_can_only_be_read(visit: Visit, method: bytes) -> None:
    status, headers, _ = visit.get(b"/metrics", method=method)
    assert (status, headers[b"allow"]) == (405, b"GET, HEAD")
    assert visit.get(b"/metrics", method=b"HEAD")[0] == 200


@pytest.mark.parametrize(
    ("authority", "status"),
    [
        (b"127.0.0.1:10090", 200),
        (b"127.0.0.1", 200),
        (b"[::1]:10090", 200),
        (b"192.168.1.7:10090", 200),
        (b"localhost:10090", 200),
        (b"LocalHost.", 200),
        (b"admin.example.test", 200),
        (b"", 421),
        (b"evil.example", 421),
        (b"127.0.0.1.evil.example", 421),
        (b"localhost.evil.example", 421),
        (b"[::1].evil.example", 421),
        (b"[evil.example]", 421),
        (b"\xff\xfe", 421),
    ],
)
def test_a_name_pointed_here_by_someone_else_is_refused(tmp_path: Path, authority: bytes, status: int) -> None:
    visit = Visit(tmp_path, hosts=["admin.example.test"])
    for path in (b"/", b"/status.json", b"/metrics", b"/health"):
        assert visit.get(path, authority=authority)[0] == status


@pytest.mark.parametrize(("peer", "status"), [("127.0.0.1", 200), ("::1", 200), ("/run/x", 200), ("192.0.2.1", 403)])
def test_only_this_machine_may_look_unless_told_otherwise(visit: Visit, peer: str, status: int) -> None:
    assert visit.get(b"/metrics", peer=(peer, 1))[0] == status


def test_others_may_be_let_in(tmp_path: Path) -> None:
    visit = Visit(tmp_path, allow=["192.0.2.0/24"])
    assert visit.get(b"/health", peer=("192.0.2.9", 1))[0] == 200
    assert visit.get(b"/health", peer=("127.0.0.1", 1))[0] == 403
    assert visit.service.figures() == (("requests", 2), ("refused", 1))


def test_every_answer_is_private(visit: Visit) -> None:
    for facts in ({}, {"path": b"/x"}, {"method": b"PUT"}, {"authority": b"evil.example"}):
        headers = visit.get(**facts)[1]  # type: ignore[arg-type]
        assert headers[b"cache-control"] == b"no-store"
        assert headers[b"x-content-type-options"] == b"nosniff"


def test_before_the_site_is_there(visit: Visit) -> None:
    visit.service.application.site = None
    assert visit.get(b"/health")[0] == 503


def test_a_site_that_has_not_begun_has_no_uptime(visit: Visit) -> None:
    visit.service.application.site.started = None  # type: ignore[union-attr, assignment]
    assert json.loads(visit.get(b"/status.json")[2])["uptime"] == 0


def test_settings() -> None:
    settings = AdminSettings()
    assert (settings.listen, settings.allow, settings.hosts) == (["127.0.0.1:10090"], ["loopback"], [])
    with pytest.raises(ValidationError):
        AdminSettings(listen=[])
