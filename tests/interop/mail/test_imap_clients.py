"""Mail programs that people use, reading from our IMAP server: curl and mbsync."""

from __future__ import annotations

import shutil
import subprocess
import unittest
from pathlib import Path

from tests.integration.mail.test_imap import MESSAGE, ImapCase


def needs(program):
    return unittest.skipUnless(shutil.which(program), f"{program} is not installed")


def run(*command, text=None):
    done = subprocess.run(command, input=text, capture_output=True, timeout=40, check=False)
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


class Curl(ImapCase):
    @needs("curl")
    async def test_reading_and_writing(self):
        await self.fill(3)
        site = f"imap://127.0.0.1:{self.port}"
        upload = Path(self.mktemp())
        upload.write_bytes(MESSAGE % (7, 7, 7))

        def work():
            def curl(*words):
                return run("curl", "-s", "-S", "-m", "20", "-u", "bob:secret", *words)

            assert b'(\\HasNoChildren \\Trash) "/" Trash' in curl(site + "/")
            assert curl(site + "/INBOX;UID=2") == MESSAGE % (1, 1, 1)
            assert b"Subject: =?utf-8?q?caf=C3=A9?= 1" in curl(site + "/INBOX;UID=2/;SECTION=HEADER.FIELDS%20(SUBJECT)")
            assert curl(site + "/INBOX?SUBJECT%20caf") == b"* SEARCH 1 2 3\r\n"
            curl("-T", str(upload), site + "/Drafts")
            assert curl(site + "/Drafts;UID=1") == MESSAGE % (7, 7, 7)
            assert b"* 1 FETCH (FLAGS (\\Seen" in curl(site + "/Drafts", "-X", "FETCH 1 (FLAGS)")
            for mechanism in ("LOGIN", "PLAIN"):
                assert b"INBOX" in curl("--login-options", f"AUTH={mechanism}", site + "/")

        await self.in_thread(work)


CONFIGURATION = """
IMAPAccount site
Host 127.0.0.1
Port {port}
User bob
Pass secret
AuthMechs {mechanism}
{tls} None

IMAPStore remote
Account site

MaildirStore local
Path {folder}/
Inbox {folder}/INBOX
SubFolders Verbatim

Channel all
Far :remote:
Near :local:
Patterns *
Create Both
Expunge Both
SyncState *
"""


class Mbsync(ImapCase):
    @needs("mbsync")
    async def test_both_sides_become_the_same(self):
        await self.fill(20)
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "mail").mkdir()
        version = run("mbsync", "--version").split()[-1]
        tls = "SSLType" if version < b"1.5" else "TLSType"

        def sync(mechanism):
            words = {"port": self.port, "folder": folder / "mail", "mechanism": mechanism, "tls": tls}
            (folder / "mbsyncrc").write_text(CONFIGURATION.format(**words))
            run("mbsync", "-c", str(folder / "mbsyncrc"), "-a")

        def local(box="INBOX"):
            return sorted(path for path in (folder / "mail" / box).glob("*/*") if path.parent.name in ("cur", "new"))

        def work():
            sync("LOGIN")
            assert len(local()) == 20 and (folder / "mail" / "Archive").is_dir()
            head, text = (MESSAGE % (3, 3, 3)).replace(b"\r\n", b"\n").split(b"\n\n")  # a field comes between
            assert any(data.startswith(head) and data.endswith(text) for data in map(Path.read_bytes, local()))
            for path in local()[:5]:
                path.unlink()  # deleted here
            (folder / "mail" / "INBOX" / "new" / "1.fresh.host").write_bytes(MESSAGE % (99, 99, 99))
            client = self.client()
            client.select()
            client.store("20", "+FLAGS", r"(\Flagged)")  # flagged there
            client.append("Archive", None, None, MESSAGE % (55, 55, 55))
            client.logout()
            sync("PLAIN")
            sync("PLAIN")
            assert len(local()) == 16 and len(local("Archive")) == 1
            assert any("F" in path.name.rpartition(",")[2] for path in local()), local()

        await self.in_thread(work)
        self.assertEqual(len(self.inbox.messages), 16)
        self.assertEqual(self.inbox.count("\\Flagged"), 1)
        last = await self.inbox.read(self.inbox.messages[-1].uid)
        self.assertTrue(last.endswith(b"Hello number 99.\r\n"))
