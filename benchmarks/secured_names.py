"""Authoritative servers at what security adds: ``dns-signed``, ``dns-options`` (cookies), ``dns-tls``."""

from __future__ import annotations

import contextlib
import ssl
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import dns.message
import dns.query
import dns.rcode

from benchmarks.contest import Contender
from benchmarks.load import Load, dnsperf, missing
from benchmarks.name_servers import DOMAIN, DnsAuth, Zone, authoritative, make_zone, nsd
from benchmarks.ours import ours

__all__ = ["DnsOptions", "DnsSigned", "DnsTls"]


class DnsSigned(DnsAuth):
    """A signed zone, asked with the DO bit: answers carry signatures, denials their proofs."""

    name = "dns-signed"
    title = "Authoritative DNS, signed zone"
    sizes: tuple[int, ...] = (1_000, 10_000)
    cases = ("random names, one in ten absent, DO set",)
    notes = (
        "Names at random from the whole zone, one in ten absent, all with the DO bit. The zone is signed by "
        "dnssec-signzone (ECDSA P-256, NSEC) and served as it is. One worker each; response rate limiting off; minimal "
        "responses."
    )

    def missing(self) -> str | None:
        """The generator and the signer are needed."""
        return super().missing() or missing("dnssec-signzone")

    @contextlib.contextmanager
    def scene(self, folder: Path, size: int) -> Iterator[Zone]:
        """The zone, signed."""
        zone = make_zone(folder, size, absent=size // 9)
        for command in (
            ["dnssec-keygen", "-q", "-a", "ECDSAP256SHA256", "-f", "KSK", DOMAIN],
            ["dnssec-keygen", "-q", "-a", "ECDSAP256SHA256", DOMAIN],
            ["dnssec-signzone", "-S", "-z", "-o", DOMAIN, "-f", "zone.signed", zone.file.name],
        ):
            subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=300)
        yield attrs.evolve(zone, file=folder / "zone.signed")

    def sample(self, scene: Zone, case: str, port: int) -> Any:
        """Names that are there and one that is not, with signatures and proofs, in any order."""
        found = []
        for name in scene.samples:
            query = dns.message.make_query(name, "A", want_dnssec=True)
            response = dns.query.udp(query, "127.0.0.1", port=port, timeout=5)
            sections = [
                sorted(f"{rrset.name} {rdata}".lower() for rrset in section for rdata in rrset)
                for section in (response.answer, response.authority)
            ]
            found.append((dns.rcode.to_text(response.rcode()), sections))
        return found

    def load(self, scene: Zone, case: str, port: int, seconds: float) -> Load:
        """Random names."""
        return dnsperf(port, scene.questions, seconds, options=("-D",))


class DnsOptions(DnsAuth):
    """Queries with a client cookie, as resolvers send them."""

    name = "dns-options"
    title = "Authoritative DNS, queries with cookies"
    cases = ("random names, one in ten absent, a client cookie in each",)
    sizes: tuple[int, ...] = (1_000, 10_000)
    notes = (
        "Names at random from the whole zone, one in ten absent, a client cookie (RFC 7873) in each query. Ours and "
        "NSD answer with a server cookie; Knot DNS answers cookies only with a module, and passes over them here."
    )

    def contenders(self) -> Sequence[Contender[Zone]]:
        """Ours, NSD with cookies, Knot DNS."""
        mine, peer, other = authoritative()
        return (
            mine,
            attrs.evolve(peer, command=lambda zone, folder, port: nsd(zone, folder, port, "answer-cookie: yes")),
            other,
        )

    def load(self, scene: Zone, case: str, port: int, seconds: float) -> Load:
        """Random names."""
        return dnsperf(port, scene.questions, seconds, options=("-E", "10:0102030405060708"))


class DnsTls(DnsAuth):
    """The same over TLS (RFC 7858), from eight connections that stay open."""

    name = "dns-tls"
    title = "Authoritative DNS over TLS"
    cases = ("random names, one in ten absent, over TLS",)
    sizes: tuple[int, ...] = (1_000, 10_000)
    notes = (
        "Eight kept connections. Debian's Knot DNS speaks no DNS over TLS, so NSD is the only peer. Each server has a "
        "certificate of its own (ECDSA P-256) and chooses the cipher as it does by default."
    )

    def missing(self) -> str | None:
        """The generator is needed, and what makes NSD's certificate."""
        return super().missing() or missing("openssl")

    def contenders(self) -> Sequence[Contender[Zone]]:
        """Ours and NSD."""

        def command(zone: Zone, folder: Path, port: int) -> Sequence[str | Path]:
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                 "-keyout", "key", "-out", "certificate", "-subj", "/CN=localhost", "-days", "30"],
                cwd=folder, check=True, capture_output=True, timeout=30,
            )  # fmt: skip
            return nsd(
                zone,
                folder,
                port,
                f'tls-port: {port}\n    tls-service-key: "{folder}/key"\n    tls-service-pem: "{folder}/certificate"',
            )

        return (
            ours(
                "netsuite-dns",
                lambda zone, _, port: [
                    "--listen", f"secure:127.0.0.1:{port}", "--zone", f"{DOMAIN}={zone.file}",
                    "--set", "dns.rate_limit=0",
                ],
            ),
            attrs.evolve(authoritative()[1], command=command),
        )  # fmt: skip

    def warm(self, scene: Zone, case: str, port: int) -> None:
        """Wait until the zone is loaded."""
        for _ in range(300):
            if self._ask(DOMAIN, port).rcode() == dns.rcode.NOERROR:
                return

    def sample(self, scene: Zone, case: str, port: int) -> Any:
        """Names that are there and one that is not."""
        found = []
        for name in scene.samples:
            response = self._ask(name, port)
            records = [
                sorted(f"{rrset.name} {rdata}".lower() for rrset in section for rdata in rrset)
                for section in (response.answer, response.authority)
            ]
            found.append((dns.rcode.to_text(response.rcode()), records))
        return found

    def load(self, scene: Zone, case: str, port: int, seconds: float) -> Load:
        """Random names."""
        return dnsperf(port, scene.questions, seconds, over="dot")

    def _ask(self, name: str, port: int) -> dns.message.Message:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        query = dns.message.make_query(name, "A")
        return dns.query.tls(query, "127.0.0.1", port=port, timeout=5, ssl_context=context, server_hostname="localhost")
