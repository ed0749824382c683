"""A store's whole state as bytes, so that a start need not fold all records again.

A mark, the CRC-32 and the length of what follows; a JSON head; then columns of 64-bit integers, little-endian: of
all messages, mailbox after mailbox, and of all blobs. Nothing here is the only truth as long as the journal holds
the records; a snapshot that does not read back exactly is Damaged, and another one is taken.
"""

from __future__ import annotations

import json
import struct
import sys
import zlib
from array import array
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple

from netsuite.common.storage.records import Damaged
from netsuite.mail.store.box import Box
from netsuite.mail.store.model import AccountState, Blob, Model
from netsuite.mail.store.names import flagset
from netsuite.mail.store.values import Entry

__all__ = ["Frozen", "decode", "encode", "freeze"]

_MARK: Final = b"NSMS\x01\r\n\x1a"
_HEAD: Final = struct.Struct("<8sIQI")
_COLUMNS: Final = 6
_APART: Final = -1
"""In the column of journal files: the blob is a file of its own."""


class Frozen(NamedTuple):
    """A model at one moment, in shallow copies that nobody changes any more."""

    applied: int
    epoch: int
    tokens: dict[str, int]
    accounts: list[tuple[str, int, list[str], list[tuple[Sequence[Any], list[Entry]]]]]
    blobs: dict[int, Blob]


def freeze(model: Model) -> Frozen:
    """What the model is now; cheap."""
    return Frozen(
        model.applied,
        model.epoch,
        dict(model.tokens),
        [
            (
                user,
                state.last,
                sorted(state.subscribed),
                [
                    ((box.name, box.uidvalidity, box.uidnext, box.modseq, box.use), list(box.messages))
                    for box in state.boxes.values()
                ],
            )
            for user, state in model.accounts.items()
        ],
        dict(model.blobs),
    )


def encode(frozen: Frozen) -> bytes:
    """A snapshot; may be done in a thread."""
    flags: dict[frozenset[str], int] = {}
    messages: list[Entry] = []
    accounts = []
    for user, last, subscribed, boxes in frozen.accounts:
        accounts.append([user, last, subscribed, [[*facts, len(held)] for facts, held in boxes]])
        for _, held in boxes:
            messages += held
    columns = [
        array("q", [entry.uid for entry in messages]),
        array("q", [entry.size for entry in messages]),
        array("q", [entry.internaldate for entry in messages]),
        array("q", [flags.setdefault(entry.flags, len(flags)) for entry in messages]),
        array("q", [entry.modseq for entry in messages]),
        array("q", [entry.blob for entry in messages]),
    ]
    apart: list[str] = []
    files, offsets = array("q"), array("q")
    for blob in frozen.blobs.values():
        if isinstance(blob.place, str):
            files.append(_APART)
            offsets.append(len(apart))
            apart.append(blob.place)
        else:
            files.append(blob.place[0])
            offsets.append(blob.place[1])
    columns += [
        array("q", frozen.blobs),
        files,
        offsets,
        array("q", [blob.length for blob in frozen.blobs.values()]),
    ]
    head = json.dumps(
        {
            "applied": frozen.applied,
            "epoch": frozen.epoch,
            "tokens": frozen.tokens,
            "flags": [sorted(each) for each in flags],
            "accounts": accounts,
            "apart": apart,
            "messages": len(messages),
            "blobs": len(frozen.blobs),
        },
        separators=(",", ":"),
    ).encode()
    body = b"".join([head, *map(_bytes, columns)])
    return _HEAD.pack(_MARK, zlib.crc32(body), len(body), len(head)) + body


def decode(data: bytes) -> Model:
    """The model of a snapshot. Raises Damaged."""
    if len(data) < _HEAD.size:
        raise Damaged("it is too short")
    mark, check, length, head_length = _HEAD.unpack_from(data)
    body = memoryview(data)[_HEAD.size :]
    if mark != _MARK or len(body) != length or zlib.crc32(body) != check:
        raise Damaged("its checksum is wrong")
    try:
        return _model(json.loads(bytes(body[:head_length])), body[head_length:])
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise Damaged(f"it cannot be understood ({error})") from error


def _model(head: dict[str, Any], body: memoryview) -> Model:
    counts = [head["messages"]] * _COLUMNS + [head["blobs"]] * 4
    columns, at = [], 0
    for count in counts:
        column = array("q")
        column.frombytes(body[at : at + 8 * count])
        columns.append(_native(column))
        at += 8 * count
    model = Model()
    model.applied, model.epoch, model.tokens = head["applied"], head["epoch"], head["tokens"]
    apart = head["apart"]
    for number, file, offset, length in zip(*columns[_COLUMNS:], strict=True):
        model.hold(number, Blob(apart[offset] if file == _APART else (file, offset), length))
    uids, sizes, dates, flags, modseqs, blobs = columns[:_COLUMNS]
    flagsets = [flagset(tuple(each)) for each in head["flags"]]
    messages = map(Entry, uids, sizes, dates, map(flagsets.__getitem__, flags), modseqs, blobs)
    for user, last, subscribed, boxes in head["accounts"]:
        model.accounts[user] = _account(model, last, subscribed, boxes, messages)
    return model


def _account(
    model: Model, last: int, subscribed: list[str], boxes: list[list[Any]], messages: Iterable[Entry]
) -> AccountState:
    state = AccountState(model.epoch)
    state.boxes.clear()
    state.known.clear()
    state.last, state.subscribed = last, set(subscribed)
    for name, uidvalidity, uidnext, modseq, use, count in boxes:
        box = state.put(Box(name, uidvalidity, use))
        box.uidnext, box.modseq = uidnext, modseq
        box.restore(list(islice(messages, count)))
        for entry in box.messages:
            model.blobs[entry.blob].refs += 1
    return state


def _bytes(column: array[int]) -> bytes:
    return _native(column).tobytes()


def _native(column: array[int]) -> array[int]:
    if sys.byteorder == "big":
        column.byteswap()
    return column
