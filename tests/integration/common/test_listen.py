"""Listeners on real sockets: everything that can be wrong with an address ends the start, in one line."""

from __future__ import annotations

import os
import socket
import ssl
import stat
import subprocess
import sys
from pathlib import Path

from attrs import evolve
from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.endpoints import serverFromString
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SkipTest, TestCase

from netsuite.common import listen as listen_module
from netsuite.common.certificates import Certificates
from netsuite.common.datadir import DataDirectory
from netsuite.common.errors import StartError
from netsuite.common.listen import DatagramListener, StreamListener
from netsuite.common.sharing import Sharing
from netsuite.testing.commons import make_commons
from netsuite.upper.server import UpperServer
from netsuite.upper.settings import UpperSettings

NO_IPV6 = "this machine has no IPv6 loopback"


def commons_in(path, sharing=None):
    return evolve(make_commons(Path(path), reactor), sharing=sharing or Sharing())


def said(where, text=b"hello\n", context=None, name=None, family=socket.AF_INET):
    """What a server answers to a line."""
    with socket.socket(family) as connection:
        connection.settimeout(10)
        connection.connect(where)
        if context is not None:
            connection = context.wrap_socket(connection, server_hostname=name)
        with connection:
            connection.sendall(text)
            return connection.recv(100)


def has_ipv6():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


class ListenCase(TestCase):
    def setUp(self):
        self.commons = commons_in(self.mktemp())
        self.server = UpperServer(UpperSettings(), self.commons, self.commons.access.rule(["any"]))

    def stream(self, text, commons=None, **more):
        listener = StreamListener(text, self.server.factory, commons or self.commons, "upper.listen", **more)
        self.addCleanup(listener.close)
        return listener

    def datagram(self, text, commons=None):
        listener = DatagramListener(text, self.server.answer_datagram, commons or self.commons, "upper.listen")
        self.addCleanup(listener.close)
        return listener

    def opened(self, text, **more):
        listener = self.stream(text, **more)
        listener.open()
        listener.accept()
        return listener

    def refusal(self, listener):
        error = self.assertRaises(StartError, listener.open)
        self.assertNotIn("\n", str(error))
        return str(error)


class StreamTests(ListenCase):
    @inlineCallbacks
    def test_a_port_on_loopback(self):
        listener = self.opened("0")
        self.assertEqual(listener.host, "127.0.0.1")
        self.assertNotEqual(listener.port, 0)
        answer = yield deferToThread(said, (listener.host, listener.port))
        self.assertEqual(answer, b"HELLO\n")

    @inlineCallbacks
    def test_clients_wait_until_they_are_accepted(self):
        listener = self.stream("127.0.0.1:0")
        listener.open()
        waiting = deferToThread(said, (listener.host, listener.port))
        for _ in range(20):
            yield deferToThread(lambda: None)
        self.assertEqual(self.server.factory.accepted, 0)
        listener.accept()
        answer = yield waiting
        self.assertEqual(answer, b"HELLO\n")

    @inlineCallbacks
    def test_closing_ends_listening(self):
        listener = self.opened("127.0.0.1:0")
        yield listener.close()
        yield listener.close()
        with self.assertRaises(ConnectionRefusedError):
            yield deferToThread(said, (listener.host, listener.port))

    def test_closing_what_was_never_open(self):
        return self.stream("127.0.0.1:0").close()

    def test_a_port_in_use(self):
        first = self.opened("127.0.0.1:0")
        where = f"127.0.0.1:{first.port}"
        for text in (where, f"secure:{where}", f"shared:{where}"):
            self.assertEqual(
                self.refusal(self.stream(text)),
                f"{where} is already in use; choose another address with --listen or upper.listen",
            )

    def test_a_port_in_use_that_only_listening_shows(self):
        """With SO_REUSEADDR the second bind succeeds while nobody listens; see ARCHITECTURE section 7."""
        with socket.socket() as bound:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(("127.0.0.1", 0))
            text = f"127.0.0.1:{bound.getsockname()[1]}"
            one, other = self.stream(text), self.stream(text)
            one.open()
            self.assertIn("is already in use", self.refusal(other))

    def test_the_option_has_the_settings_name(self):
        first = self.opened("127.0.0.1:0")
        listener = StreamListener(f"127.0.0.1:{first.port}", self.server.factory, self.commons, "tracker.http")
        self.assertTrue(self.refusal(listener).endswith("choose another address with --http or tracker.http"))

    def test_an_address_of_another_machine(self):
        self.assertEqual(
            self.refusal(self.stream("192.0.2.1:0")),
            "192.0.2.1:0 is not an address of this machine; choose another address with --listen or upper.listen",
        )

    def test_a_host_without_an_address(self):
        self.assertIn("the host has no address", self.refusal(self.stream("nowhere.invalid:80")))

    def test_what_is_no_address(self):
        error = self.assertRaises(StartError, self.stream, "nonsense")
        self.assertTrue(str(error).startswith("upper.listen: 'nonsense' is no address to listen on"))

    def test_a_low_port_without_privileges(self):
        if int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= 81:
            raise SkipTest("here everybody may use low ports")
        script = (
            "import encodings.idna, os, sys\n"
            "from twisted.internet import reactor\n"
            "from netsuite.common.errors import StartError\n"
            "from netsuite.common.listen import StreamListener\n"
            "from tests.integration.common.test_listen import commons_in\n"
            "listener = StreamListener('127.0.0.1:81', None, commons_in('/nonexistent'), 'http.listen')\n"
            "if os.getuid() == 0: os.setuid(65534)\n"
            "try: listener.open()\n"
            "except StartError as error: print(error)\n"
        )
        environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
        ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, env=environ)
        self.assertEqual(
            ran.stdout,
            "127.0.0.1:81 is not permitted (ports below 1024 need privileges); "
            "choose another address with --listen or http.listen\n",
            ran.stderr,
        )

    @inlineCallbacks
    def test_ipv6(self):
        if not has_ipv6():
            raise SkipTest(NO_IPV6)
        listener = self.opened("[::1]:0")
        self.assertEqual(listener.host, "::1")
        answer = yield deferToThread(said, ("::1", listener.port), family=socket.AF_INET6)
        self.assertEqual(answer, b"HELLO\n")
        self.assertTrue(self.refusal(self.stream(f"[::1]:{listener.port}")).startswith(f"[::1]:{listener.port} is al"))

    def test_both_wildcards_stand_side_by_side(self):
        if not has_ipv6():
            raise SkipTest(NO_IPV6)
        first = self.opened("[::]:0")
        self.opened(f"0.0.0.0:{first.port}")

    @inlineCallbacks
    def test_a_shared_port(self):
        first = self.opened("shared:127.0.0.1:0")
        second = self.opened(f"shared:127.0.0.1:{first.port}")
        self.assertEqual(first.port, second.port)
        for _ in range(8):
            answer = yield deferToThread(said, ("127.0.0.1", first.port))
            self.assertEqual(answer, b"HELLO\n")

    @inlineCallbacks
    def test_an_inherited_socket(self):
        handed = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(handed.close)
        commons = commons_in(self.mktemp(), Sharing(named={"web": handed}))
        listener = self.stream("inherited:web", commons)
        listener.open()
        listener.accept()
        self.assertEqual((listener.host, listener.port), handed.getsockname())
        answer = yield deferToThread(said, handed.getsockname())
        self.assertEqual(answer, b"HELLO\n")

    def test_a_socket_that_was_not_handed_over(self):
        self.assertEqual(
            self.refusal(self.stream("inherited:web")),
            "inherited:web: no socket of that name was handed to this process; see upper.listen",
        )

    def test_a_socket_of_the_wrong_kind(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handed:
            commons = commons_in(self.mktemp(), Sharing(named={"web": handed}))
            self.assertIn("is not for tcp", self.refusal(self.stream("inherited:web", commons)))


class UnixTests(ListenCase):
    def setUp(self):
        super().setUp()
        self.path = Path(os.path.relpath(self.mktemp()))
        self.path.parent.mkdir(parents=True, exist_ok=True)

    @inlineCallbacks
    def test_only_its_owner_may_connect(self):
        listener = self.opened(f"unix:{self.path}")
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        self.assertEqual((listener.host, listener.port), (str(self.path), 0))
        answer = yield deferToThread(said, str(self.path), family=socket.AF_UNIX)
        self.assertEqual(answer, b"HELLO\n")
        yield listener.close()
        self.assertFalse(self.path.exists())

    def test_others_may_if_the_mode_says_so(self):
        before = os.umask(0o022)
        self.addCleanup(os.umask, before)
        self.opened(f"unix:{self.path}:mode=666")
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o666)
        self.assertEqual(os.umask(0o022), 0o022, "the process's umask is as it was")

    def test_a_path_in_use(self):
        self.opened(f"unix:{self.path}")
        self.assertIn("choose another address with --listen", self.refusal(self.stream(f"unix:{self.path}")))

    def test_what_a_crash_left_is_taken_over(self):
        with socket.socket(socket.AF_UNIX) as crashed:
            crashed.bind(str(self.path))
        Path(f"{self.path}.lock").symlink_to("999999999")
        self.opened(f"unix:{self.path}")

    def test_a_file_that_is_no_socket_is_left_alone(self):
        self.path.write_text("precious")
        self.refusal(self.stream(f"unix:{self.path}"))
        self.assertEqual(self.path.read_text(), "precious")

    def test_a_folder_that_is_not_there(self):
        self.assertIn("No such file or directory", self.refusal(self.stream(f"unix:{self.path}/x/y")))

    @inlineCallbacks
    def test_tls_on_a_unix_socket(self):
        listener = self.opened(f"secure:unix:{self.path}")
        self.assertTrue(listener.secure)
        context = self.commons.certificates.client_context()
        answer = yield deferToThread(said, str(self.path), context=context, name="localhost", family=socket.AF_UNIX)
        self.assertEqual(answer, b"HELLO\n")


class EndpointTests(ListenCase):
    @inlineCallbacks
    def test_twisteds_own(self):
        listener = self.opened("tcp:0:interface=127.0.0.1")
        answer = yield deferToThread(said, ("127.0.0.1", listener.port))
        self.assertEqual(answer, b"HELLO\n")

    @inlineCallbacks
    def test_behind_haproxy(self):
        listener = self.opened("haproxy:tcp:0:interface=127.0.0.1")
        text = b"PROXY TCP4 192.0.2.1 127.0.0.1 1000 80\r\nhello\n"
        answer = yield deferToThread(said, ("127.0.0.1", listener.port), text)
        self.assertEqual(answer, b"HELLO\n")

    def test_a_port_in_use(self):
        first = self.opened("127.0.0.1:0")
        text = f"tcp:{first.port}:interface=127.0.0.1"
        self.assertEqual(
            self.refusal(self.stream(text)),
            f"{text} is already in use; choose another address with --listen or upper.listen",
        )

    def test_one_that_does_not_exist(self):
        self.assertIn("pigeon:loft=3 cannot be listened on", self.refusal(self.stream("pigeon:loft=3")))

    def test_one_with_the_wrong_arguments(self):
        self.assertIn("cannot be listened on", self.refusal(self.stream("tcp:eighty")))

    def test_one_that_does_not_listen_at_once(self):
        class Late:
            def listen(self, factory):
                return Deferred()

        self.patch(listen_module, "serverFromString", lambda *_: Late())
        self.assertIn("does not listen at once", self.refusal(self.stream("tcp:80")))

    def test_systemd_without_systemd(self):
        self.assertIn("cannot be listened on", self.refusal(self.stream("systemd:domain=INET:index=0")))


class TlsTests(ListenCase):
    def shown(self, listener, name, context=None):
        """The names on the certificate that a client sees."""
        context = context or self.commons.certificates.client_context()
        with (
            socket.create_connection((listener.host, listener.port), 10) as connection,
            context.wrap_socket(connection, server_hostname=name) as tls,
        ):
            tls.sendall(b"hello\n")
            assert tls.recv(100) == b"HELLO\n"
            names = tls.getpeercert().get("subjectAltName", ())
            return [value for _, value in names], tls.getpeercert(binary_form=True), tls.selected_alpn_protocol()

    @inlineCallbacks
    def test_names_choose_certificates(self):
        own = Certificates(DataDirectory(Path(self.mktemp())), reactor, names=["shop.example"])
        leaf = own.choose(None)

        class Files:
            file, key = leaf.chain, leaf.key

        data = DataDirectory(Path(self.mktemp()))
        certificates = Certificates(data, reactor, names=["localhost", "*.example.test"], files=[Files])
        listener = self.opened_with(certificates)
        context = certificates.client_context(extra_ca=[own.ca_path])
        for name, names in (
            ("localhost", ["localhost", "*.example.test"]),
            ("www.example.test", ["localhost", "*.example.test"]),
            ("shop.example", ["shop.example"]),
        ):
            shown = yield deferToThread(self.shown, listener, name, context)
            self.assertEqual(shown[0], names)

    def opened_with(self, certificates):
        self.commons = evolve(self.commons, certificates=certificates)
        return self.opened("secure:127.0.0.1:0", alpn=("upper",))

    @inlineCallbacks
    def test_alpn(self):
        listener = self.opened("secure:127.0.0.1:0", alpn=("upper/2", "upper"))
        context = self.commons.certificates.client_context(alpn=["lower", "upper"])
        shown = yield deferToThread(self.shown, listener, "localhost", context)
        self.assertEqual(shown[2], "upper")

    @inlineCallbacks
    def test_a_new_certificate_is_shown_without_a_restart(self):
        listener = self.opened("secure:127.0.0.1:0")
        certificates = self.commons.certificates
        _, before, _ = yield deferToThread(self.shown, listener, "localhost")
        held = socket.create_connection((listener.host, listener.port), 10)
        held = certificates.client_context().wrap_socket(
            held, server_hostname="localhost", do_handshake_on_connect=False
        )
        self.addCleanup(held.close)
        yield deferToThread(held.do_handshake)
        certificates.choose(None).chain.unlink()
        self.assertRegex(certificates.reload()[0], r"^certificate .*/site.pem: reloaded$")
        _, after, _ = yield deferToThread(self.shown, listener, "localhost")
        self.assertNotEqual(before, after)
        held.sendall(b"still here\n")
        answer = yield deferToThread(held.recv, 100)
        self.assertEqual(answer, b"STILL HERE\n")

    @inlineCallbacks
    def test_plain_text_is_no_handshake(self):
        listener = self.opened("secure:127.0.0.1:0")
        answer = yield deferToThread(said, (listener.host, listener.port))
        self.assertNotIn(b"HELLO", answer)
        self.assertEqual(self.server.lines, 0)

    def test_a_certificate_that_cannot_be_ends_the_start(self):
        class Files:
            file, key = Path("/nonexistent/site.pem"), None

        certificates = Certificates(DataDirectory(Path(self.mktemp())), reactor, files=[Files])
        with self.assertRaises(StartError) as caught:
            self.opened_with(certificates)
        self.assertIn("cannot read the certificate /nonexistent/site.pem", str(caught.exception))

    @inlineCallbacks
    def test_our_endpoint_strings_serve_anyone(self):
        class Upper(Protocol):
            def dataReceived(self, data):
                self.transport.write(data.upper())

        folder = self.mktemp()
        for text, family in ((f"secure:0:data={folder}:names=localhost", True), ("shared:0", False)):
            port = yield serverFromString(reactor, text).listen(Factory.forProtocol(Upper))
            self.addCleanup(port.stopListening)
            host = port.getHost()
            self.assertEqual(host.host, "127.0.0.1")
            context = ssl.create_default_context(cafile=f"{folder}/ca.pem") if family else None
            answer = yield deferToThread(said, (host.host, host.port), context=context, name="localhost")
            self.assertEqual(answer, b"HELLO\n")


class DatagramTests(ListenCase):
    def asked(self, where, text=b"hello", family=socket.AF_INET):
        with socket.socket(family, socket.SOCK_DGRAM) as asking:
            asking.settimeout(10)
            asking.sendto(text, where)
            return asking.recv(100)

    @inlineCallbacks
    def test_a_port_on_loopback(self):
        listener = self.datagram("0")
        listener.open()
        waiting = deferToThread(self.asked, (listener.host, listener.port))
        for _ in range(20):
            yield deferToThread(lambda: None)
        self.assertEqual(self.server.datagrams, 0)
        listener.accept()
        answer = yield waiting
        self.assertEqual(answer, b"HELLO")
        self.assertEqual(listener.host, "127.0.0.1")

    @inlineCallbacks
    def test_ipv6(self):
        if not has_ipv6():
            raise SkipTest(NO_IPV6)
        listener = self.datagram("[::1]:0")
        listener.open()
        listener.accept()
        answer = yield deferToThread(self.asked, ("::1", listener.port), family=socket.AF_INET6)
        self.assertEqual(answer, b"HELLO")

    def test_a_port_in_use(self):
        first = self.datagram("127.0.0.1:0")
        first.open()
        self.assertEqual(
            self.refusal(self.datagram(f"127.0.0.1:{first.port}")),
            f"127.0.0.1:{first.port} is already in use; choose another address with --listen or upper.listen",
        )

    def test_the_same_number_as_a_stream(self):
        stream, datagram = self.opened("127.0.0.1:0"), self.datagram("127.0.0.1:0")
        datagram.follow(stream)
        datagram.open()
        self.assertEqual(datagram.port, stream.port)

    def test_shared(self):
        first = self.datagram("shared:127.0.0.1:0")
        first.open()
        second = self.datagram(f"shared:127.0.0.1:{first.port}")
        second.open()
        self.assertEqual(first.port, second.port)

    @inlineCallbacks
    def test_inherited(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handed:
            handed.bind(("127.0.0.1", 0))
            where = handed.getsockname()
            listener = self.datagram("inherited:dns", commons_in(self.mktemp(), Sharing(named={"dns": handed})))
            listener.open()
            listener.accept()
        answer = yield deferToThread(self.asked, where)
        self.assertEqual(answer, b"HELLO")

    @inlineCallbacks
    def test_a_close_waits_for_answers_until_its_deadline(self):
        for waits, expected in ((10.0, b"later"), (0.2, None)):
            asked, later = Deferred(), Deferred()

            def answer(data, peer, local, now, asked=asked, later=later):
                reactor.callLater(0, asked.callback, None)
                return later

            listener = DatagramListener("0", answer, self.commons, "upper.listen")
            listener.open()
            listener.accept()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
                asking.settimeout(0.5)
                asking.sendto(b"hello", (listener.host, listener.port))
                yield asked
                closing = Deferred.fromCoroutine(listener.close(reactor.seconds() + waits))
                if expected:
                    later.callback(expected)
                yield closing
                if expected:
                    self.assertEqual(asking.recv(100), expected)
                else:
                    later.callback(b"too late")
                    self.assertRaises(TimeoutError, asking.recv, 100)

    def test_addresses_without_datagrams(self):
        for text in ("unix:/run/x", "secure:443", "tcp:80", "secure:inherited:dns"):
            error = self.assertRaises(StartError, self.datagram, text)
            self.assertIn("has no datagrams", str(error))


class SharedTableTests(ListenCase):
    """Where workers run, a shared table's ports are opened once for each process."""

    @inlineCallbacks
    def test_the_kernel_divides_the_clients(self):
        parent = Sharing(count=2, tables=["upper"])
        self.addCleanup(parent.close)
        listener = self.stream("127.0.0.1:0", commons_in(self.mktemp(), parent))
        listener.open()
        listener.accept()
        ((key, (held,)),) = parent.groups
        worker = Sharing(1, 2, ["upper"], {key: [held.dup()]})
        other = self.stream("127.0.0.1:0", commons_in(self.mktemp(), worker))
        other.open()
        other.accept()
        self.assertEqual(other.port, listener.port)
        parent.close()
        for _ in range(16):
            answer = yield deferToThread(said, ("127.0.0.1", listener.port))
            self.assertEqual(answer, b"HELLO\n")
        yield listener.close()
        answer = yield deferToThread(said, ("127.0.0.1", other.port))
        self.assertEqual(answer, b"HELLO\n")

    def test_other_tables_have_their_ports_for_themselves(self):
        parent = Sharing(count=2, tables=["dns"])
        listener = self.stream("127.0.0.1:0", commons_in(self.mktemp(), parent))
        listener.open()
        self.assertEqual(parent.groups, [])

    def test_a_port_in_use_is_told_before_workers_are_started(self):
        first = self.opened("127.0.0.1:0")
        commons = commons_in(self.mktemp(), Sharing(count=4, tables=["upper"]))
        self.assertIn("is already in use", self.refusal(self.stream(f"127.0.0.1:{first.port}", commons)))

    def test_what_cannot_be_divided_is_the_parents_alone(self):
        worker = Sharing(1, 2, ["upper"])
        for text in (f"unix:{self.mktemp()}", "tcp:0:interface=127.0.0.1"):
            listener = self.stream(text, commons_in(self.mktemp(), worker))
            listener.open()
            listener.accept()
            self.assertEqual(listener.port, 0)
