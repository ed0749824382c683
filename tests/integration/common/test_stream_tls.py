"""StreamAdapter over TLS on real sockets: what is said, and every handshake that comes to nothing."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from twisted.internet.defer import Deferred

from netsuite.common.body import BodyFailed
from netsuite.common.stream import ConnectFailed, StreamFactory, connect_stream
from netsuite.common.tls import TlsFilter
from tests.blocks import Blocks, Message
from tests.integration.common.test_stream import Source, StreamCase, eventually


class Tls(StreamCase):
    """TLS as a filter, with a certificate made for the test."""

    def setUp(self):
        super().setUp()
        folder = Path(self.mktemp())
        folder.mkdir()
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        chain, secret = folder / "chain.pem", folder / "key.pem"
        chain.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        secret.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(chain, secret)
        self.context.set_alpn_protocols(["blocks"])
        self.trusting = ssl.create_default_context(cafile=str(chain))
        self.trusting.set_alpn_protocols(["blocks"])

    async def client(self, answers, **options):
        factory = StreamFactory(
            self.runtime,
            "client",
            lambda channel: Blocks(self.clock.seconds(), answers=False),
            lambda message, body, adapter: answers.append((message, body)),
        )
        options = {"tls_context": self.trusting, "server_hostname": "localhost", **options}
        adapter = await connect_stream(factory, "127.0.0.1", self.port, **options)
        self.addCleanup(adapter.abort)
        return adapter

    async def test_a_conversation(self):
        async def handler(message, body, adapter):
            return Message(b"%d" % len(await body.read(1 << 24)), source=Source(5))

        self.serve(handler, context=self.context)
        answers = []
        adapter = await self.client(answers)
        self.assertEqual(adapter.channel.tls.alpn, "blocks")
        adapter.send(Message(b"hi", source=Source(30)))
        await eventually(lambda: answers)
        message, body = answers[0]
        self.assertEqual(message.name, b"%d" % (30 * 65536))
        self.assertEqual(len(await body.read(1 << 24)), 5 * 65536)

    async def test_an_untrusted_server_is_refused(self):
        self.serve(lambda *a: None, context=self.context)
        problem = await self.assertFailure(
            Deferred.fromCoroutine(self.client([], tls_context=ssl.create_default_context())), ConnectFailed
        )
        self.assertIn("CERTIFICATE_VERIFY_FAILED", str(problem))

    async def test_a_wrong_name_is_refused(self):
        self.serve(lambda *a: None, context=self.context)
        await self.assertFailure(
            Deferred.fromCoroutine(self.client([], server_hostname="elsewhere.test")), ConnectFailed
        )

    async def test_clear_text_on_a_tls_port(self):
        self.serve(lambda *a: None, context=self.context)
        peer = await self.raw()
        peer.transport.write(b"GET / HTTP/1.1\r\n\r\n")
        await peer.closed
        self.assertEqual((self.factory.tls_failed, self.machines), (1, []))

    async def test_a_handshake_that_never_comes_is_cut(self):
        self.serve(lambda *a: None, context=self.context)
        peer = await self.raw()
        await eventually(lambda: self.factory.adapters)
        self.clock.advance(10)
        await peer.closed
        self.assertEqual(self.factory.timed_out, 1)

    async def test_an_end_without_close_notify_is_no_orderly_end(self):
        failures = []

        async def handler(message, body, adapter):
            try:
                await body.read(1000)
            except BodyFailed as failed:
                failures.append(str(failed))
                raise

        self.serve(handler, context=self.context)
        adapter = await self.client([])
        adapter.send(Message(b"hi", source=_never()))
        await eventually(lambda: self.machines and self.machines[0].inside)
        adapter.transport.loseWriteConnection()
        await eventually(lambda: failures)
        self.assertEqual(failures, ["the peer closed without close_notify"])

    async def test_an_upgrade_forgets_what_came_in_clear(self):
        seen = []

        def handler(message, body, adapter):
            seen.append((message.name, adapter.channel.tls is not None))
            return Message(b"ok")

        self.serve(handler, filters={"tls": lambda: TlsFilter(self.context, server=True)})
        peer = await self.raw()
        peer.transport.write(b"tls\n0\ninjected\n0\n")
        await peer.until(b"ok\n0\n")
        tls = TlsFilter(self.trusting, server=False, server_hostname="localhost")
        tls.start()
        peer.got = b""
        while tls.facts is None:
            peer.transport.write(tls.outgoing())
            await eventually(lambda: peer.got)
            data, peer.got = peer.got, b""
            tls.received(data)
        tls.sent([b"secret\n0\n"])
        peer.transport.write(tls.outgoing())
        await eventually(lambda: len(seen) == 2)
        self.assertEqual(seen, [(b"tls", False), (b"secret", True)])


async def _never():
    await Deferred()
    yield b""
