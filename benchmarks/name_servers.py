"""Name servers: ``dns-auth`` and ``dns-million`` beside NSD and Knot DNS, ``dns-cache`` beside Unbound."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import dns.flags
import dns.message
import dns.query
import dns.rcode

from benchmarks.contest import Benchmark, Contender
from benchmarks.load import Load, dnsperf, missing
from benchmarks.ours import ours
from benchmarks.process import GENERATOR_CORE, free_port, running

__all__ = ["DnsAuth", "DnsCache", "DnsMillion", "DnsWorkers", "answer", "authoritative", "make_zone", "nsd"]

DOMAIN = "bench.test"
QUESTIONS = 100_000
UDP = "random names, one in ten absent"
TCP = "the same over TCP"


@attrs.frozen
class Zone:
    """A zone in a master file, and the questions to ask: one file in random order, one with each name once."""

    file: Path
    questions: Path
    names: Path
    samples: list[str]
    upstream: int = 0


def make_zone(folder: Path, size: int, absent: int) -> Zone:
    """A zone of ``size`` hosts; ``absent`` more names are asked for that it does not have."""
    head = (
        f"$ORIGIN {DOMAIN}.\n$TTL 86400\n@ IN SOA ns1 host 1 7200 3600 1209600 300\n@ IN NS ns1\nns1 IN A 127.0.0.1\n"
    )
    hosts = (f"h{i} IN A 10.{i >> 16 & 255}.{i >> 8 & 255}.{i & 255}\n" for i in range(size))
    file, questions, names = folder / "zone", folder / "questions", folder / "names"
    file.write_text(head + "".join(hosts))
    rng = random.Random(5)
    count = max(QUESTIONS, size)
    questions.write_text("".join(f"h{rng.randrange(size + absent)}.{DOMAIN} A\n" for _ in range(count)))
    names.write_text("".join(f"h{i}.{DOMAIN} A\n" for i in range(size)))
    samples = [f"h{i}.{DOMAIN}" for i in (0, size // 2, size - 1, *([size + absent - 1] if absent else []))]
    return Zone(file, questions, names, samples)


def nsd(zone: Zone, folder: Path, port: int, more: str = "") -> Sequence[str | Path]:
    """NSD on a zone; ``more`` are lines for its server clause."""
    (folder / "nsd.conf").write_text(
        f"""server:
    ip-address: 127.0.0.1@{port}
    server-count: 1
    username: ""
    chroot: ""
    zonesdir: "{folder}"
    database: ""
    pidfile: "{folder}/pid"
    xfrdfile: "{folder}/xfrd"
    zonelistfile: "{folder}/zones"
    rrl-ratelimit: 0
    minimal-responses: yes
    {more}
remote-control:
    control-enable: no
zone:
    name: {DOMAIN}
    zonefile: "{zone.file}"
"""
    )
    return ["nsd", "-d", "-c", folder / "nsd.conf"]


def _knot(zone: Zone, folder: Path, port: int) -> Sequence[str | Path]:
    (folder / "knot.conf").write_text(
        f"""server:
    rundir: "{folder}"
    listen: 127.0.0.1@{port}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
database:
    storage: "{folder}"
zone:
  - domain: {DOMAIN}
    file: "{zone.file}"
"""
    )
    return ["knotd", "-c", folder / "knot.conf"]


def _unbound(zone: Zone, folder: Path, port: int) -> Sequence[str | Path]:
    (folder / "unbound.conf").write_text(
        f"""server:
    interface: 127.0.0.1@{port}
    num-threads: 1
    do-daemonize: no
    use-syslog: no
    username: ""
    chroot: ""
    directory: "{folder}"
    pidfile: "{folder}/pid"
    do-not-query-localhost: no
    local-zone: "test." nodefault
    module-config: "iterator"
    msg-cache-size: 256m
    rrset-cache-size: 256m
    minimal-responses: yes
remote-control:
    control-enable: no
forward-zone:
    name: "."
    forward-addr: 127.0.0.1@{zone.upstream}
"""
    )
    return ["unbound", "-d", "-c", folder / "unbound.conf"]


def answer(name: str, port: int) -> Any:
    """What must be alike: the rcode, the flags that carry meaning, the records of the answer, what denies it."""
    response = dns.query.udp(dns.message.make_query(name, "A"), "127.0.0.1", port=port, timeout=5)
    kept = response.flags & (dns.flags.QR | dns.flags.AA | dns.flags.TC | dns.flags.RA | dns.flags.RD)
    sections = (response.answer, response.authority)
    return (
        dns.rcode.to_text(response.rcode()),
        dns.flags.to_text(kept),
        [sorted(f"{rrset.name} {rdata}".lower() for rrset in section for rdata in rrset) for section in sections],
    )


def authoritative() -> Sequence[Contender[Zone]]:
    """Ours, NSD, Knot DNS, each with one worker on one zone."""
    return (
        ours(
            "netsuite-dns",
            lambda zone, _, port: [
                "--listen", f"127.0.0.1:{port}", "--zone", f"{DOMAIN}={zone.file}", "--set", "dns.rate_limit=0"
            ],
        ),
        Contender("NSD", "nsd", ["nsd", "-v"], nsd),
        Contender("Knot DNS", "knotd", ["knotd", "-V"], _knot),
    )  # fmt: skip


class DnsAuth(Benchmark[Zone]):
    """Answers from a zone, one question in ten for a name that is not there."""

    name = "dns-auth"
    title = "Authoritative DNS"
    what_grows = "names in the zone"
    size = 10_000
    sizes: tuple[int, ...] = (1_000, 10_000, 100_000)
    cases: tuple[str, ...] = (UDP, TCP)
    notes = (
        "Names at random from the whole zone, one in ten absent. One worker each; response rate limiting off; no "
        "DNSSEC; minimal responses."
    )

    def missing(self) -> str | None:
        """The generator is needed."""
        return missing("dnsperf")

    def contenders(self) -> Sequence[Contender[Zone]]:
        """Ours, NSD, Knot DNS."""
        return authoritative()

    @contextlib.contextmanager
    def scene(self, folder: Path, size: int) -> Iterator[Zone]:
        """The zone's file and the questions."""
        yield make_zone(folder, size, absent=size // 9)

    def warm(self, scene: Zone, case: str, port: int) -> None:
        """Wait until the zone is loaded: Knot listens before."""
        for _ in range(300):
            if answer(DOMAIN, port)[0] == "NOERROR":
                return

    def sample(self, scene: Zone, case: str, port: int) -> Any:
        """Names that are there and one that is not."""
        return [answer(name, port) for name in scene.samples]

    def load(self, scene: Zone, case: str, port: int, seconds: float) -> Load:
        """Random names."""
        return dnsperf(port, scene.questions, seconds, over="tcp" if case == TCP else "udp")


class DnsMillion(DnsAuth):
    """The same from a zone of a million names: what the first question for a name costs, for few are asked twice."""

    name = "dns-million"
    title = "Authoritative DNS, a million names"
    size = 1_000_000
    sizes = (10_000, 100_000, 1_000_000)
    cases = (UDP,)


class DnsWorkers(DnsAuth):
    """What several processes cost: two workers beside one, the same questions."""

    name = "dns-workers"
    title = "Two workers beside one"
    cases = (UDP,)
    notes = (
        "netsuite with two worker processes, and as the peer netsuite with one, all on one core: what a second "
        "process costs for an answer, not what it gains."
    )

    def contenders(self) -> Sequence[Contender[Zone]]:
        """Ours twice."""
        one = authoritative()[0]

        def two(zone: Zone, folder: Path, port: int) -> Sequence[str | Path]:
            return [*one.command(zone, folder, port), "--set", "common.workers=2"]

        return attrs.evolve(one, command=two), attrs.evolve(one, name="one worker")


class DnsCache(Benchmark[Zone]):
    """Answers from a resolver's warm cache."""

    name = "dns-cache"
    title = "Caching resolver over UDP, warm cache"
    what_grows = "names in the cache"
    size = 10_000
    sizes = (1_000, 10_000, 100_000)
    cases = ("random names, all cached",)
    notes = "One worker each; both forward what they miss to the same NSD; validation off; minimal responses."

    def missing(self) -> str | None:
        """The generator and the upstream server are needed."""
        return missing("dnsperf") or missing("nsd")

    def contenders(self) -> Sequence[Contender[Zone]]:
        """Ours and Unbound."""
        return (
            ours(
                "netsuite-resolver",
                lambda zone, _, port: [
                    "--listen", f"127.0.0.1:{port}", "--forward", f"127.0.0.1:{zone.upstream}",
                    "--set", f"resolver.cache_bytes={256 << 20}",
                ],
            ),
            Contender("Unbound", "unbound", ["unbound", "-V"], _unbound),
        )  # fmt: skip

    @contextlib.contextmanager
    def scene(self, folder: Path, size: int) -> Iterator[Zone]:
        """The zone, served by NSD on the generator's core."""
        zone = make_zone(folder, size, absent=0)
        home, port = folder / "upstream", free_port()
        home.mkdir()
        with running(nsd(zone, home, port), home, port, core=GENERATOR_CORE):
            yield attrs.evolve(zone, upstream=port)

    def warm(self, scene: Zone, case: str, port: int) -> None:
        """Ask every name until all come from the cache: twice, for a question may meet a busy upstream."""
        for _ in range(2):
            dnsperf(port, scene.names, outstanding=50)

    def sample(self, scene: Zone, case: str, port: int) -> Any:
        """Names at the ends and in the middle."""
        return [answer(name, port) for name in scene.samples]

    def load(self, scene: Zone, case: str, port: int, seconds: float) -> Load:
        """Random names."""
        return dnsperf(port, scene.questions, seconds)
