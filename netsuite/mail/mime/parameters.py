"""``type/subtype; name=value`` fields: Content-Type, Content-Disposition, Content-Language.

Tolerant: what cannot be read is left out. Values stay as sent (RFC 2231's pieces and encodings included), since
BODYSTRUCTURE hands them on so.

Implements: RFC 2045 section 5.1; RFC 2183 section 2.
"""

from __future__ import annotations

import re
from typing import Final

from netsuite.mail.mime.address import without_comments

__all__ = ["Parameters", "content_type", "disposition", "parameter"]

Parameters = tuple[tuple[bytes, bytes], ...]

_TOKEN: Final = rb"[^\x00-\x20\x7f()<>@,;:\\\"/\[\]?=]+"
_TYPE: Final = re.compile(rb"\s*(" + _TOKEN + rb")\s*/\s*(" + _TOKEN + rb")\s*(?=;|\Z|\s)")
_WORD: Final = re.compile(rb"\s*(" + _TOKEN + rb")\s*")
_PARAMETER: Final = re.compile(
    rb"[;\s]([^\x00-\x20\x7f()<>@,;:\\\"/\[\]?=]+)\s*=\s*(?:\"((?:[^\"\\]|\\.)*)\"?|([^\s;]*))", re.S
)
_QUOTED: Final = re.compile(rb"\\(.)", re.S)
LONGEST: Final = 65536
MOST: Final = 256


def content_type(value: bytes) -> tuple[bytes, bytes, Parameters] | None:
    """Type, subtype and parameters as sent; None if the field cannot be read (section 5.2's default holds then)."""
    value = without_comments(value[:LONGEST])
    found = _TYPE.match(value)
    if found is None:
        return None
    return found[1], found[2], _parameters(value, found.end())


def disposition(value: bytes) -> tuple[bytes, Parameters] | None:
    """The disposition and its parameters; None if the field cannot be read."""
    value = without_comments(value[:LONGEST])
    found = _WORD.match(value)
    return None if found is None else (found[1], _parameters(value, found.end()))


def parameter(parameters: Parameters, name: bytes) -> bytes | None:
    """The value of a parameter; ``name`` is in lower case."""
    for key, value in parameters:
        if key.lower() == name:
            return value
    return None


def _parameters(value: bytes, start: int) -> Parameters:
    made: list[tuple[bytes, bytes]] = []
    for found in _PARAMETER.finditer(value, start):
        quoted = found[2]
        made.append((found[1], found[3] if quoted is None else _QUOTED.sub(rb"\1", quoted)))
        if len(made) == MOST:
            break
    return tuple(made)
