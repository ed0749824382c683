"""What every authoritative server must say to what it does not know: the probes of RFC 8906, and more of their kind.

A probe is a query with something unusual in it and the facts that its answer must show. ``python -m
tests.vectors.dns_probes`` asks all of them, over UDP and TCP, of a real service on the in-memory network, and writes
docs/reference/dns-probes.md.
"""

from __future__ import annotations

import struct
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
from twisted.internet.protocol import ClientFactory, DatagramProtocol, Protocol

from netsuite.dns.authoritative.service import build
from netsuite.dns.authoritative.settings import DnsSettings
from netsuite.testing.commons import make_commons
from netsuite.testing.network import Network

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "dns-probes.md"

ZONE = """$TTL 3600
@ SOA ns1 host 7 7200 3600 1209600 300
@ NS ns1
ns1 A 192.0.2.1
@ DNSKEY 257 3 13 {}
"""
LONG_KEY = "A" * 1600

RD, CD, AD, Z, TC, AA = 0x0100, 0x0010, 0x0020, 0x0040, 0x0200, 0x0400
SOA, TXT, DNSKEY = 6, 16, 48
NAME = b"\x07example\x04test\0"
NSID, ECS, EXPIRE, COOKIE, KEEPALIVE, PADDING, CHAIN, ERROR, VERSION = 3, 8, 9, 10, 11, 12, 13, 15, 19

TYPES = (
    *(*range(1, 41), 42, 43, 44, 45, 46, 47, 49, 50, 51, 52, 53, 55, 56, 57, 58, 59, 60, 61, 62, 63, 64, 65, 66, 99),
    *(104, 105, 106, 107, 108, 109, 256, 257, 258, 259, 260, 261, 262, 1000, 32768, 32769, 65534),
)


class Probe(NamedTuple):
    """A query's bytes, and what the answer must show: ``facts`` by name, see :func:`faults`."""

    section: str
    title: str
    data: bytes
    facts: dict[str, Any]


def option(code: int, data: bytes = b"") -> bytes:
    return struct.pack("!HH", code, len(data)) + data


def query(
    rdtype: int = SOA,
    *,
    flags: int = 0,
    opcode: int = 0,
    rdclass: int = 1,
    name: bytes = NAME,
    version: int | None = None,
    edns_flags: int = 0,
    size: int = 4096,
    options: bytes = b"",
) -> bytes:
    """A query with id 0x1234; ``version`` adds an OPT record."""
    edns = b""
    if version is not None:
        edns = b"\0" + struct.pack("!HHBBHH", 41, size, 0, version, edns_flags, len(options)) + options
    head = struct.pack("!6H", 0x1234, opcode << 11 | flags, 1, 0, 0, 1 if edns else 0)
    return head + name + struct.pack("!HH", rdtype, rdclass) + edns


def probes() -> Iterator[Probe]:
    """All of them."""
    answered = {"rcode": 0, "soa": True, "set": AA, "clear": Z | TC, "edns": False}
    plain = "RFC 8906 section 8.1: without EDNS"
    yield Probe(plain, "is it there", query(), answered)
    yield Probe(plain, "unknown type", query(1000), {**answered, "soa": False})
    yield Probe(plain, "CD=1", query(flags=CD), answered)
    yield Probe(plain, "AD=1", query(flags=AD), {**answered, "clear": Z | TC | AD})
    yield Probe(plain, "the last reserved bit", query(flags=Z), answered)
    yield Probe(plain, "RD=1", query(flags=RD), {**answered, "set": AA | RD})
    yield Probe(plain, "all of them", query(flags=RD | CD | AD | Z), {**answered, "clear": Z | TC | AD})
    yield Probe(plain, "AA and TC in a query", query(flags=AA | TC), answered)
    for opcode in (1, 3, *range(7, 16)):
        yield Probe(
            plain,
            f"unknown opcode {opcode}",
            query(opcode=opcode),
            {"rcode": 4, "opcode": opcode, "soa": False, "empty": True, "clear": AA | TC | Z},
        )
    yield Probe(plain, "unknown opcode, header alone", query(opcode=15)[:4] + bytes(8), {"rcode": 4, "opcode": 15})

    edns = "RFC 8906 section 8.2: with EDNS"
    known = {**answered, "edns": True, "version": 0, "options": []}
    older = {"rcode": 16, "soa": False, "edns": True, "version": 0, "options": [], "clear": AA | TC}
    dnskey = {"rcode": 0, "set": AA | TC, "edns": True, "version": 0, "clear": Z, "size": 512}
    yield Probe(edns, "version 0", query(version=0), known)
    yield Probe(edns, "version 1", query(version=1), older)
    yield Probe(edns, "version 255", query(version=255), older)
    yield Probe(edns, "unknown option", query(version=0, options=option(100)), known)
    yield Probe(edns, "unknown option with data", query(version=0, options=option(65001, b"data")), known)
    yield Probe(edns, "unknown flag", query(version=0, edns_flags=0x40), {**known, "edns flags": 0})
    yield Probe(edns, "all flags", query(version=0, edns_flags=0xFFFF), {**known, "edns flags": 0x8000})
    yield Probe(edns, "version 1, unknown option", query(version=1, options=option(100)), older)
    yield Probe(edns, "version 1, unknown flag", query(version=1, edns_flags=0x40), {**older, "edns flags": 0})
    yield Probe(edns, "DO=1", query(version=0, edns_flags=0x8000), {**known, "edns flags": 0x8000})
    yield Probe(edns, "version 1, DO=1", query(version=1, edns_flags=0x8000), {**older, "edns flags": 0x8000})
    yield Probe(edns, "too large for 512 bytes", query(DNSKEY, version=0, edns_flags=0x8000, size=512), dnskey)
    yield Probe(edns, "too large for 0 bytes", query(DNSKEY, version=0, size=0), dnskey)
    yield Probe(edns, "too large without EDNS", query(DNSKEY), {**dnskey, "edns": False, "version": None})
    many = b"".join(
        (option(NSID), option(ECS, b"\0\1\0\0"), option(EXPIRE), option(COOKIE, bytes(8)), option(65002, b"x"))
    )
    yield Probe(edns, "several options at once", query(version=0, options=many), {**known, "options": [COOKIE, NSID]})

    opts = "EDNS options"
    wrong = {"rcode": 1, "soa": False}
    both = (3600).to_bytes(2, "big")
    yield Probe(opts, "NSID", query(version=0, options=option(NSID)), {**known, "options": [NSID]})
    yield Probe(
        opts, "cookie of a client", query(version=0, options=option(COOKIE, b"cc" * 4)), {**known, "options": [COOKIE]}
    )
    for length in (0, 7, 9, 15, 41):
        title = f"cookie of {length} bytes"
        yield Probe(opts, title, query(version=0, options=option(COOKIE, bytes(length))), wrong)
    yield Probe(
        opts,
        "foreign server cookie",
        query(version=0, options=option(COOKIE, bytes(24))),
        {**known, "options": [COOKIE]},
    )
    yield Probe(opts, "keepalive", query(version=0, options=option(KEEPALIVE)), {**known, "tcp options": [KEEPALIVE]})
    yield Probe(
        opts, "keepalive with a time", query(version=0, options=option(KEEPALIVE, both)), {"udp": known, "tcp": wrong}
    )
    yield Probe(opts, "padding in clear", query(version=0, options=option(PADDING, bytes(40))), known)
    yield Probe(opts, "zone version", query(version=0, options=option(VERSION)), {**known, "options": [VERSION]})
    yield Probe(opts, "option cut short", query(version=0, options=b"\0\x0a\0\x09abc"), wrong)
    yield Probe(opts, "half an option's head", query(version=0, options=b"\0\x0a"), wrong)
    yield Probe(opts, "more options than anyone needs", query(version=0, options=option(100) * 1000), wrong)

    messages = "Malformed and unusual messages"
    refused = {"rcode": 5, "soa": False, "empty": True, "clear": AA}
    yield Probe(messages, "no question", query()[:4] + bytes(8), wrong)
    yield Probe(messages, "two questions", query()[:4] + b"\0\2" + query()[6:] + query()[12:], wrong)
    yield Probe(messages, "question cut short", query()[:-1], wrong)
    yield Probe(messages, "bytes behind the end", query() + b"x", wrong)
    yield Probe(messages, "a pointer in the question", query()[:12] + b"\xc0\x0c\0\6\0\1", wrong)
    yield Probe(messages, "two OPT records", _counted(query(version=0) + query(version=0)[-11:], 2), wrong)
    yield Probe(messages, "another zone", query(name=b"\x05other\x04test\0"), refused)
    yield Probe(messages, "another zone, with EDNS", query(name=b"\0", version=0), {**refused, "options": [ERROR]})
    yield Probe(messages, "class CH", query(rdclass=3), refused)
    yield Probe(messages, "class 65280", query(rdclass=65280), refused)
    yield Probe(messages, "an answer", query(flags=0x8000), {"silent": True})
    yield Probe(messages, "a runt", query()[:11], {"silent": True})
    upper = query(name=b"\x07ExAmPlE\x04TEST\0")
    yield Probe(messages, "case of the question", upper, {**answered, "question": upper[12:]})

    types = "Types: those that are registered, and some that are not"
    for rdtype in TYPES:
        name = dns.rdatatype.to_text(dns.rdatatype.RdataType.make(rdtype))
        data = query(rdtype, name=b"\x03ns1" + NAME)
        facts = {"rcode": 0, "set": AA, "clear": TC | Z, "answer": 1 if rdtype == 1 else 0}
        yield Probe(types, name, data, facts if rdtype == 1 else {**facts, "authority": ["SOA"]})


def _counted(data: bytes, additional: int) -> bytes:
    return data[:10] + additional.to_bytes(2, "big") + data[12:]


def faults(probe: Probe, transport: str, data: bytes | None) -> list[str]:
    """What is wrong with an answer, in words; nothing for the right one."""
    facts = probe.facts.get(transport, probe.facts)
    if facts.get("silent"):
        return [] if data is None else ["an answer where silence is right"]
    if data is None:
        return ["no answer"]
    try:
        message = dns.message.from_wire(data, ignore_trailing=False)
    except Exception as error:
        return [f"an unreadable answer: {error}"]
    flags = struct.unpack_from("!H", data, 2)[0]
    options = [int(each.otype) for each in message.options]
    truncated = transport == "udp" and facts.get("size") == 512
    found: dict[str, Any] = {
        "rcode": int(message.rcode()),
        "opcode": flags >> 11 & 15,
        "soa": any(rrset.rdtype == SOA for rrset in message.answer),
        "empty": not (message.answer or message.authority or message.additional),
        "edns": message.edns >= 0,
        "version": message.edns if message.edns >= 0 else None,
        "edns flags": message.ednsflags & 0xFFFF,
        "options": options,
        "answer": len(message.answer),
        "authority": [dns.rdatatype.to_text(rrset.rdtype) for rrset in message.authority],
        "question": data[12 : 12 + len(facts.get("question", b""))],
    }
    wanted = {key: value for key, value in facts.items() if key in found}
    if transport == "tcp" and "tcp options" in facts:
        wanted["options"] = facts["tcp options"]
    out = [f"{key} is {found[key]}, not {value}" for key, value in wanted.items() if found[key] != value]
    bits = facts.get("set", 0) & ~(TC if transport == "tcp" else 0)
    if flags & bits != bits or flags & facts.get("clear", 0):
        out.append(f"flags are {flags:#06x}")
    if data[:2] != b"\x12\x34" or not flags & 0x8000:
        out.append("it does not answer this query")
    if truncated and len(data) > 512:
        out.append(f"{len(data)} bytes, of which the client takes 512")
    return out


class _Datagrams(DatagramProtocol):
    def __init__(self) -> None:
        self.got: list[bytes] = []

    def datagramReceived(self, data: bytes, address: Any) -> None:
        self.got.append(data)


class _Stream(Protocol):
    def __init__(self) -> None:
        self.got = b""

    def dataReceived(self, data: bytes) -> None:
        self.got += data


class Server:
    """The service, with a zone of one name, and clients for both transports."""

    def __init__(self, folder: Path) -> None:
        self.network = Network()
        host, self._client = self.network.host("192.0.2.1"), self.network.host("192.0.2.9")
        (folder / "example.zone").write_text(ZONE.format(LONG_KEY))
        settings = DnsSettings.model_validate(
            {
                "listen": ["192.0.2.1:53"],
                "zone": [{"name": "example.test", "file": "example.zone"}],
                "rate_limit": 0,
                "nsid": "one",
            },
            context={"base": folder},
        )
        commons = make_commons(folder, host)
        self.service = service = build(settings, commons)
        service.register(commons.offers)
        service.join(commons.offers)
        service.check()
        service.open()
        service.startService()
        self._datagrams = _Datagrams()
        self._port = self._client.listenUDP(0, self._datagrams)

    def ask(self, data: bytes, transport: str) -> bytes | None:
        """The answer to a message, None if there is none."""
        if transport == "udp":
            self._datagrams.got.clear()
            self._port.write(data, ("192.0.2.1", 53))
            self.network.advance(1)
            return self._datagrams.got[0] if self._datagrams.got else None
        stream = _Stream()
        self._client.connectTCP("192.0.2.1", 53, ClientFactory.forProtocol(lambda: stream))
        self.network.advance(1)
        stream.transport.write(len(data).to_bytes(2, "big") + data)
        self.network.advance(1)
        stream.transport.abortConnection()
        self.network.advance(1)
        return stream.got[2:] or None


def page(outcomes: list[tuple[Probe, str, list[str]]]) -> str:
    """The page: counts by group, and whatever fails."""
    lines = [
        "# DNS probes",
        "",
        "Written by `python -m tests.vectors.dns_probes`; do not edit.",
        "",
        "Queries with something in them that a server may not know: the probes of RFC 8906, and more of their kind, "
        "each asked over UDP and TCP and held to the one right answer.",
        "",
        "| group | probes | right |",
        "|---|---|---|",
    ]
    for section in dict.fromkeys(probe.section for probe, _, _ in outcomes):
        mine = [wrong for probe, _, wrong in outcomes if probe.section == section]
        lines.append(f"| {section} | {len(mine)} | {sum(not wrong for wrong in mine)} |")
    lines.append(f"| all | {len(outcomes)} | {sum(not wrong for _, _, wrong in outcomes)} |")
    failed = [f"* {probe.title} ({transport}): {'; '.join(wrong)}" for probe, transport, wrong in outcomes if wrong]
    return "\n".join([*lines, *(["", "Wrong:", "", *failed] if failed else []), ""])


def play(server: Server) -> list[tuple[Probe, str, list[str]]]:
    """Ask everything."""
    return [
        (probe, transport, faults(probe, transport, server.ask(probe.data, transport)))
        for probe in probes()
        for transport in ("udp", "tcp")
    ]


def main() -> None:
    """Write the page."""
    with tempfile.TemporaryDirectory() as folder:
        text = page(play(Server(Path(folder))))
    PAGE.write_text(text)
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
