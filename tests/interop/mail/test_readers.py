"""Programs that no one here wrote read mail: imaplib, poplib, curl, mbsync, fetchmail, mutt."""

from __future__ import annotations

import imaplib
import poplib
import ssl
from pathlib import Path

from tests.interop.mail.sites import BOB, PATIENCE, MailCase, program
from tests.system.running import until


class Readers(MailCase):
    def setUp(self) -> None:
        self.begin()
        self.trusting = ssl.create_default_context(cafile=str(self.running.ca_path))

    def test_imaplib(self) -> None:
        self.send("one", "two", "three")
        self.arrived("one", "two", "three")
        with imaplib.IMAP4("127.0.0.1", self.port("imap"), timeout=PATIENCE) as client:
            self.assertEqual(client.starttls(self.trusting)[0], "OK")
            client.authenticate("PLAIN", lambda _: f"\0{BOB}\0{self.passwords[BOB]}".encode())
            self.assertEqual(client.create("Work/2026")[0], "OK")
            self.assertTrue(any(b"Work/2026" in line for line in client.list()[1]))
            self.assertEqual(client.select()[1], [b"3"])
            self.assertEqual(client.search(None, "SUBJECT", '"two"')[1][0].split(), [b"2"])
            self.assertEqual(client.store("2", "+FLAGS", r"(\Seen $Kept)")[0], "OK")
            self.assertEqual(client.uid("COPY", "2", "Work/2026")[0], "OK")
            self.assertEqual(client.uid("MOVE", "3", "Trash")[0], "OK")
            client.store("1", "+FLAGS", r"\Deleted")
            client.expunge()
            self.assertEqual(client.append("Work/2026", r"(\Flagged)", None, b"Subject: mine\r\n\r\nx\r\n")[0], "OK")
            self.assertEqual(client.select("Work/2026")[1], [b"2"])
            flags = client.fetch("1:*", "(FLAGS ENVELOPE BODYSTRUCTURE)")[1]
            self.assertIn(b"$Kept", flags[0])
            self.assertIn(rb"\Flagged", flags[1])
            self.assertEqual(client.rename("Work/2026", "Done")[0], "OK")
        with imaplib.IMAP4_SSL("localhost", self.port("imaps"), ssl_context=self.trusting) as client:
            client.login("bob", self.passwords[BOB])
            self.assertEqual(client.select("Done")[1], [b"2"])
            self.assertEqual(client.select("INBOX")[1], [b"1"])

    def test_poplib(self) -> None:
        self.send("one", "two", body=".\r\n.dot")
        self.arrived("one", "two")
        client = poplib.POP3("127.0.0.1", self.port("pop3"), timeout=PATIENCE)
        self.assertIn("STLS", client.capa())
        client.stls(self.trusting)
        client.user(BOB)
        client.pass_(self.passwords[BOB])
        self.assertEqual(client.stat()[0], 2)
        names = client.uidl()[1]
        lines = client.retr(1)[1]
        self.assertEqual(lines[-2:], [b".", b".dot"])
        self.assertNotIn(b".dot", client.top(1, 1)[1])
        client.dele(1)
        client.quit()
        again = poplib.POP3_SSL("localhost", self.port("pop3s"), context=self.trusting)
        again.user(BOB)
        again.pass_(self.passwords[BOB])
        self.assertEqual([each.split()[1] for each in again.uidl()[1]], [names[1].split()[1]])
        again.quit()

    def test_curl(self) -> None:
        self.send("for-curl")
        self.arrived("for-curl")
        common = ("-s", "-S", "-m", "20", "--cacert", self.running.ca_path, "-u", f"{BOB}:{self.passwords[BOB]}")
        for kind, more in (("imap", ("--ssl-reqd",)), ("imaps", ())):
            url = f"{kind}://localhost:{self.port(kind)}"
            self.assertIn("Subject: for-curl", self.call("curl", *common, *more, f"{url}/INBOX;UID=1"))
            self.assertRegex(self.call("curl", *common, *more, f"{url}/"), '"/" "?INBOX')
            found = self.call("curl", *common, *more, f"{url}/INBOX", "-X", "SEARCH SUBJECT curl")
            self.assertIn("* SEARCH 1", found)
        (self.folder / "new").write_bytes(b"Subject: uploaded\r\n\r\nx\r\n")
        self.call("curl", *common, "-T", "new", f"imaps://localhost:{self.port('imaps')}/INBOX")
        for kind, more in (("pop3", ("--ssl-reqd",)), ("pop3s", ())):
            url = f"{kind}://localhost:{self.port(kind)}"
            self.assertRegex(self.call("curl", *common, *more, f"{url}/"), "(?m)^2 ")
            self.assertIn("Subject: uploaded", self.call("curl", *common, *more, f"{url}/2"))

    def test_mbsync(self) -> None:
        self.send("one", "two", "three")
        self.arrived("one", "two", "three")
        home = self.folder
        (home / "mbsyncrc").write_text(
            f"IMAPAccount far\nHost localhost\nPort {self.port('imap')}\nUser {BOB}\nPass {self.passwords[BOB]}\n"
            f"SSLType STARTTLS\nSystemCertificates no\nCertificateFile {self.running.ca_path}\n\n"
            "IMAPStore far\nAccount far\n\n"
            f"MaildirStore near\nSubFolders Verbatim\nPath {home}/near/\nInbox {home}/near/Inbox\n\n"
            "Channel all\nFar :far:\nNear :near:\nPatterns *\nCreate Both\nExpunge Both\nSyncState *\n"
        )
        (home / "near").mkdir()

        def sync() -> None:
            self.call("mbsync", "-c", home / "mbsyncrc", "-a")

        def near(box: str = "Inbox") -> dict[str, Path]:
            files = [path for part in ("new", "cur") for path in (home / "near" / box / part).iterdir()]
            return {path.read_text().partition("Subject: ")[2].split("\n")[0]: path for path in files}

        sync()
        self.assertEqual(set(near()), {"one", "two", "three"})
        # there: a new message, a flag, one that goes; here: a flag, one that goes, a new one, a new folder
        self.send("four")
        self.arrived("four")
        client = self.imap()
        client.select()
        client.store("1", "+FLAGS", r"\Flagged")
        client.store("2", "+FLAGS", r"\Deleted")
        client.expunge()
        path = near()["three"]
        path.rename(home / "near/Inbox/cur" / (path.name.partition(":")[0] + ":2,RS"))
        (home / "near/Inbox/new" / "1.made.here").write_text("From: me@x.test\nSubject: mine\n\nHello\n")
        for part in ("new", "cur", "tmp"):
            (home / "near/Made" / part).mkdir(parents=True)
        (home / "near/Made/new" / "2.made.here").write_text("From: me@x.test\nSubject: made\n\nHello\n")
        sync()
        self.assertEqual(set(near()), {"one", "three", "four", "mine"})
        self.assertRegex(near()["one"].name, ":2,.*F")
        self.assertEqual(client.select("Made")[1], [b"1"])
        self.assertEqual(client.select()[1], [b"4"])
        self.assertEqual(client.search(None, "ANSWERED", "SEEN")[1], [b"2"])
        near()["one"].rename(home / "near/Inbox/cur" / (near()["one"].name + "T"))
        sync()
        sync()
        self.assertEqual(set(near()), {"three", "four", "mine"})
        self.assertEqual(client.select()[1], [b"3"])

    def test_fetchmail(self) -> None:
        for kind, subject in (("pop3", "by-pop3"), ("imap", "by-imap")):
            self.send(subject, subject + "-2")
            self.arrived(subject, subject + "-2")
            rc = self.folder / "fetchmailrc"
            rc.write_text(
                f"set no bouncemail\npoll localhost service {self.port(kind)} protocol {kind}\n"
                f'user "{BOB}" password "{self.passwords[BOB]}"\n'
                f'sslproto "TLS1.2+" sslcertck sslcertfile "{self.running.ca_path}"\n'
                f'mda "cat >> {self.folder}/{kind}.mbox"\n'
            )
            rc.chmod(0o600)
            pid = ("--pidfile", self.folder / "pid")
            self.call("fetchmail", "-f", rc, *pid, "-v", "--all", FETCHMAILHOME=str(self.folder))
            kept = (self.folder / f"{kind}.mbox").read_text()
            self.assertIn(f"Subject: {subject}\n", kept)
            self.assertIn(f"Subject: {subject}-2\n", kept)
            until("an empty inbox", lambda: not self.inbox())

    def test_mutt(self) -> None:
        program("mutt")
        self.send("for-mutt")
        self.arrived("for-mutt")
        settings = {
            "imap_user": BOB,
            "imap_pass": self.passwords[BOB],
            "ssl_force_tls": "yes",
            "ssl_starttls": "yes",
            "certificate_file": str(self.running.ca_path),
            "header_cache": str(self.folder),
        }
        lines = [f'set {name}="{value}"' for name, value in settings.items()]
        lines += ["set confirmappend=no", "set delete=yes", "set quit=yes", "set wait_key=no", "set timeout=1"]
        (self.folder / "muttrc").write_text("\n".join(lines) + "\n")
        read = f"<tag-pattern>~A<enter><tag-prefix><pipe-message>cat > {self.folder}/read<enter>"
        keys = f"push '{read}<flag-message><quit>'"
        command = f'mutt -n -F muttrc -f imap://localhost:{self.port("imap")}/INBOX -e "{keys}"'
        # mutt reads in a terminal only: script(1) is one
        self.call("script", "-q", "-e", "-c", command, "/dev/null", TERM="vt100")
        self.assertIn("Subject: for-mutt", (self.folder / "read").read_text())
        client = self.imap()
        client.select()
        self.assertEqual(client.search(None, "FLAGGED")[1], [b"1"])
