"""``reference/dns-differences.md``: where our answers are other than those of NSD, Knot DNS and BIND, and why."""

from __future__ import annotations

from tests.dnspeers import DIFFERENCES

NAMES = {"nsd": "NSD", "knotd": "Knot DNS", "named": "BIND"}

HEAD = """# Answers beside NSD, Knot DNS and BIND

*Made from `tests/dnspeers.py` by `python -m docs._ext.generate`; do not edit.*

The same generated zones, dense with wildcards, delegations, aliases, DNAMEs, names without records and large RRsets,
are served by all four, and asked the same questions: 10,000 in `./check`, and as many as one likes by
`python -m tests.dnspeers --zones 3000`. Response code, AA and TC, the answer and authority sections, and the glue of
delegations must be equal. These differences are meant; any other fails.

| what differs | from | why |
|---|---|---|
"""


def page() -> str:
    """The page as Markdown."""
    rows = (
        f"| {name} | {', '.join(NAMES[program] for program in programs)} | {reason} |\n"
        for name, programs, reason, _ in DIFFERENCES
    )
    return HEAD + "".join(rows)
