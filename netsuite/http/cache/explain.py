"""Why a request is answered as it is: what is stored, what is selected, what would be done, what would change that.

Nothing here decides: the same functions are asked that answer requests, and for what would make a difference they are
asked again, with the request or the time a little changed. The answer is fit for JSON; :func:`told` makes lines of it.

Implements: RFC 9111 section 4
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final

from netsuite.http.cache.cache import Cache
from netsuite.http.cache.decision import Action, Decision, Failure, fresh_until, may_serve_stale, select
from netsuite.http.cache.store import Key
from netsuite.http.cache.stored import Field, Request, StoredResponse
from netsuite.http.cache.variants import secondary_key

__all__ = ["explain", "told"]

_FROM_STORE: Final = (Action.HIT, Action.STALE_HIT)
_OBSTACLES: Final = (b"cache-control", b"pragma", b"if-match", b"if-unmodified-since")
_ALTERNATIVES_AT_MOST: Final = 12


def explain(cache: Cache, key: Key, request: Request, now: float, decision: Decision) -> dict[str, Any]:
    """What was decided about a request for a target at this moment, and all that bears on it."""
    stored = cache.candidates(key)
    selected = select(stored, request)
    return {
        "method": request.method.decode("latin-1"),
        "key": key.decode("latin-1"),
        "stored": [_variant(each, key, request, selected, now) for each in stored],
        "decision": _decision(decision),
        "if_origin_fails": _in_trouble(decision, request, now),
        "otherwise": list(_alternatives(cache, key, request, decision, now)),
    }


def _decision(decision: Decision) -> dict[str, Any]:
    return {
        "action": decision.action.name.lower(),
        "means": decision.action.value,
        "forward": decision.forward or None,
        "reason": decision.reason,
        "section": decision.section,
        "conditions": [_line(field) for field in decision.validators],
    }


def _variant(
    each: StoredResponse, key: Key, request: Request, selected: StoredResponse | None, now: float
) -> dict[str, Any]:
    age, control = each.age(now), each.control
    found: dict[str, Any] = {
        "status": each.status,
        "bytes": each.content.size,
        "memory": each.content.cost,
        "age": int(age),
        "lifetime": int(each.lifetime.seconds),
        "by": _source(each),
        "section": each.lifetime.section,
        "fresh_for": math.floor(each.lifetime.seconds - age),
        "validated_each_time": control.no_cache,
        "stale-while-revalidate": control.stale_while_revalidate,
        "stale-if-error": control.stale_if_error,
        "etag": _text(each.etag),
        "last-modified": _text(each.last_modified),
        "vary": {_text(name): _text(value) for name, value in zip(each.vary, each.selection, strict=False)},
        "groups": [_text(group) for group in each.groups],
        "selected": each is selected,
    }
    if each.key != key:
        found["stored_for"] = _text(each.key)
    if each is selected:
        found["how"] = _how(each, key, request)
    else:
        found["why_not"] = _why_not(each, request)
    return found


def _source(each: StoredResponse) -> str:
    """Where the freshness comes from, with the field that said it where that is not Cache-Control."""
    source = each.lifetime.source
    return source if each.ruled_by == b"cache-control" else f"{source} ({each.ruled_by.decode('ascii')})"


def _how(each: StoredResponse, key: Key, request: Request) -> str:
    if each.key != key:
        return "its No-Vary-Search makes the two queries equivalent"
    if not each.vary:
        return "it does not vary"
    if each.selected_by(request):
        return "the request's fields are those that it was selected by"
    return "it is what the request likes better than anything else"


def _why_not(each: StoredResponse, request: Request) -> str:
    differing = [
        f"{_text(name)} is {_quoted(asked)}, not {_quoted(own)}"
        for name, own, asked in zip(each.vary, each.selection, secondary_key(each.vary, request.fields), strict=False)
        if own != asked
    ]
    return "; ".join(differing) if differing else "another that fits is more recent"


def _in_trouble(decision: Decision, request: Request, now: float) -> dict[str, Any]:
    """What the client would get if the origin could not be reached, or answered with an error."""
    found = {}
    for failure, words in ((Failure.UNREACHABLE, "unreachable"), (Failure.ERROR, "error")):
        stored = decision.stored
        if decision.action is Action.FORWARD or stored is None:
            outcome = "502 or 504" if failure is Failure.UNREACHABLE else "the error"
        elif may_serve_stale(request, stored, now, failure):
            outcome = "what is stored"
        else:
            outcome = "504" if failure is Failure.UNREACHABLE else "the error"
        found[words] = outcome
    return found


def _alternatives(cache: Cache, key: Key, request: Request, decision: Decision, now: float) -> Iterator[dict[str, Any]]:
    """What would have to be different for another decision; each was tried."""
    seen: set[str] = set()
    for words, changed, moment in _changes(cache, key, request, decision, now):
        other = cache.decide(key, changed, moment)
        if (other.action is not decision.action or other.stored is not decision.stored) and words not in seen:
            seen.add(words)
            yield {"if": words, "then": other.action.value, "reason": other.reason, "section": other.section}
        if len(seen) >= _ALTERNATIVES_AT_MOST:
            return


def _changes(
    cache: Cache, key: Key, request: Request, decision: Decision, now: float
) -> Iterator[tuple[str, Request, float]]:
    lines = [(name, value) for name, values in request.fields.items() for value in values]
    if request.method not in (b"GET", b"HEAD"):
        yield "the method were GET", Request(b"GET", lines), now
    for name in _OBSTACLES:
        if name in request.fields:
            kept = [field for field in lines if field[0] != name]
            yield f"the request came without {_text(name)}", Request(request.method, kept), now
    for each in cache.candidates(key):
        if not each.selected_by(request):
            kept = [field for field in lines if field[0] not in each.vary]
            more = [(name, own) for name, own in zip(each.vary, each.selection, strict=False) if own is not None]
            fields = ", ".join(map(_line, more)) or "none of " + ", ".join(map(str, map(_text, each.vary)))
            yield f"the request had {fields}", Request(request.method, kept + more), now
    stored = decision.stored
    if stored is None:
        return
    bare = [field for field in lines if field[0] not in (b"cache-control", b"pragma")]
    if decision.action in _FROM_STORE:
        ends = [fresh_until(stored), fresh_until(stored) + (stored.control.stale_while_revalidate or 0)]
        for end in ends:
            if end > now:
                yield f"it came in {int(end - now) + 1} seconds", request, end + 0.001
        insisting = Request(request.method, [*bare, (b"cache-control", b"no-cache")])
        yield "the request said Cache-Control: no-cache", insisting, now
    else:
        content = Request(request.method, [*bare, (b"cache-control", b"max-stale")])
        yield "the request said Cache-Control: max-stale", content, now


def told(explanation: dict[str, Any]) -> list[str]:
    """An explanation as lines for a person."""
    decision = explanation["decision"]
    lines = [f"{explanation['method']} {explanation['key']}", ""]
    if not explanation["stored"]:
        lines.append("nothing is stored for it")
    for number, each in enumerate(explanation["stored"], 1):
        lines += _told_variant(number, each)
    lines += [
        "",
        f"{decision['action']}: {decision['means']}",
        f"    because {decision['reason']} ({decision['section']})",
    ]
    if explanation.get("upstream"):
        lines += ["", f"to {explanation['origin']} would go:"]
        lines += [f"    {line}" for line in explanation["upstream"]]
    if explanation.get("under_way"):
        lines += ["", "a fetch for this target is under way, which a request may join"]
    if explanation.get("uncacheable"):
        lines += ["", "its last answer was not for others, so requests for it do not wait for one another"]
    trouble = explanation["if_origin_fails"]
    lines += ["", f"if the origin is unreachable: {trouble['unreachable']}"]
    lines.append(f"if the origin answers 500 to 504: {trouble['error']}")
    if explanation["otherwise"]:
        lines.append("")
    for other in explanation["otherwise"]:
        lines.append(f"if {other['if']}: {other['then']}")
        lines.append(f"    because {other['reason']} ({other['section']})")
    return lines


def _told_variant(number: int, each: dict[str, Any]) -> list[str]:
    mark = "->" if each["selected"] else "  "
    left = each["fresh_for"]
    fresh = f"fresh for {left} s" if left > 0 else f"stale for {-left} s"
    if each["validated_each_time"]:
        fresh = "validated_each_time"
    lines = [
        f"{mark} {number}. {each['status']}, {each['bytes']} bytes, {each['age']} s old, {fresh} "
        f"(lifetime {each['lifetime']} s by {each['by']}, {each['section']})"
    ]
    if "stored_for" in each:
        lines.append(f"      stored for {each['stored_for']}")
    told_if_there = ("etag", "last-modified", "stale-while-revalidate", "stale-if-error")
    lines += [f"      {name}: {each[name]}" for name in told_if_there if each[name] is not None]
    if each["vary"]:
        values = "; ".join(f"{name}: {'(absent)' if own is None else own}" for name, own in each["vary"].items())
        lines.append(f"      varies by {values}")
    if each["groups"]:
        lines.append(f"      in the groups {', '.join(each['groups'])}")
    lines.append(f"      selected: {each['how']}" if each["selected"] else f"      not selected: {each['why_not']}")
    return lines


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")


def _quoted(value: bytes | None) -> str:
    return "absent" if value is None else f'"{value.decode("latin-1")}"'


def _line(field: Field) -> str:
    return f"{field[0].decode('latin-1')}: {field[1].decode('latin-1')}"
