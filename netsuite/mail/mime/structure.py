"""BODY and BODYSTRUCTURE: the shape of a message, as values.

Implements: RFC 3501 section 7.4.2 (BODY, BODYSTRUCTURE).
"""

from __future__ import annotations

from typing import Any

from netsuite.mail.mime.envelope import envelope
from netsuite.mail.mime.header import first
from netsuite.mail.mime.parameters import Parameters, disposition
from netsuite.mail.mime.scan import Part

__all__ = ["structure"]


class Lists(tuple[Any, ...]):
    """Parenthesised lists that follow one another without a space, as the parts of a multipart do."""

    __slots__ = ()


def structure(data: bytes, part: Part, *, extended: bool) -> tuple[Any, ...]:
    """A part's structure: None, bytes, int and tuples, ready to be written; ``extended`` is BODYSTRUCTURE."""
    if part.children:
        made: list[Any] = [Lists(structure(data, child, extended=extended) for child in part.children), part.subtype]
        if extended:
            made += [_pairs(part.parameters), *_shown(data, part)]
        return tuple(made)
    encoding = first(data, part.fields, b"content-transfer-encoding") or b"7bit"
    made = [
        part.type,
        part.subtype,
        _pairs(part.parameters),
        first(data, part.fields, b"content-id"),
        first(data, part.fields, b"content-description"),
        encoding.partition(b";")[0].strip() or b"7bit",
        part.end - part.body,
    ]
    message = part.message
    if message is not None:
        made += [envelope(data, message.fields), structure(data, message, extended=extended)]
    if message is not None or part.kind.startswith(b"text/"):
        made.append(data.count(b"\n", part.body, part.end))
    if extended:
        made += [first(data, part.fields, b"content-md5"), *_shown(data, part)]
    return tuple(made)


def _pairs(parameters: Parameters) -> tuple[bytes, ...] | None:
    return tuple(text for pair in parameters for text in pair) or None


def _shown(data: bytes, part: Part) -> tuple[Any, ...]:
    """Disposition, language and location."""
    value = first(data, part.fields, b"content-disposition")
    shown = disposition(value) if value is not None else None
    language = first(data, part.fields, b"content-language")
    languages = [word.strip() for word in (language or b"").split(b",") if word.strip()]
    return (
        None if shown is None else (shown[0], _pairs(shown[1])),
        tuple(languages) if len(languages) > 1 else languages[0] if languages else None,
        first(data, part.fields, b"content-location"),
    )
