"""``reference/caching-conformance.md``: what the cache is held to, group by group, counted by playing the cases."""

from __future__ import annotations

from tests.vectors.caching_cases import GROUPS, count

HEAD = """# Caching conformance

*Made by playing the cases: `python -m docs._ext.generate`; do not edit.*

The conversations of `tests/vectors/caching_cases.py`, by the groups of behaviour that shared caches are judged by. They
are played twice: against the rules alone (the counts below), and by `tests/integration/http/test_caching_cases.py`
through the proxy on real sockets, as far as a client can see the difference. *Required* is what RFC 9110 and 9111 say
with MUST and MUST NOT, *optional* where a cache may do less, *informational* where it may do either;
[Caching](caching.md) says what was chosen there, and why.
"""


def page() -> str:
    """The page as Markdown."""
    tried, passed, _ = count()
    lines = [HEAD, "| group | binding | what it is about | passed of tried |", "|---|---|---|---|"]
    for group, (binding, about) in GROUPS.items():
        lines.append(f"| {group} | {binding} | {about} | {passed[group]} of {tried[group]} |")
    lines.append(f"| all | | | {sum(passed.values())} of {sum(tried.values())} |")
    return "\n".join(lines) + "\n"
