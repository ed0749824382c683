"""What FTP may do with a tree of files: the same tree as HTTP's, with the same rules of what exists.

Everything here blocks, and is run in threads by its owner.
"""

from __future__ import annotations

import errno
import os
import stat

from netsuite.http.ftp.wire.listings import Listed
from netsuite.http.origin.tree import Tree, visible

__all__ = ["Shelf"]

_BREAKS: frozenset[int] = frozenset(b"\r\n")


class Shelf:
    """Reads and changes the folders of a tree; raises OSError."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree

    def entries(self, names: list[bytes]) -> list[Listed]:
        """What is in a folder; a file is listed alone."""
        found = self.entry(names)
        if not found.folder:
            return [found]
        descriptor = self._tree.folder(names)
        try:
            return [Listed(*entry) for entry in self._tree.entries(descriptor) if not _BREAKS.intersection(entry.name)]
        finally:
            os.close(descriptor)

    def entry(self, names: list[bytes]) -> Listed:
        """One file or folder."""
        descriptor = self.open(names)
        try:
            found = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        return Listed(names[-1] if names else b"/", stat.S_ISDIR(found.st_mode), found.st_size, found.st_mtime)

    def open(self, names: list[bytes]) -> int:
        """A descriptor of what is there: a file or a folder."""
        descriptor = self._tree.open(self._tree.place(names)) if all(map(visible, names)) else None
        if descriptor is None:
            raise FileNotFoundError(errno.ENOENT, "there is no such file")
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
            return descriptor
        os.close(descriptor)
        raise FileNotFoundError(errno.ENOENT, "there is no such file")

    def make_folder(self, names: list[bytes]) -> None:
        """A new folder in one that is there."""
        with _Parent(self._tree, names) as folder:
            os.mkdir(names[-1], dir_fd=folder)
            os.fsync(folder)

    def remove_folder(self, names: list[bytes]) -> None:
        """Remove an empty folder."""
        with _Parent(self._tree, names) as folder:
            os.rmdir(names[-1], dir_fd=folder)
            os.fsync(folder)

    def rename(self, old: list[bytes], new: list[bytes]) -> None:
        """Give a file or folder another name; what is there already stays, unless both are files."""
        with _Parent(self._tree, old) as source, _Parent(self._tree, new) as target:
            os.stat(old[-1], dir_fd=source, follow_symlinks=False)
            os.rename(old[-1], new[-1], src_dir_fd=source, dst_dir_fd=target)
            os.fsync(target)
            os.fsync(source)


class _Parent:
    """The open folder that holds a name."""

    def __init__(self, tree: Tree, names: list[bytes]) -> None:
        if not names or not all(map(visible, names)):
            raise PermissionError(errno.EACCES, "files of that name are not shown here")
        self._descriptor = tree.folder(names[:-1])

    def __enter__(self) -> int:
        return self._descriptor

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)
