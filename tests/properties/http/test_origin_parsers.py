"""Cookies, credentials, digests and qualities: nothing that a client sends raises, and what is written reads back."""

from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netsuite.http.hosts import HostTable, host_of
from netsuite.http.wire.acceptance import IDENTITY, choose_coding, qualities
from netsuite.http.wire.cookies import read_cookies, write_cookie
from netsuite.http.wire.credentials import read_basic
from netsuite.http.wire.digests import Digests, MalformedDigest
from netsuite.sansio.fields import is_field_value

NAMES = st.text("abcABC019!#$%&'*+-.^_`|~", min_size=1, max_size=20)
VALUES = st.text("".join(chr(c) for c in range(33, 127) if chr(c) not in '",;\\'), max_size=50)
FIELDS = st.one_of(st.binary(max_size=200), st.text(' ;,="q0.519*abgzipr-:+/\\', max_size=60).map(str.encode))


@given(FIELDS)
def test_any_cookie_field_is_read(value):
    for name, content in read_cookies(value):
        assert name.strip()
        assert b";" not in name + content


@given(st.lists(st.tuples(NAMES, VALUES), max_size=5))
def test_cookies_that_are_written_are_read(pairs):
    sent = []
    for name, value in pairs:
        if name.lower().startswith(("__secure-", "__host-")):
            continue
        field = write_cookie(name, value, path="/shop/", max_age=5)
        assert is_field_value(field)
        sent.append(field.partition(b";")[0])
    assert read_cookies(b"; ".join(sent)) == [tuple(pair.split(b"=", 1)) for pair in sent]


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_a_cookie_that_would_be_another_is_not_written(name, value, path):
    try:
        field = write_cookie(name, value, path=path)
    except ValueError:
        return
    assert is_field_value(field)
    assert field.count(b";") == 4
    assert field.split(b"; ", 1)[0] == f"{name}={value}".encode()


@pytest.mark.parametrize(
    ("cookie", "options"),
    [
        (("__Host-a", "b"), {"path": "/shop"}),
        (("__Host-a", "b"), {"domain": "example.test"}),
        (("__Secure-a", "b"), {"secure": False}),
        (("a", "b"), {"secure": False, "same_site": "None"}),
        (("a", "b" * 4097), {}),
        (("", "b"), {}),
        (("a", 'quoted"'), {}),
        (("a", "b; Domain=test"), {}),
        (("a", "b\r\nX: y"), {}),
        (("a", "b"), {"path": "/; Domain=test"}),
    ],
)
def test_cookies_that_are_none(cookie, options):
    with pytest.raises(ValueError, match=r"cookie|promises|SameSite"):
        write_cookie(*cookie, **options)


def test_all_attributes_of_a_cookie():
    assert write_cookie("a", "b", domain="example.test", expires=0.0, max_age=0, same_site="Strict") == (
        b"a=b; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Domain=example.test; Path=/; Secure; HttpOnly; "
        b"SameSite=Strict"
    )
    assert len(read_cookies(b"a=b;" * 1000)) == 100


@given(FIELDS)
def test_any_credentials_are_read(value):
    read_basic(value)
    read_basic(b"Basic " + value)
    read_basic(b"basic " + base64.b64encode(value))


@given(st.text(st.characters(min_codepoint=32, exclude_characters=":\x7f", exclude_categories=("Cs",))))
def test_credentials_come_back(name):
    token = base64.b64encode(f"{name}:pass:word".encode())
    assert read_basic(b"BASIC  " + token) == (name, "pass:word")


@given(FIELDS)
def test_any_qualities_are_read(value):
    assert all(0 <= weight <= 1000 for weight in qualities(value).values())
    assert choose_coding(value, [(b"br", 1)]) in (None, b"br", IDENTITY)


@given(FIELDS, st.binary(max_size=20))
def test_any_digest_is_read_or_refused(value, body):
    try:
        digests = Digests([value])
    except MalformedDigest:
        return
    digests.feed(body)
    digests.kept()


@given(st.lists(st.binary(max_size=20)), st.sampled_from(["sha-256", "sha-512"]))
def test_digests_are_kept(pieces, name):
    whole = hashlib.new(name.replace("-", ""), b"".join(pieces)).digest()
    value = b"md5=:AAAA:, %b=:%b:;a=1" % (name.encode(), base64.b64encode(whole))
    digests, more = Digests([value]), Digests([value])
    for piece in pieces:
        digests.feed(piece)
        more.feed(piece)
    more.feed(b"more")
    assert digests.kept()
    assert not more.kept()


@given(st.binary(max_size=40))
def test_any_host_is_looked_up(authority):
    HostTable({"a.test": 1, "*.b.test": 2}).find(authority)
    assert host_of(authority + b":80") == host_of(authority) or b":" in authority
