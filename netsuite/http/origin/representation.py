"""One version of one file as HTTP sees it, and those that stand for the same resource in other codings.

Beside ``name`` may lie ``name.br``, ``name.zst`` and ``name.gz``: the same content, compressed beforehand. Each has its
own entity tag. One that is older than ``name`` is not used, since its content would be.

Implements: RFC 9110 sections 8.4, 8.8.1, 8.8.3
"""

from __future__ import annotations

import mimetypes
import os
import stat
from collections.abc import Mapping
from typing import Final

from netsuite.http.origin.tree import Signature
from netsuite.http.wire.messages import Fields
from netsuite.sansio.dates import format_date

__all__ = ["CODINGS", "Kinds", "Representation", "Resource", "beside", "current", "entity_tag", "signature_at"]

CODINGS: Final = ((b"br", b".br"), (b"zstd", b".zst"), (b"gzip", b".gz"))
"""Content codings, and how the names of files end that are coded so."""

_TEXTUAL: Final = frozenset(
    [
        "application/dash+xml",
        "application/javascript",
        "application/json",
        "application/manifest+json",
        "application/xml",
        "image/svg+xml",
    ]
)
_NEWER_TYPES: Final = {
    ".avif": "image/avif",
    ".js": "text/javascript",
    ".m4s": "video/iso.segment",
    ".md": "text/markdown",
    ".mjs": "text/javascript",
    ".mpd": "application/dash+xml",
    ".torrent": "application/x-bittorrent",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
}
_CODED: Final = {"gzip": "application/gzip", "br": "application/x-brotli"}


class Kinds:
    """Media types, judged by the ending of a name; what an upload says of itself is not kept."""

    def __init__(self, types: Mapping[str, str] = {}) -> None:
        self._types = mimetypes.MimeTypes()
        for extension, kind in (_NEWER_TYPES | dict(types)).items():
            self._types.add_type(kind, extension if extension.startswith(".") else f".{extension}")

    def of(self, place: bytes) -> bytes:
        """The Content-Type of a file; text is UTF-8."""
        kind, encoding = self._types.guess_type(os.fsdecode(os.path.basename(place)))  # noqa: PTH119 - a path in bytes
        if encoding is not None:
            kind = _CODED.get(encoding, "application/octet-stream")
        if kind is None:
            kind = "application/octet-stream"
        if kind.startswith("text/") or kind in _TEXTUAL:
            kind += "; charset=utf-8" if "charset" not in kind else ""
        return kind.encode("ascii", "replace")


class Representation:
    """One version of one file; ``body`` is None where it is too long to be kept.

    ``coding`` is the content coding, empty for none; ``fields`` begin with the Content-Type.
    """

    __slots__ = ("body", "coding", "etag", "fields", "modified", "place", "signature", "size")

    def __init__(
        self,
        place: bytes,
        signature: Signature,
        body: bytes | None,
        kind: bytes,
        more: Fields,
        coding: bytes = b"",
        *,
        made: bool = False,
    ) -> None:
        self.place = place
        self.signature = signature
        self.body = body
        self.size = len(body) if body is not None else signature.size
        self.coding = coding
        self.modified = signature.modified // 1_000_000_000
        own = b"-" + coding if made else b""
        self.etag = entity_tag(signature, own)
        self.fields: Fields = [
            (b"content-type", kind),
            *([(b"content-encoding", coding)] if coding else []),
            (b"last-modified", format_date(self.modified)),
            (b"etag", self.etag),
            (b"accept-ranges", b"bytes"),
            *more,
        ]


def entity_tag(signature: Signature, more: bytes = b"") -> bytes:
    """The strong entity tag of a version of a file; ``more`` tells what we made of it from what it is."""
    return b'"%x-%x-%x%b"' % (signature.inode, signature.size, signature.modified, more)


class Resource:
    """What a path stands for: a file, and the same in other codings; ``checked`` is when the disk was last asked."""

    __slots__ = ("checked", "coded", "plain", "sizes", "still", "writing")

    def __init__(self, plain: Representation, coded: dict[bytes, Representation]) -> None:
        self.plain = plain
        self.coded = coded
        self.sizes = [(coding, each.size) for coding, each in coded.items()]
        self.checked = 0.0
        self.still = self._is_still

    def _is_still(self) -> bool:
        """Whether the disk still has these versions there, and none that would have to be considered."""
        plain = self.plain
        if signature_at(plain.place) != plain.signature:
            return False
        for coding, ending in CODINGS:
            found = beside(plain.place + ending)
            known = self.coded.get(coding)
            if known is not None and known.place != plain.place:
                if found != known.signature:
                    return False
            elif found is not None and current(found, plain.signature):
                return False
        return True


def current(sibling: Signature, plain: Signature) -> bool:
    """Whether a coded file is no older than what it was made from; in seconds, since some tools keep no more."""
    return sibling.modified // 1_000_000_000 >= plain.modified // 1_000_000_000


def beside(place: bytes) -> Signature | None:
    """The signature of a file that mostly is not there; asking first is cheaper than being told by an exception."""
    return signature_at(place) if os.access(place, os.F_OK) else None


def signature_at(place: bytes) -> Signature | None:
    """The signature of the file there; None if there is none."""
    try:
        found = os.stat(place)  # noqa: PTH116 - a path in bytes
    except (OSError, ValueError):
        return None
    return Signature.of(found) if stat.S_ISREG(found.st_mode) else None
