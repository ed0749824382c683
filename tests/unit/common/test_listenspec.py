from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from netsuite.common.listenspec import ListenSpec, parse


def address(text: str, host: str, port: int, **more: Any) -> ListenSpec:
    return ListenSpec(text, "address", host, port, **more)


@pytest.mark.parametrize(
    "spec",
    [
        address("10080", "127.0.0.1", 10080),
        address("0", "127.0.0.1", 0),
        address("localhost:80", "127.0.0.1", 80),
        address("0.0.0.0:65535", "0.0.0.0", 65535),
        address("[::1]:53", "::1", 53),
        address("[fe80::1%eth0]:53", "fe80::1%eth0", 53),
        address("web.example.test:80", "web.example.test", 80),
        address("secure:443", "127.0.0.1", 443, secure=True),
        address("secure:[::]:443", "::", 443, secure=True),
        address("quic:443", "127.0.0.1", 443, secure=True, quic=True),
        address("quic:shared:[::1]:853", "::1", 853, secure=True, quic=True, shared=True),
        address("shared:127.0.0.1:53", "127.0.0.1", 53, shared=True),
        address("secure:shared:8443", "127.0.0.1", 8443, secure=True, shared=True),
        address("shared:secure:8443", "127.0.0.1", 8443, secure=True, shared=True),
        address("proxied:80", "127.0.0.1", 80, proxied=True),
        address("proxied:secure:0.0.0.0:443", "0.0.0.0", 443, secure=True, proxied=True),
        address("shared:secure:proxied:8443", "127.0.0.1", 8443, secure=True, shared=True, proxied=True),
        ListenSpec("proxied:unix:/run/x.sock", "unix", "/run/x.sock", proxied=True),
        ListenSpec("proxied:inherited:web", "inherited", "web", proxied=True),
        ListenSpec("inherited:web", "inherited", "web"),
        ListenSpec("secure:inherited:web", "inherited", "web", secure=True),
        ListenSpec("unix:/run/x.sock", "unix", "/run/x.sock"),
        ListenSpec("unix:/run/x.sock:mode=660", "unix", "/run/x.sock", mode=0o660),
        ListenSpec("unix:address=/run/x:lockfile=0", "unix", "/run/x"),
        ListenSpec(r"unix:/run/a\:b", "unix", "/run/a:b"),
        ListenSpec("tcp:80", "endpoint"),
        ListenSpec("tcp:80:interface=127.0.0.1", "endpoint"),
        ListenSpec("systemd:domain=INET:index=0", "endpoint"),
        ListenSpec("haproxy:tcp:80", "endpoint"),
    ],
    ids=lambda spec: spec.text,
)
def test_what_people_write(spec: ListenSpec) -> None:
    assert parse(spec.text) == spec


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it has no port"),
        ("localhost", "it has no port"),
        ("127.0.0.1:", "it has no port"),
        (":80", "it has no port"),
        ("127.0.0.1:http", "it has no port"),
        ("::1:80", "it has no port"),
        ("[::1]", "it has no port"),
        ("127.0.0.1:80:90", "it has no port"),
        ("127.0.0.1:65536", "there is no port 65536"),
        ("99999", "there is no port 99999"),
        ("proxied:tcp:80", "proxied: wants HOST:PORT"),
        ("proxied:proxied:80", "proxied: wants HOST:PORT"),
        ("-1", "it has no port"),
        ("[1.2.3.4]:80", "1.2.3.4 is no IPv6 address"),
        ("[::g]:80", "it has no port"),
        ("[1:2:3]:80", "1:2:3 is no IPv6 address"),
        ("secure:", "secure: wants HOST:PORT"),
        ("secure:tcp:80", "secure: wants HOST:PORT"),
        ("secure:secure:80", "secure: wants HOST:PORT"),
        ("shared:unix:/run/x", "shared: wants HOST:PORT"),
        ("shared:inherited:web", "shared: wants HOST:PORT"),
        ("inherited:", "inherited: wants a name"),
        ("inherited:a b", "inherited: wants a name"),
        ("unix:", "unix: wants a path"),
        ("unix:/run/x:mode=999", "its mode is no octal number"),
        ("unix:/run/x:mode=7777", "unix: wants a path"),
        ("unix:/run/x:colour=red", "unix: wants a path"),
        ("tls:443:privateKey=x", "secure:HOST:PORT does"),
        ("ssl:443", "secure:HOST:PORT does"),
        ("tcp:80\ntcp:81", "it has no port"),
    ],
)
def test_what_is_no_address_is_one_line(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match="is no address to listen on") as refusal:
        parse(text)
    assert reason in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_the_reference_page_tells_the_truth() -> None:
    page = (Path(__file__).parents[3] / "docs" / "reference" / "addresses.md").read_text()
    texts = re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)
    assert len(texts) >= 12
    for text in texts:
        parse(text)
