"""Plays public resolver scenarios (RPL format) against our resolver: from a client's bytes to the answer's bytes.

A scenario scripts what name servers answer, by address and step, and what clients ask and must be told. Here the
servers are a table, the clock is Twisted's fake one, and everything between is the production code.

``python -m tests.vectors.dns_replay`` plays all that can be played and writes docs/reference/dns-conformance.md.
"""

from __future__ import annotations

import os
import random
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import attrs
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from netsuite.common.access import Rule
from netsuite.common.commons import Runtime
from netsuite.dns.resolver.cache import Cache, Delegation, Lifetimes
from netsuite.dns.resolver.infrastructure import Infrastructure
from netsuite.dns.resolver.iterator import Budget, Step, Surroundings
from netsuite.dns.resolver.local import LocalNames
from netsuite.dns.resolver.recursion import Recursion
from netsuite.dns.resolver.server import ResolverServer
from netsuite.dns.resolver.upstream import Upstream
from netsuite.dns.wire.name import from_text

SHARED = Path(os.environ.get("NETSUITE_SHARED", Path(__file__).parents[2] / ".." / "shared"))
FOLDER = SHARED / "vectors" / "dns" / "replay"
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "dns-conformance.md"


class CannotPlayError(Exception):
    """A scenario that this player or this resolver has no business with; the text is the reason in the table."""


class Mismatch(Exception):
    """An answer is not what the scenario wants."""


@attrs.define
class Entry:
    match: set[str]
    adjust: set[str]
    reply: set[str]
    question: tuple[dns.name.Name, int, int] | None
    sections: dict[str, list[dns.rrset.RRset]]


@attrs.define
class Range:
    first: int
    last: int
    addresses: set[str]
    entries: list[Entry]


@attrs.define
class Action:
    number: int
    kind: str
    words: list[str]
    address: str
    entry: Entry | None = None


@attrs.define
class Scenario:
    options: list[tuple[str, str]]
    zones: list[tuple[str, list[tuple[str, str]]]]
    ranges: list[Range]
    actions: list[Action]


def _lines(text: str) -> Iterator[str]:
    for raw in text.splitlines():
        line = re.sub(r"(?<!\\);(?=(?:[^\"]*\"[^\"]*\")*[^\"]*$).*", "", raw).strip()
        if line:
            yield line


def _records(lines: list[str]) -> list[dns.rrset.RRset]:
    """Records in presentation form, TTL and class optional, gathered into RRsets."""
    found: dict[tuple[Any, ...], dns.rrset.RRset] = {}
    for line in _joined(lines):
        words = line.split(None, 1)
        owner, rest = dns.name.from_text(words[0]), words[1]
        ttl, klass = 3600, dns.rdataclass.IN
        while True:
            word, _, tail = rest.partition(" ")
            if word.isdecimal():
                ttl = int(word)
            elif word in ("IN", "CH", "HS"):
                klass = dns.rdataclass.from_text(word)
            else:
                break
            rest = tail.lstrip()
        rdtype = dns.rdatatype.from_text(word)
        rdata = dns.rdata.from_text(klass, rdtype, tail.strip(), origin=dns.name.root, relativize=False)
        key = (owner, klass, rdtype, rdata.covers())
        rrset = found.setdefault(key, dns.rrset.RRset(owner, klass, rdtype, rdata.covers()))
        rrset.add(rdata, ttl)
    return list(found.values())


def _joined(lines: list[str]) -> Iterator[str]:
    held = ""
    for line in lines:
        held += " " + line.replace("\t", " ")
        if held.count("(") <= held.count(")"):
            yield held.strip()
            held = ""


def _question(line: str) -> tuple[dns.name.Name, int, int]:
    words = line.split()
    name = dns.name.from_text(words[0])
    klass, rdtype = dns.rdataclass.IN, dns.rdatatype.A
    for word in words[1:]:
        if word in ("IN", "CH", "HS", "ANY") and len(words) > 2 and word is words[1]:
            klass = dns.rdataclass.from_text(word)
        else:
            rdtype = dns.rdatatype.from_text(word)
    return name, int(rdtype), int(klass)


def _entry(lines: Iterator[str]) -> Entry:
    match: set[str] = set()
    adjust: set[str] = set()
    reply: set[str] = set()
    question = None
    sections: dict[str, list[str]] = {}
    section = ""
    for line in lines:
        words = line.split()
        word = words[0]
        if word == "ENTRY_END":
            break
        if word == "MATCH":
            match |= set(words[1:])
        elif word == "ADJUST":
            adjust |= set(words[1:])
        elif word == "REPLY":
            reply |= set(words[1:])
        elif word == "SECTION":
            section = words[1]
        elif word.startswith("HEX_"):
            raise CannotPlayError("holds raw bytes")
        elif section == "QUESTION":
            question = _question(line)
        else:
            sections.setdefault(section, []).append(line)
    return Entry(match, adjust, reply, question, {name: _records(held) for name, held in sections.items()})


def parse(text: str) -> Scenario:
    """Read a scenario; CannotPlayError where it has what we do not read."""
    head, found, body = text.partition("CONFIG_END")
    if not found:
        raise CannotPlayError("has no configuration")
    options: list[tuple[str, str]] = []
    zones: list[tuple[str, list[tuple[str, str]]]] = []
    target = options
    for raw in head.splitlines():
        line = re.sub(r"(^|\s)[#;].*", "", raw).strip()
        if not line:
            continue
        key, _, value = line.partition(":")
        value = value.strip().strip('"')
        if not value:
            target = []
            if key == "server":
                target = options
            else:
                zones.append((key, target))
        else:
            target.append((key.strip(), value))
    scenario = Scenario(options, zones, [], [])
    lines = _lines(body)
    for line in lines:
        words = line.split()
        if words[0] == "RANGE_BEGIN":
            played = Range(int(words[1]), int(words[2]), set(), [])
            for inner in lines:
                parts = inner.split()
                if parts[0] == "ADDRESS":
                    played.addresses.add(parts[1])
                elif parts[0] == "ENTRY_BEGIN":
                    played.entries.append(_entry(lines))
                elif parts[0] == "RANGE_END":
                    break
            scenario.ranges.append(played)
        elif words[0] == "STEP":
            action = Action(int(words[1]), words[2], words[3:], "127.0.0.1")
            if "ADDRESS" in words:
                action.address = words[words.index("ADDRESS") + 1]
            scenario.actions.append(action)
        elif words[0] == "ADDRESS":
            scenario.actions[-1].address = words[1]
        elif words[0] == "ENTRY_BEGIN":
            scenario.actions[-1].entry = _entry(lines)
    return scenario


UNSUPPORTED = {
    "trust-anchor": "needs DNSSEC validation",
    "trust-anchor-file": "needs DNSSEC validation",
    "auto-trust-anchor-file": "needs DNSSEC validation",
    "val-override-date": "needs DNSSEC validation",
    "prefetch": "needs prefetching",
    "serve-expired": "needs stale answers",
    "harden-glue": "wants unsafe glue believed",
    "harden-below-nxdomain": "wants RFC 8020 off",
    "harden-referral-path": "needs a special search of server names",
    "harden-unverified-glue": "needs a special search of server names",
    "private-address": "needs answers filtered by address",
    "private-domain": "needs answers filtered by address",
    "do-nat64": "needs NAT64",
    "dns64-prefix": "needs DNS64",
    "tcp-upstream": "needs TCP only upstream",
    "do-not-query-address": "needs a list of servers not to ask",
    "fetch-policy": "needs a special search of server names",
    "max-global-quota": "sets limits that we draw otherwise",
    "max-query-restarts": "sets limits that we draw otherwise",
    "iter-scrub-ns": "sets limits that we draw otherwise",
    "iter-scrub-cname": "sets limits that we draw otherwise",
    "caps-for-id": "repeats questions to compare letters' case",
    "caps-exempt": "repeats questions to compare letters' case",
    "local-zone": "needs local zones",
    "local-data": "needs local zones",
    "root-hints": "needs a file of root hints",
    "ratelimit": "needs rate limits on servers",
    "cache-min-ttl": "sets limits that we draw otherwise",
    "disable-edns-do": "needs DNSSEC questions",
    "do-tcp": "needs UDP only",
    "infra-keep-probing": "sets limits that we draw otherwise",
    "edns-client-string": "needs EDNS options of its own",
    "client-subnet-zone": "needs client subnets",
    "ede": "names its extended errors",
}


DIFFERENT = {
    "fetch_glue_cname.rpl": "wants an NS name that is an alias (RFC 2181 section 10.3) to be found by glue",
    "ghost_glue_a.rpl": "wants the parent's glue for an answer, where we keep the child's own record",
    "iter_dname_insec.rpl": "wants NOERROR for aliases in a circle; ours is SERVFAIL (RFC 1034 section 3.6.2)",
    "iter_pcdirect.rpl": "wants addresses believed that a lame server gave beside a refusal",
    "iter_pcnamech.rpl": "wants servers used that only the child names; ours come from the parent alone",
    "iter_pcnamechrec.rpl": "wants servers used that only the child names; ours come from the parent alone",
    "local_ds.rpl": "has another SOA for locally served zones",
    "local_nodefault.rpl": "needs local zones switched off one by one",
    "trust_cname_chain.rpl": "wants the rest of a chain asked for again; ours believes the zone's own servers about it",
    "ttl_max.rpl": "wants a referral for an answer that is not in the cache; ours is REFUSED",
    "ttl_min_negative.rpl": "wants a referral for an answer that is not in the cache; ours is REFUSED",
    "ttl_msg.rpl": "wants an absence to be given a newer SOA than it came with",
}
"""Scenarios that we answer otherwise on purpose, and why."""


def settings(scenario: Scenario, rng: random.Random) -> Surroundings:
    """What the configuration means for us."""
    options = dict(scenario.options)
    for key, value in scenario.options:
        if key in ("local-zone",) and "nodefault" in value:
            continue
        if UNSUPPORTED.get(key) and value != "no":
            raise CannotPlayError(UNSUPPORTED[key])
        if key in ("harden-glue", "harden-below-nxdomain") and value == "no":
            raise CannotPlayError(UNSUPPORTED[key])
    if options.get("module-config", "iterator") not in ("iterator", "validator iterator"):
        raise CannotPlayError("needs other modules than validator and iterator")
    pinned: dict[bytes, Delegation] = {}
    for kind, held in scenario.zones:
        if kind not in ("stub-zone", "forward-zone"):
            raise CannotPlayError("needs DNSSEC validation" if kind.startswith("AUTOTRUST") else f"needs {kind}")
        values = dict(held)
        if any("host" in key or "-first" in key or "prime" in key or "tls" in key or "tcp" in key for key in values):
            raise CannotPlayError(f"needs a special {kind}")
        zone = from_text(values["name"])
        servers = [(value, 53) for key, value in held if key in ("stub-addr", "forward-addr")]
        if any("@" in host for host, _ in servers):
            raise CannotPlayError(f"needs a special {kind}")
        pinned[zone] = Delegation(zone, fixed=servers, recursive=kind == "forward-zone")
    if from_text(".") not in pinned:
        raise CannotPlayError("has no root servers")
    lifetimes = Lifetimes(
        most=int(options.get("cache-max-ttl", 86400)), most_negative=int(options.get("cache-max-negative-ttl", 3600))
    )
    return Surroundings(
        Cache(4 << 20, lifetimes),
        Infrastructure(),
        {},
        rng,
        pinned,
        minimise=options.get("qname-minimisation", "yes") == "yes",
        ipv6=options.get("do-ip6", "yes") == "yes",
        budget=Budget(),
    )


_FLAGS = {"QR", "AA", "TC", "RD", "RA", "AD", "CD"}


def _rcode(words: set[str]) -> int:
    for word in words - _FLAGS - {"DO"}:
        try:
            return int(dns.rcode.from_text(word))
        except dns.exception.DNSException:
            continue
    return 0


class _Port:
    """One of the asking side's sockets."""

    def __init__(self, network: Network, protocol: Any) -> None:
        self.network = network
        self.protocol = protocol

    def write(self, packet: bytes, server: tuple[str, int]) -> None:
        reply = self.network.reply(packet, server[0], stream=False)
        if reply is not None:
            self.network.clock.callLater(0, self.deliver, reply, server)

    def deliver(self, reply: bytes, server: tuple[str, int]) -> None:
        if self.protocol is not None:
            self.protocol.datagramReceived(reply, server)

    def stopListening(self) -> None:
        self.protocol = None


class Network:
    """The scripted name servers, and what the asking side needs of a reactor to reach them."""

    def __init__(self, clock: Clock, scenario: Scenario) -> None:
        self.clock = clock
        self.ranges = scenario.ranges
        self.step = 0

    def listenUDP(self, port: int, protocol: Any, interface: str, largest: int) -> _Port:
        return _Port(self, protocol)

    def stream_query(self, server: tuple[str, int], packet: bytes, timeout: float) -> Deferred[bytes]:
        answered: Deferred[bytes] = Deferred(lambda _: None)
        reply = self.reply(packet, server[0], stream=True)
        if reply is not None:
            self.clock.callLater(0, lambda: answered.called or answered.callback(reply))
        return answered

    def reply(self, packet: bytes, address: str, *, stream: bool) -> bytes | None:
        query = dns.message.from_wire(packet)
        for held in self.ranges:
            if held.first <= self.step <= held.last and (not held.addresses or address in held.addresses):
                for entry in held.entries:
                    if self._fits(entry, query, stream):
                        return self._reply(entry, query)
        return None

    @staticmethod
    def _fits(entry: Entry, query: dns.message.Message, stream: bool) -> bool:
        match, wanted, asked = entry.match, entry.question, query.question[0]
        if ("TCP" in match and not stream) or ("UDP" in match and stream):
            return False
        if match & {"all", "question", "qtype"} and (wanted is None or wanted[1] != asked.rdtype):
            return False
        if match & {"all", "question", "qname"} and (wanted is None or wanted[0] != asked.name):
            return False
        return "subdomain" not in match or (wanted is not None and asked.name.is_subdomain(wanted[0]))

    @staticmethod
    def _reply(entry: Entry, query: dns.message.Message) -> bytes:
        message = dns.message.Message(query.id)
        message.flags = dns.flags.Flag(query.flags & dns.flags.RD)
        for word in entry.reply & _FLAGS:
            message.flags |= dns.flags.from_text(word)
        if "copy_query" in entry.adjust:
            message.question = query.question
        elif entry.question is not None:
            name, rdtype, _ = entry.question
            message.question = [dns.rrset.RRset(name, dns.rdataclass.IN, dns.rdatatype.RdataType.make(rdtype))]
        message.answer = entry.sections.get("ANSWER", [])
        message.authority = entry.sections.get("AUTHORITY", [])
        message.additional = entry.sections.get("ADDITIONAL", [])
        message.set_rcode(dns.rcode.Rcode(_rcode(entry.reply)))
        return message.to_wire(max_size=65535)


def play(text: str, seed: int = 1) -> None:
    """Play a scenario. Raises Mismatch or CannotPlayError."""
    scenario = parse(text)
    rng = random.Random(seed)
    around = settings(scenario, rng)
    kinds = {action.kind for action in scenario.actions}
    strange = kinds - {"QUERY", "CHECK_ANSWER", "TIME_PASSES", "NOTHING", "TRAFFIC"}
    if strange:
        raise CannotPlayError(f"scripts the resolver's own traffic by steps of the kind {min(strange)}")
    for held in scenario.ranges:
        for entry in held.entries:
            unknown = entry.match - {"opcode", "qtype", "qname", "subdomain", "question", "all", "UDP", "TCP", "ttl"}
            if unknown:
                raise CannotPlayError(f"has servers that match by {min(unknown)}")
    clock = Clock()
    clock.advance(1_000_000_000)
    network = Network(clock, scenario)
    story: list[str] = []
    upstream = Upstream(Runtime(network, clock, rng), around.infrastructure, network.stream_query)
    recursion = Recursion(clock, around, upstream, 1000)

    def tell(step: Step) -> None:
        detail = step.detail
        story.append(f"{network.step}: {'  ' * step.depth}{step.what} {step.name!r} {step.type} {step.server} {detail}")

    recursion.trace = tell
    server = ResolverServer(clock, recursion, LocalNames(), Rule(["any"]))
    pending: list[tuple[str, Any]] = []
    for place, action in enumerate(scenario.actions):
        # what a question causes happens as its step ends, so at the number of the next one
        network.step = scenario.actions[min(place + (action.kind == "QUERY"), len(scenario.actions) - 1)].number
        if action.kind == "QUERY":
            assert action.entry is not None
            query = _client_query(action.entry)
            came = server.answer(query, (action.address, 4000), False)
            pending.append((action.address, came))
            while any(call.getTime() <= clock.seconds() for call in clock.getDelayedCalls()):
                clock.advance(0)
        elif action.kind == "TIME_PASSES":
            clock.advance(float(action.words[action.words.index("ELAPSE") + 1]))
        elif action.kind == "CHECK_ANSWER":
            if not pending:
                raise Mismatch("an answer is checked for which no question was asked")
            _, came = pending.pop(0)
            data = _awaited(came, clock)
            assert action.entry is not None
            try:
                compare(action.entry, dns.message.from_wire(data))
            except Mismatch as error:
                raise Mismatch(f"step {action.number}: {error}\n  " + "\n  ".join(story)) from None


def _client_query(entry: Entry) -> bytes:
    if entry.question is None:
        raise CannotPlayError("asks without a question")
    name, rdtype, klass = entry.question
    query = dns.message.make_query(name, dns.rdatatype.RdataType.make(rdtype), dns.rdataclass.RdataClass.make(klass))
    if "DO" in entry.reply:
        query.use_edns(0, int(dns.flags.DO), 4096)
    query.flags = dns.flags.Flag(0)
    for word in entry.reply & _FLAGS:
        query.flags |= dns.flags.from_text(word)
    return query.to_wire()


def _awaited(came: Any, clock: Clock) -> bytes:
    if isinstance(came, Deferred):
        results: list[Any] = []
        came.addBoth(results.append)
        while not results and clock.getDelayedCalls():
            clock.advance(max(0.0, min(call.getTime() for call in clock.getDelayedCalls()) - clock.seconds()))
        if not results:
            raise Mismatch("no answer came")
        came = results[0]
    if not isinstance(came, bytes):
        raise Mismatch(f"no answer came but {came!r}")
    return came


def _set(rrsets: list[dns.rrset.RRset], *, ttl: bool) -> set[tuple[Any, ...]]:
    return {
        (str(rrset.name).lower(), int(rrset.rdtype), rdata.to_text().lower(), rrset.ttl if ttl else 0)
        for rrset in rrsets
        for rdata in rrset
        if rrset.rdtype != dns.rdatatype.RRSIG
    }


def compare(entry: Entry, answer: dns.message.Message) -> None:
    """Field by field, as MATCH says; our answers hold no authority or additional records but an absence's SOA."""
    match = entry.match
    if "all" in match or "rcode" in match:
        wanted, got = _rcode(entry.reply), int(answer.rcode())
        if wanted != got:
            raise Mismatch(
                f"rcode {dns.rcode.to_text(dns.rcode.Rcode(got))}, not {dns.rcode.to_text(dns.rcode.Rcode(wanted))}"
            )
    if "all" in match or "flags" in match:
        wanted_flags = entry.reply & (_FLAGS - {"AD", "AA", "CD"})
        got_flags = set(dns.flags.to_text(answer.flags).split()) & (_FLAGS - {"AD", "AA", "CD"})
        if wanted_flags != got_flags:
            raise Mismatch(f"flags {sorted(got_flags)}, not {sorted(wanted_flags)}")
    if "all" in match or "answer" in match:
        ttl = "ttl" in match
        want = _set(entry.sections.get("ANSWER", []), ttl=ttl)
        got_records = _set(answer.answer, ttl=ttl)
        if want != got_records:
            raise Mismatch(f"answer {sorted(got_records)}, not {sorted(want)}")
    if "all" in match:
        soas = [rrset for rrset in entry.sections.get("AUTHORITY", []) if rrset.rdtype == dns.rdatatype.SOA]
        ours = [rrset for rrset in answer.authority if rrset.rdtype == dns.rdatatype.SOA]
        if _set(soas, ttl=False) != _set(ours, ttl=False):
            raise Mismatch(f"SOA {ours}, not {soas}")


class Outcome(NamedTuple):
    """How a scenario went: ``passed``, ``different`` (on purpose), ``left out`` or ``failed``, and why."""

    name: str
    state: str
    reason: str = ""


def play_file(path: Path) -> Outcome:
    """Whether a scenario passes, and if not, why."""
    try:
        play(path.read_text(errors="replace"))
    except CannotPlayError as reason:
        return Outcome(path.name, "left out", str(reason))
    except Mismatch as mismatch:
        if path.name in DIFFERENT:
            return Outcome(path.name, "different", DIFFERENT[path.name])
        return Outcome(path.name, "failed", str(mismatch))
    except (dns.exception.DNSException, ValueError, LookupError, SyntaxError):
        return Outcome(path.name, "left out", "holds records that are wrong on purpose or that dnspython does not read")
    return Outcome(path.name, "passed")


def scenarios() -> list[Path]:
    """The files, in order; none where the vectors are not at hand."""
    return sorted(path for path in FOLDER.glob("*.[cr]*pl"))


def page(outcomes: list[Outcome]) -> str:
    """The reference page."""
    count = Counter(outcome.state for outcome in outcomes)
    played = count["passed"] + count["different"] + count["failed"]
    lines = [
        "# DNS conformance",
        "",
        "Written by `python -m tests.vectors.dns_replay`; do not edit.",
        "",
        "## Resolver scenarios",
        "",
        "Public scenarios in the RPL format (NLnet Labs, Unbound's test data) script what name servers answer and "
        "what clients must be told. Ours are played from a client's bytes to the answer's bytes; compared are response "
        "code, flags, answer section, the TTLs where a scenario wants it, and the SOA of an absence. Our answers hold "
        "no other authority or additional records, whatever a scenario has there.",
        "",
        f"Of {len(outcomes)} scenarios {played} are played: {count['passed']} pass, {count['different']} are answered "
        f"otherwise on purpose, {count['failed']} fail. {count['left out']} are left out.",
        "",
        "| passed |",
        "|---|",
        *(f"| {outcome.name} |" for outcome in outcomes if outcome.state == "passed"),
        "",
        "| answered otherwise | why |",
        "|---|---|",
        *(f"| {outcome.name} | {outcome.reason} |" for outcome in outcomes if outcome.state in ("different", "failed")),
        "",
        "| left out because the scenario | how many |",
        "|---|---|",
    ]
    reasons = Counter(outcome.reason for outcome in outcomes if outcome.state == "left out")
    lines += [
        f"| {reason} | {many} |" for reason, many in sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    ]
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> None:
    """Play what is named and tell the story, or play all and write the page."""
    outcomes = [play_file(path) for path in ([FOLDER / name for name in arguments] or scenarios())]
    for outcome in outcomes:
        if arguments or outcome.state == "failed":
            sys.stdout.write(f"{outcome.name} {outcome.state} {outcome.reason}\n")
    if not arguments and outcomes:
        PAGE.write_text(page(outcomes))
        sys.stdout.write(f"{Counter(outcome.state for outcome in outcomes)}: {PAGE}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
