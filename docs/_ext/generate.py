"""Make every generated page of the documentation anew: ``python -m docs._ext.generate``.

A test compares what is committed with what this makes, so that no page lags behind the code.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks import report
from docs._ext import caching, commands, conformance, coverage_table, differences
from netsuite.suite import schema

ROOT = Path(__file__).resolve().parent.parent.parent
REFERENCE = ROOT / "docs" / "reference"


def pages() -> dict[Path, str]:
    """Every generated file and what must be in it."""
    return {
        REFERENCE / "protocols.md": coverage_table.page(),
        REFERENCE / "conformance.md": conformance.page(),
        REFERENCE / "caching-conformance.md": caching.page(),
        REFERENCE / "commands.md": commands.page(),
        REFERENCE / "dns-differences.md": differences.page(),
        **schema.pages(REFERENCE),
        **report.pages(),
    }


def main() -> None:
    """Write what changed, and say so."""
    for path, text in pages().items():
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
            print(f"wrote {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
