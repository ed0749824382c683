"""``reference/conformance.md``: what our servers are held to that others made, from the tests that do it."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

HEAD = """# Conformance

*Made from the tests by `python -m docs._ext.generate`; do not edit.*

Besides its own tests, the suite is held to what others wrote: collections of recorded cases from public projects, and
programs that nobody here made. A collection that is not at hand, or a program that is not installed, makes its tests
skip with that reason; `./check` lists every skipped test.
"""

SECTIONS = (
    ("vectors", "Recorded cases", "Read from the folder that `NETSUITE_SHARED` names (`../shared` by default)."),
    ("interop", "Foreign programs", "Real clients and servers against ours, over real sockets."),
    ("properties", "Properties", "What must hold for every input, tried with inputs that hypothesis makes up."),
)


def page(root: Path = ROOT) -> str:
    """The page as Markdown."""
    lines = [HEAD]
    for folder, heading, words in SECTIONS:
        rows = []
        for path in sorted((root / "tests" / folder).rglob("test_*.py")):
            tree = ast.parse(path.read_text())
            about = (ast.get_docstring(tree) or "").strip().split("\n\n")[0]
            rows.append(f"| `{path.relative_to(root / 'tests')}` | {' '.join(about.split())} |")
        if rows:
            lines += [f"## {heading}", "", words, "", "| test module | what it holds us to |", "|---|---|"]
            lines += [*rows, ""]
    return "\n".join(lines)
