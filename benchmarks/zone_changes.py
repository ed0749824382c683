"""What an update of a large zone costs: ``python -m benchmarks.zone_changes [NAMES [UPDATES]]``.

Each update adds an address to a name, or takes it away again, as :mod:`netsuite.dns.authoritative.update` executes it:
prerequisites, records, the next serial, the next version, and its showing to the short ways to answers. What is left
of its work for later (:meth:`Zone.settle`) is done a part at a time behind it, as the server does.
"""

from __future__ import annotations

import gc
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import dns.update

from benchmarks.name_servers import DOMAIN, make_zone
from netsuite.dns.authoritative.answers import Answers
from netsuite.dns.authoritative.assembly import load
from netsuite.dns.authoritative.update import Update, execute
from netsuite.dns.wire.name import from_text
from netsuite.dns.wire.records import message

__all__ = ["Costs", "changes"]


class Costs(NamedTuple):
    """Milliseconds of CPU: of each update, and of each part of the work that can wait."""

    updates: Sequence[float]
    parts: Sequence[float]


def changes(names: int, count: int) -> Costs:
    """Change a zone of so many names so many times."""
    with tempfile.TemporaryDirectory() as folder:
        zone = load(from_text(f"{DOMAIN}."), make_zone(Path(folder), names, 0).file)
    gc.freeze()
    answers = Answers([zone])
    rng = random.Random(7)
    updates, parts = [], []
    for number in range(count):
        host = f"h{rng.randrange(names)}" if number % 4 else f"new{number}"  # one in four is new
        asked = dns.update.UpdateMessage(f"{DOMAIN}.")
        asked.present(f"{DOMAIN}.", "SOA")
        asked.add(host, 300, "A", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
        data = asked.to_wire()
        began = time.process_time()
        change = execute(zone, Update(message(data), lambda *_: True, ""), "increment", 0.0)
        assert change is not None
        zone = change.applied(zone)
        answers.serve(zone)
        updates.append((time.process_time() - began) * 1000)
        if number % 10 == 0 and not zone.is_settled:
            began = time.process_time()
            zone.settle()
            parts.append((time.process_time() - began) * 1000)
    return Costs(updates, parts)


def _percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


def main() -> None:
    """Print the distributions."""
    names, count = (int(text) for text in (sys.argv[1:] + ["1000000", "150000"][len(sys.argv) - 1 :]))
    for what, values in zip(("update", "part of settling"), changes(names, count), strict=True):
        shown = ", ".join(f"{share:.1%} {_percentile(values, share):.2f}" for share in (0.5, 0.99, 0.999))
        print(f"{len(values):,} times {what}, ms of CPU: {shown}, most {max(values):.2f}")


if __name__ == "__main__":
    main()
