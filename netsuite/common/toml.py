"""Values to TOML, with a comment beside each key: what ``--print-config`` and ``netsuite init`` write.

Only what settings consist of: text, numbers, booleans, lists, and tables. ``tomllib`` reads back what is
written here.

Reference: TOML v1.0.0.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["key", "value"]

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_ESCAPED = re.compile(r'["\\\x00-\x1f\x7f]')
_SHORT = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}


def _text(text: str) -> str:
    return '"' + _ESCAPED.sub(lambda m: _SHORT.get(m[0]) or f"\\u{ord(m[0]):04x}", text) + '"'


def key(parts: Iterable[str]) -> str:
    """A dotted key; parts that are not bare are quoted."""
    return ".".join(part if _BARE.fullmatch(part) else _text(part) for part in parts)


def value(item: Any) -> str:
    """A value on one line; tables in it become inline tables. Raises TypeError for what TOML cannot say."""
    match item:
        case bool():
            return "true" if item else "false"
        case str():
            return _text(item)
        case int():
            return str(item)
        case float():
            if math.isfinite(item):
                return repr(item)
            return "nan" if math.isnan(item) else "inf" if item > 0 else "-inf"
        case Mapping():
            pairs = ", ".join(f"{key([str(name)])} = {value(each)}" for name, each in item.items() if each is not None)
            return f"{{ {pairs} }}" if pairs else "{}"
        case list() | tuple():
            return "[" + ", ".join(value(each) for each in item) + "]"
    raise TypeError(f"TOML has no {type(item).__name__}")
