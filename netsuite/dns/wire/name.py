r"""Names as bytes: uncompressed wire form (``b"\x03www\x04test\x00"``) in and out.

Folding to lower case is ``bytes.lower()`` on the whole wire form: a length byte is at most 63 and so never
a letter.

Implements: RFC 1035 sections 2.3.4, 3.1, 4.1.4, 5.1; RFC 4034 section 6.1; RFC 4343 section 3; RFC 2181 section 11.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "ROOT",
    "BadName",
    "canonical",
    "expand",
    "from_text",
    "labels",
    "parent",
    "skip",
    "suffixes",
    "to_text",
    "within",
]

ROOT: Final = b"\0"
_LONGEST: Final = 255
_PLAIN: Final = frozenset(b"!#%&'*+,-/0123456789:<=>?ABCDEFGHIJKLMNOPQRSTUVWXYZ[]^_`abcdefghijklmnopqrstuvwxyz{|}~")


class BadName(ValueError):
    """Bytes or text that are no domain name; its text says why."""


def skip(message: bytes, at: int) -> int:
    """The offset behind a name that may be compressed, without following its pointers; raises BadName."""
    start = at
    end = len(message)
    while at < end:
        length = message[at]
        if length == 0:
            return at + 1
        if length >= 0xC0:
            if at + 2 > end:
                break
            return at + 2
        if length > 63:
            raise BadName("a label of a reserved kind")
        at += length + 1
        if at - start > _LONGEST:
            raise BadName("a name longer than 255 bytes")
    raise BadName("a name that runs past the end")


def expand(message: bytes, at: int) -> tuple[bytes, int]:
    """A name that may be compressed, uncompressed, and the offset behind it; raises BadName.

    Each pointer must go strictly backwards and the name end within 255 bytes, so neither loops nor
    long chains cost more than that.
    """
    parts: list[bytes] = []
    total = 0
    after = 0
    lowest = at
    end = len(message)
    while at < end:
        length = message[at]
        if length == 0:
            parts.append(ROOT)
            return b"".join(parts), after or at + 1
        if length >= 0xC0:
            if at + 2 > end:
                break
            target = (length & 0x3F) << 8 | message[at + 1]
            if not after:
                after = at + 2
            if target >= lowest:
                raise BadName("a compression pointer that does not go backwards")
            at = lowest = target
            continue
        if length > 63:
            raise BadName("a label of a reserved kind")
        total += length + 1
        if total >= _LONGEST:
            raise BadName("a name longer than 255 bytes")
        if at + length >= end:
            break
        parts.append(message[at : at + length + 1])
        at += length + 1
    raise BadName("a name that runs past the end")


def labels(name: bytes) -> list[bytes]:
    """The labels of an uncompressed name, the root's empty one left out."""
    out = []
    at = 0
    while name[at]:
        out.append(name[at + 1 : at + 1 + name[at]])
        at += name[at] + 1
    return out


def suffixes(name: bytes) -> list[bytes]:
    """A name and all names above it, the root last."""
    out = []
    at = 0
    while name[at]:
        out.append(name[at:])
        at += name[at] + 1
    out.append(ROOT)
    return out


def parent(name: bytes) -> bytes:
    """The name without its first label; the root's is the root."""
    return name[name[0] + 1 :] or ROOT


def within(name: bytes, above: bytes) -> bool:
    """Whether a name is ``above`` or lies below it (same case)."""
    if not name.endswith(above):
        return False
    at = 0
    wanted = len(name) - len(above)
    while at < wanted:
        at += name[at] + 1
    return at == wanted


def to_text(name: bytes) -> str:
    """Presentation form with the last dot, special bytes escaped."""
    if name == ROOT:
        return "."
    out = []
    for label in labels(name):
        for byte in label:
            if byte in _PLAIN:
                out.append(chr(byte))
            elif 0x20 < byte < 0x7F:
                out.append(f"\\{byte:c}")
            else:
                out.append(f"\\{byte:03d}")
        out.append(".")
    return "".join(out)


def from_text(text: str, origin: bytes | None = None) -> bytes:
    """A name from presentation form; one without a last dot is completed by ``origin`` (or is absolute).

    ``@`` alone is the origin. Raises BadName.
    """
    if text == "@" and origin is not None:
        return origin
    if text == ".":
        return ROOT
    out = bytearray()
    if "\\" not in text and text.isascii():
        parts = [part.encode("ascii") for part in text.split(".")]
    else:
        parts = _unescaped(text)
    absolute = len(parts) > 1 and not parts[-1]
    if absolute:
        parts.pop()
    for label in parts:
        if not label:
            raise BadName(f"{text!r} has an empty label")
        if len(label) > 63:
            raise BadName(f"{text!r} has a label longer than 63 bytes")
        out.append(len(label))
        out += label
    out += ROOT if absolute or origin is None else origin
    if len(out) > _LONGEST:
        raise BadName(f"{text!r} is longer than 255 bytes")
    return bytes(out)


def _unescaped(text: str) -> list[bytes]:
    parts = [bytearray()]
    at = 0
    try:
        data = text.encode("ascii")
    except UnicodeEncodeError:
        raise BadName(f"{text!r} is not ASCII: write internationalised names as xn-- labels") from None
    while at < len(data):
        byte = data[at]
        if byte == 0x5C:
            digits = data[at + 1 : at + 4]
            if len(digits) == 3 and digits.isdigit():
                if int(digits) > 255:
                    raise BadName(f"{text!r} has an escape above 255")
                parts[-1].append(int(digits))
                at += 4
                continue
            at += 1
            if at == len(data) or data[at : at + 1].isdigit():
                raise BadName(f"{text!r} has a broken escape")
            parts[-1].append(data[at])
        elif byte == 0x2E:
            parts.append(bytearray())
        else:
            parts[-1].append(byte)
        at += 1
    return [bytes(part) for part in parts]


def canonical(name: bytes) -> bytes:
    """What sorts lower-case names in canonical order, their own labels last (RFC 4034 section 6.1)."""
    parts = labels(name)
    parts.reverse()
    text = b"".join(parts)
    if b"\0" in text or b"\1" in text:
        # A zero byte parts labels below, so bytes that would be taken for one are written as two.
        parts = [part.replace(b"\1", b"\1\2").replace(b"\0", b"\1\1") for part in parts]
    return b"\0".join(parts)
