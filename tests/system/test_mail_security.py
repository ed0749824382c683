"""What strangers try on a mail site: relaying, smuggling, talking before TLS, listening in, guessing, flooding."""

from __future__ import annotations

import base64
import contextlib
import imaplib
import poplib
import smtplib
import socket
import ssl
import threading
import time
from pathlib import Path

from twisted.trial.unittest import SkipTest

from tests.interop.mail.sites import ALICE, BOB, PATIENCE, MailCase, text
from tests.system.running import until

ELSEWHERE = (
    "x@far.test",
    "x%far.test@example.test",
    "@example.test:x@far.test",
    "@example.test,@mail.example.test:x@far.test",
    '"x@far.test"@example.test',
    '"x%far.test"@example.test',
    '"x@far.test"',
    "x@far.test@example.test",
    "bob@example.test@far.test",
    "far.test!x",
    "far.test!x@example.test",
    "x@[127.0.0.1]",
    "x@[IPv6:::1]",
    "x@127.0.0.1",
    "x@localhost",
    "x@mail.example.test",
    "x@example.test.far.test",
    "bob@example.test bob@far.test",
    "bob@example.test>,<x@far.test",
    "bob@example.test,x@far.test",
    "x@far.test(@example.test",
    "x@example.test%far.test",
    "x@far.test.",
    "|/bin/sh",
    "/etc/passwd",
    "",
    "bob@example.test\0@far.test",  # ends the conversation
)
SENDERS = ("ann@else.test", "", ALICE, "x@localhost", "postmaster@example.test")


class NextHop(threading.Thread):
    """A server that says yes to everything and keeps each byte that it is sent."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listening.getsockname()[1]
        self.heard: list[bytearray] = []
        self.start()

    def run(self) -> None:
        while True:
            try:
                connection, _ = self.listening.accept()
            except OSError:
                return
            heard = bytearray()
            self.heard.append(heard)
            threading.Thread(target=self._serve, args=(connection, heard), daemon=True).start()

    @staticmethod
    def _serve(connection: socket.socket, heard: bytearray) -> None:
        content = False
        with contextlib.suppress(ConnectionError), connection, connection.makefile("rb") as lines:
            connection.sendall(b"220 next.test\r\n")
            for line in lines:
                heard += line
                if content:
                    if line != b".\r\n":
                        continue
                    content = False
                elif line.upper().startswith(b"DATA"):
                    content = True
                    connection.sendall(b"354 go on\r\n")
                    continue
                connection.sendall(b"250 ok\r\n")


def conversation(port: int, said: bytes, silence: float = 1.0) -> bytes:
    """Say all at once; what comes back until the server closes or has been silent for so long."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
        heard = bytearray()
        connection.settimeout(PATIENCE)
        try:
            connection.sendall(said)
            connection.settimeout(silence)
            while len(heard) < 1 << 20 and (data := connection.recv(65536)):
                heard += data
        except (TimeoutError, ConnectionError):
            pass
        return bytes(heard)


class Relaying(MailCase):
    def probe(self, kind: str) -> None:
        """Nobody far is a good recipient, whoever asks."""
        greeting = b"EHLO example.test\r\n"
        for sender in SENDERS:
            for at in range(0, len(ELSEWHERE), 5):
                said = b"".join(f"RCPT TO:<{each}>\r\n".encode() for each in ELSEWHERE[at : at + 5])
                begun = greeting + f"MAIL FROM:<{sender}>\r\n".encode()
                answers = conversation(self.port(kind), begun + said + b"QUIT\r\n").split(b"\r\n")
                codes = [answer[:3] for answer in answers if answer[3:4] == b" "]
                self.assertEqual(codes[:2], [b"220", b"250"], (sender, answers))
                self.assertGreaterEqual(len(codes), 3 + said.count(b"\n"), (sender, said, answers))
                for code in codes[3 : 3 + said.count(b"\n")]:
                    self.assertEqual(code[:1], b"5", (sender, said, answers))

    def test_no_open_relay(self) -> None:
        hop = NextHop()
        self.addCleanup(hop.listening.close)
        route = {"route": [f"*=127.0.0.1:{hop.port}"], "submission": ["127.0.0.1:10587"]}
        for settings in ({"listen": ["0.0.0.0:10025"]}, {"listen": ["10025"], "domains": []}):
            self.begin({**route, **settings})
            self.probe("smtp")
            self.probe("submission")
            self.running.stop()
        self.assertEqual(hop.heard, [])

    def test_users_send_as_themselves(self) -> None:
        hop = NextHop()
        self.addCleanup(hop.listening.close)
        self.begin({"route": [f"*=127.0.0.1:{hop.port}"]})
        with smtplib.SMTP("127.0.0.1", self.port("submission"), timeout=PATIENCE) as client:
            client.ehlo()
            self.assertEqual(client.docmd("MAIL", f"FROM:<{ALICE}>")[0], 530)
            self.assertEqual(client.docmd("RCPT", "TO:<x@far.test>")[0] // 100, 5)
        for kind in ("submission", "smtp"):
            with smtplib.SMTP("127.0.0.1", self.port(kind), timeout=PATIENCE) as client:
                client.login(ALICE, self.passwords[ALICE])
                for sender in (BOB, "ceo@far.test", '"alice@example.test"@far.test', "alice%example.test@far.test"):
                    self.assertEqual(client.docmd("MAIL", f"FROM:<{sender}>")[0], 553, (kind, sender))
                self.assertEqual(client.docmd("MAIL", "FROM:<Alice@Example.Test>")[0], 250)
                self.assertEqual(client.docmd("RCPT", "TO:<x@far.test>")[0], 250)
        self.assertEqual(hop.heard, [])


class Smuggling(MailCase):
    def test_a_message_stays_one(self) -> None:
        hop = NextHop()
        self.addCleanup(hop.listening.close)
        self.begin({"relay_domains": ["far.test"], "route": [f"far.test=127.0.0.1:{hop.port}"]})
        greeting = b"EHLO x.test\r\nMAIL FROM:<ann@else.test>\r\nRCPT TO:<x@far.test>\r\nDATA\r\n"
        second = b"MAIL FROM:<evil@else.test>\r\nRCPT TO:<y@far.test>\r\nDATA\r\nSubject: evil\r\n\r\nevil\r\n.\r\n"
        dots = [
            b"\n.\n",
            b"\r\n.\n",
            b"\n.\r\n",
            b"\r.\r",
            b"\r.\r\n",
            b"\r\n.\r",
            b"\n.\r",
            b"\r.\n",
            b"\r\r\n.\r\r\n",
        ]
        dots += [
            b"\r\n\0.\r\n",
            b"\r\n.\0\r\n",
            b"\r\n.\x1a\r\n",
            b"\r\n.\x0b\r\n",
            b"\r\n. \r\n",
            b"\xc2\x85.\xc2\x85",
        ]
        for number, dot in enumerate(dots):
            body = f"Subject: n{number}\r\n\r\nfirst".encode() + dot
            said = conversation(self.port("smtp"), greeting + body + second + b"QUIT\r\n", 0.3)
            self.assertLessEqual(said.count(b"queued as"), 1, (dot, said))
        for size in (4096, 65536):
            # the dot on the border of what is read at once
            for at in range(size - 2, size + 2):
                body = b"Subject: border\r\n\r\n" + b"y" * (at - len(greeting) - 18) + b"\n.\r\n"
                self.assertLessEqual(
                    conversation(self.port("smtp"), greeting + body + second + b"QUIT\r\n", 0.3).count(b"queued as"), 1
                )
        with smtplib.SMTP("127.0.0.1", self.port("smtp"), timeout=PATIENCE) as client:
            client.sendmail("ann@else.test", ["x@far.test"], text("last"))
        until("the last message", lambda: any(b"Subject: last\r\n" in heard for heard in hop.heard))
        for heard in hop.heard:
            self.assertEqual(heard.count(b"\n"), heard.count(b"\r\n"))
            self.assertEqual(heard.count(b"\r"), heard.count(b"\r\n"))
            # what was to be a second message came as text of the first, if at all
            outside = b"".join(part.partition(b"\r\n.\r\n")[2] for part in heard.split(b"DATA\r\n"))
            self.assertNotIn(b"evil", outside)


class Tls(MailCase):
    def after_handshake(self, kind: str, said: bytes, then: bytes, greetings: int) -> bytes:
        """The first that a server says under TLS, when commands came in clear behind the one that asks for TLS."""
        context = ssl.create_default_context(cafile=str(self.running.ca_path))
        with socket.create_connection(("127.0.0.1", self.port(kind)), PATIENCE) as plain:
            lines = plain.makefile("rb", buffering=0)
            plain.sendall(said)
            for _ in range(greetings):
                lines.readline()
            with context.wrap_socket(plain, server_hostname="localhost") as secure:
                secure.sendall(then)
                return secure.recv(65536)

    def test_what_is_said_before_tls_is_not_heard_after(self) -> None:
        self.begin()
        injected = b"STARTTLS\r\nMAIL FROM:<evil@else.test>\r\nRCPT TO:<bob@example.test>\r\n"
        said = self.after_handshake("smtp", injected, b"RCPT TO:<bob@example.test>\r\n", 2)
        self.assertRegex(said, rb"^503 [^\r]*\r\n$")
        login = f"a STARTTLS\r\nb LOGIN {BOB} {self.passwords[BOB]}\r\n".encode()
        said = self.after_handshake("imap", login, b"c SELECT INBOX\r\n", 2)
        self.assertRegex(said, rb"^c (NO|BAD) ")
        login = f"STLS\r\nUSER {BOB}\r\nPASS {self.passwords[BOB]}\r\n".encode()
        said = self.after_handshake("pop3", login, b"STAT\r\n", 2)
        self.assertRegex(said, rb"^-ERR [^\r]*\r\n$")

    def test_passwords_are_not_shown_on_the_wire(self) -> None:
        outside = _own_address()
        everywhere = {"imap": ["0.0.0.0:10143"], "pop3": ["0.0.0.0:10110"]}
        self.begin({"listen": ["0.0.0.0:10025"], "submission": ["0.0.0.0:10587"]}, everywhere)
        password = self.passwords[BOB]
        plain = base64.b64encode(f"\0{BOB}\0{password}".encode()).decode()
        for kind in ("smtp", "submission"):
            with smtplib.SMTP(outside, self.port(kind), timeout=PATIENCE) as client:
                client.ehlo()
                offered = client.esmtp_features.get("auth", "").split()
                self.assertFalse({"PLAIN", "LOGIN"} & set(offered), offered)
                self.assertGreaterEqual(client.docmd("AUTH", f"PLAIN {plain}")[0], 500)
                self.assertGreaterEqual(client.docmd("AUTH", "LOGIN")[0], 500)
        imap = imaplib.IMAP4(outside, self.port("imap"), timeout=PATIENCE)
        self.assertIn("LOGINDISABLED", imap.capabilities)
        self.assertFalse({"AUTH=PLAIN", "AUTH=LOGIN"} & set(imap.capabilities))
        self.assertRaises(imaplib.IMAP4.error, imap.login, BOB, password)
        self.assertRaises(imaplib.IMAP4.error, imap.authenticate, "PLAIN", lambda _: plain.encode())
        imap.shutdown()
        pop3 = poplib.POP3(outside, self.port("pop3"), timeout=PATIENCE)
        self.assertNotIn("USER", pop3.capa())
        self.assertRaises(poplib.error_proto, pop3.user, BOB)
        self.assertRaises(poplib.error_proto, pop3._shortcmd, f"AUTH PLAIN {plain}")
        pop3.close()


class Guessing(MailCase):
    def test_who_guesses_has_to_wait_everywhere(self) -> None:
        self.begin()
        for number in range(12):
            client = imaplib.IMAP4("127.0.0.1", self.port("imap"), timeout=PATIENCE)
            self.assertRaises(imaplib.IMAP4.error, client.login, BOB, f"wrong{number}")
            client.shutdown()
        # the right password does not help now: all three count together
        client = imaplib.IMAP4("127.0.0.1", self.port("imap"), timeout=PATIENCE)
        self.assertRaises(imaplib.IMAP4.error, client.login, BOB, self.passwords[BOB])
        client.shutdown()
        pop3 = poplib.POP3("127.0.0.1", self.port("pop3"), timeout=PATIENCE)
        pop3.user(BOB)
        self.assertRaises(poplib.error_proto, pop3.pass_, self.passwords[BOB])
        pop3.close()
        with smtplib.SMTP("127.0.0.1", self.port("submission"), timeout=PATIENCE) as smtp:
            self.assertRaises(smtplib.SMTPAuthenticationError, smtp.login, BOB, self.passwords[BOB])
        # nobody else waits
        self.imap(ALICE).logout()


class Flooding(MailCase):
    def test_what_is_too_long_is_refused(self) -> None:
        self.begin({"message_size": 100_000}, {"message_size": 100_000})
        status = Path(f"/proc/{self.running.process.pid}/status")
        before = _resident(status)
        flood = b"x" * (16 << 20)
        for kind in ("smtp", "submission", "imap", "pop3"):
            said = conversation(self.port(kind), flood)
            self.assertLess(len(said), 2000, kind)
        said = conversation(self.port("smtp"), b"EHLO x.test\r\nMAIL FROM:<a@b.test> SIZE=100001\r\nQUIT\r\n")
        self.assertIn(b"\r\n552 ", said)
        greeting = b"EHLO x.test\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\n"
        said = conversation(self.port("smtp"), greeting + b"x" * 900 + b"\r\n" * 100_000 + b".\r\nQUIT\r\n")
        self.assertNotIn(b"queued as", said)
        self.assertNotIn(b"OK", conversation(self.port("imap"), b"a LOGIN {1000000000}\r\n")[20:].partition(b"\r\n")[2])
        self.assertRegex(
            conversation(self.port("imap"), b"a LOGIN {99999+}\r\n" + b"x" * 99999), rb"(?m)^(a|\*) (BAD|NO|BYE)"
        )
        login = f"a LOGIN {BOB} {self.passwords[BOB]}\r\n".encode()
        for command in (
            b"b APPEND INBOX {4000000000}\r\n",
            b"b APPEND INBOX {200000+}\r\n" + flood[:200_000] + b"\r\n",
        ):
            said = conversation(self.port("imap"), login + command)
            self.assertIn(b"\r\na OK", said)
            self.assertRegex(said, rb"(?m)^(b (NO|BAD)|\* BYE)")
            self.assertNotIn(b"\r\n+", said)
        self.assertNotIn(b"OK", conversation(self.port("imap"), b"a NOOP " + b"(" * 100_000 + b"\r\n")[100:])
        deep = login + b"b SEARCH " + b"(" * 60_000 + b"ALL" + b")" * 60_000 + b"\r\nc NOOP\r\n"
        self.assertNotIn(b"b OK", conversation(self.port("imap"), deep))
        self.assertEqual(self.inbox(), [])
        self.assertLess(_resident(status) - before, 64 << 10, "kB more than before")
        self.assertNotIn("Traceback", self.running.log)


def _resident(status: Path) -> int:
    """The memory of a process in kB."""
    lines = [line for line in status.read_text().splitlines() if line.startswith("VmRSS:")]
    return int(lines[0].split()[1])


def _own_address() -> str:
    """An address of this machine beyond loopback; nothing is sent to find it."""
    with socket.socket(type=socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            raise SkipTest("this machine has no address but loopback") from None
        found: str = probe.getsockname()[0]
    if found.startswith("127."):
        raise SkipTest("this machine has no address but loopback")
    return found


def poisoned() -> dict[str, bytes]:
    """Messages that cost a careless reader its stack or its time."""
    many = 20_000
    boundary = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
    nested = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (each, each) for each in range(2000)
    )
    return {
        "nested": b"Subject: nested\r\n" + nested,
        "same": b"Subject: same\r\n" + boundary * many,
        "messages": b"Subject: messages\r\n" + b"Content-Type: message/rfc822\r\n\r\n" * many,
        "parts": b"Subject: parts\r\n" + boundary + b"\r\n--b\r\n" * many * 5,
        "boundaries": b"Subject: boundaries\r\n" + boundary + b"--" * many * 20,
        "comments": b"Subject: comments\r\nFrom: " + b"(\r\n " * many + b"a@b.test\r\n\r\nx\r\n",
        "quotes": b"Subject: quotes\r\nFrom: " + b'"\\\r\n ' * many + b"\r\n\r\nx\r\n",
        "groups": b"Subject: groups\r\nTo: " + b"a:b,\r\n <@" * many + b"\r\n\r\nx\r\n",
        "people": b"Subject: people\r\nTo: " + b"<a@b.test>,\r\n " * many * 3 + b"a@c.test\r\n\r\nx\r\n",
        "words": b"Subject: words\r\n" + b"Comments: " + b"=?utf-8?q?=?=\r\n " * many + b"\r\n\r\nx\r\n",
        "charset": b"Subject: charset\r\nComments: " + b"=?rot13?q?a?= =?hex?q?a?= =?zip?b?eA==?=\r\n\r\nx\r\n",
        "parameters": b"Subject: parameters\r\nContent-Type: text/plain;\r\n "
        + b"a*0*=''%;\r\n " * many
        + b"\r\n\r\nx\r\n",
        "fields": b"Subject: fields\r\n" + b"X: y\r\n" * many * 5 + b"\r\nx\r\n",
        "spaces": b"Subject: spaces\r\nFrom:" + (b" " * 900 + b"\r\n") * 500 + b"\r\nx\r\n",
        "references": b"Subject: references\r\nIn-Reply-To: " + b"<\r\n " * many + b"\r\n\r\nx\r\n",
        "dates": b"Subject: dates\r\nDate: " + b"Mon, 99 Zzz 99999999999 99:99:99 +9999\r\n\r\nx\r\n",
    }


class Poison(MailCase):
    timeout = 60

    def test_no_message_stops_the_readers(self) -> None:
        self.begin({"content_time": 60.0})
        with smtplib.SMTP("127.0.0.1", self.port("smtp"), timeout=PATIENCE) as client:
            for message in poisoned().values():
                client.sendmail("ann@else.test", [BOB], message)
        count = len(poisoned())
        imap = self.imap()

        def arrived() -> bool:
            return int(imap.select(readonly=True)[1][0]) == count

        until("all of them", arrived)
        for number in range(1, count + 1):
            subject = imap.fetch(str(number), "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1][0][1].strip()
            for what in (
                "(ENVELOPE)",
                "(BODYSTRUCTURE)",
                "(BODY)",
                "(BODY.PEEK[1.1.1.1.1.1.HEADER] BODY.PEEK[99999.1.TEXT])",
                "(RFC822.SIZE BODY.PEEK[HEADER.FIELDS (FROM TO X)])",
            ):
                begun = time.monotonic()
                self.assertEqual(imap.fetch(str(number), what)[0], "OK", (subject, what))
                self.assertLess(time.monotonic() - begun, 2, (subject, what))
        for what in (
            ("TEXT", '"nowhere"'),
            ("BODY", '"nowhere"'),
            ("HEADER", "Comments", '"nowhere"'),
            ("FROM", '"nowhere"'),
        ):
            begun = time.monotonic()
            self.assertEqual(imap.search(None, *what), ("OK", [b""]), what)
            self.assertLess(time.monotonic() - begun, 5, what)
        for pattern in ("*%" * 100 + "x", "*a" * 100, "%" * 500 + "x"):
            begun = time.monotonic()
            self.assertEqual(imap.list('""', f'"{pattern}"')[0], "OK")
            self.assertLess(time.monotonic() - begun, 2, pattern)
        self.assertNotIn("Traceback", self.running.log)

    def test_lines_that_end_otherwise_do_not_end_an_answer(self) -> None:
        self.begin()
        message = b"Subject: lines\r\n\r\na\n.\nb\r.\rc\n.\r\n-ERR gone\r\n.\n+OK\r\n"
        imap = self.imap()
        self.assertEqual(imap.append("INBOX", "", None, message)[0], "OK")
        with socket.create_connection(("127.0.0.1", self.port("pop3")), PATIENCE) as raw:
            lines = raw.makefile("rb")
            raw.sendall(f"USER {BOB}\r\nPASS {self.passwords[BOB]}\r\nRETR 1\r\nNOOP\r\n".encode())
            for _ in range(4):
                self.assertEqual(lines.readline()[:3], b"+OK")
            # a client that ends lines at LF alone has to find one end as well
            answer = []
            while (line := lines.readline().rstrip(b"\r\n")) != b".":
                answer.append(line)
            self.assertIn(b"+OK", answer)
            self.assertEqual(lines.readline()[:3], b"+OK")
