"""A resolution, told as a conversation: what it asks, what it is told, how it ends."""

from __future__ import annotations

import random

import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype

from netsuite.dns.resolver.cache import Cache, Delegation
from netsuite.dns.resolver.infrastructure import Infrastructure
from netsuite.dns.resolver.iterator import Ask, Done, Resolution, Surroundings, Trouble
from netsuite.dns.resolver.message import Question, Reply, RRset
from netsuite.dns.wire.codes import AA, QR
from netsuite.dns.wire.name import from_text, to_text

ROOT_SERVER = "198.51.100.1"


def number(rdtype):
    return int(dns.rdatatype.from_text(rdtype))


def rrset(text):
    """``name ttl type data`` (data of several records separated by `` | ``)."""
    name, ttl, rdtype, data = text.split(None, 3)
    kind = dns.rdatatype.from_text(rdtype)
    rdatas = tuple(
        dns.rdata.from_text(dns.rdataclass.IN, kind, each, origin=dns.name.root).to_wire(origin=dns.name.root)
        for each in data.split(" | ")
    )
    return RRset(from_text(name).lower(), int(kind), int(ttl), rdatas)


def reply(*answer, authority=(), additional=(), rcode=0, flags=AA):
    sections = [tuple(map(rrset, section)) for section in (answer, authority, additional)]
    return Reply(0, QR | flags, rcode, Question(b"\0", 1, 1), *sections)


def referral(zone, *servers, ttl=3600):
    """Down to a zone; each server is ``name`` or ``name=address``."""
    names = [server.partition("=")[0] for server in servers]
    glue = [
        f"{name} 3600 {'AAAA' if ':' in host else 'A'} {host}"
        for name, _, host in (server.partition("=") for server in servers)
        if host
    ]
    return reply(authority=[f"{zone} {ttl} NS {' | '.join(names)}"], additional=glue, flags=0)


def absent(zone, rcode=0, ttl=300):
    return reply(authority=[f"{zone} {ttl} SOA ns.{zone} host.{zone} 1 2 3 4 {ttl}"], rcode=rcode)


SERVFAIL = reply(rcode=2, flags=0)
REFUSED = reply(rcode=5, flags=0)
TIMEOUT = Trouble.TIMEOUT


def around(*, pinned=True, seed=1, hints=None, **changes):
    """Surroundings whose root is one server at ROOT_SERVER, pinned (never primed) unless told otherwise."""
    root = from_text(".")
    return Surroundings(
        Cache(1 << 20),
        Infrastructure(),
        hints or {from_text("ns.root"): (ROOT_SERVER,)},
        random.Random(seed),
        {root: Delegation(root, fixed=[(ROOT_SERVER, 53)])} if pinned else {},
        **changes,
    )


class Told:
    """A resolution whose questions are answered by a table or a function; ``asked`` lists them."""

    def __init__(self, name, rdtype, surroundings, answers, now=1000.0, step=0.01, trace=None):
        self.asked = []
        self.resolution = Resolution(from_text(name).lower(), number(rdtype), surroundings, trace)
        self.now = now
        effects = self.resolution.start(now)
        while True:
            (effect,) = effects
            if isinstance(effect, Done):
                self.result = effect.result
                break
            assert isinstance(effect, Ask)
            kind = dns.rdatatype.to_text(dns.rdatatype.RdataType.make(effect.type))
            line = f"{to_text(effect.name)} {kind} @{effect.server[0]}" + (" tcp" if effect.stream else "")
            line += "" if effect.edns else " plain"
            self.asked.append(line)
            outcome = answers(effect, line) if callable(answers) else answers.get(line, TIMEOUT)
            self.now += effect.timeout if outcome is TIMEOUT else step
            effects = self.resolution.receive(outcome, self.now)

    @property
    def rcode(self):
        return self.result.rcode

    @property
    def answer(self):
        return records(self.result.answer)

    @property
    def authority(self):
        return records(self.result.authority)


def records(entries):
    lines = []
    for entry in entries:
        kind = dns.rdatatype.RdataType.make(entry.type)
        for rdata in entry.rdatas:
            text = dns.rdata.from_wire(dns.rdataclass.IN, kind, rdata, 0, len(rdata)).to_text()
            lines.append(f"{to_text(entry.name)} {dns.rdatatype.to_text(kind)} {text}")
    return lines
