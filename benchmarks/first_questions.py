"""What the first question of each kind costs, and the hundredth: ``python -m benchmarks.first_questions``.

Microseconds of CPU in our code, from a datagram's bytes to the answer's, without the system calls: the way of the
datagram port. Of each kind a thousand names are asked once, of a server that has just been told of its zone, and then
a hundred times. Writes docs/reference/dns-first-question.md.
"""

from __future__ import annotations

import gc
import statistics
import tempfile
import time
from pathlib import Path
from typing import Final, NamedTuple

import dns.flags
import dns.message

from netsuite.dns.authoritative.assembly import load
from netsuite.dns.authoritative.courtesy import Courtesy
from netsuite.dns.authoritative.server import AuthoritativeServer
from netsuite.dns.authoritative.settings import DnsSettings
from netsuite.dns.authoritative.signed import ZoneSigning
from netsuite.dns.authoritative.zone import Zone
from netsuite.dns.cookies import Cookies
from netsuite.dns.wire.name import from_text
from netsuite.testing.commons import make_commons
from netsuite.testing.network import Network

PAGE: Final = Path(__file__).parents[1] / "docs" / "reference" / "dns-first-question.md"
NAMES: Final = 1000
BATCH: Final = 50
ROUNDS: Final = 5
KINDS: Final = (
    ("A", "h{}", "A"), ("two addresses", "p{}", "A"), ("AAAA that is not there (NODATA)", "h{}", "AAAA"),
    ("name that is not there (NXDOMAIN)", "none{}", "A"), ("MX", "m{}", "MX"), ("PTR", "r{}", "PTR"),
    ("TXT", "t{}", "TXT"), ("alias", "c{}", "A"), ("chain of three aliases", "k{}", "A"),
    ("alias to a name without the type", "c{}", "AAAA"), ("wildcard", "x{}.w", "A"), ("below a DNAME", "h{}.old", "A"),
    ("referral", "x.d{}", "A"), ("DS of a delegation", "d{}", "DS"), ("SOA of the zone", "", "SOA"),
    ("NS of the zone", "", "NS"), ("ANY", "h{}", "ANY"), ("another's name (REFUSED)", "-", "A"),
)  # fmt: skip
FORMS: Final = (
    ("unsigned", "", False),
    ("NSEC, DO", "nsec", True),
    ("NSEC3, DO", "nsec3", True),
    ("compact, DO", "compact", True),
)


class Cost(NamedTuple):
    """Microseconds for the first question for a name, and for each of a hundred after it."""

    first: float
    later: float


def _text() -> str:
    lines = ["$TTL 3600", "@ SOA ns1 host 1 7200 3600 1209600 300", "@ NS ns1", "@ NS ns2"]
    lines += ["ns1 A 192.0.2.1", "ns2 A 192.0.2.2", "*.w A 192.0.2.3", "old DNAME new"]
    for n in range(NAMES):
        lines += [
            f"h{n} A 10.0.{n >> 8}.{n & 255}", f"h{n}.new A 10.1.{n >> 8}.{n & 255}",
            f"p{n} A 10.2.{n >> 8}.{n & 255}", f"p{n} A 10.3.{n >> 8}.{n & 255}", f"m{n} MX 10 h{n}",
            f"r{n} PTR h{n}", f't{n} TXT "text number {n}"', f"c{n} CNAME h{n}", f"k{n} CNAME j{n}", f"j{n} CNAME c{n}",
            f"d{n} NS ns.d{n}", f"ns.d{n} A 10.4.{n >> 8}.{n & 255}", f"d{n} DS 1 13 2 {'ab' * 32}",
        ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _server(folder: Path, chain: str) -> tuple[AuthoritativeServer, Zone]:
    commons = make_commons(folder / (chain or "plain"), Network().host("192.0.2.1"))
    (folder / "zone").write_text(_text())
    zone = load(from_text("bench.test."), folder / "zone")
    if chain:
        signing = ZoneSigning(zone.name, commons.data, "keys", "ecdsap256sha256", chain)  # type: ignore[arg-type]
        now = int(commons.clock.seconds())
        signing.open(now)
        change = signing.toward(zone, list(zone.records()), "increment", now, "signing")
        assert change is not None
        zone = change.applied(zone)
        while not zone.settle():
            pass
        zone = zone.lightened()
        zone.denier = signing.denier(now)
    settings = DnsSettings.model_validate({"listen": ["192.0.2.1:53"], "rate_limit": 0}, context={"base": folder})
    server = AuthoritativeServer(settings, commons, "192.0.2.1:53", Courtesy(Cookies(bytes(16))), {})
    server.common.replace(zone)
    return server, zone


def _ask(server: AuthoritativeServer, batches: list[list[bytes]]) -> float:
    """Seconds for all, as the port asks: promptly by the batch, then the memo, then the application."""
    prompt, memo = server.port_prompt, server.port_memo
    assert prompt is not None
    assert memo is not None
    began = time.process_time()
    for batch in batches:
        for query, answer in zip(batch, prompt([query[2:] for query in batch], ()), strict=True):
            if answer is None and memo.get(query[2:]) is None:
                server.answer_datagram(query, ("198.51.100.1", 5300), ("192.0.2.1", 53), 0.0)
    return time.process_time() - began


def _cost(server: AuthoritativeServer, zone: Zone, name: str, rdtype: str, *, dnssec: bool) -> Cost:
    queries = []
    for n in range(NAMES):
        full = "example.org." if name == "-" else f"{name.format(n)}.bench.test.".lstrip(".")
        query = dns.message.make_query(full, rdtype, use_edns=0 if dnssec else -1, want_dnssec=dnssec)
        query.flags &= ~dns.flags.RD
        queries.append(query.to_wire())
    if "{}" not in name:
        queries = queries[:1]
    batches = [queries[at : at + BATCH] for at in range(0, len(queries), BATCH)]
    first, later = [], []
    for _ in range(ROUNDS if len(queries) > 1 else 200):
        server.common.replace(zone)
        first.append(_ask(server, batches))
        again = 1 if len(queries) > 1 else 50
        later += [_ask(server, batches * again) / again for _ in range(2)]
    return Cost(*(statistics.median(each) / len(queries) * 1e6 for each in (first, later)))


def main() -> None:
    """Measure, and write the page."""
    gc.disable()
    lines = [
        "# What a question costs",
        "",
        "Written by `python -m benchmarks.first_questions`; do not edit.",
        "",
        "Microseconds of CPU in our code for a datagram, the system calls apart (about four more for receiving and "
        f"sending on the machine of the [measurements](performance.md)): the first question for each of {NAMES:,} "
        "names, asked of a server that has just been told of its zone, and the questions after it. The names that are "
        "not there are the worst of their kind: each is asked once more often than any is in life.",
        "",
        f"| question | {' | '.join(title for title, _, _ in FORMS)} |",
        f"|---{'|---:' * len(FORMS)}|",
    ]
    with tempfile.TemporaryDirectory() as folder:
        servers = [(_server(Path(folder), chain), dnssec) for _, chain, dnssec in FORMS]
        for title, name, rdtype in KINDS:
            costs = [_cost(*made, name, rdtype, dnssec=dnssec) for made, dnssec in servers]
            lines.append(f"| {title} | {' | '.join(f'{cost.first:.1f}, {cost.later:.1f}' for cost in costs)} |")
            print(lines[-1], flush=True)
    PAGE.write_text("\n".join([*lines, "", "In each field: the first question, and those after it.", ""]))


if __name__ == "__main__":
    main()
