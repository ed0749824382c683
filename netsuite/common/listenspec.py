"""Addresses to listen on, as people write them.

The grammar::

    PORT  HOST:PORT  [V6]:PORT    ours: TCP, or UDP for datagrams; without a host 127.0.0.1; port 0 picks one
    secure:ADDRESS                ours: TLS with the site's certificates
    quic:ADDRESS                  ours: QUIC with the site's certificates (HTTP/3, DNS over QUIC)
    proxied:ADDRESS               ours: behind a balancer that speaks the PROXY protocol; also proxied:secure:ADDRESS
    shared:ADDRESS                ours: a port that other processes may bind as well (SO_REUSEPORT)
    inherited:NAME                ours: a socket handed to this process under a name
    unix:PATH[:mode=660]          Twisted's, but for its owner alone (600) unless a mode is given
    tcp: systemd: haproxy: ...    Twisted's endpoint strings; beware that its tcp:PORT means all interfaces
"""

from __future__ import annotations

import re
import socket
from typing import Final, Literal, NamedTuple

from twisted.internet.endpoints import _parse

__all__ = ["ListenSpec", "parse"]

Form = Literal["address", "unix", "inherited", "endpoint"]


class ListenSpec(NamedTuple):
    """What a listen text means.

    ``address`` has host and port; ``inherited`` a name and ``unix`` a path (both in ``host``); an ``endpoint`` is
    Twisted's business and has only its ``text``.
    """

    text: str
    form: Form
    host: str = ""
    port: int = 0
    secure: bool = False
    quic: bool = False
    shared: bool = False
    mode: int = 0o600
    proxied: bool = False


_ADDRESS: Final = re.compile(r"(?:(?:\[([0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]|([A-Za-z0-9_.-]+)):)?([0-9]{1,5})")
_SITE_KINDS: Final = ("secure", "quic", "shared", "proxied", "inherited")
_KINDS: Final = frozenset(("tcp", "tcp4", "tcp6", "unix", "systemd", "haproxy", "stdio", "tls", "ssl", *_SITE_KINDS))
"""Words that begin an endpoint string and are no host, so that ``tcp:80`` means what it means to Twisted."""
_NAME: Final = re.compile(r"[\w.@-]+")
_ENDPOINT: Final = re.compile(r"[a-z][a-z0-9+-]*:")
_FORMS: Final = "write PORT, HOST:PORT, [IPV6]:PORT, secure:HOST:PORT, unix:PATH or another endpoint string"


def _wrong(text: str, reason: str) -> ValueError:
    return ValueError(f"{text!r} is no address to listen on ({reason}): {_FORMS}")


def parse(text: str) -> ListenSpec:
    """What a listen text means; ValueError says in one line what is wrong with it."""
    rest, secure, quic, shared, proxied = text.strip(), False, False, False, False
    while True:
        if rest.startswith("secure:") and not secure:
            rest, secure = rest[7:], True
        elif rest.startswith("quic:") and not quic:
            rest, quic = rest[5:], True
        elif rest.startswith("shared:") and not shared:
            rest, shared = rest[7:], True
        elif rest.startswith("proxied:") and not proxied:
            rest, proxied = rest[8:], True
        else:
            break
    match = _ADDRESS.fullmatch(rest)
    if match is not None and match[2] not in _KINDS:
        v6, host, number = match.groups()
        port = int(number)
        if port > 65535:
            raise _wrong(text, f"there is no port {port}")
        if v6 is not None:
            _literal(text, v6)
        elif host == "localhost":
            host = None
        if quic and proxied:
            raise _wrong(text, "the PROXY protocol is for streams, not for quic:")
        found = v6 or host or "127.0.0.1"
        return ListenSpec(text, "address", found, port, secure or quic, quic, shared, proxied=proxied)
    if quic:
        raise _wrong(text, "quic: wants HOST:PORT")
    if shared:
        raise _wrong(text, "shared: wants HOST:PORT")
    if rest.startswith("inherited:"):
        if not _NAME.fullmatch(rest[10:]):
            raise _wrong(text, "inherited: wants a name")
        return ListenSpec(text, "inherited", rest[10:], secure=secure, proxied=proxied)
    if rest.startswith(("tls:", "ssl:")):
        raise _wrong(text, "Twisted's own TLS does not see renewed certificates; secure:HOST:PORT does")
    if rest.startswith("unix:"):
        path, mode = _unix(text, rest)
        return ListenSpec(text, "unix", path, secure=secure, mode=mode, proxied=proxied)
    if secure or proxied:
        raise _wrong(text, f"{'secure' if secure else 'proxied'}: wants HOST:PORT")
    if _ENDPOINT.match(rest) is None or "\n" in rest:
        raise _wrong(text, "it has no port")
    return ListenSpec(rest, "endpoint")


def _literal(text: str, host: str) -> None:
    try:
        socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
    except OSError:
        raise _wrong(text, f"{host} is no IPv6 address") from None


def _unix(text: str, rest: str) -> tuple[str, int]:
    try:
        words, options = _parse(rest)
        mode = int(options.pop("mode", "600"), 8)
    except ValueError:
        raise _wrong(text, "its mode is no octal number") from None
    path = words[1] if len(words) == 2 else options.pop("address", "")
    if not path or "\0" in path or options.keys() - {"lockfile", "backlog"} or not 0 <= mode <= 0o777:
        raise _wrong(text, "unix: wants a path and perhaps mode=660")
    return path, mode
