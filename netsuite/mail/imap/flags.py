"""Flags as they are written, each set once."""

from __future__ import annotations

from functools import lru_cache

from netsuite.mail.imap.wire.serial import flag_list

__all__ = ["flag_text"]


@lru_cache(8192)
def flag_text(flags: frozenset[str], recent: bool = False) -> bytes:
    r"""A message's flags in parentheses, with \Recent if it is so for the session."""
    return flag_list([*flags, "\\Recent"] if recent else flags)
