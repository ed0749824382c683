"""A folder of files as it may be shown: paths resolved so that nothing outside it is ever opened.

What is not to be seen does not exist: everything refused here is None, and becomes a 404.

* Segments are decoded once; ``.``, ``..``, empty and hidden ones (a leading dot, but for ``.well-known``), NUL,
  backslashes and encoded slashes are refused, however they are written.
* Symbolic links are followed while they stay below the root. The path that this leads to is then opened
  component by component without following any link, so a link swapped in between is refused too.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

__all__ = ["Entry", "Signature", "Tree", "segments", "visible"]

_OPEN: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_FORBIDDEN: Final = (b"\0", b"\\", b"/")


class Signature(NamedTuple):
    """What changes when a file does."""

    device: int
    inode: int
    size: int
    modified: int
    """Nanoseconds since the epoch."""

    @classmethod
    def of(cls, found: os.stat_result) -> Signature:
        """The signature in a stat result."""
        return cls(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


class Entry(NamedTuple):
    """One name in a folder; ``modified`` is in seconds since the epoch."""

    name: bytes
    folder: bool
    size: int
    modified: float


def segments(path: bytes) -> list[bytes] | None:
    """The decoded segments of a request's path, ``[]`` for the root; a trailing slash leaves an empty last one.

    None for what no file may be called.
    """
    if path[:1] != b"/":
        return None
    found = [unquote_to_bytes(raw) if b"%" in raw else raw for raw in path[1:].split(b"/")]
    for segment in found[:-1] if not found[-1] else found:
        if not visible(segment):
            return None
    return found


def visible(name: bytes) -> bool:
    """Whether a file or folder of this name may be shown."""
    if not name or (name[:1] == b"." and name != b".well-known"):
        return False
    for forbidden in _FORBIDDEN:  # noqa: SIM110 - a generator costs more than the look
        if forbidden in name:
            return False
    return True


class Tree:
    """The files below ``root``."""

    def __init__(self, root: Path) -> None:
        self.root = os.fsencode(root)

    def place(self, names: list[bytes]) -> bytes:
        """Where these segments lead, links not yet followed."""
        return b"/".join((self.root, *names))

    def below(self, place: bytes, name: bytes) -> bytes:
        """Where a name in a folder leads."""
        return place.rstrip(b"/") + b"/" + name

    def open(self, place: bytes) -> int | None:
        """A descriptor for what stands there; None if there is nothing, or nothing that may be read."""
        root = os.path.realpath(self.root)
        try:
            real = os.path.realpath(place, strict=True)
        except (OSError, ValueError):
            return None
        if real != root and not real.startswith(root.rstrip(b"/") + b"/"):
            return None
        try:
            at = os.open(root, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
        except OSError:
            return None
        for name in real[len(root) :].split(b"/"):
            if not name:
                continue
            try:
                below = os.open(name, _OPEN, dir_fd=at)
            except OSError:
                return None
            finally:
                os.close(at)
            at = below
        return at

    def stat(self, place: bytes) -> os.stat_result | None:
        """What stands there, links followed; None if nothing does."""
        try:
            return os.stat(place)  # noqa: PTH116 - a path in bytes
        except (OSError, ValueError):
            return None

    def entries(self, descriptor: int) -> list[Entry]:
        """What is visible in an open folder, folders first, by name."""
        found = []
        with os.scandir(descriptor) as entries:
            for entry in entries:
                name = os.fsencode(entry.name)
                if not visible(name) or (entry.is_symlink() and not self._leads_inside(descriptor, name)):
                    continue
                try:
                    status = entry.stat()
                except OSError:
                    continue
                folder = stat.S_ISDIR(status.st_mode)
                if folder or stat.S_ISREG(status.st_mode):
                    found.append(Entry(name, folder, status.st_size, status.st_mtime))
        return sorted(found, key=lambda entry: (not entry.folder, entry.name))

    def _leads_inside(self, descriptor: int, name: bytes) -> bool:
        """Whether a link in an open folder ends below the root."""
        root = os.path.realpath(self.root)
        try:
            real = os.path.realpath(b"/proc/self/fd/%d/%b" % (descriptor, name), strict=True)
        except OSError:
            return False
        return real == root or real.startswith(root.rstrip(b"/") + b"/")

    def folder(self, names: list[bytes], *, make: bool = False) -> int:
        """A descriptor of a folder below the root, made with those above it if asked; raises OSError.

        Links are followed where they stay below the root, and never within what is made.
        """
        at, cut = None, len(names)
        while at is None:
            at = self.open(self.place(names[:cut]))
            if at is None:
                if not cut:
                    raise FileNotFoundError(errno.ENOENT, "the root is not there")
                cut -= 1
        try:
            if not stat.S_ISDIR(os.fstat(at).st_mode):
                raise NotADirectoryError(errno.ENOTDIR, "a file stands where a folder would have to be")
            if cut < len(names) and not make:
                raise FileNotFoundError(errno.ENOENT, "there is no such folder")
            for name in names[cut:]:
                try:
                    os.mkdir(name, dir_fd=at)
                    os.fsync(at)
                except FileExistsError:
                    pass
                below = os.open(name, _OPEN | os.O_DIRECTORY, dir_fd=at)
                os.close(at)
                at = below
        except BaseException:
            os.close(at)
            raise
        return at
