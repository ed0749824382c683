"""Programs that no one here wrote hand in mail: swaks, smtplib, curl, mutt."""

from __future__ import annotations

import base64
import hashlib
import hmac
import smtplib
import ssl
from email.message import EmailMessage
from email.policy import SMTPUTF8

from twisted.trial.unittest import SkipTest

from tests.interop.mail.sites import ALICE, BOB, PATIENCE, MailCase, text
from tests.system.running import until


class Scram:
    """A client's SCRAM-SHA-256 as smtplib's ``auth`` wants it (RFC 5802), computed here anew."""

    def __init__(self, user: str, password: str) -> None:
        self._user, self._password = user, password.encode()
        self._nonce, self._step, self._proof = "fyko+d2lbbFgONRv9qkxdawL", 0, b""

    def __call__(self, challenge: bytes | None = None) -> str:
        self._step += 1
        bare = f"n={self._user},r={self._nonce}"
        if self._step == 1:
            return f"n,,{bare}"
        assert challenge is not None
        fields = dict(item.split("=", 1) for item in challenge.decode().split(","))
        if self._step == 2:
            assert fields["r"].startswith(self._nonce)
            salted = hashlib.pbkdf2_hmac("sha256", self._password, base64.b64decode(fields["s"]), int(fields["i"]))
            key = hmac.digest(salted, b"Client Key", "sha256")
            final = f"c=biws,r={fields['r']}"
            signed = f"{bare},{challenge.decode()},{final}".encode()
            proof = hmac.digest(hashlib.sha256(key).digest(), signed, "sha256")
            self._proof = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), signed, "sha256")
            mixed = bytes(a ^ b for a, b in zip(key, proof, strict=True))
            return f"{final},p={base64.b64encode(mixed).decode()}"
        assert base64.b64decode(fields["v"]) == self._proof
        return ""


class Senders(MailCase):
    def setUp(self) -> None:
        self.begin()
        self.trusting = ssl.create_default_context(cafile=str(self.running.ca_path))

    def login(self) -> tuple[str, ...]:
        return ("--auth-user", ALICE, "--auth-password", self.passwords[ALICE])

    def swaks(self, kind: str, *arguments: object, subject: str) -> str:
        said = f"Subject: {subject}"
        where = ("--server", "127.0.0.1", "--port", self.port(kind), "--timeout", "20")
        sender = ("--from", ALICE, "--to", BOB, "--helo", "client.test", "--header", said)
        return self.call("swaks", *where, *sender, *arguments)

    def test_swaks(self) -> None:
        self.swaks("smtp", subject="plain")
        self.assertIn(" -> AUTH PLAIN", self.swaks("submission", "--auth", "PLAIN", *self.login(), subject="as-plain"))
        self.assertIn(" -> AUTH LOGIN", self.swaks("submission", "--auth", "LOGIN", *self.login(), subject="as-login"))
        self.assertEqual(len(self.arrived("plain", "as-plain", "as-login")), 3)

    def test_swaks_with_tls(self) -> None:
        if "TLS not available" in self.attempt("swaks", "--support").stderr:
            raise SkipTest("swaks has no TLS here: it needs Net::SSLeay")
        self.swaks("smtp", "--tls", subject="starttls")
        self.swaks("submission", "--tls", "--auth", "PLAIN", *self.login(), subject="submitted")
        self.swaks("submissions", "--tls-on-connect", "--auth", "LOGIN", *self.login(), subject="implicit")
        for message in self.arrived("starttls", "submitted", "implicit"):
            self.assertIn(b"with ESMTPS", message.partition(b"\r\n\r\n")[0])

    def test_swaks_is_refused(self) -> None:
        where = ("--server", "127.0.0.1", "--port", self.port("submission"), "--from", ALICE, "--to", "x@far.test")
        self.assertEqual(self.attempt("swaks", *where).returncode, 23)
        wrong = ("--auth", "PLAIN", "--auth-user", ALICE, "--auth-password", "wrong")
        self.assertEqual(self.attempt("swaks", *where, *wrong).returncode, 28)

    def test_smtplib(self) -> None:
        password = self.passwords[ALICE]
        with smtplib.SMTP("127.0.0.1", self.port("submission"), timeout=PATIENCE) as client:
            client.starttls(context=self.trusting)
            client.login(ALICE, password)
            client.sendmail(ALICE, [BOB], text("one"))
            client.sendmail(ALICE, [BOB], text("two", ".\r\n..\r\nend"))
        with smtplib.SMTP_SSL("localhost", self.port("submissions"), context=self.trusting) as client:
            client.ehlo()
            self.assertIn("SCRAM-SHA-256", client.esmtp_features["auth"].split())
            client.auth("SCRAM-SHA-256", Scram(ALICE, password))
            client.send_message(_beyond_ascii(), ALICE, [BOB])
        with smtplib.SMTP_SSL("localhost", self.port("submissions"), context=self.trusting) as client:
            client.ehlo()
            with self.assertRaises(smtplib.SMTPAuthenticationError):
                client.auth("SCRAM-SHA-256", Scram(ALICE, password + "x"))
        found = self.arrived("one", "two")
        self.assertTrue(any(message.endswith(b"\r\n\r\n.\r\n..\r\nend\r\n") for message in found))
        self.arrived("grüße")

    def test_curl(self) -> None:
        (self.folder / "mail.txt").write_text(text("by-curl", "x" * 500))
        common = ("-s", "-S", "-m", "20", "--cacert", self.running.ca_path, "--mail-from", ALICE, "--mail-rcpt", BOB)
        login = ("-u", f"{ALICE}:{self.passwords[ALICE]}", "-T", "mail.txt")
        self.call("curl", *common, "-T", "mail.txt", f"smtp://127.0.0.1:{self.port('smtp')}/client.test")
        self.call("curl", *common, *login, "--ssl-reqd", f"smtp://127.0.0.1:{self.port('submission')}/client.test")
        self.call("curl", *common, *login, f"smtps://127.0.0.1:{self.port('submissions')}/client.test")
        until("three messages", lambda: len(self.inbox()) == 3)

    def test_mutt(self) -> None:
        (self.folder / "body").write_text("Sent in batch.\n")
        url = f"smtp://alice%40example.test@127.0.0.1:{self.port('submission')}/"
        settings = {
            "smtp_url": url,
            "smtp_pass": self.passwords[ALICE],
            "ssl_force_tls": "yes",
            "ssl_starttls": "yes",
            "ssl_verify_host": "no",
            "certificate_file": str(self.running.ca_path),
            "from": ALICE,
            "use_envelope_from": "yes",
            "hostname": "client.test",
        }
        lines = ["set copy=no", *(f'set {name}="{value}"' for name, value in settings.items())]
        (self.folder / "muttrc").write_text("\n".join(lines) + "\n")
        self.call("mutt", "-n", "-F", "muttrc", "-s", "by-mutt", "-a", "body", "--", BOB, said="Hello\n")
        self.assertIn(b"Sent in batch.", self.arrived("by-mutt")[0])


def _beyond_ascii() -> EmailMessage:
    """With UTF-8 in its header."""
    message = EmailMessage(policy=SMTPUTF8)
    message["From"], message["To"], message["Subject"] = ALICE, "Bøb <bob@example.test>", "grüße"
    message.set_content("Grüße\n")
    return message
