"""The page of a folder without an index: for people as HTML, for programs as JSON.

Implements: RFC 9110 section 12.5.1
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from typing import Final
from urllib.parse import quote_from_bytes, unquote_to_bytes

from netsuite.http.origin.tree import Entry
from netsuite.http.wire.acceptance import quality_of_type
from netsuite.interfaces import HttpAnswer

__all__ = ["listed"]

_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "h1{font-size:1.3rem;overflow-wrap:anywhere}table{border-collapse:collapse;width:100%}"
    "th,td{text-align:left;padding:.25rem .75rem .25rem 0;border-bottom:1px solid #ddd}"
    "td:first-child{overflow-wrap:anywhere}.n{text-align:right;white-space:nowrap}"
    "a{color:#0645ad;text-decoration:none}a:hover{text-decoration:underline}"
    "@media(prefers-color-scheme:dark){body{background:#181818;color:#ddd}a{color:#8ab4f8}th,td{border-color:#444}}"
)
_FIELDS: Final = [(b"cache-control", b"no-cache"), (b"vary", b"accept")]


def listed(path: bytes, entries: Sequence[Entry], accept: bytes | None) -> HttpAnswer:
    """The page of a folder; JSON only for who wants it more than HTML."""
    if quality_of_type(accept, b"application/json") > quality_of_type(accept, b"text/html"):
        found = [_described(entry) for entry in entries]
        return 200, [(b"content-type", b"application/json"), *_FIELDS], json.dumps(found, indent=1).encode() + b"\n"
    return 200, [(b"content-type", b"text/html; charset=utf-8"), *_FIELDS], _page(path, entries).encode()


def _described(entry: Entry) -> dict[str, object]:
    described: dict[str, object] = {"name": entry.name.decode("utf-8", "replace"), "href": _href(entry)}
    described["type"] = "directory" if entry.folder else "file"
    if not entry.folder:
        described["size"] = entry.size
    described["modified"] = _instant(entry.modified)
    return described


def _page(path: bytes, entries: Sequence[Entry]) -> str:
    title = escape(unquote_to_bytes(path).decode("utf-8", "replace"))
    rows = ['<tr><td><a href="../">../</a><td class="n"><td class="n">'] if path != b"/" else []
    for entry in entries:
        shown = escape(entry.name.decode("utf-8", "replace") + ("/" if entry.folder else ""))
        size = "" if entry.folder else f'<data value="{entry.size}">{_readable(entry.size)}</data>'
        when = _instant(entry.modified)
        time = f'<time datetime="{when}">{when[:10]} {when[11:16]}</time>'
        rows.append(f'<tr><td><a href="{_href(entry)}">{shown}</a><td class="n">{size}<td class="n">{time}')
    return (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width">\n<title>{title}</title>\n<style>{_STYLE}</style>\n'
        f'<h1>{title}</h1>\n<table>\n<thead><tr><th>Name<th class="n">Size<th class="n">Changed (UTC)\n<tbody>\n'
        + "\n".join(rows)
        + "\n</table>\n</html>\n"
    )


def _href(entry: Entry) -> str:
    """A reference to an entry from its folder; what looks like a scheme does not become one."""
    return f"./{quote_from_bytes(entry.name, safe='')}{'/' if entry.folder else ''}"


def _readable(size: int) -> str:
    if size < 1000:
        return f"{size} B"
    shown = float(size)
    for unit in ("kB", "MB", "GB", "TB"):
        shown /= 1000
        if shown < 999.5 or unit == "TB":
            return f"{shown:.1f} {unit}" if shown < 9.95 else f"{shown:.0f} {unit}"
    raise AssertionError("unreachable")


def _instant(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
