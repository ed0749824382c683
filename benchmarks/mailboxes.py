"""``imap-append`` and ``imap-fetch``: putting mail into mailboxes and looking through them, ours beside Dovecot."""

from __future__ import annotations

import contextlib
import hashlib
import imaplib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.contest import Benchmark, Contender
from benchmarks.imap_clients import PASSWORD, USER
from benchmarks.load import Load, LoadFailed, imap
from benchmarks.ours import ROOT, ours

__all__ = ["ImapAppend", "ImapFetch", "dovecot_conf"]

CLIENTS = 8
SAMPLE = 20


def dovecot_conf(folder: Path, port: int) -> str:
    """One user's mailboxes in a folder as sdbox, read by IMAP without TLS."""
    return f"""
protocols = imap
listen = 127.0.0.1
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/dovecot.log
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain
auth_cache_size = 1M
mail_location = sdbox:{folder}/mail/%u
mail_fsync = optimized
mail_max_userip_connections = 1000
first_valid_uid = 1
mail_uid = mail
mail_gid = mail
passdb {{
  driver = static
  args = password={PASSWORD}
}}
userdb {{
  driver = static
  args = uid=mail gid=mail home={folder}/mail/%u
}}
namespace inbox {{
  inbox = yes
}}
service imap-login {{
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
"""


def _dovecot(_: int, folder: Path, port: int) -> Sequence[str | Path]:
    (folder / "mail").mkdir(mode=0o755)
    shutil.chown(folder / "mail", "mail", "mail")
    config = folder / "dovecot.conf"
    config.write_text(dovecot_conf(folder, port))
    return ["dovecot", "-F", "-c", config]


def _ours(_: int, folder: Path, port: int) -> Sequence[str | Path]:
    """Options, after the user has been made."""
    subprocess.run(
        [sys.executable, "-c", "import sys; from netsuite.cli import main; sys.exit(main())",
         "user", "add", USER, "--data", folder / "data"],
        input=PASSWORD + "\n", text=True, check=True, capture_output=True, timeout=60, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    return ["--imap", f"127.0.0.1:{port}", "--set", 'common.domains=["bench.test"]']


class _Dovecot(Contender[int]):
    def missing(self) -> str | None:
        return super().missing() or (None if os.geteuid() == 0 else "it starts only for root")


class _Imap(Benchmark[int]):
    """What both have in common; the scene is the number of messages that are there."""

    def contenders(self) -> Sequence[Contender[int]]:
        """Ours and Dovecot."""
        return (
            ours("netsuite-mail", _ours),
            _Dovecot("Dovecot", "dovecot", ["dovecot", "--version"], _dovecot),
        )

    @contextlib.contextmanager
    def scene(self, folder: Path, size: int) -> Iterator[int]:
        """Nothing is needed beside the servers."""
        yield size

    def sample(self, scene: int, case: str, port: int) -> Any:
        """Messages, and what is known about them, from a mailbox made for the purpose."""
        mailbox = f"Sample{self.cases.index(case)}"
        imap(port, "append", f"--mailbox={mailbox}", count=SAMPLE)
        with imaplib.IMAP4("127.0.0.1", port, 20) as client:
            client.login(USER, PASSWORD)
            client.select(mailbox)
            known = client.fetch("1:*", "(UID RFC822.SIZE ENVELOPE BODYSTRUCTURE)")[1]
            texts = client.fetch("1:*", "(BODY.PEEK[])")[1]
        facts = sorted(_facts(line) for line in known if isinstance(line, bytes))
        bodies = sorted(hashlib.sha256(text[1]).hexdigest() for text in texts if isinstance(text, tuple))
        return len(bodies), bodies, facts


def _facts(line: bytes) -> list[str]:
    """The words of a FETCH response, without regard to the order of its items and to the case of its strings."""
    return sorted(re.findall(r'"[^"]*"|[^\s()]+', line.decode().lower()))


class ImapAppend(_Imap):
    """Messages that are on the disk when they are answered."""

    name = "imap-append"
    title = "Putting mail into mailboxes by IMAP"
    what_grows = "messages in the mailbox"
    size = 100
    sizes = (100, 1_000, 10_000)
    cases = f"{CLIENTS} clients, one mailbox", f"{CLIENTS} clients, a mailbox each"
    unit = "messages a second"
    by_rate = True
    notes = (
        "Messages of 4,096 bytes, APPENDed with a non-synchronising literal by clients that wait for each answer; each "
        "is on the disk before it is answered: ours waits for fdatasync, Dovecot (sdbox) has mail_fsync=optimized, its "
        "default, which syncs what is saved. Messages a second decide."
    )

    def warm(self, scene: int, case: str, port: int) -> None:
        """Let the mailbox have as many as the size says."""
        imap(port, "append", *self._who(case), count=max(1, scene // CLIENTS))

    def load(self, scene: int, case: str, port: int, seconds: float) -> Load:
        """Append."""
        return imap(port, "append", *self._who(case), seconds=seconds)

    def _who(self, case: str) -> Sequence[str]:
        if case.endswith("each"):
            return f"--clients={CLIENTS}", "--mailbox=Box", "--each=1"
        return (f"--clients={CLIENTS}",)


class ImapFetch(_Imap):
    """Facts about all messages of a mailbox, over and over."""

    name = "imap-fetch"
    title = "Looking through a mailbox by IMAP"
    what_grows = "messages in the mailbox"
    size = 5_000
    sizes = (50, 500, 5_000)
    cases = "ENVELOPE", "FLAGS", "BODYSTRUCTURE"
    unit = "messages per second of server CPU"
    notes = (
        "One client that fetches one item of all messages, again and again, in a mailbox whose messages have 4,096 "
        "bytes; an answer is what is said of one message. Both have been asked before, so that what they keep about "
        "messages is there."
    )

    def warm(self, scene: int, case: str, port: int) -> None:
        """Fill the mailbox, once, and ask."""
        with imaplib.IMAP4("127.0.0.1", port, 20) as client:
            client.login(USER, PASSWORD)
            there = client.select("INBOX")[1][0]
        if there == b"0":
            imap(port, "append", count=scene)
        imap(port, "fetch", f"--items={case}", count=1)

    def load(self, scene: int, case: str, port: int, seconds: float) -> Load:
        """Fetch."""
        done = imap(port, "fetch", f"--items={case}", seconds=seconds)
        if done.answers % scene:
            raise LoadFailed(f"{done.answers} answers are no multiple of {scene}")
        return done
