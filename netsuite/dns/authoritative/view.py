"""What some clients see of one address: the zones of their view, the answers prepared for them, their dealings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from netsuite.common.access import Rule
from netsuite.common.commons import Commons
from netsuite.common.datagram import Memo
from netsuite.dns.authoritative.answers import Answers
from netsuite.dns.authoritative.dealings import Client, Dealings
from netsuite.dns.authoritative.settings import DnsSettings, ZoneSettings
from netsuite.dns.authoritative.spread import Spread
from netsuite.dns.authoritative.tended import Tended
from netsuite.dns.authoritative.zone import Zone
from netsuite.dns.wire.name import from_text
from netsuite.dns.wire.tsig import Key

__all__ = ["View", "seen"]


def seen(view: str | None, zones: Iterable[ZoneSettings]) -> list[ZoneSettings]:
    """The zones that a view shows: its own, and those without a view whose names it has no zone of; None: the rest."""
    zones = list(zones)
    own = [zone for zone in zones if view is not None and view in zone.view]
    names = {zone.origin.lower() for zone in own}
    return own + [zone for zone in zones if not zone.view and zone.origin.lower() not in names]


class View:
    """One view of one address; ``name`` and ``rule`` are None for what everybody else sees.

    ``answer`` answers a plain question of a client that has signed it.
    """

    __slots__ = ("answers", "dealings", "memo", "name", "prompt", "rule", "stream_prompt", "tended")

    def __init__(
        self,
        settings: DnsSettings,
        commons: Commons,
        zones: Iterable[ZoneSettings],
        keys: Mapping[bytes, Key],
        answer: Callable[[bytes, Client], bytes | None],
        name: str | None = None,
        rule: Rule | None = None,
    ) -> None:
        self.name = name
        self.rule = rule
        weighted = {from_text(each.name).lower(): each.made for zone in zones for each in zone.weight}
        spread = Spread(settings.rotate, weighted, commons.rng) if weighted or settings.rotate != "off" else None
        self.answers = Answers(minimal=settings.minimal_responses, udp_size=settings.udp_size, spread=spread)
        self.memo = Memo(settings.memo)
        self.prompt: Callable[[Sequence[bytes]], list[bytes | None]] | None = None
        self.stream_prompt: Callable[[Sequence[bytes]], list[bytes | None]] | None = None
        if settings.minimal_responses:
            self.prompt, self.stream_prompt = (prompt.answers for prompt in self.answers.prompts)
        self.tended: dict[bytes, Tended] = {}
        self.dealings = Dealings(commons.clock, keys, self.tended, answer)

    def replace(self, zone: Zone) -> None:
        """Show a new version of a zone from now on."""
        self.answers.serve(zone)
        self.memo.clear()

    def drop(self, name: bytes) -> None:
        """Show a zone no more: it is not ours."""
        del self.tended[name]
        self.answers.forget(name)
        self.memo.clear()

    def withdraw(self, name: bytes) -> None:
        """Show nothing of a zone, which stays ours: SERVFAIL until there is a version again."""
        self.answers.withdraw(name)
        self.memo.clear()
