"""The pieces of one torrent on a disk: what is there, reading them, and writing those whose hash is right.

All that waits for a disk, and all hashing, runs in threads. What :attr:`PieceStore.have` says was hashed and written;
what the record of :mod:`~netsuite.bittorrent.peer.resume` claims is durable as well, so after a crash at any moment
nothing is claimed that is not on the disk.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from netsuite.bittorrent.bitfield import Bitfield
from netsuite.bittorrent.metainfo import Metainfo
from netsuite.bittorrent.peer.folder import FolderLayer
from netsuite.bittorrent.peer.resume import ResumeRecord
from netsuite.common.threads import Threads

__all__ = ["Buffer", "PieceStore"]

Buffer = bytes | bytearray | memoryview


class PieceStore:
    """One torrent's pieces.

    ``have`` is current from :meth:`open` on: a piece is in it when its :meth:`write` answers True, and goes out of it
    when the disk turns out not to have it any more (``lost`` is called with its number). ``trouble`` is None, or why
    nothing can be written now ("no space left on …"); ``troubled`` is called with it whenever it changes. Pieces
    that cannot be written stay in memory and are tried again every few seconds; nothing need be fetched again.
    ``queued`` is how many bytes wait to be written: ask for less while it is large.
    """

    have: Bitfield
    trouble: str | None
    queued: int
    lost: Callable[[int], None]
    troubled: Callable[[str | None], None]

    def __init__(
        self,
        metainfo: Metainfo,
        folder: FolderLayer,
        threads: Threads,
        clock: IReactorTime,
        *,
        resume: ResumeRecord | None = None,
        cache: int = 32 << 20,
    ) -> None: ...

    def open(self, progress: Callable[[int, int], None] | None = None, *, check: bool = False) -> Awaitable[None]:
        """Find out what is there: by the record, or by hashing (``check`` hashes in any case).

        ``progress(done, of)`` is called in the reactor's thread, in pieces. Raises OSError if the folder cannot be
        used, CancelledError if :meth:`close` comes first.
        """

    def read(self, piece: int, begin: int, length: int) -> Buffer | Deferred[Buffer]:
        """A block of a piece that it has: at once if it is in memory, else by a Deferred.

        The Deferred fails with OSError if the disk cannot give it; the piece is then ``lost``.
        """

    def write(self, piece: int, blocks: Sequence[Buffer]) -> Deferred[bool]:
        """Hash and write a whole piece, given in order; its bytes must not change until the answer.

        True if it is right and written, False if its hash is wrong (nothing is written). Waits while there is no
        room; fails with CancelledError when the store closes, with nothing else.
        """

    def sync(self) -> Awaitable[None]:
        """Make all that was written so far durable and claimed in the record. Raises OSError if that fails."""

    def close(self) -> Awaitable[None]:
        """Give up a check and what cannot be written, sync the rest, and close the files."""
