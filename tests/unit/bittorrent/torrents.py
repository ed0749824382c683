"""Torrents for tests, made of dictionaries."""

from __future__ import annotations

from typing import Any

from netsuite.bittorrent.wire.bencode import encode

PIECE = 16384


def info(*files: Any, **changes: Any) -> dict[str, Any]:
    """An info dictionary: of one file ``a`` of one byte, or in a folder ``t`` of paths, or of dictionaries."""
    made: dict[str, Any] = {"name": "t" if files else "a", "piece length": PIECE}
    if files:
        made["files"] = [_file(each) for each in files]
    else:
        made["length"] = 1
    total = sum(each.get("length", 0) for each in made.get("files", [made]) if "l" not in each.get("attr", ""))
    made["pieces"] = bytes(20 * -(-total // PIECE))
    made.update({key.replace("_", " "): value for key, value in changes.items()})
    return {key: value for key, value in made.items() if value is not None}


def torrent(*files: Any, around: dict[str, Any] | None = None, **changes: Any) -> bytes:
    """A torrent file's bytes."""
    return encode({"info": info(*files, **changes), **(around or {})})


def _file(given: Any) -> dict[str, Any]:
    if isinstance(given, str):
        return {"length": 1, "path": given.split("/")}
    return dict(given)
