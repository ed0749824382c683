"""Reads a public corpus of torrent files, many of them malformed, as libtorrent 2.1 does: verdict, info-hash and paths.

What libtorrent said is kept in ``torrent_corpus.json``, so that the comparison needs no libtorrent.
``python -m tests.vectors.torrent_corpus`` asks it again where it is installed, and writes
docs/reference/torrent-conformance.md.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any

from netsuite.bittorrent.metainfo import Metainfo, MetainfoError, VersionTwoOnly, parse

try:
    import libtorrent
except ImportError:
    libtorrent = None

SHARED = Path(os.environ.get("NETSUITE_SHARED", Path(__file__).parents[2] / ".." / "shared"))
FOLDER = SHARED / "vectors" / "bittorrent" / "torrents"
TABLE = Path(__file__).with_suffix(".json")
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "torrent-conformance.md"

REFUSED = {"verdict": "refused"}
TWO_ONLY = {"verdict": "version 2 only"}

Reading = dict[str, Any]


def torrents() -> list[Path]:
    """The corpus, in order; nothing where it is not at hand."""
    return sorted(FOLDER.glob("*.torrent"))


def expected() -> dict[str, Reading]:
    """What libtorrent said of each file."""
    found: dict[str, Reading] = json.loads(TABLE.read_text())
    return found


def ours(data: bytes) -> Reading:
    """What we read; a message comes with a refusal."""
    try:
        read = parse(data)
    except VersionTwoOnly as error:
        return {**TWO_ONLY, "message": str(error)}
    except MetainfoError as error:
        return {**REFUSED, "message": str(error)}
    return facts(read)


def facts(read: Metainfo) -> Reading:
    """What is compared of an accepted torrent; pad files, never written, are told by the offsets of the others."""
    return {
        "verdict": "hybrid" if read.hybrid else "version 1",
        "info_hash": read.info_hash.hex(),
        "name": read.name,
        "private": read.private,
        "piece_length": read.piece_length,
        "pieces": read.piece_count,
        "trackers": [url for tier in read.trackers for url in tier],
        "files": [
            ["/".join(file.path), file.offset if file.length else 0, file.length, "/".join(file.link or ())]
            for file in read.files
            if not file.pad
        ],
    }


def theirs(data: bytes) -> Reading:
    """The same of libtorrent. UnicodeDecodeError: its Python binding cannot tell."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            read = libtorrent.load_torrent_buffer(data)
        except RuntimeError as error:
            return {**REFUSED, "message": str(error)}
        if read.ti is None:
            return {**REFUSED, "message": "a magnet link"}
        hashes = read.ti.info_hashes()
        if not hashes.has_v1():
            return dict(TWO_ONLY)
        files = read.ti.files()
        return {
            "verdict": "hybrid" if hashes.has_v2() else "version 1",
            "info_hash": str(hashes.v1),
            "name": read.ti.name(),
            "private": read.ti.priv(),
            "piece_length": read.ti.piece_length(),
            "pieces": read.ti.num_pieces(),
            "trackers": list(read.trackers),
            "files": [_file(files, index) for index in range(files.num_files()) if not _is(files, index, "pad_file")],
        }


def _file(files: Any, index: int) -> list[Any]:
    size = files.file_size(index)
    link = files.symlink(index) if _is(files, index, "symlink") else ""
    return [files.file_path(index), files.file_offset(index) if size else 0, size, link]


def _is(files: Any, index: int, flag: str) -> bool:
    return bool(files.file_flags(index) & getattr(libtorrent.file_storage, f"flag_{flag}"))


def state(wanted: Reading, read: Reading) -> str:
    """``same``, ``on purpose`` (only version 2 peers could use it), or ``different``."""
    if wanted["verdict"] == "refused":
        return "same" if read["verdict"] in ("refused", "version 2 only") else "different"
    if wanted == TWO_ONLY or (wanted["verdict"] == "hybrid" and read["verdict"] == "version 2 only"):
        return "on purpose" if read["verdict"] == "version 2 only" else "different"
    return "same" if wanted == read else "different"


def page(readings: dict[str, tuple[Reading, Reading]]) -> str:
    """The reference page."""
    states = {name: state(*both) for name, both in readings.items()}
    count = list(states.values()).count
    accepted = [name for name, (_, read) in readings.items() if "files" in read]
    lines = [
        "# Torrent conformance",
        "",
        "Written by `python -m tests.vectors.torrent_corpus`; do not edit.",
        "",
        "The torrent files of libtorrent's own tests, many of them malformed, are read by us and by libtorrent 2.1. "
        "Compared are the verdict and, for those that both accept, the info-hash, name, private flag, piece length and "
        "count, trackers, and every file's path, offset, length and link. Pad files are compared by the offsets of the "
        "others, since they are never written.",
        "",
        f"Of {len(states)} files {count('same')} are read the same: {len(accepted)} accepted, "
        f"{count('same') - len(accepted)} refused. {count('on purpose')} are read otherwise on purpose, "
        f"{count('different')} otherwise.",
        "",
        "| read otherwise | why |",
        "|---|---|",
        *(f"| {name} | {readings[name][1].get('message', '')} |" for name in states if states[name] != "same"),
        "",
        "| accepted | as | files |",
        "|---|---|---|",
        *(f"| {name} | {readings[name][1]['verdict']} | {len(readings[name][1]['files'])} |" for name in accepted),
        "",
        "| refused | in our words |",
        "|---|---|",
        *(
            f"| {name} | {readings[name][1]['message']} |"
            for name in states
            if states[name] == "same" and name not in accepted
        ),
        "",
        "Beyond the corpus, generated and mutated torrents are compared as well (`tests/properties`). There we differ "
        "on purpose in this:",
        "",
        "- Names that differ only in the case or the composition of letters beyond ASCII count as the same file, since "
        "some file systems take them for one; so do names that libtorrent gave to an earlier duplicate. The later file "
        "gets a number.",
        "- A hybrid without the hashes of version 1 counts as version 2 only.",
        "- A length of more than 64 bits is refused; libtorrent takes it for 0.",
        "- A file name never has more than 255 bytes, also if it is made of bytes that are no UTF-8; of a name with "
        "more than 8,192 bytes only both ends are looked at.",
        "- Pad files take no name from a real file, and never name the torrent.",
        "- Web seeds are URLs with `http`, `https` or `ftp`; what has no place in a URL is percent-encoded.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Ask libtorrent, if it is there, then write the page."""
    found = torrents()
    if libtorrent is not None:
        table = {path.name: theirs(path.read_bytes()) for path in found}
        rows = ",\n".join(f"{json.dumps(name)}: {json.dumps(reading)}" for name, reading in table.items())
        TABLE.write_text("{\n" + rows + "\n}\n")
    wanted = expected()
    text = page({path.name: (wanted[path.name], ours(path.read_bytes())) for path in found})
    PAGE.write_text(text)
    sys.stdout.write(text.split("\n\n")[3] + "\n")


if __name__ == "__main__":
    main()
