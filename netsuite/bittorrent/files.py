"""The files of a torrent, and where its links may lead.

Implements: BEP 47 (pad files, links).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

import attrs

__all__ = ["File", "resolved"]

Path: TypeAlias = tuple[str, ...]

_MOST_STEPS: Final = 40


@attrs.frozen
class File:
    """One file of a torrent: ``length`` bytes from ``offset`` of the torrent's content on.

    ``path`` has at least one component; each is safe to be joined to a folder (no separator, no ``..``, no control
    character, not empty), and no two files of a torrent have the same path, whatever the letters' case. Its first
    component is the torrent's name. A ``pad`` file is zeros that align the next file: never write it to a disk (two
    may share a path, and it need not be under the torrent's name). A ``link`` has no bytes of its own: it stands for
    the file or folder at that path of the torrent; its own path says that it leads nowhere allowed.
    """

    path: Path
    offset: int
    length: int
    pad: bool = False
    link: Path | None = None
    executable: bool = False


def resolved(files: Sequence[File]) -> list[File]:
    """The same files, with links that lead to another file or folder of the torrent, or else to themselves.

    A target counts from the torrent's own folder or, as older programs wrote it, from the link's. It may lead through
    other links.
    """
    kinds = {file.path: file.link is not None for file in files}
    folders = {file.path[:depth] for file in files for depth in range(2, len(file.path))}
    links: dict[Path, Path] = {}
    answer = list(files)
    open_ends = []
    for index, file in enumerate(files):
        if file.link is None:
            continue
        for target in (file.link, file.path[:-1] + file.link[1:]):
            if target in kinds or target in folders:
                if target in folders or kinds[target]:
                    links[file.path] = target
                answer[index] = attrs.evolve(file, link=target)
                break
        else:
            links[file.path] = file.link
            open_ends.append(index)
    for index in open_ends:
        file = files[index]
        if file.link is not None and not _leads(file.link, links, kinds, folders):
            answer[index] = attrs.evolve(file, link=file.path)
    return answer


def _leads(target: Path, links: dict[Path, Path], kinds: dict[Path, bool], folders: set[Path]) -> bool:
    """Whether a path leads to something, each folder on its way being one or a link to one."""
    passed: set[Path] = set()
    depth = 2
    while depth < len(target):
        branch = target[:depth]
        if branch in folders:
            depth += 1
        elif branch in passed or branch not in links or len(passed) == _MOST_STEPS:
            return False
        else:
            passed.add(branch)
            target = links[branch] + target[depth:]
            depth = 2
    return target in kinds or target in folders
