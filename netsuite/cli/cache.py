"""``netsuite cache``: what the caching proxy has stored, and why it answers as it does."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, Final

from netsuite.cli.options import add_site, site
from netsuite.suite.control import ask

__all__ = ["add"]

_PATIENCE: Final = 30.0
_LONGEST_BATCH: Final = 3000


def add(commands: Any) -> None:
    """Add the command and what it can do to the grammar."""
    command: argparse.ArgumentParser = commands.add_parser(
        "cache", help="look into the proxy's cache", description="Look into the cache of a running proxy."
    )
    actions = command.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_explain(actions)
    _add_purge(actions)
    _add_list(actions)
    _add_stats(actions)


def _action(actions: Any, name: str, summary: str, run: Any, description: str = "") -> argparse.ArgumentParser:
    """One of the things to do, with the options that all have."""
    action: argparse.ArgumentParser = actions.add_parser(
        name, help=summary, description=description or f"{summary[0].upper()}{summary[1:]}."
    )
    action.add_argument("--json", action="store_true", help="print the answer as JSON")
    add_site(action)
    action.add_argument("--data", metavar="DIR", help="the data directory (default: common.data of the site)")
    action.set_defaults(run=run)
    return action


def _asked(options: argparse.Namespace, do: str, **details: Any) -> dict[str, Any]:
    """What the running proxy answers; raises StartError."""
    data = Path(options.data) if options.data else site(options).common.data
    return ask(data, "cache", _PATIENCE, do=do, **details)


def _add_explain(actions: Any) -> None:
    action = _action(
        actions,
        "explain",
        "say why a request is answered from the store or not",
        _explain,
        "Say what is stored for a URL, which of it a request selects and why not the others, what would be done, by "
        "which section of which RFC, and what would make it different. Nothing is fetched or changed.",
    )
    action.add_argument("url", metavar="URL", help="as the proxy's clients ask for it")
    action.add_argument("--method", metavar="METHOD", default="GET", help="the request's method (default: GET)")
    action.add_argument(
        "--header",
        metavar="'NAME: VALUE'",
        dest="headers",
        action="append",
        default=[],
        help="a field of the request; may repeat",
    )


def _explain(options: argparse.Namespace) -> int:
    """Print the decision and what it stands on."""
    answer = _asked(options, "explain", url=options.url, method=options.method, headers=options.headers)
    print(json.dumps(answer["explanation"], indent=1) if options.json else "\n".join(answer["lines"]))
    return 0


def _add_purge(actions: Any) -> None:
    action = _action(
        actions,
        "purge",
        "forget what is stored, or make it stale",
        _purge,
        "Forget what the running proxy has stored, with all variants, and whatever it is fetching that is older than "
        "this. With several workers it holds for all of them. Prints how many responses went.",
    )
    action.add_argument("urls", metavar="URL", nargs="*", help="as the proxy's clients ask for it")
    action.add_argument(
        "--prefix",
        metavar="URL",
        dest="prefixes",
        action="append",
        default=[],
        help="whatever begins with this; may repeat",
    )
    action.add_argument(
        "--tag",
        metavar="TAG",
        dest="tags",
        action="append",
        default=[],
        help="what its origin tagged so, by Surrogate-Key, Cache-Tag or Cache-Groups; may repeat",
    )
    action.add_argument("--origin", metavar="URL", help="whose tags are meant (default: every origin's)")
    action.add_argument("--all", action="store_true", help="everything")
    action.add_argument(
        "--soft", action="store_true", help="make stale: usable where stale answers are, and validated before other use"
    )


def _purge(options: argparse.Namespace) -> int:
    """Purge all that is named, in as many requests as it takes; print how much went."""
    how = {"soft": options.soft, **({"origin": options.origin} if options.origin else {})}
    orders: list[dict[str, Any]] = [{"all": True}] if options.all else []
    for name in ("urls", "prefixes", "tags"):
        orders += [{name: some} for some in _batches(getattr(options, name))]
    gone = sum(_asked(options, "purge", **how, **order)["purged"] for order in orders or [{}])
    print(json.dumps({"purged": gone, "soft": options.soft}) if options.json else f"{gone} {_responses(gone)} purged")
    return 0


def _responses(count: int) -> str:
    return "response" if count == 1 else "responses"


def _batches(texts: list[str]) -> list[list[str]]:
    """The texts in lists that fit into a line to the control socket."""
    batches: list[list[str]] = []
    room = 0
    for text in texts:
        length = len(json.dumps(text)) + 2
        if length > room:
            batches.append([])
            room = _LONGEST_BATCH
        batches[-1].append(text)
        room -= length
    return batches


def _add_list(actions: Any) -> None:
    action = _action(actions, "list", "tell what is stored", _list)
    action.add_argument("--prefix", metavar="URL", help="only what begins with this")
    action.add_argument("--limit", metavar="N", type=int, default=100, help="at most so many (default: 100)")


def _list(options: argparse.Namespace) -> int:
    """Print what is stored, a line each."""
    details = {"prefix": options.prefix} if options.prefix else {}
    answer = _asked(options, "list", limit=options.limit, **details)
    if options.json:
        print(json.dumps({"count": answer["count"], "entries": answer["entries"]}, indent=1))
        return 0
    for each in answer["entries"]:
        fresh = f"fresh for {each['fresh']} s" if each["fresh"] > 0 else f"stale for {-each['fresh']} s"
        notes = [f"{name} {' '.join(each[name])}" for name in ("vary", "tags") if each[name]]
        print("  ".join([f"{each['status']} {each['size']:>9}", each["url"], fresh, *notes]))
    left = answer["count"] - len(answer["entries"])
    if left > 0:
        print(f"and {left} more: --limit shows more, --prefix fewer")
    return 0


def _add_stats(actions: Any) -> None:
    _action(
        actions,
        "stats",
        "tell how the cache does, and how others would",
        _stats,
        "Tell what the running proxy's cache did, and what share of the sampled requests and bytes other ways of "
        "choosing what to keep, and other budgets, would have answered.",
    )


def _stats(options: argparse.Namespace) -> int:
    """Print the figures, then a table of shadows."""
    answer = _asked(options, "stats")
    stats, shadows = answer["stats"], answer["shadows"]
    if options.json:
        print(json.dumps({"stats": stats, "shadows": shadows}, indent=1))
        return 0
    for name, value in stats.items():
        print(f"{name:<18}{value:>15,.0f}")
    if not shadows:
        print("no shadow caches run: proxy.shadow_sample is 0")
    elif not shadows[0]["requests"]:
        print("the shadow caches have seen no request for a sampled target yet")
    else:
        print(f"\nof {shadows[0]['requests']:,} sampled requests, in per cent:\n")
        print(f"{'policy':<10}{'budget':>8}{'requests':>10}{'bytes':>8}")
        for row in shadows:
            hits = 100 * row["hits"] / row["requests"]
            size = 100 * row["hit_bytes"] / max(row["bytes"], 1)
            print(f"{row['policy']:<10}{row['factor']:>7g}x{hits:>10.1f}{size:>8.1f}")
    return 0
