"""The built-in site."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def tables(data: Path) -> Mapping[str, Any]:
    """Its tables."""
    return {"upper": {}}


def write_missing(data: Path) -> None:
    """Write them."""
