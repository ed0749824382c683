"""The short ways of the proxy: prepared answers by the bytes of their requests, from memory and from disk.

What the proxy has answered from its store in the ordinary way teaches them, if nothing but those bytes bears on it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from netsuite.common.stream import StreamAdapter
from netsuite.http.accesslog import said
from netsuite.http.cache.content import Content
from netsuite.http.cache.decision import fresh_until
from netsuite.http.cache.hits import StoredAnswer, is_plain
from netsuite.http.cache.store import Store
from netsuite.http.cache.stored import Request as Asked
from netsuite.http.cache.stored import StoredResponse
from netsuite.http.cache.uses import Uses
from netsuite.http.disk.hits import DiskHits
from netsuite.http.disk.tier import DiskTier
from netsuite.http.hotpath import HotPath, Prepared, teachable
from netsuite.http.wire.messages import Request
from netsuite.sansio.connection import Channel

__all__ = ["Shortcuts"]

_HEADS_AT_MOST: Final = 256
"""Sorts of requests for one stored response that the hot path learns; they are forgotten with it at once."""

_ENCRYPTED_AT_ONCE: Final = 512 * 1024
"""The longest body that is encrypted as a whole."""


class Shortcuts:
    """See the module's docstring. ``hot`` is the way from memory, ``disk`` that from a disk tier, if there is one.

    ``record`` is told of each answer: the client's address, request line, status, size, referer, agent. ``uses`` are
    on their way to the store, which asks for them before it chooses what to forget. Where it bears on the answer whom a
    request comes from, nothing ``learns``.
    """

    def __init__(
        self,
        store: Store,
        tier: DiskTier | None,
        seconds: Callable[[], float],
        record: Callable[[str, str, int, int, str, str], object],
        budget: int,
        *,
        learns: bool,
    ) -> None:
        self._learns = learns
        self.uses = Uses(store.use)
        self.hot = HotPath(seconds, budget // 8, self._answered)
        self.disk = DiskHits(tier, seconds, record, budget // 16) if tier is not None else None
        self.answer = self.hot.shortcut if self.disk is None else self._from_either
        self._record = record
        store.on_end = self._ended
        store.before_put = self.uses.settle

    @property
    def hits(self) -> int:
        """How many were answered, from memory and from disk."""
        return self.hot.hits + (self.disk.hits if self.disk is not None else 0)

    def teach(self, request: Request, adapter: StreamAdapter, asked: Asked, stored: StoredResponse, now: float) -> None:
        """A request was answered from a stored response that is its own; whoever sends the same may get the same."""
        if (
            not self._learns
            or stored.trailers
            or not stored.selected_by(asked)
            or now >= fresh_until(stored)
            or not is_plain(asked)
            or not teachable(request)
            or (stored.heads is not None and len(stored.heads) >= _HEADS_AT_MOST)
            or not _goes_at_once(stored.content, request, adapter)
        ):
            return
        note = said(request)
        if stored.heads is None:
            stored.heads = set()
        stored.heads.add(self.hot.teach(request, StoredAnswer(stored), adapter.channel, note))
        if self.disk is not None:
            self.disk.teach(request, adapter.channel, note)

    def _answered(self, note: tuple[str, str, str], prepared: Prepared, channel: Channel) -> None:
        assert isinstance(prepared, StoredAnswer)
        self.uses.count(prepared)
        self._record(channel.peer[0], note[0], prepared.status, prepared.size, note[1], note[2])

    def _from_either(self, data: bytes, channel: Channel) -> bytes | Sequence[Any] | None:
        assert self.disk is not None
        found = self.hot.shortcut(data, channel)
        return self.disk.shortcut(data, channel) if found is None else found

    def _ended(self, stored: StoredResponse) -> None:
        for head in stored.heads or ():
            self.hot.forget(head)
        stored.heads = None


def _goes_at_once(content: Content, request: Request, adapter: StreamAdapter) -> bool:
    """Whether a stored body can be sent as a whole without waiting.

    What lies in a file is sent by the kernel, as it is; to be encrypted it must be short, and read where it lies.
    """
    if content.body is not None:
        return True
    found = content.at_hand() if request.version < (2, 0) else None
    return found is not None and (
        not adapter.encrypted or (content.size <= _ENCRYPTED_AT_ONCE and found.view is not None)
    )
