"""Catalog zones (RFC 9432): ours with Knot DNS and BIND, and Knot DNS's with us."""

from __future__ import annotations

import os
import signal

import dns.message
import dns.query
import dns.rcode
from twisted.internet import reactor

from netsuite.dns.authoritative.service import build
from netsuite.dns.authoritative.settings import DnsSettings
from netsuite.testing.commons import make_commons
from tests.interop.dns.test_changes import SECRET, PeerCase
from tests.interop.dns.test_peers import free_port

ZONE = "$TTL 60\n@ SOA ns1 host 1 3600 1 604800 5\n@ NS ns1\nns1 A 127.0.0.1\nwww A 192.0.2.{}\n"


def knot_base(folder, ours, port):
    return (
        f'server:\n    rundir: "{folder}"\n    listen: 127.0.0.1@{port}\n    udp-workers: 1\n    tcp-workers: 1\n'
        f"    background-workers: 1\n"
        f'database:\n    storage: "{folder}/knot"\nlog:\n  - target: stderr\n    any: info\n'
        f'key:\n  - id: xfr\n    algorithm: hmac-sha256\n    secret: "{SECRET}"\n'
        f"remote:\n  - id: other\n    address: 127.0.0.1@{ours}\n    key: xfr\n"
        f"acl:\n  - id: told\n    key: xfr\n    action: notify\n  - id: copied\n    key: xfr\n    action: transfer\n"
    )


def knot_consumer(folder, ours, port, role):
    (folder / "knot.conf").write_text(
        knot_base(folder, ours, port) + "template:\n  - id: member\n    master: other\n    acl: told\n"
        f'    storage: "{folder}/knot"\n'
        "zone:\n  - domain: made.catalog\n    master: other\n    acl: told\n    catalog-role: interpret\n"
        f'    catalog-template: member\n    storage: "{folder}/knot"\n'
    )
    return ["knotd", "-c", folder / "knot.conf"]


def knot_producer(folder, ours, port, members):
    text = knot_base(folder, ours, port)
    text += "zone:\n  - domain: made.catalog\n    catalog-role: generate\n    acl: copied\n    notify: other\n"
    text += f'    storage: "{folder}/knot"\n'
    for name in members:
        text += f'  - domain: {name}\n    file: "{folder}/{name}"\n    acl: copied\n'
        text += f"    catalog-role: member\n    catalog-zone: made.catalog\n    catalog-group: {name[:3]}\n"
    (folder / "knot.conf").write_text(text)
    return ["knotd", "-c", folder / "knot.conf"]


def named_consumer(folder, ours, port, role):
    primary = f"{{ 127.0.0.1 port {ours} key xfr; }}"
    (folder / "named.conf").write_text(
        f'key xfr {{ algorithm hmac-sha256; secret "{SECRET}"; }};\n'
        f'options {{ directory "{folder}"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};\n'
        f" pid-file none; session-keyfile none; recursion no; empty-zones-enable no; dnssec-validation no;\n"
        f" notify no; serial-query-rate 1000; transfer-source 127.0.0.1;\n"
        f' catalog-zones {{ zone "made.catalog" default-primaries {primary} in-memory yes min-update-interval 1; }};\n'
        f' }};\ncontrols {{ }};\nzone "made.catalog" {{ type secondary; primaries {primary}; }};\n'
    )
    return ["named", "-g", "-n", "1", "-c", folder / "named.conf"]


class CatalogTests(PeerCase):
    """Who makes a catalog, and who follows it."""

    def setUp(self):
        super().setUp()
        for number, name in enumerate(("one", "two", "three"), 1):
            (self.folder / f"{name}.test").write_text(f"$ORIGIN {name}.test.\n" + ZONE.format(number))

    def run_site(self, port, **table):
        table = {"listen": [f"127.0.0.1:{port}"], "key": [{"name": "xfr", "secret": SECRET}], **table}
        commons = make_commons(self.folder / "data", reactor)
        service = build(DnsSettings.model_validate(table, context={"base": self.folder}), commons)
        service.check()
        service.open()
        service.startService()
        self.addCleanup(lambda: service.drain(reactor.seconds() + 0.2))
        return service

    def said(self, port):
        """What a server says to questions for the three zones."""
        found = []
        for name in ("one", "two", "three"):
            query = dns.message.make_query(f"www.{name}.test.", "A")
            answer = dns.query.udp(query, "127.0.0.1", port=port, timeout=2)
            found.append(answer.answer[0][0].to_text()[-1] if answer.answer else dns.rcode.to_text(answer.rcode()))
        return found

    async def they_follow_ours(self, program, configure):
        ours = free_port()
        port = self.start(program, configure, ours, "copy")
        zones = [
            {"name": f"{name}.test", "file": f"{name}.test", "transfer": ["key:xfr"]}
            for name in ("one", "two", "three")
        ]

        def produce(*members):
            catalog = {
                "name": "made.catalog",
                "zones": members,
                "groups": {"some": [members[0]]},
                "transfer": ["key:xfr"],
                "notify": [f"127.0.0.1:{port} key:xfr"],
            }
            return self.run_site(ours, zone=zones, catalog=[catalog])

        service = produce("one.test", "two.test")
        await self.until("the members", lambda: self.said(port) == ["1", "2", "REFUSED"])
        await service.drain(reactor.seconds() + 0.2)
        service = produce("two.test", "three.test")
        await self.until("the change of members", lambda: self.said(port) == ["REFUSED", "2", "3"])

    async def test_knot_follows_ours(self):
        await self.they_follow_ours("knotd", knot_consumer)

    async def test_bind_follows_ours(self):
        await self.they_follow_ours("named", named_consumer)

    async def test_we_follow_knot_s(self):
        ours = free_port()
        port = self.start("knotd", knot_producer, ours, ("one.test", "two.test"))
        group = {"name": "one", "transfer": ["loopback"]}
        catalog = {
            "name": "made.catalog",
            "primary": [f"127.0.0.1:{port} key:xfr"],
            "catalog": True,
            "group": [group],
        }
        service = self.run_site(ours, zone=[catalog])
        await self.until("the members", lambda: self.said(ours) == ["1", "2", "REFUSED"])
        settings = {tended.title: tended.settings.transfer for tended in service._tended}
        self.assertEqual((settings["one.test."], settings["two.test."]), (["loopback"], []))
        knot_producer(self.folder, ours, port, ("two.test", "three.test"))
        os.kill(self.process.pid, signal.SIGHUP)
        await self.until("the change of members", lambda: self.said(ours) == ["REFUSED", "2", "3"])
