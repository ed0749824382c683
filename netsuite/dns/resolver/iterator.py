"""The resolution algorithm (RFC 1034 section 5.3.3) as a pure machine: one per question of a client.

It asks nobody itself. :meth:`Resolution.start` and :meth:`Resolution.receive` answer a list of effects, either one
:class:`Ask` (send this question to that server, then hand back what came of it) or one :class:`Done`. The algorithm in
between reads as the textbook tells it, since it is a generator that yields questions:

1. what the cache knows is the answer, or an alias to start again from;
2. otherwise find the nearest zone cut above the name (at worst the root hints), and
3. ask its servers, revealing one label more at a time (QNAME minimisation, RFC 9156; on any trouble the whole name);
   a referral moves the cut down, anything else ends the search;
4. servers without a known address are themselves looked up, one level deeper.

All of this, over all aliases and depths, draws on one budget of queries, so that no zone can make one question cost
more (NXNS, CAMP, loops of aliases or of glue).

Implements: RFC 1034 section 5.3.3; RFC 6672 section 3.4; RFC 8109 section 3; RFC 8914 section 4;
RFC 9156 sections 2, 3.
"""

from __future__ import annotations

import enum
import random
from collections.abc import Callable, Generator, Mapping
from typing import NamedTuple

import attrs

from netsuite.dns.resolver.cache import Cache, Delegation, Entry, Server, Trust, host_text, synthesise
from netsuite.dns.resolver.infrastructure import Infrastructure
from netsuite.dns.resolver.message import Reply
from netsuite.dns.resolver.scrutiny import Cut, Kind, Verdict, judge
from netsuite.dns.wire.codes import (
    AAAA,
    BADVERS,
    CNAME,
    DNAME,
    DS,
    FORMERR,
    NOERROR,
    NOTIMP,
    NS,
    NXDOMAIN,
    SERVFAIL,
    TC,
    A,
)
from netsuite.dns.wire.name import ROOT, labels, parent, suffixes, to_text, within

__all__ = ["Ask", "Budget", "Done", "Resolution", "Result", "Step", "Surroundings", "Trouble", "recall"]

NO_REACHABLE_AUTHORITY = 22
OTHER_ERROR = 0


class Trouble(enum.Enum):
    """What can come of a question instead of a reply."""

    TIMEOUT = "no answer in time"
    UNREACHABLE = "the server cannot be reached"
    SPOOFED = "answers that do not fit the question arrived: ask over TCP"
    MALFORMED = "the answer is no DNS message"
    BUSY = "too many questions are outstanding"


class Ask(NamedTuple):
    """A question to send to a server; ``timeout`` in seconds."""

    server: Server
    name: bytes
    type: int
    stream: bool
    edns: bool
    recursive: bool
    timeout: float


class Result(NamedTuple):
    """What a question has for an answer: rcode, the chain of RRsets, the SOA of an absence, an extended error."""

    rcode: int
    answer: tuple[Entry, ...] = ()
    authority: tuple[Entry, ...] = ()
    error: tuple[int, str] | None = None


class Done(NamedTuple):
    """The resolution is over."""

    result: Result


Effect = Ask | Done


class Step(NamedTuple):
    """One line of the story of a resolution: at ``depth`` 0 the question itself, deeper the servers' addresses."""

    now: float
    depth: int
    what: str
    name: bytes
    type: int
    server: Server | None = None
    detail: object = None


Trace = Callable[[Step], object]


@attrs.frozen
class Budget:
    """What one client's question may cost, all aliases, retries and look-ups of servers together."""

    queries: int = 80
    seconds: float = 9.0
    restarts: int = 11
    depth: int = 6
    """How deep look-ups of servers' addresses may nest."""
    server_lookups: int = 5
    """How many servers of one delegation are looked up (NXNS)."""
    lookups_above: int = 2
    """How many of them, if that led nowhere, also by asking the zone above their own."""
    attempts: int = 12
    """How many questions one zone's servers get before they are given up."""
    attempts_each: int = 4
    probes: int = 10
    """How many questions hide the whole name (RFC 9156 section 2.3: MAX_MINIMISE_COUNT)."""
    single_probes: int = 4
    """How many of them reveal one label only (MINIMISE_ONE_LAB)."""


@attrs.frozen
class Surroundings:
    """What resolutions share: the cache, what is known about servers, and the operator's choices.

    ``hints`` are addresses by name of the root's servers; ``pinned`` delegations (stubs, forwarding) are never learnt
    nor forgotten; ``permits`` says whether a host may be asked.
    """

    cache: Cache
    infrastructure: Infrastructure
    hints: Mapping[bytes, tuple[str, ...]]
    rng: random.Random
    pinned: Mapping[bytes, Delegation] = attrs.field(factory=dict)
    port: int = 53
    minimise: bool = True
    ipv6: bool = True
    permits: Callable[[str], bool] = lambda host: True
    budget: Budget = Budget()


def recall(cache: Cache, name: bytes, rdtype: int, now: float, most: int = 11) -> Result | None:
    """What the cache alone has for an answer (name folded), or None."""
    chain: list[Entry] = []
    for _ in range(most + 1):
        entry = cache.lookup(name, rdtype, now)
        if entry is None:
            failure = cache.failure(name, rdtype, now)
            return None if failure is None else Result(SERVFAIL, error=(failure.code, failure.text))
        if not _is_alias(entry, rdtype):
            return _concluded(chain, entry)
        chain += (entry,) if entry.companion is None else (entry.companion, entry)
        name = entry.rdatas[0].lower()
    return None


def _is_alias(entry: Entry, rdtype: int) -> bool:
    return entry.type == CNAME and rdtype != CNAME and bool(entry.rdatas)


def _shortened(name: bytes, count: int) -> bytes:
    """The ancestor of a name that has so many labels."""
    return suffixes(name)[-count - 1]


def _concluded(chain: list[Entry], last: Entry) -> Result:
    """The whole answer, given the aliases on the way and what was found at their end."""
    if last.rdatas:
        return Result(NOERROR, (*chain, last))
    if last.companion is None:
        return Result(last.rcode, tuple(chain))
    if last.companion.type == DNAME:
        return Result(last.rcode, (*chain, last.companion))
    return Result(last.rcode, tuple(chain), (last.companion,))


class _SpentError(Exception):
    """The budget is used up."""


_Asking = Generator[Ask, "Reply | Trouble", Result]
_PRIMED_FOR = 60
_MOST_ROOTS = 26
_STREAM_TIMEOUT = 4.0


class Resolution:
    """Finds the answer to one question; ``name`` is folded. ``queries`` counts what it asked."""

    def __init__(self, name: bytes, rdtype: int, around: Surroundings, trace: Trace | None = None) -> None:
        self.name = name
        self.type = rdtype
        self.queries = 0
        self._around = around
        self._cache = around.cache
        self._trace = trace
        self._now = 0.0
        self._deadline = 0.0
        self._active: set[tuple[bytes, int]] = set()
        self._fresh: dict[tuple[bytes, int], Entry] = {}
        self._asked_above: set[bytes] = set()
        self._circular = False
        self._steps = self._whole()

    def start(self, now: float) -> list[Effect]:
        """Begin; the first effects."""
        self._now = now
        self._deadline = now + self._around.budget.seconds
        return self._advance(None)

    def receive(self, outcome: Reply | Trouble, now: float) -> list[Effect]:
        """Take what came of the question asked last; the next effects."""
        self._now = now
        return self._advance(outcome)

    def _advance(self, outcome: Reply | Trouble | None) -> list[Effect]:
        try:
            return [next(self._steps) if outcome is None else self._steps.send(outcome)]
        except StopIteration as stop:
            return [Done(stop.value)]

    def _note(
        self, depth: int, what: str, name: bytes, rdtype: int, server: Server | None = None, detail: object = None
    ) -> None:
        if self._trace is not None:
            self._trace(Step(self._now, depth, what, name, rdtype, server, detail))

    def _whole(self) -> _Asking:
        try:
            result = yield from self._resolve(self.name, self.type, 0)
        except _SpentError as spent:
            self._note(0, "budget spent", self.name, self.type, detail=str(spent))
            result = self._failed(self.name, self.type, OTHER_ERROR, str(spent))
        return result

    def _failed(self, name: bytes, rdtype: int, code: int, text: str) -> Result:
        self._cache.fail(name, rdtype, code, text, self._now)
        return Result(SERVFAIL, error=(code, text))

    def _known(self, name: bytes, rdtype: int) -> Entry | None:
        """What this resolution just learnt (even if it may not be kept), else what the cache holds."""
        found = self._fresh.get((name, rdtype))
        if found is None and (alias := self._fresh.get((name, CNAME))) is not None and (alias.rdatas or alias.rcode):
            found = alias
        return found or self._cache.lookup(name, rdtype, self._now)

    def _resolve(self, name: bytes, rdtype: int, depth: int) -> _Asking:
        """Step 1 and the way along aliases."""
        chain: list[Entry] = []
        seen = {name}
        asked = name
        for _ in range(self._around.budget.restarts + 1):
            entry = self._known(name, rdtype)
            if entry is None:
                failure = self._cache.failure(name, rdtype, self._now)
                if failure is None:
                    found = yield from self._iterate(name, rdtype, depth)
                    if isinstance(found, Result):
                        if asked != name and not self._circular:
                            self._cache.fail(asked, rdtype, *(found.error or (OTHER_ERROR, "")), self._now)
                        return found
                    entry = found
                else:
                    self._note(depth, "failed lately", name, rdtype, detail=failure.text)
                    return Result(SERVFAIL, error=(failure.code, failure.text))
            else:
                self._note(depth, "known", name, rdtype, detail=entry)
            if not _is_alias(entry, rdtype):
                return _concluded(chain, entry)
            chain += (entry,) if entry.companion is None else (entry.companion, entry)
            name = entry.rdatas[0].lower()
            self._note(depth, "alias", name, rdtype)
            if name in seen:
                return self._failed(asked, rdtype, OTHER_ERROR, "aliases lead in a circle")
            seen.add(name)
        return self._failed(asked, rdtype, OTHER_ERROR, "too many aliases")

    def _iterate(self, name: bytes, rdtype: int, depth: int) -> Generator[Ask, Reply | Trouble, Entry | Result]:
        """Steps 2 to 4: down from the nearest known cut."""
        budget = self._around.budget
        cut = yield from self._nearest(name, rdtype, depth)
        minimise = self._around.minimise and not cut.recursive
        full = len(labels(name))
        known = len(labels(cut.zone))
        probes = 0
        denied: bytes | None = None
        while True:
            ask_name, ask_type = name, rdtype
            if minimise and known < full and probes < budget.probes:
                step = known + self._stride(probes, full - known)
                while step < full and self._settled(_shortened(name, step)):
                    step += 1
                if step < full:
                    ask_name, ask_type, probes = _shortened(name, step), A, probes + 1
            whole = ask_name == name and ask_type == rdtype
            verdict = yield from self._ask_zone(cut, ask_name, ask_type, depth, whole)
            if verdict.cut is not None:
                cut = self._descend(verdict.cut, cut, ask_name, depth)
                known = len(labels(cut.zone))
                continue
            if not whole and (verdict.kind is not Kind.ANSWER or verdict.rcode != NOERROR or verdict.last != ask_name):
                # relaxed (RFC 9156 section 2.3): servers that stumble over a part of the name get all of it
                self._note(depth, "whole name", name, rdtype, detail=verdict.kind.value)
                denied = ask_name if verdict.rcode == NXDOMAIN and verdict.kind is Kind.ANSWER else None
                minimise = False
                continue
            if verdict.kind is not Kind.ANSWER:
                error = (NO_REACHABLE_AUTHORITY, f"no server of {to_text(cut.zone)} gave an answer")
                if self._circular and depth:
                    return Result(SERVFAIL, error=error)  # true on this way only, so not remembered
                return self._failed(name, rdtype, *error)
            entry = self._learn(verdict, ask_name, ask_type)
            if whole:
                if denied is not None and verdict.rcode == NXDOMAIN and verdict.last == name and verdict.soa:
                    # the refusal of the shorter name was true: it settles all names below (RFC 8020)
                    absent = self._cache.absence(denied, A, NXDOMAIN, verdict.soa, self._now, verdict.trust)
                    self._cache.store(absent, self._now)
                return entry
            known = len(labels(ask_name))

    def _stride(self, probes: int, left: int) -> int:
        """How many labels the next probe adds, so that the budget of probes reaches any name (RFC 9156 2.3)."""
        budget = self._around.budget
        if probes < budget.single_probes:
            return 1
        return max(1, -(-left // max(1, budget.probes - probes)))

    def _settled(self, name: bytes) -> bool:
        """Whether it is known that a name exists and is no zone cut, so that asking about it would tell nothing."""
        entry = self._known(name, A)
        return entry is not None and entry.rcode == NOERROR

    def _nearest(self, name: bytes, rdtype: int, depth: int) -> Generator[Ask, Reply | Trouble, Delegation]:
        """Step 2: the nearest cut above a name (DS records live above the cut, RFC 4035 section 3.1.4.1)."""
        start = parent(name) if rdtype == DS and name != ROOT else name
        for zone in suffixes(start):
            cut = self._around.pinned.get(zone) or self._cache.delegation(zone, self._now)
            if cut is not None:
                self._note(depth, "nearest cut", zone, NS)
                return cut
        return (yield from self._prime(depth))

    def _prime(self, depth: int) -> Generator[Ask, Reply | Trouble, Delegation]:
        """Ask a server of the hints for the root's servers of today (RFC 8109)."""
        around = self._around
        hints = around.hints
        root = Delegation(ROOT, tuple(hints), hints)
        ttl = _PRIMED_FOR
        servers = self._usable(root)
        if servers:
            self._note(depth, "priming", ROOT, NS)
            server = around.infrastructure.choose(servers, (), self._now, around.rng)
            outcome = yield from self._exchange(root, server, ROOT, NS, depth)
            found = outcome.answer if isinstance(outcome, Reply) and outcome.rcode == NOERROR else ()
            for rrset in found:
                if rrset.type == NS and rrset.name == ROOT:
                    names = tuple(rdata.lower() for rdata in rrset.rdatas[:_MOST_ROOTS])
                    glue = {host: list(hints[host]) for host in names if host in hints}
                    for extra in outcome.additional if isinstance(outcome, Reply) else ():
                        if extra.type in (A, AAAA) and extra.name in names:
                            hosts = glue.setdefault(extra.name, [])
                            hosts += [host for host in map(host_text, extra.rdatas) if host not in hosts]
                    root = Delegation(ROOT, names, glue)
                    ttl = rrset.ttl
        self._cache.delegate(root, Delegation(ROOT), ttl, self._now)
        return root

    def _descend(self, found: Cut, above: Delegation, name: bytes, depth: int) -> Delegation:
        """Take a referral: hold the delegation and go on from there."""
        cut = Delegation(found.zone, found.names, found.glue)
        self._cache.delegate(cut, above, found.ttl, self._now)
        self._note(depth, "referral", found.zone, NS, detail=found)
        return self._around.pinned.get(found.zone) or cut

    def _learn(self, verdict: Verdict, name: bytes, rdtype: int) -> Entry:
        """Hold what an answer says; the entry that answers the question (or the alias to follow)."""
        cache = self._cache
        now = self._now
        trust = verdict.trust
        entries: list[Entry] = []
        at = name
        for rrset in verdict.rrsets:
            entry = cache.positive(rrset, now, trust)
            if rrset.type == DNAME and rrset.name != at:
                entry = synthesise(at, entry)
            entries.append(entry)
            trust = Trust.ANSWER  # what follows an alias may come from the server's own cache (RFC 2181 section 5.4.1)
            if entry.type == CNAME and rdtype != CNAME and entry.rdatas:
                at = entry.rdatas[0].lower()
        if verdict.absent and not (entries and entries[-1].rcode != NOERROR):
            entries.append(cache.absence(verdict.last, rdtype, verdict.rcode, verdict.soa, now, trust))
        for entry in entries:
            self._fresh[entry.name, entry.type] = cache.store(entry, now)
        return self._fresh[entries[0].name, entries[0].type]

    def _ask_zone(
        self, cut: Delegation, name: bytes, rdtype: int, depth: int, whole: bool
    ) -> Generator[Ask, Reply | Trouble, Verdict]:
        """Step 3: ask one server of the zone after the other until one says something of use."""
        around = self._around
        budget = around.budget
        servers = self._usable(cut)
        left = dict.fromkeys(servers, budget.attempts_each)
        tried = {server for server in servers if around.infrastructure.is_lame(server, cut.zone, self._now)}
        # where to find further addresses, in this order: names without glue; names outside the zone, whose glue may
        # have gone stale; and, if the servers of a server's own zone are of no use, what the zone above says
        glueless = [host for host in cut.names if host not in cut.glue]
        around.rng.shuffle(glueless)
        stale = [host for host in cut.glue if cut.names and not within(host, cut.zone)]
        outside = [host for host in glueless if not within(host, cut.zone)]
        places = [(self._addresses, host) for host in (*outside, *stale)][: budget.server_lookups]
        places += [(self._addresses_above, host) for host in glueless[: budget.lookups_above]]
        places.reverse()
        best = Verdict(Kind.BROKEN)
        for _ in range(budget.attempts):
            while places and not any(left[server] > 0 and server not in tried for server in servers):
                find, name_server = places.pop()
                for host in (yield from find(name_server, depth)):
                    server = (host, around.port)
                    if server not in left and self._may_ask(server, cut):
                        left[server] = budget.attempts_each
                        servers.append(server)
            usable = [server for server in servers if left[server] > 0]
            if not usable:
                break
            server = around.infrastructure.choose(usable, tried, self._now, around.rng)
            tried.add(server)
            outcome = yield from self._exchange(cut, server, name, rdtype, depth)
            if isinstance(outcome, Trouble):
                left[server] = left[server] - 1 if outcome is Trouble.TIMEOUT else 0
                continue
            verdict = judge(outcome, cut.zone, name, rdtype, recursive=cut.recursive)
            if verdict.kind in (Kind.ANSWER, Kind.REFERRAL) and not verdict.doubtful:
                return verdict
            self._note(depth, verdict.kind.name.lower(), name, rdtype, server, verdict.rcode)
            left[server] = 0
            if not best.doubtful:
                best = verdict
            if verdict.kind is Kind.LAME and whole:
                around.infrastructure.lame(server, cut.zone, self._now)
        return best

    def _usable(self, cut: Delegation) -> list[Server]:
        port = self._around.port
        known = [(host, port) for hosts in cut.glue.values() for host in hosts]
        return [server for server in dict.fromkeys((*cut.fixed, *known)) if self._may_ask(server, cut)]

    def _may_ask(self, server: Server, cut: Delegation) -> bool:
        if server in cut.fixed:
            return True
        return (self._around.ipv6 or ":" not in server[0]) and self._around.permits(server[0])

    def _addresses(self, host: bytes, depth: int) -> Generator[Ask, Reply | Trouble, list[str]]:
        """Step 4: the addresses of a name server, by a look-up of their own, one level deeper."""
        hosts, settled = self._cache.addresses(host, self._now)
        if hosts or settled:
            return hosts
        for rdtype in (A, AAAA) if self._around.ipv6 else (A,):
            key = (host, rdtype)
            if key in self._active or key == (self.name, self.type) or depth >= self._around.budget.depth:
                self._circular = True
                continue
            self._note(depth, "look up server", host, rdtype)
            self._active.add(key)
            result = yield from self._resolve(host, rdtype, depth + 1)
            self._active.discard(key)
            hosts = [host_text(rdata) for entry in result.answer if entry.type == rdtype for rdata in entry.rdatas]
            if hosts:
                break
        return hosts

    def _addresses_above(self, host: bytes, depth: int) -> Generator[Ask, Reply | Trouble, list[str]]:
        """Addresses by the zone above the name server's own: glue that did not come with the referral."""
        own = yield from self._nearest(host, A, depth)
        if host in own.glue:
            return list(own.glue[host])
        if own.zone == ROOT or own.recursive or depth >= self._around.budget.depth or host in self._asked_above:
            return []
        self._asked_above.add(host)
        above = yield from self._nearest(parent(own.zone), A, depth)
        hosts: list[str] = []
        for rdtype in (A, AAAA) if self._around.ipv6 else (A,):
            self._note(depth, "look up server from above", host, rdtype)
            verdict = yield from self._ask_zone(above, host, rdtype, depth + 1, False)
            hosts += [host_text(rdata) for found in verdict.rrsets if found.type == rdtype for rdata in found.rdatas]
            if verdict.cut is not None:
                hosts += verdict.cut.glue.get(host, [])
            if hosts:
                own.glue[host] = tuple(hosts)
                break
        return hosts

    def _exchange(
        self, cut: Delegation, server: Server, name: bytes, rdtype: int, depth: int
    ) -> Generator[Ask, Reply | Trouble, Reply | Trouble]:
        """One question to one server: without EDNS if it stumbles over that, over TCP if the answer is cut off."""
        known = self._around.infrastructure
        edns = known.speaks_edns(server, self._now)
        outcome = yield from self._ask(cut, server, name, rdtype, depth, False, edns)
        if edns and isinstance(outcome, Reply) and outcome.rcode in (FORMERR, NOTIMP, BADVERS):
            edns = False
            outcome = yield from self._ask(cut, server, name, rdtype, depth, False, edns)
            if isinstance(outcome, Reply) and outcome.rcode not in (FORMERR, NOTIMP):
                known.refused_edns(server, self._now)
        if outcome is Trouble.SPOOFED or (isinstance(outcome, Reply) and outcome.flags & TC):
            outcome = yield from self._ask(cut, server, name, rdtype, depth, True, edns)
            if isinstance(outcome, Reply) and outcome.flags & TC:
                return Trouble.MALFORMED
        return outcome

    def _ask(
        self, cut: Delegation, server: Server, name: bytes, rdtype: int, depth: int, stream: bool, edns: bool
    ) -> Generator[Ask, Reply | Trouble, Reply | Trouble]:
        budget = self._around.budget
        if self.queries >= budget.queries:
            raise _SpentError(f"spent all {budget.queries} queries that one question may cost")
        left = self._deadline - self._now
        if left <= 0:
            raise _SpentError(f"no answer within {budget.seconds:g} seconds")
        self.queries += 1
        self._note(depth, "ask over TCP" if stream else "ask", name, rdtype, server, cut.zone)
        wait = _STREAM_TIMEOUT if stream else self._around.infrastructure.timeout(server)
        outcome = yield Ask(server, name, rdtype, stream, edns, cut.recursive, min(wait, left))
        self._note(depth, "got", name, rdtype, server, outcome)
        return outcome
