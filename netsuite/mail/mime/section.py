"""BODY[section]: finding the bytes that a section names.

Implements: RFC 3501 section 6.4.5 (BODY[<section>]<<partial>>).
"""

from __future__ import annotations

from typing import NamedTuple

from netsuite.mail.mime.header import Field
from netsuite.mail.mime.scan import Part

__all__ = ["Section", "extract"]


class Section(NamedTuple):
    """``path`` of part numbers, then ``what``: empty, HEADER, TEXT, MIME, HEADER.FIELDS or HEADER.FIELDS.NOT.

    ``names`` are the fields' in lower case.
    """

    path: tuple[int, ...] = ()
    what: str = ""
    names: frozenset[bytes] = frozenset()


def extract(data: bytes, root: Part, section: Section) -> bytes | None:
    """The bytes of a section; None if the message has no such part."""
    part: Part | None = root
    if section.path:
        part = _find(root, section.path)
    if part is None:
        return None
    what = section.what
    if not what:
        return data[part.body : part.end] if section.path else data[part.start : part.end]
    if what == "MIME":
        return data[part.start : part.body]
    if section.path:
        part = part.message
        if part is None:
            return None
    if what == "TEXT":
        return data[part.body : part.end]
    if what == "HEADER":
        return data[part.start : part.body]
    wanted = what == "HEADER.FIELDS"
    return _chosen(data, part.fields, section.names, wanted) + b"\r\n"


def _find(root: Part, path: tuple[int, ...]) -> Part | None:
    part = root
    for depth, number in enumerate(path):
        if depth and part.message is not None:
            part = part.message
        if part.children:
            if number > len(part.children):
                return None
            part = part.children[number - 1]
        elif number != 1 or (depth and not _holds_message(root, path[:depth])):
            return None
    return part


def _holds_message(root: Part, path: tuple[int, ...]) -> bool:
    """Whether a path ends at a message within the message: then .1 is that message's own body."""
    part = _find(root, path)
    return part is not None and part.message is not None


def _chosen(data: bytes, fields: list[Field], names: frozenset[bytes], wanted: bool) -> bytes:
    made = [data[field.start : field.end] for field in fields if (field.name in names) is wanted]
    if made and not made[-1].endswith(b"\n"):
        made[-1] += b"\r\n"
    return b"".join(made)
