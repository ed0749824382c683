"""Signed zones with several TTLs at a name, copied from us and by us: whoever checks the digest finds it right.

Knot DNS and Unbound check ZONEMD (RFC 8976) of what they copy and serve nothing that does not fit; Knot DNS makes it
for zones that it signs. What NSD, Knot DNS and BIND copy of a zone that we sign has our signatures with our TTLs.
"""

from __future__ import annotations

import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.rrset
import dns.update
import dns.zone
from twisted.internet.threads import deferToThread

from netsuite.dns.authoritative.digest import complaint
from netsuite.dns.wire import codes
from tests.dnssignatures import MANY_TTLS, check_ttls
from tests.interop.dns.test_changes import KEY, SECRET, PeerCase, knotd, named, nsd
from tests.interop.dns.test_peers import free_port
from tests.unit.dns.uriarpa import URI_ARPA


def knot(folder, ours, port, role):
    """A copy that checks the digest, or a primary that signs and makes it."""
    zone = (
        '"uri.arpa"\n    master: other\n    zonemd-verify: on\n'
        if role == "copy"
        else f'"example.test"\n    file: "{folder}/peer.zone"\n    notify: other\n    acl: [copied, changed]\n'
        "    dnssec-signing: on\n    zonemd-generate: zonemd-sha384\n    journal-content: all\n"
        "    zonefile-sync: -1\n    zonefile-load: difference-no-serial\n"
    )
    (folder / "knot.conf").write_text(
        f'server:\n    rundir: "{folder}"\n    listen: 127.0.0.1@{port}\n    udp-workers: 1\n    tcp-workers: 1\n'
        f'    background-workers: 1\ndatabase:\n    storage: "{folder}/knot"\nlog:\n  - target: stderr\n    any: info\n'
        f'key:\n  - id: xfr\n    algorithm: hmac-sha256\n    secret: "{SECRET}"\n'
        f"remote:\n  - id: other\n    address: 127.0.0.1@{ours}\n    key: xfr\n"
        f"acl:\n  - id: copied\n    key: xfr\n    action: transfer\n  - id: changed\n    key: xfr\n    action: update\n"
        f'zone:\n  - domain: {zone}    storage: "{folder}/knot"\n'
    )
    return ["knotd", "-c", folder / "knot.conf"]


def unbound(zone):
    """A copy of a zone that checks the digest."""

    def configure(folder, ours, port, role):
        (folder / "unbound.conf").write_text(
            f'server:\n  interface: 127.0.0.1@{port}\n  do-daemonize: no\n  username: ""\n  chroot: ""\n'
            f'  directory: "{folder}"\n  pidfile: "{folder}/unbound.pid"\n  use-syslog: no\n  verbosity: 2\n'
            f'  do-not-query-localhost: no\n  module-config: "iterator"\n  local-zone: "test." nodefault\n'
            "remote-control:\n  control-enable: no\n"
            f"auth-zone:\n  name: {zone}\n  primary: 127.0.0.1@{ours}\n  zonemd-check: yes\n"
            "  zonemd-reject-absence: yes\n  for-downstream: yes\n  for-upstream: no\n"
        )
        return ["unbound", "-d", "-c", folder / "unbound.conf"]

    return configure


def asked(port, name, rdtype):
    query = dns.message.make_query(name, rdtype, want_dnssec=True)
    return dns.query.tcp(query, "127.0.0.1", port=port, timeout=2)


def lines(message):
    """The records of an answer with their TTLs, in no order."""
    return sorted(line for rrset in message.answer for line in rrset.to_text().splitlines())


def has_serial(port, name, serial):
    answer = asked(port, name, "SOA").answer
    return bool(answer) and answer[0][0].serial == serial


class DigestTests(PeerCase):
    """Zones with a digest."""

    async def copied(self, program, configure):
        ours = free_port()
        (self.folder / "ours.zone").write_text(URI_ARPA)
        self.serve(ours, name="uri.arpa", file="ours.zone", transfer=["loopback", "key:xfr"])
        port = self.start(program, configure, ours, "copy")
        await self.until("the copy", lambda: has_serial(port, "uri.arpa.", 2018100702))
        for name, rdtype in (("uri.arpa.", "MX"), ("uri.arpa.", "NS"), ("ftp.uri.arpa.", "NAPTR")):
            mine, theirs = [await deferToThread(asked, each, name, rdtype) for each in (ours, port)]
            self.assertEqual(lines(mine), lines(theirs))

    async def test_knot_takes_the_zone_of_the_rfc(self):
        await self.copied("knotd", knot)

    async def test_unbound_takes_the_zone_of_the_rfc(self):
        await self.copied("unbound", unbound("uri.arpa"))

    async def test_we_pass_on_what_knot_signs(self):
        """Knot DNS signs and digests, we copy by AXFR and IXFR, Unbound copies from us and checks."""
        (self.folder / "peer.zone").write_text(MANY_TTLS)
        ours = free_port()
        peer = self.start("knotd", knot, ours, "primary")
        await self.until("the signed zone", lambda: asked(peer, "example.test.", "ZONEMD").answer)
        self.serve(ours, primary=[f"127.0.0.1:{peer} key:xfr"], transfer=["loopback"])
        await self.until("the first copy", lambda: self.same(peer, ours))
        for number in range(3):
            if number:
                await deferToThread(self.change, peer, number)
                self.service._tended[0].refresh()
                await self.until("the next copy", lambda: self.same(peer, ours))
            zone = self.service._tended[0].zone
            self.assertIsNone(complaint(zone))
            self.assertGreater(check_ttls(zone.records()), 10)
            self.assertIsNotNone(zone.apex.rrset(codes.ZONEMD))
        self.assertGreaterEqual(len(self.service._tended[0].history.changes), 2)
        port = self.start("unbound", unbound("example.test"), ours, "copy")
        await self.until("a copy of the copy", lambda: has_serial(port, "example.test.", zone.serial))

    def change(self, port, number):
        update = dns.update.UpdateMessage("example.test.", keyring=KEY)
        update.replace("www.example.test.", 300 + number, "A", "192.0.2.1")
        update.add(f"n{number}.example.test.", 7, "A", "192.0.2.9")
        self.assertEqual(dns.query.udp(update, "127.0.0.1", port=port, timeout=5).rcode(), dns.rcode.NOERROR)

    def same(self, *ports):
        """Whether servers have the same records of the zone."""
        texts = []
        for port in ports:
            query = dns.message.make_query("example.test.", "AXFR")
            query.use_tsig(KEY)
            zone = dns.zone.Zone("example.test.", relativize=False)
            dns.query.inbound_xfr("127.0.0.1", zone, query, port=port, timeout=5)
            texts.append(sorted(zone.to_text(relativize=False).splitlines()))
        return texts[0] == texts[1]


class CopyTests(PeerCase):
    """A zone that we sign, and others that copy it."""

    async def they_copy(self, program, configure):
        ours, port = free_port(), free_port()
        (self.folder / "ours.zone").write_text(MANY_TTLS)
        told = [f"127.0.0.1:{port} key:xfr"]
        self.serve(ours, file="ours.zone", dnssec="nsec", notify=told, update=[{"key": "xfr"}])
        tended = self.service._tended[0]
        self.start(program, configure, ours, "copy", port)
        await self.until("the first copy", lambda: has_serial(port, "example.test.", tended.zone.serial))
        await self.compare(ours, port)
        update = dns.update.UpdateMessage("example.test.", keyring=KEY)
        update.replace("www.example.test.", 7, "A", "192.0.2.1")
        update.add("www.example.test.", 40, "AAAA", "2001:db8::1")
        update.delete("www.example.test.", "TXT")
        await deferToThread(dns.query.udp, update, "127.0.0.1", 5, ours)
        await self.until("the next one", lambda: has_serial(port, "example.test.", tended.zone.serial))
        await self.compare(ours, port)

    async def compare(self, ours, port):
        for name, rdtype in (
            ("", "SOA"),
            ("", "NS"),
            ("", "MX"),
            ("", "DNSKEY"),
            ("www.", "A"),
            ("www.", "AAAA"),
            ("www.", "TXT"),
            ("x.wild.", "A"),
        ):
            query = f"{name}example.test.", rdtype
            mine, theirs = [await deferToThread(asked, each, *query) for each in (ours, port)]
            self.assertEqual(lines(mine), lines(theirs), query)
        whole = self.service._tended[0].zone
        self.assertGreater(check_ttls(whole.records()), 10)

    async def test_nsd(self):
        await self.they_copy("nsd", nsd)

    async def test_knot(self):
        await self.they_copy("knotd", knotd)

    async def test_bind(self):
        await self.they_copy("named", named)
