"""The textbook's shop: a site that knows its visitors by a cookie and keeps what it knows in a database.

A new visitor gets an id and an entry; who comes back a week later with the same cookie is recognised, and finds the
cart as it was. Who has an account orders with one click. It is a WSGI application, for ``[[http.mount]]``::

    [[http.mount]]
    path = "/shop"
    app = "etc/examples/shop.py:application"

Its database is ``shop.sqlite`` in the site's data directory, or what SHOP_DATABASE names where another server runs it.

What the cookie holds is a random number that nobody can guess; the database has only its hash. It changes at log-in and
log-out, so that an id that somebody planted is worth nothing. Every form carries a token that only this visitor's pages
have, and forms from other sites are refused. Passwords are kept as scrypt hashes.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from html import escape
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from netsuite.http.wire.cookies import read_cookies, write_cookie
from netsuite.sansio.dates import format_date

DAY = 86400
REMEMBERED = 365 * DAY
"""Seconds for which a visitor who does not come back is remembered."""
LOGGED_IN = 30 * DAY
"""Seconds after which a log-in ends, however often the visitor comes."""
FAILURES, PATIENCE = 5, 300
"""After so many wrong passwords in so many seconds an account waits."""
LONGEST_FORM = 10_000
COOKIE = "shop"

GOODS = {
    "book": ("A book on computer networks", 5999),
    "cable": ("Two metres of Ethernet cable", 499),
    "tea": ("Tea for the long nights", 350),
}

SCHEMA = """
CREATE TABLE IF NOT EXISTS secret (value BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS visitor (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB NOT NULL UNIQUE,
    first_seen REAL NOT NULL, last_seen REAL NOT NULL, account TEXT, logged_in REAL
);
CREATE TABLE IF NOT EXISTS cart (
    visitor INTEGER NOT NULL REFERENCES visitor ON DELETE CASCADE, item TEXT NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (visitor, item)
);
CREATE TABLE IF NOT EXISTS account (
    name TEXT PRIMARY KEY, salt BLOB NOT NULL, password BLOB NOT NULL, address TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS failure (name TEXT NOT NULL, at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS purchase (
    number INTEGER PRIMARY KEY AUTOINCREMENT, account TEXT NOT NULL, at REAL NOT NULL, items TEXT NOT NULL,
    total INTEGER NOT NULL
);
"""


class Visitor(NamedTuple):
    """One row of the table, and the id that the client holds."""

    number: int
    id: str
    last_seen: float
    account: str | None
    new: bool


class Answer(NamedTuple):
    """What a page came to; ``location`` makes it a redirect, ``id`` the cookie that is to be kept from now on."""

    status: str
    text: str = ""
    location: str = ""
    id: str = ""


class Shop:
    """The application; ``clock`` tells the time in seconds since the epoch."""

    def __init__(self, database: str, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        with closing(sqlite3.connect(database)) as db:
            db.execute("PRAGMA journal_mode = WAL")
            db.executescript(SCHEMA)
        with self._transaction() as db:
            if db.execute("SELECT value FROM secret").fetchone() is None:
                db.execute("INSERT INTO secret VALUES (?)", (secrets.token_bytes(32),))
            self._secret: bytes = db.execute("SELECT value FROM secret").fetchone()[0]

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """One request."""
        base = environ.get("SCRIPT_NAME", "")
        if not environ.get("PATH_INFO"):
            # the cookie belongs to what is below
            start_response("301 Moved Permanently", [("Location", base + "/"), ("Content-Type", "text/plain")])
            return [b""]
        with self._transaction() as db:
            visitor = self._visitor(db, environ)
            answer = self._page(db, visitor, environ)
        page = answer.text.encode()
        cookie = write_cookie(
            COOKIE,
            answer.id or visitor.id,
            path=base + "/",
            max_age=REMEMBERED,
            secure=environ["wsgi.url_scheme"] == "https",
        )
        fields = [
            ("Content-Type", "text/html; charset=utf-8"),
            ("Content-Length", str(len(page))),
            ("Cache-Control", "no-store"),
            ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'"),
            ("X-Frame-Options", "DENY"),
            ("Referrer-Policy", "same-origin"),
            ("Set-Cookie", cookie.decode()),
        ]
        if answer.location:
            fields.append(("Location", answer.location))
        start_response(answer.status, fields)
        return [page]

    # -- who it is

    def _visitor(self, db: sqlite3.Connection, environ: dict[str, Any]) -> Visitor:
        """The visitor whose id the cookie holds, or a new one."""
        now = self._clock()
        db.execute("DELETE FROM visitor WHERE last_seen < ?", (now - REMEMBERED,))
        for name, value in read_cookies(environ.get("HTTP_COOKIE", "").encode("latin-1")):
            if name != COOKIE.encode():
                continue
            given = value.decode("latin-1")
            row = db.execute(
                "SELECT number, last_seen, account, logged_in FROM visitor WHERE id = ?", (_hashed(given),)
            ).fetchone()
            if row is not None:
                number, last_seen, account, logged_in = row
                if account is not None and now - logged_in > LOGGED_IN:
                    account = None
                db.execute("UPDATE visitor SET last_seen = ?, account = ? WHERE number = ?", (now, account, number))
                return Visitor(number, given, last_seen, account, new=False)
        fresh = secrets.token_urlsafe(24)
        made = db.execute(
            "INSERT INTO visitor (id, first_seen, last_seen) VALUES (?, ?, ?)", (_hashed(fresh), now, now)
        )
        return Visitor(made.lastrowid or 0, fresh, now, None, new=True)

    def _changed_id(self, db: sqlite3.Connection, visitor: Visitor, account: str | None) -> str:
        """Another id for the same visitor, who logs in or out."""
        fresh = secrets.token_urlsafe(24)
        db.execute(
            "UPDATE visitor SET id = ?, account = ?, logged_in = ? WHERE number = ?",
            (_hashed(fresh), account, self._clock(), visitor.number),
        )
        return fresh

    def _token(self, visitor: Visitor) -> str:
        """What this visitor's forms carry."""
        return hmac.new(self._secret, visitor.id.encode(), hashlib.sha256).hexdigest()

    # -- pages

    def _page(self, db: sqlite3.Connection, visitor: Visitor, environ: dict[str, Any]) -> Answer:
        path, method = environ.get("PATH_INFO", ""), environ["REQUEST_METHOD"]
        if method in ("GET", "HEAD"):
            return self._front(db, visitor) if path == "/" else _said("404 Not Found", "There is no such page.")
        if method != "POST":
            return _said("405 Method Not Allowed", "Pages are read, and forms are sent.")
        form = _form(environ)
        if form is None:
            return _said("413 Content Too Large", "That is more than any of our forms holds.")
        if _foreign(environ) or not hmac.compare_digest(form.get("token", "").encode(), self._token(visitor).encode()):
            return _said("403 Forbidden", "This form is not one of ours, or too old. Please go back and try again.")
        act = {"/cart": self._cart, "/join": self._join, "/login": self._login, "/logout": self._logout}
        act["/order"] = self._order
        if path not in act:
            return _said("404 Not Found", "There is no such page.")
        answer = act[path](db, visitor, form)
        if answer.text:
            return answer
        return answer._replace(status="303 See Other", location=environ.get("SCRIPT_NAME", "") + "/")

    def _front(self, db: sqlite3.Connection, visitor: Visitor) -> Answer:
        token = f'<input type="hidden" name="token" value="{self._token(visitor)}">'
        who = escape(visitor.account or f"visitor {visitor.number}")
        if visitor.new:
            greeting = f"<p>Welcome, {who}. You have not been here before.</p>"
        else:
            last = format_date(visitor.last_seen).decode()
            greeting = f"<p>Welcome back, {who}. You were last here on {last}.</p>"
        goods = "".join(
            f"<tr><td>{escape(name)}<td>{_money(price)}<td><form method=post action=cart>{token}"
            f'<input type=hidden name=item value="{item}"><button>Put into cart</button></form>'
            for item, (name, price) in GOODS.items()
        )
        cart = _cart_of(db, visitor)
        rows = "".join(
            f"<tr><td>{count} &times; {escape(GOODS[item][0])}<td>{_money(count * GOODS[item][1])}"
            for item, count in cart
        )
        total = _total(cart)
        text = f"{greeting}<table>{goods}</table><h2>Cart</h2>"
        text += f"<table>{rows}<tr><th>Total<th>{_money(total)}</table>" if cart else "<p>Your cart is empty.</p>"
        if visitor.account is None:
            text += (
                f"<h2>Log in</h2><form method=post action=login>{token}<input name=name autocomplete=username required>"
                "<input name=password type=password autocomplete=current-password required>"
                "<button>Log in</button></form>"
                f"<h2>New here?</h2><form method=post action=join>{token}<input name=name required>"
                "<input name=password type=password autocomplete=new-password minlength=8 required>"
                "<input name=address placeholder='Where to send things' required>"
                "<button>Open an account</button></form>"
            )
        else:
            if cart:
                text += f"<form method=post action=order>{token}<button>Order with one click</button></form>"
            orders = db.execute(
                "SELECT number, at, total FROM purchase WHERE account = ? ORDER BY number", (visitor.account,)
            ).fetchall()
            text += "".join(
                f"<p>Order {number} of {format_date(at).decode()}: {_money(paid)}</p>" for number, at, paid in orders
            )
            text += f"<form method=post action=logout>{token}<button>Log out</button></form>"
        return _said("200 OK", text, as_is=True)

    def _cart(self, db: sqlite3.Connection, visitor: Visitor, form: dict[str, str]) -> Answer:
        item = form.get("item", "")
        if item not in GOODS:
            return _said("400 Bad Request", "We do not have that.")
        db.execute(
            "INSERT INTO cart VALUES (?, ?, 1) ON CONFLICT (visitor, item) DO UPDATE SET count = min(count + 1, 99)",
            (visitor.number, item),
        )
        return Answer("")

    def _join(self, db: sqlite3.Connection, visitor: Visitor, form: dict[str, str]) -> Answer:
        name, password, address = (form.get(key, "").strip() for key in ("name", "password", "address"))
        if not 0 < len(name) <= 50 or not 0 < len(address) <= 500 or not 8 <= len(password) <= 200:
            return _said("400 Bad Request", "We need a name, a password of at least 8 characters and an address.")
        salt = secrets.token_bytes(16)
        try:
            db.execute("INSERT INTO account VALUES (?, ?, ?, ?)", (name, salt, _scrypt(password, salt), address))
        except sqlite3.IntegrityError:
            return _said("409 Conflict", "Somebody has that name already.")
        return Answer("", id=self._changed_id(db, visitor, name))

    def _login(self, db: sqlite3.Connection, visitor: Visitor, form: dict[str, str]) -> Answer:
        name, password = form.get("name", "").strip()[:50], form.get("password", "").strip()[:200]
        now = self._clock()
        db.execute("DELETE FROM failure WHERE at < ?", (now - PATIENCE,))
        if db.execute("SELECT count(*) FROM failure WHERE name = ?", (name,)).fetchone()[0] >= FAILURES:
            return _said("429 Too Many Requests", "Too many wrong passwords. Please wait some minutes.")
        row = db.execute("SELECT salt, password FROM account WHERE name = ?", (name,)).fetchone()
        # an unknown name takes as long as a wrong password
        salt, kept = row if row is not None else (bytes(16), bytes(32))
        if not hmac.compare_digest(_scrypt(password, salt), kept):
            db.execute("INSERT INTO failure VALUES (?, ?)", (name, now))
            return _said("403 Forbidden", "Name or password is wrong.")
        return Answer("", id=self._changed_id(db, visitor, name))

    def _logout(self, db: sqlite3.Connection, visitor: Visitor, form: dict[str, str]) -> Answer:
        return Answer("", id=self._changed_id(db, visitor, None))

    def _order(self, db: sqlite3.Connection, visitor: Visitor, form: dict[str, str]) -> Answer:
        cart = _cart_of(db, visitor)
        if visitor.account is None:
            return _said("403 Forbidden", "Please log in first.")
        if not cart:
            return _said("409 Conflict", "Your cart is empty.")
        items = ", ".join(f"{count} {item}" for item, count in cart)
        db.execute(
            "INSERT INTO purchase (account, at, items, total) VALUES (?, ?, ?, ?)",
            (visitor.account, self._clock(), items, _total(cart)),
        )
        db.execute("DELETE FROM cart WHERE visitor = ?", (visitor.number,))
        return Answer("")

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """The database, for one request: all of what it changes stays, or nothing."""
        with closing(sqlite3.connect(self._database, timeout=10, isolation_level=None)) as db:
            db.execute("PRAGMA foreign_keys = ON")
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")


def _hashed(id_: str) -> bytes:
    return hashlib.sha256(id_.encode()).digest()


def _scrypt(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=1 << 14, r=8, p=1, dklen=32)


def _cart_of(db: sqlite3.Connection, visitor: Visitor) -> list[tuple[str, int]]:
    rows = db.execute("SELECT item, count FROM cart WHERE visitor = ? ORDER BY item", (visitor.number,))
    return [(item, count) for item, count in rows if item in GOODS]


def _total(cart: list[tuple[str, int]]) -> int:
    return sum(count * GOODS[item][1] for item, count in cart)


def _money(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02}"


def _form(environ: dict[str, Any]) -> dict[str, str] | None:
    body = environ["wsgi.input"].read(LONGEST_FORM + 1)
    if len(body) > LONGEST_FORM:
        return None
    return {name: values[0] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}


def _foreign(environ: dict[str, Any]) -> bool:
    """Whether a browser says that the form is another site's."""
    origin = environ.get("HTTP_ORIGIN")
    here = f"{environ['wsgi.url_scheme']}://{environ.get('HTTP_HOST', '')}"
    return environ.get("HTTP_SEC_FETCH_SITE", "same-origin") != "same-origin" or origin not in (None, here)


def _said(status: str, text: str, *, as_is: bool = False) -> Answer:
    shown = text if as_is else f"<p>{escape(text)}</p>"
    return Answer(
        status,
        '<!doctype html>\n<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        "<title>The shop</title><style>body{font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:2rem auto;"
        f"padding:0 1rem}}td,th{{text-align:left;padding-right:1rem}}</style>\n<h1>The shop</h1>\n{shown}\n</html>\n",
    )


_shop: Shop | None = None
_opening = threading.Lock()


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """The shop of this site."""
    global _shop
    with _opening:
        if _shop is None:
            data = environ.get("netsuite.data")
            place = str(data.folder() / "shop.sqlite") if data is not None else "shop.sqlite"
            _shop = Shop(os.environ.get("SHOP_DATABASE", place))
    return _shop(environ, start_response)
