"""The method PURGE: who may purge by HTTP, and how it is asked for.

``PURGE URL`` takes a target with all its variants. ``Purge: prefix`` takes all targets that begin so, ``Purge: all``
everything, and ``soft`` beside these makes stale instead of forgetting. Cache-Tag, Surrogate-Key or Cache-Groups in the
request take what the URL's origin gave these names. Without ``proxy.purge_allow`` there is no such door, and PURGE is a
method like any other, for the origin to answer.

A client must come from an allowed address, and bring the token of ``DATA/purge.token`` (``Authorization: Bearer``);
over plain HTTP only from this machine, since the token could be read on the way.
"""

from __future__ import annotations

import hmac
import json
from typing import Any, Final, NamedTuple

from netsuite.common.access import Rule, is_loopback
from netsuite.common.datadir import DataDirectory
from netsuite.common.errors import StartError
from netsuite.http.cache.store import Key
from netsuite.http.cache.stored import Field
from netsuite.http.cache.tags import EVERY_TAG, TAGS_AT_MOST, tags_of
from netsuite.http.proxy.purging import BadOrder, Purging
from netsuite.http.wire.messages import Request
from netsuite.sansio.fields import split_list

__all__ = ["PurgeAnswer", "PurgeDoor", "read_token"]

_WORDS: Final = frozenset({b"prefix", b"all", b"soft"})
_SHORTEST_TOKEN: Final = 16


class PurgeAnswer(NamedTuple):
    """Status, fields, and a JSON object: ``purged``, or ``error``."""

    status: int
    headers: list[Field]
    body: bytes


def read_token(data: DataDirectory, name: str, fresh: bytes) -> bytes:
    """The token in a file of the data directory, which is made with ``fresh`` in it if there is none.

    Raises StartError for one that others can read, or that is short enough to be guessed.
    """
    text = data.keep(name, fresh + b"\n").strip()
    path = data.at(name)
    if path.stat().st_mode & 0o077:
        raise StartError(f"proxy.purge_token: others can read {path}: chmod 600 it")
    if len(text) < _SHORTEST_TOKEN or len(text.split()) != 1:
        raise StartError(f"proxy.purge_token: {path} must hold one word of at least {_SHORTEST_TOKEN} bytes")
    return text


class PurgeDoor:
    """Answers PURGE; ``rule`` says from where it may come, ``token`` is what it must bring."""

    def __init__(self, purging: Purging, rule: Rule, token: bytes) -> None:
        self._purging = purging
        self._rule = rule
        self._token = token

    async def answer(self, request: Request, key: Key, peer: str, *, secure: bool) -> PurgeAnswer:
        """What a client gets that asks to purge a target."""
        if not self._rule.permits(peer):
            return _said(403, error="this address may not purge here: see proxy.purge_allow")
        if not (secure or is_loopback(peer)):
            return _said(403, error="purge over HTTPS, or from this machine: the token could be read on the way")
        scheme, _, token = (request.header(b"authorization") or b"").partition(b" ")
        if scheme.lower() != b"bearer" or not hmac.compare_digest(token.strip(), self._token):
            challenge = (b"www-authenticate", b'Bearer realm="purge"')
            return _said(401, challenge, error="purging takes the token: Authorization: Bearer TOKEN")
        words = {word.lower() for word in split_list(request.header(b"purge") or b"")}
        if words - _WORDS or {b"prefix", b"all"} <= words:
            return _said(400, error="Purge is one of prefix and all, or neither, and may be soft")
        tags = tags_of(request.headers)
        if EVERY_TAG in tags:
            return _said(400, error=f"at most {TAGS_AT_MOST} tags can be purged at once")
        url = key.decode()
        order: dict[str, Any] = {"soft": b"soft" in words}
        if b"all" in words:
            order["all"] = True
        elif b"prefix" in words:
            order["prefixes"] = [url]
        elif tags:
            order |= {"tags": [tag.decode("utf-8", "surrogateescape") for tag in tags], "origin": url}
        else:
            order["urls"] = [url]
        try:
            gone = await self._purging.everywhere(order)
        except BadOrder as error:
            return _said(400, error=str(error))
        except StartError as error:
            return _said(503, (b"retry-after", b"1"), error=str(error))
        return _said(200, purged=gone, soft=b"soft" in words)


def _said(status: int, *headers: Field, **facts: Any) -> PurgeAnswer:
    fields = [(b"content-type", b"application/json"), (b"cache-control", b"no-store"), *headers]
    return PurgeAnswer(status, fields, json.dumps(facts).encode() + b"\n")
