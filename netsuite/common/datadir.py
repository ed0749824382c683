"""The one folder in which a site keeps its state.

Constructing a :class:`DataDirectory` touches nothing; the folder comes into being with its first
lock, folder or file. Every store in it has one owner, who holds ``NAME.lock``. Whatever goes wrong
raises StartError with one line that names the folder and what to change (``common.data``).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from netsuite.common.errors import InUse, StartError

__all__ = ["DataDirectory"]

_CHOOSE: Final = "set another folder with common.data"


def _complaint(path: Path, error: OSError) -> StartError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StartError(f"no space left for {path}: free some, or {_CHOOSE}")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return StartError(f"cannot write {path} ({os.strerror(error.errno)}): mend its permissions, or {_CHOOSE}")
    return StartError(f"cannot use {path} ({error.strerror or error}): {_CHOOSE}")


@contextlib.contextmanager
def _plainly(path: Path) -> Iterator[None]:
    """Turn what the file system says about a path into one line for a person."""
    try:
        yield
    except OSError as error:
        raise _complaint(path, error) from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class DataDirectory:
    """A folder with locks, private subfolders and durable files; names in it are relative, ``/`` between parts."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._locks: dict[str, int] = {}

    def at(self, name: str) -> Path:
        """The path of a name in this folder, whether it exists or not; ValueError if it would lead outside."""
        parts = PurePosixPath(name).parts
        if not parts or parts[0] == "/" or ".." in parts:
            raise ValueError(f"{name!r} is not a name inside the data directory")
        return self.path.joinpath(*parts)

    def folder(self, name: str = "") -> Path:
        """A subfolder (or the data directory itself), created for its owner's eyes only (mode 0700)."""
        path = self.at(name) if name else self.path
        with _plainly(path):
            if not path.is_dir():
                for parent in reversed((path, *path.parents)):
                    if not parent.exists():
                        parent.mkdir(0o700, exist_ok=True)
        return path

    def lock(self, name: str) -> None:
        """Own a store until :meth:`release` or the process's end; StartError names the process that owns it already."""
        if name in self._locks:
            return
        path = self.at(f"{name}.lock")
        self.folder()
        with _plainly(path):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
            except BlockingIOError:
                holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
                os.close(descriptor)
                raise InUse(f"{self.path} is in use by process {holder} ({path.name}): stop it, or {_CHOOSE}") from None
            except OSError:
                os.close(descriptor)
                raise
        self._locks[name] = descriptor

    def release(self, name: str | None = None) -> None:
        """Give up one lock, or all."""
        for held in [name] if name is not None else list(self._locks):
            descriptor = self._locks.pop(held, None)
            if descriptor is not None:
                os.close(descriptor)

    def write(self, name: str, data: bytes, mode: int = 0o600) -> Path:
        """Replace a file, durably and at once: after a crash it holds the old bytes or the new ones, never a part."""
        path = self.at(name)
        self.folder("/".join(PurePosixPath(name).parts[:-1]))
        draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        with _plainly(path):
            try:
                descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
                with open(descriptor, "wb", buffering=0) as file:
                    os.fchmod(descriptor, mode)
                    view = memoryview(data)
                    while view:
                        view = view[file.write(view) :]
                    os.fdatasync(descriptor)
                draft.replace(path)
                _sync_folder(path.parent)
            except OSError:
                draft.unlink(missing_ok=True)
                raise
        return path

    def keep(self, name: str, data: bytes) -> bytes:
        """Make a file durably unless it is there, and answer what it holds: of several who try, one wins for all."""
        path = self.at(name)
        if (found := self.read(name)) is not None:
            return found
        draft = self.write(f"{name}.{os.getpid()}.new", data)
        with _plainly(path), contextlib.suppress(FileExistsError):
            path.hardlink_to(draft)
            _sync_folder(path.parent)
        draft.unlink(missing_ok=True)
        return self.read(name) or data

    def read(self, name: str) -> bytes | None:
        """A file's bytes, or None if there is no such file."""
        path = self.at(name)
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StartError(f"cannot read {path} ({error.strerror}): mend its permissions, or {_CHOOSE}") from error

    def check(self, space: int = 1 << 20) -> None:
        """Make sure before a start that the folder takes files and has so many bytes free."""
        probe = f".probe.{os.getpid()}"
        self.write(probe, b"probe")
        with _plainly(self.path):
            self.at(probe).unlink()
            facts = os.statvfs(self.path)
        free = facts.f_bavail * facts.f_frsize
        if free < space:
            raise StartError(f"no space left for {self.path}: {free} bytes are free; free some, or {_CHOOSE}")
