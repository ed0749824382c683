"""``netsuite torrent``: make a torrent, look at one, and see whether a folder holds what it says."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from netsuite.bittorrent.creation import contents, create
from netsuite.bittorrent.errors import CreationError, MetainfoError
from netsuite.bittorrent.metainfo import LARGEST, Metainfo, parse, read
from netsuite.bittorrent.peer.folder import Folder
from netsuite.bittorrent.verification import verify
from netsuite.cli.progress import Bar
from netsuite.common.errors import StartError
from netsuite.common.terminal import amount

__all__ = ["add"]

_SIZE: Final = re.compile(r"([0-9]{1,12})([KM]?)(?:i?B)?", re.IGNORECASE)
_INTERRUPTED: Final = 130


def add(commands: Any) -> None:
    """Add the command and what it can do to the grammar."""
    command: argparse.ArgumentParser = commands.add_parser(
        "torrent", help="make and check torrents", description="Make torrents, look at them, and check folders."
    )
    actions = command.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_create(actions)
    show = actions.add_parser(
        "show", help="say what is in a torrent", description="Print what a torrent file says, and whether it is sound."
    )
    show.add_argument("file", metavar="FILE", help="the torrent file; - is standard input")
    show.add_argument("--json", action="store_true", help="print it as JSON")
    show.set_defaults(run=_guarded, act=_show)
    check = actions.add_parser(
        "verify",
        help="check files against a torrent",
        description="Hash the files in a folder and compare them with a torrent. The exit status is 0 if everything "
        "is there and right, 1 if not; what is wrong is printed.",
    )
    check.add_argument("file", metavar="FILE", help="the torrent file; - is standard input")
    check.add_argument("folder", metavar="DIR", help="the folder that holds the torrent's own folder, or its one file")
    check.add_argument("--json", action="store_true", help="print what was found as JSON")
    _add_threads(check)
    check.set_defaults(run=_guarded, act=_verify)


def _add_create(actions: Any) -> None:
    make = actions.add_parser(
        "create",
        help="make a torrent of a file or folder",
        description="Hash a file, or all files in a folder, and write a torrent file. The same files and options give "
        "the same torrent.",
    )
    make.add_argument("source", metavar="FILE", help="the file or folder to share")
    make.add_argument(
        "--tracker",
        metavar="URL[,URL...]",
        action="append",
        default=[],
        help="a tracker's URL; several with commas between are asked in any order; repeatable, each next one is asked "
        "when those before do not answer",
    )
    make.add_argument("-o", "--output", metavar="OUT", help="what to write (default: the name with .torrent behind)")
    make.add_argument("--private", action="store_true", help="let peers be found by the trackers only")
    make.add_argument(
        "--piece-length",
        metavar="SIZE",
        type=_size,
        help="bytes in a piece, such as 256K or 1M: a power of two (default: by the length of all files)",
    )
    make.add_argument("--comment", metavar="TEXT", default="", help="words to go with it")
    make.add_argument(
        "--web-seed", metavar="URL", action="append", default=[], help="an HTTP server that has the files; repeatable"
    )
    make.add_argument(
        "--exclude",
        metavar="PATTERN",
        action="append",
        default=[],
        help="leave out files and folders whose name or path fits, such as '*.bak'; repeatable",
    )
    _add_threads(make)
    make.set_defaults(run=_guarded, act=_create)


def _add_threads(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--threads", metavar="N", type=_count, help="how many threads hash (default: one for each processor)"
    )


def _guarded(options: argparse.Namespace) -> int:
    """Do it; an error becomes one line."""
    try:
        status: int = options.act(options)
    except CreationError as error:
        raise StartError(str(error)) from error
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return _INTERRUPTED
    return status


def _create(options: argparse.Namespace) -> int:
    source = Path(options.source)
    if not source.exists():
        raise StartError(f"{source}: there is no such file or folder")
    source = source.resolve()
    output = Path(options.output or f"{source.name}.torrent")
    if source.is_dir() and output.resolve().is_relative_to(source):
        raise StartError(f"{output}: this is within what is to be shared; write it elsewhere with -o")
    if output.resolve() == source:
        raise StartError(f"{output}: this is what is to be shared")
    if not output.resolve().parent.is_dir():
        raise StartError(f"{output}: cannot be written: there is no folder {output.resolve().parent}")
    files = contents(source, options.exclude)
    total = sum(file.length for file in files)
    with Bar(total, "hashing") as bar:
        data = create(
            source,
            trackers=[tuple(filter(None, tier.split(","))) for tier in options.tracker],
            web_seeds=options.web_seed,
            private=options.private,
            comment=options.comment,
            piece_length=options.piece_length,
            files=files,
            workers=options.threads,
            advanced=bar.advanced,
        )
    _write(output, data)
    made = parse(data)
    print(f"{output}: {_many(len(files), 'file')}, {amount(total)}, {_many(made.piece_count, 'piece')}")
    print(f"info-hash {made.info_hash.hex()}")
    return 0


def _write(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with draft.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as problem:
        draft.unlink(missing_ok=True)
        raise StartError(f"{path}: cannot be written: {problem.strerror}") from problem


def _show(options: argparse.Namespace) -> int:
    torrent = _torrent(options.file)
    if options.json:
        print(json.dumps(_facts(torrent), indent=2))
    else:
        print(*_report(torrent), sep="\n")
    return 0


def _verify(options: argparse.Namespace) -> int:
    torrent = _torrent(options.file)
    path = Path(options.folder)
    if not path.is_dir():
        raise StartError(f"{path}: there is no such folder")
    folder = Folder(path)
    try:
        with Bar(torrent.length, "verifying") as bar:
            found = verify(torrent, folder, workers=options.threads, advanced=bar.advanced)
    finally:
        folder.close()
    if options.json:
        faults = [
            {"path": "/".join(fault.file.path), "reason": fault.reason, "pieces": _runs(fault.pieces)}
            for fault in found.faults
        ]
        counts = {"pieces": torrent.piece_count, "right": found.have.count}
        print(json.dumps({"complete": found.complete, **counts, "faults": faults}, indent=2))
    else:
        for fault in found.faults:
            pieces = f" ({'piece' if len(fault.pieces) == 1 else 'pieces'} {_ranges(fault.pieces)})"
            print(f"{path.joinpath(*fault.file.path)}: {fault.reason}{pieces if fault.pieces else ''}")
        print(f"{found.have.count:,} of {_many(torrent.piece_count, 'piece')} right")
    return 0 if found.complete else 1


def _torrent(name: str) -> Metainfo:
    try:
        return parse(sys.stdin.buffer.read(LARGEST + 1)) if name == "-" else read(Path(name))
    except OSError as problem:
        raise StartError(f"{name}: cannot be read: {problem.strerror}") from problem
    except MetainfoError as error:
        raise StartError(f"{name}: {error}") from error


def _facts(torrent: Metainfo) -> dict[str, Any]:
    return {
        "name": torrent.name,
        "info_hash": torrent.info_hash.hex(),
        "hybrid": torrent.hybrid,
        "length": torrent.length,
        "piece_length": torrent.piece_length,
        "pieces": torrent.piece_count,
        "private": torrent.private,
        "trackers": [list(tier) for tier in torrent.trackers],
        "web_seeds": list(torrent.web_seeds),
        "comment": torrent.comment,
        "created_by": torrent.created_by,
        "creation_date": torrent.creation_date,
        "files": [
            {
                "path": "/".join(file.path),
                "length": file.length,
                "offset": file.offset,
                "pad": file.pad,
                "link": None if file.link is None else "/".join(file.link),
            }
            for file in torrent.files
        ],
    }


def _report(torrent: Metainfo) -> Iterator[str]:
    """A torrent as lines for a person; what strangers wrote cannot play tricks with the terminal."""
    shown = [file for file in torrent.files if not file.pad]
    rows = [
        ("name", torrent.name),
        ("info-hash", torrent.info_hash.hex() + (" (of the version 1 part)" if torrent.hybrid else "")),
        ("content", f"{amount(torrent.length)} in {_many(len(shown), 'file')}"),
        ("pieces", f"{torrent.piece_count} of {amount(torrent.piece_length)}"),
        ("private", "yes" if torrent.private else "no"),
        *((f"tracker {tier}", url) for tier, urls in enumerate(torrent.trackers, 1) for url in urls),
        *(("web seed", url) for url in torrent.web_seeds),
        ("comment", torrent.comment),
        ("made by", torrent.created_by),
    ]
    for word, value in rows:
        if value:
            yield f"{word:<10} {_printable(value)}"
    yield ""
    for file in shown:
        link = "" if file.link is None else f" -> {'/'.join(file.link)}"
        yield f"{file.length:>15,}  {_printable('/'.join(file.path) + link)}"


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)


def _ranges(numbers: Iterable[int]) -> str:
    """Numbers in order, such as ``1, 4-7``; of many, the first few."""
    words = [str(first) if first == last else f"{first}-{last}" for first, last in _runs(numbers)]
    return ", ".join(words[:8]) + (", ..." if len(words) > 8 else "")


def _runs(numbers: Iterable[int]) -> list[list[int]]:
    """The first and the last of each run of numbers."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return runs


def _many(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def _size(text: str) -> int:
    found = _SIZE.fullmatch(text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text} is no size such as 65536, 256K or 1M")
    return int(found[1]) << {"": 0, "K": 10, "M": 20}[found[2].upper()]


def _count(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 256:
        raise argparse.ArgumentTypeError(f"{text} is no number of threads from 1 to 256")
    return int(text)
