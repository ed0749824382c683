"""The textbook's shop, asked as a WSGI server would, at a time that the test tells."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path
from urllib.parse import urlencode
from wsgiref.validate import validator

import pytest

from netsuite.http.origin.mounts import load

PLACE = Path(__file__).parents[3] / "etc" / "examples" / "shop.py"
WEEK = 7 * 86400


@pytest.fixture(scope="module")
def shop_class():
    return load(f"{PLACE}:Shop")


class Customer:
    """A browser: keeps cookies, sends forms with the token of the page that it saw."""

    def __init__(self, shop, scheme="http"):
        self.shop = validator(shop)
        self.scheme = scheme
        self.cookies = {}
        self.page = ""

    def ask(self, method, path, form=None, **headers):
        body = urlencode(form or {}).encode()
        environ = {
            "REQUEST_METHOD": method, "SCRIPT_NAME": "/shop", "PATH_INFO": path, "QUERY_STRING": "",
            "SERVER_NAME": "shop.test", "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1", "HTTP_HOST": "shop.test",
            "wsgi.version": (1, 0), "wsgi.url_scheme": self.scheme, "wsgi.input": io.BytesIO(body),
            "wsgi.errors": sys.stderr, "wsgi.multithread": True, "wsgi.multiprocess": False, "wsgi.run_once": False,
            "CONTENT_LENGTH": str(len(body)), **headers,
        }  # fmt: skip
        if self.cookies:
            environ["HTTP_COOKIE"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        told = []
        answer = self.shop(environ, lambda status, fields, exc_info=None: told.extend((status, fields)))
        self.page = b"".join(answer).decode()
        answer.close()
        self.status, self.fields = int(told[0][:3]), dict(told[1])
        if "Set-Cookie" in self.fields:
            pair, _, self.attributes = self.fields["Set-Cookie"].partition("; ")
            name, _, value = pair.partition("=")
            self.cookies[name] = value
        return self.status

    def look(self):
        assert self.ask("GET", "/") == 200
        return self.page

    def send(self, path, **form):
        token = re.search(r'name="token" value="([0-9a-f]+)"', self.page or self.look())
        return self.ask("POST", path, {"token": token[1] if token else "", **form})


class Clock:
    now = 1_800_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def shop(shop_class, tmp_path, clock):
    return shop_class(str(tmp_path / "shop.sqlite"), clock)


def test_a_visitor_is_recognised_a_week_later(shop_class, shop, tmp_path, clock):
    customer = Customer(shop)
    assert "Welcome, visitor 1. You have not been here before." in customer.look()
    clock.now += WEEK
    # by another process, too
    customer.shop = validator(shop_class(str(tmp_path / "shop.sqlite"), clock))
    assert "Welcome back, visitor 1. You were last here on Fri, 15 Jan 2027 08:00:00 GMT." in customer.look()
    assert "Welcome, visitor 2." in Customer(shop).look()
    clock.now += 366 * 86400
    assert "Welcome, visitor 3." in customer.look()


def test_what_the_cookie_promises(shop):
    customer = Customer(shop)
    customer.look()
    assert customer.attributes == "Max-Age=31536000; Path=/shop/; HttpOnly; SameSite=Lax"
    secure = Customer(shop, "https")
    secure.look()
    assert secure.attributes == "Max-Age=31536000; Path=/shop/; Secure; HttpOnly; SameSite=Lax"
    assert len(secure.cookies["shop"]) == 32
    assert secure.cookies["shop"] != customer.cookies["shop"]


def test_the_database_does_not_hold_what_clients_do(shop, tmp_path):
    customer = Customer(shop)
    customer.look()
    customer.send("/join", name="alice", password="correct horse", address="here")
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert customer.cookies["shop"].encode() not in kept
    assert b"correct horse" not in kept


def test_cart_account_and_one_click(shop, clock):
    customer = Customer(shop)
    customer.look()
    for _ in range(2):
        assert customer.send("/cart", item="tea") == 303
        assert customer.fields["Location"] == "/shop/"
        customer.look()
    assert customer.send("/cart", item="book") == 303
    assert "66.99" in customer.look()
    assert customer.send("/order") == 403
    customer.look()
    before = customer.cookies["shop"]
    assert customer.send("/join", name="alice", password="correct horse", address="1 Lane") == 303
    assert customer.cookies["shop"] != before
    clock.now += WEEK
    assert "Welcome back, alice." in customer.look()
    assert "2 &times; Tea" in customer.page
    assert customer.send("/order") == 303
    assert "Your cart is empty." in customer.look()
    assert "Order 1 of Fri, 22 Jan 2027 08:00:00 GMT: 66.99" in customer.page
    assert customer.send("/logout") == 303
    assert "alice" not in customer.look()
    assert customer.send("/login", name="alice", password="wrong") == 403
    customer.look()
    assert customer.send("/login", name="alice", password="correct horse") == 303
    assert "Order 1 of" in customer.look()
    clock.now += 31 * 86400
    assert "alice" not in customer.look()


def test_the_old_id_is_worth_nothing_after_log_in(shop):
    planted = Customer(shop)
    planted.look()
    victim = Customer(shop)
    victim.cookies = dict(planted.cookies)
    victim.look()
    victim.send("/join", name="bob", password="correct horse", address="2 Lane")
    assert "bob" in victim.look()
    assert "bob" not in planted.look()


def test_forms_of_other_sites_are_refused(shop):
    customer = Customer(shop)
    customer.look()
    assert customer.ask("POST", "/cart", {"item": "tea"}) == 403
    assert customer.ask("POST", "/cart", {"item": "tea", "token": "0" * 64}) == 403
    other = Customer(shop)
    other.look()
    token = re.search(r'value="([0-9a-f]{64})"', other.page)[1]
    assert customer.ask("POST", "/cart", {"item": "tea", "token": token}) == 403
    customer.look()
    token = re.search(r'value="([0-9a-f]{64})"', customer.page)[1]
    good = {"item": "tea", "token": token}
    assert customer.ask("POST", "/cart", good, HTTP_ORIGIN="http://evil.test") == 403
    assert customer.ask("POST", "/cart", good, HTTP_SEC_FETCH_SITE="cross-site") == 403
    assert customer.ask("POST", "/cart", good, HTTP_ORIGIN="http://shop.test") == 303


def test_guessing_passwords_is_slow(shop, clock):
    customer = Customer(shop)
    customer.look()
    customer.send("/join", name="carol", password="correct horse", address="3 Lane")
    customer.look()
    customer.send("/logout")
    for _ in range(5):
        customer.look()
        assert customer.send("/login", name="carol", password="guess") == 403
    customer.look()
    assert customer.send("/login", name="carol", password="correct horse") == 429
    clock.now += 301
    customer.look()
    assert customer.send("/login", name="carol", password="correct horse") == 303


@pytest.mark.parametrize(
    ("status", "path", "form"),
    [
        (400, "/cart", {"item": "moon"}),
        (400, "/join", {"name": "x", "password": "short", "address": "y"}),
        (404, "/nowhere", {}),
        (413, "/cart", {"item": "x" * 20_000}),
        (403, "/login", {"name": "nobody", "password": "x"}),
    ],
)
def test_what_is_refused(shop, status, path, form):
    customer = Customer(shop)
    customer.look()
    assert customer.send(path, **form) == status


def test_names_are_escaped_and_belong_to_one(shop):
    customer = Customer(shop)
    customer.look()
    name = "<script>alert(1)</script>"
    assert customer.send("/join", name=name, password="correct horse", address="here") == 303
    assert "<script>" not in customer.look()
    other = Customer(shop)
    other.look()
    assert other.send("/join", name=name, password="correct horse", address="here") == 409
    assert other.ask("DELETE", "/") == 405
    assert other.ask("GET", "") == 301
