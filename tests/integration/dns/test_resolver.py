"""The resolver on real sockets."""

from __future__ import annotations

import contextlib
import socket
import time

import dns.flags
import dns.message
import dns.query
import dns.rcode
from twisted.internet import reactor
from twisted.internet.defer import gatherResults
from twisted.internet.threads import deferToThread

from netsuite.dns.resolver.service import build
from netsuite.dns.resolver.settings import ResolverSettings
from tests.integration.dns.resolving import ResolverCase, free_port
from tests.unit.dns.resolver import internet


class Resolver(ResolverCase):
    async def test_from_the_root_to_the_answer(self):
        for tcp in (False, True, False):
            answer = await self.ask("alias.example.test", tcp=tcp)
            self.assertEqual(
                [rrset.to_text() for rrset in answer.answer],
                ["alias.example.test. 300 IN CNAME www.example.test.", "www.example.test. 300 IN A 192.0.2.80"],
            )
        self.assertEqual(self.resolver.upstream.asked, 4)  # the hints, the root, the TLD, the site

    async def test_every_kind_of_answer(self):
        answers = {}
        for name, rdtype in internet.QUESTIONS:
            answers[name, rdtype] = await self.ask(name, rdtype, tcp=True)
        self.assertEqual(answers["www.sub.example.test", "A"].answer[0][0].address, "192.0.2.82")
        self.assertEqual(answers["nothing.nowhere", "A"].rcode(), dns.rcode.NXDOMAIN)
        self.assertEqual(answers["x.wild.example.test", "TXT"].answer[0][0].strings, (b"found",))
        self.assertEqual(len(answers["gone.example.test", "A"].answer), 1)
        self.assertEqual(answers["gone.example.test", "A"].rcode(), dns.rcode.NXDOMAIN)
        asked = self.resolver.upstream.asked
        for name, rdtype in internet.QUESTIONS:
            again = await self.ask(name, rdtype, tcp=True)
            self.assertEqual(again.rcode(), answers[name, rdtype].rcode())
            self.assertEqual(
                sorted((r.name, r.rdtype, tuple(r)) for r in again.answer),
                sorted((r.name, r.rdtype, tuple(r)) for r in answers[name, rdtype].answer),
            )
        self.assertEqual(self.resolver.upstream.asked, asked)

    async def test_a_large_answer_is_cut_off_and_fetched_by_tcp(self):
        answer = await self.ask("big.example.test", "TXT")
        self.assertTrue(answer.flags & dns.flags.TC)
        whole = await self.ask("big.example.test", "TXT", tcp=True)
        self.assertEqual(len(whole.answer[0][0].strings), 7)
        self.assertEqual(self.resolver.upstream.over_tcp, 1)

    async def test_many_at_once(self):
        names = [f"h{number}.wild.example.test" for number in range(300)]
        answers = await gatherResults([self.ask(name, "TXT") for name in names])
        self.assertEqual({answer.answer[0][0].strings for answer in answers}, {(b"found",)})
        self.assertEqual(len(self.resolver.upstream), 0)

    async def test_a_dead_port_is_noticed_at_once(self):
        stubbed = self.start(
            build, ResolverSettings, {"listen": [], "stubs": {"closed.test": [f"127.0.0.1:{free_port()}"]}}
        )
        began = reactor.seconds()
        try:
            await stubbed.lookup.lookup("www.closed.test", "A")
        except Exception as error:
            self.assertIn("no server of closed.test.", str(error))
        else:
            self.fail("somebody answered")
        self.assertLess(reactor.seconds() - began, 2.0)  # the kernel's refusal is heard, no time-out awaited

    async def test_forwarding_on_real_sockets(self):
        forwarder = self.start(build, ResolverSettings, {"listen": [], "forward": [f"127.0.0.1:{self.port}"]})
        self.assertEqual(await forwarder.lookup.addresses("www.example.test"), ["192.0.2.80", "2001:db8::80"])
        self.assertEqual(forwarder.upstream.asked, 2)

    async def test_many_questions_on_one_connection_and_not_too_many_connections(self):
        one = self.start(
            build,
            ResolverSettings,
            {
                "listen": ["127.0.0.1:0"],
                "stubs": {"example.test": [f"{internet.SITE}:{self.upstream_port}"]},
                "connections_per_address": 2,
            },
        )
        port = one.addresses()[0].port

        def talk():
            names = ["www.example.test", "short.example.test", "mail.example.test"]
            queries = {query.id: query for query in (dns.message.make_query(name, "A") for name in names)}
            with contextlib.ExitStack() as stack:
                first, _second, third = (
                    stack.enter_context(socket.create_connection(("127.0.0.1", port), 5)) for _ in range(3)
                )
                wires = [query.to_wire() for query in queries.values()]
                first.sendall(b"".join(len(wire).to_bytes(2, "big") + wire for wire in wires))
                answers = [dns.query.receive_tcp(first, time.time() + 5)[0] for _ in names]
                self.assertEqual(third.recv(1), b"")
            for answer in answers:
                self.assertTrue(queries.pop(answer.id).is_response(answer))
                self.assertEqual(len(answer.answer), 1)

        await deferToThread(talk)
