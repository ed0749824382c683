"""Why an answer is what it is: the steps of the very search that makes it, in words and as values.

Each step is a dictionary fit for JSON: ``step``, what sort it is; ``text``, one line; and what the line is made of.
Nothing is looked up a second time: :class:`~netsuite.dns.authoritative.search.Search` tells what it does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import Any, Final

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
from zope.interface import implementer

from netsuite.common.errors import StartError
from netsuite.common.listenspec import parse as parse_listen
from netsuite.dns.authoritative.dealings import TRANSFERS, Client
from netsuite.dns.authoritative.server import AuthoritativeServer
from netsuite.dns.authoritative.zone import Zone
from netsuite.dns.wire import codes
from netsuite.dns.wire.edns import NOT_AUTHORITATIVE, NOT_READY, PROHIBITED, opt
from netsuite.dns.wire.name import ROOT, BadName, from_text, parent, to_text
from netsuite.interfaces import IControlled

__all__ = ["DnsControl", "explained"]

Step = dict[str, Any]

_REASONS: Final = {
    NOT_AUTHORITATIVE: "the name is in no zone of this server",
    NOT_READY: "the name's zone has no version to answer from",
    PROHIBITED: "dns.allow does not let this address in",
}
_UDP: Final = 1232
_NO_QUESTION: Final = frozenset({*TRANSFERS, codes.OPT, 0, 250, 249, 253, 254})


class _Steps:
    """The steps so far; hears of those of a search."""

    def __init__(self) -> None:
        self.found: list[Step] = []

    def add(self, step: str, text: str, **values: Any) -> None:
        self.found.append({"step": step, "text": text, **values})

    def note(self, step: str, zone: Zone, name: bytes, detail: Any) -> None:
        """One step of a search, as :data:`netsuite.dns.authoritative.search.Note` has it."""
        shown, title = to_text(name), to_text(zone.name)
        values: Step = {"name": shown, "zone": title}
        if step == "zone":
            signed = "signed" if zone.signed else "not signed"
            text = f"{shown} belongs to zone {title}, serial {zone.serial}, {signed}"
            values |= {"serial": zone.serial, "signed": zone.signed}
        elif step == "node":
            values["types"] = types = _types(detail)
            text = f"{shown} has {', '.join(types)}" if types else f"{shown} has no records, only names below it"
        elif step == "closest":
            text = f"the name is not in the zone; the closest above it that is, is {shown}"
        elif step == "cut":
            text = f"{shown} is delegated: its servers are told, with their addresses"
        elif step == "dname":
            values["target"] = target = None if detail is None else to_text(detail)
            text = f"DNAME at {shown}: " + ("the new name would be too long" if target is None else f"on with {target}")
        elif step == "wildcard":
            values["types"] = types = _types(detail)
            text = f"wildcard {shown} stands for it, with {', '.join(types) or 'no records'}"
        elif step == "cname":
            values["target"] = to_text(detail)
            text = f"{shown} is an alias: on with {values['target']}"
        elif step == "elsewhere":
            text = f"{shown} is in no zone of this server: the client goes on by itself"
        elif step == "loop":
            values["names"] = detail
            text = f"the chain ends at {shown}, after {detail} names: it has been there, or is too long"
        elif step == "absent":
            values["closest"] = to_text(detail)
            text = f"there is no {shown}, nor a wildcard *.{values['closest'].removeprefix('.')} for it"
        elif step == "given":
            values["types"] = _types(detail)
            text = f"{shown} gives {', '.join(values['types'])}"
        elif step == "nodata":
            text = f"{shown} has nothing of that type"
        elif step in ("signed", "unsigned"):
            values["type"] = _type(detail)
            text = f"{values['type']} of {shown} " + ("goes with its signatures" if step == "signed" else "has none")
        elif step == "proof":
            values["type"] = _type(detail)
            text = f"{values['type']} of {shown} proves what is not there"
        elif step == "spread":
            rrset, given, by_weight = detail
            values |= {"of": len(rrset.rdatas), "given": [str(ip_address(rdata)) for rdata in given.rdatas]}
            how = "drawn by weight" if by_weight else "turned"
            text = f"{len(given.rdatas)} of {values['of']} addresses of {shown}, {how}: {', '.join(values['given'])}"
        else:
            text = f"a denial for {shown} is signed for this answer"
        self.add(step, text, **values)


def _types(numbers: Sequence[int]) -> list[str]:
    return [_type(number) for number in numbers]


def _type(number: int) -> str:
    return dns.rdatatype.to_text(dns.rdatatype.RdataType.make(number))


def explained(
    server: AuthoritativeServer, place: str, name: bytes, rdtype: int, client: Client, *, dnssec: bool = False
) -> list[Step]:
    """The steps from a question to its answer, which is the last of them."""
    steps = _Steps()
    how = "TCP" if client.stream else "UDP"
    asked = f"{to_text(name)} {_type(rdtype)}"
    steps.add("place", f"{client.host} asks {place} over {how} for {asked}", listen=place, client=client.host, over=how)
    permitted = server.rule is None or server.rule.permits(client.host)
    rule = "everybody may ask" if server.rule is None else f"{client.host} may {'' if permitted else 'not '}ask"
    steps.add("access", f"{rule} (dns.allow)", permitted=permitted)
    if server.views:
        view = server.view(client.host).name
        names = ", ".join(str(each.name) for each in server.views)
        text = f"{client.host} sees {'what is in no view' if view is None else f'view {view}'} (views: {names})"
        steps.add("view", text, view=view)
    query = b"\0\0\0\0\0\1\0\0\0\0\0\1" + name + rdtype.to_bytes(2, "big") + b"\0\1" + opt(_UDP, dnssec=dnssec)
    response = server.explained(query, client, steps.note)
    if response is None:
        raise StartError(f"{asked} is no question that gets an answer")
    message = dns.message.from_wire(response)
    for option in message.options:
        if isinstance(option, dns.edns.EDEOption):
            why = f" ({option.text})" if option.text else ""
            steps.add("refused", f"{_REASONS.get(option.code, option.code)}{why}", code=int(option.code))
    if server.rate is None or client.stream:
        steps.add("rate", "no limit of rate applies (dns.rate_limit)", limit=None)
    else:
        rate, held = server.rate.rate, server.rate.is_held(client.host)
        now = "beyond which its networks are now: cut or dropped" if held else "within which its networks are now"
        steps.add("rate", f"{client.host} may have {rate} answers a second, {now}", limit=rate, held=held)
    if message.flags & dns.flags.TC:
        steps.add("truncated", "there was no room for all of it: TC is set, and the client comes back over TCP")
    rcode, size = dns.rcode.to_text(message.rcode()), len(response)
    steps.add("answer", f"{rcode}, {size} bytes", rcode=rcode, bytes=size, message=message.to_text())
    return steps.found


@implementer(IControlled)
class DnsControl:
    """What ``netsuite dns`` asks of a site; ``servers`` by address, as the settings write it."""

    def __init__(self, servers: Mapping[str, AuthoritativeServer]) -> None:
        self._servers = servers

    async def asked(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """``do`` is explain; raises StartError with one line."""
        if request.get("do") != "explain":
            raise StartError("ask for explain")
        return {"steps": self.explain(request)}

    def explain(self, request: Mapping[str, Any]) -> list[Step]:
        """The steps for ``name``, ``type``, and if given ``client``, ``at``, ``tcp``, ``dnssec``."""
        try:
            name = from_text(str(request.get("name", "")))
        except BadName as error:
            raise StartError(f"{request.get('name')}: {error}") from None
        try:
            rdtype = int(dns.rdatatype.from_text(str(request.get("type", "A"))))
        except Exception:
            raise StartError(f"there is no type {request.get('type')}") from None
        if rdtype in _NO_QUESTION:
            raise StartError(f"{request.get('type')} asks for no answer but something else: it cannot be explained")
        host = _address(str(request.get("client", "127.0.0.1")))
        place = self._place(name.lower(), request.get("at"))
        client = Client(host, request.get("tcp") is True, parse_listen(place).secure)
        return explained(self._servers[place], place, name, rdtype, client, dnssec=request.get("dnssec") is True)

    def _place(self, name: bytes, wanted: Any) -> str:
        """The address that was named, or the one whose zone is nearest to a name: the first of equals."""
        if wanted is not None:
            if wanted not in self._servers:
                raise StartError(f"{wanted} is no address of this site: there are {', '.join(self._servers)}")
            return str(wanted)
        while True:
            for place, server in self._servers.items():
                if server.is_home_of(name):
                    return place
            if name == ROOT:
                return next(iter(self._servers))
            name = parent(name)


def _address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        raise StartError(f"{text} is no address: name a client as 192.0.2.7") from None
