"""``smtp-accept``: how fast a relay takes messages over for good, ours beside Postfix."""

from __future__ import annotations

import contextlib
import os
import shutil
import smtplib
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.contest import Benchmark, Contender
from benchmarks.load import Load, missing, smtp_source
from benchmarks.ours import ours

__all__ = ["SmtpAccept", "for_seconds", "main_cf", "master_cf"]

DOMAIN = "partner.test"
NOWHERE = "127.0.0.1:1"
"""Where nobody listens: what is taken stays in the queue."""
LATER = 36_000
"""Seconds until a message is tried again: not while it is measured."""
BYTES = 5_000
BATCH = 200

_SERVICES = """
cleanup unix n - n - 0 cleanup
qmgr unix n - n 36000 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
relay unix - - n - - smtp
smtp unix - - n - - smtp
retry unix - - n - - error
error unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
"""


def main_cf(folder: Path, *, hold: bool) -> str:
    """Postfix's main.cf: a relay for one domain, with all that it keeps in a folder."""
    settings = {
        "compatibility_level": "3.6",
        "config_directory": folder,
        "queue_directory": folder / "queue",
        "data_directory": folder / "data",
        "inet_interfaces": "127.0.0.1",
        "inet_protocols": "ipv4",
        "myhostname": "mail.bench.test",
        "mydestination": "",
        "mynetworks": "",
        "alias_maps": "",
        "alias_database": "",
        "relay_domains": DOMAIN,
        "relay_transport": f"relay:[127.0.0.1]:{NOWHERE.rpartition(':')[2]}",
        "smtpd_relay_restrictions": "reject_unauth_destination",
        "smtpd_recipient_restrictions": "static:HOLD" if hold else "",
        "smtpd_peername_lookup": "no",
        "smtpd_client_connection_count_limit": 0,
        "in_flow_delay": 0,
        "minimal_backoff_time": LATER,
        "maximal_backoff_time": LATER,
    }
    return "".join(f"{name} = {value}\n" for name, value in settings.items())


def master_cf(port: int) -> str:
    """Postfix's master.cf: what a relay needs, nothing in a chroot."""
    return f"127.0.0.1:{port} inet n - n - 100 smtpd{_SERVICES}"


def _postfix(*, hold: bool) -> Callable[[int, Path, int], Sequence[str | Path]]:
    def command(_: int, folder: Path, port: int) -> Sequence[str | Path]:
        (folder / "queue").mkdir(mode=0o755)
        (folder / "data").mkdir(mode=0o755)
        shutil.chown(folder / "data", "postfix")
        (folder / "main.cf").write_text(main_cf(folder, hold=hold))
        (folder / "master.cf").write_text(master_cf(port))
        subprocess.run(["postfix", "-c", folder, "check"], check=True, capture_output=True, timeout=60)
        asked = subprocess.run(
            ["postconf", "-c", folder, "-h", "daemon_directory"], check=True, capture_output=True, text=True, timeout=60
        )
        return [Path(asked.stdout.strip()) / "master", "-c", folder, "-s"]

    return command


class _Postfix(Contender[int]):
    def missing(self) -> str | None:
        return super().missing() or (None if os.geteuid() == 0 else "it starts only for root")


def for_seconds(batch: Callable[[int], Load], seconds: float) -> Load:
    """Run batches that are counted, not timed, until the seconds are over: a small one, then what its rate promises."""
    first = batch(BATCH)
    left = seconds - first.seconds
    if left < seconds / 10:
        return first
    rest = batch(max(BATCH, int(first.answers / first.seconds * left)))
    total = first.seconds + rest.seconds
    busy = (first.busy * first.seconds + rest.busy * rest.seconds) / total
    return Load(first.answers + rest.answers, total, busy)


class SmtpAccept(Benchmark[int]):
    """Messages that are in the queue for good when they are answered."""

    name = "smtp-accept"
    title = "Taking mail over by SMTP"
    what_grows = "messages in the queue"
    size = 100
    sizes = (10, 100, 1_000)
    cases = "10 sessions", "40 sessions"
    unit = "messages a second"
    by_rate = True
    notes = (
        "Messages of 5,000 bytes for a domain that is relayed to a place where nobody listens, so that each is taken "
        "over and stays in the queue; each is on the disk (fdatasync, fsync) before it is answered. A session brings "
        "one message on a connection of its own, then begins anew. Messages a second decide. Postfix runs twice: with "
        "the same route, and holding what it takes, which spares it every attempt to deliver, though ours makes one."
    )

    def missing(self) -> str | None:
        """Postfix's generator."""
        return missing("smtp-source")

    def contenders(self) -> Sequence[Contender[int]]:
        """Ours, Postfix, and a Postfix that takes without ever trying to deliver."""
        version = ["postconf", "-d", "mail_version"]
        return (
            ours("netsuite-smtp", lambda _scene, _folder, port: [
                "--listen", f"127.0.0.1:{port}", "--relay-domain", DOMAIN, "--route", f"{DOMAIN}={NOWHERE}",
                "--set", "smtp.queue_messages=10000000", "--set", f"smtp.retry_first={LATER}",
                "--set", f"smtp.retry_longest={LATER}",
            ]),
            _Postfix("Postfix", "postfix", version, _postfix(hold=False)),
            _Postfix("Postfix, holding", "postfix", version, _postfix(hold=True)),
        )  # fmt: skip

    @contextlib.contextmanager
    def scene(self, folder: Path, size: int) -> Iterator[int]:
        """Nothing is needed beside the servers."""
        yield size

    def sample(self, scene: int, case: str, port: int) -> Any:
        """The kinds of replies to a message that is relayed and to one that is not."""
        with smtplib.SMTP("127.0.0.1", port, "client.bench.test", timeout=20) as client:
            kinds = [client.ehlo()[0], client.mail("a@bench.test")[0], client.rcpt("b@elsewhere.test")[0]]
            kinds += [client.rcpt(f"b@{DOMAIN}")[0], client.data(b"Subject: a sample\r\n\r\nText.\r\n")[0]]
        return [code // 100 for code in kinds], sorted(
            {"pipelining", "size", "8bitmime", "enhancedstatuscodes"} & client.esmtp_features.keys()
        )

    def warm(self, scene: int, case: str, port: int) -> None:
        """Let as many messages wait as the size says, and those be tried that can be."""
        smtp_source(port, scene, sessions=10, size=BYTES, domain=DOMAIN)
        time.sleep(0.5)

    def load(self, scene: int, case: str, port: int, seconds: float) -> Load:
        """Bring messages."""
        sessions = int(case.split()[0])
        return for_seconds(
            lambda count: smtp_source(port, count, sessions=sessions, size=BYTES, domain=DOMAIN), seconds
        )
