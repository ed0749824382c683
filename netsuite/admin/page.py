"""The first page: HTML made on the server, which a small script keeps alive where there is one.

Everything that is not written here is escaped. Style and script are constant, so the policy that goes
with the page (:data:`POLICY`) names them by their hashes and forbids everything else.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from html import escape
from typing import Final

from netsuite.admin.status import ServiceStatus, SiteStatus
from netsuite.interfaces import Address

__all__ = ["POLICY", "page"]

_STYLE: Final = """
:root { color-scheme: light dark; --ground: #f6f7f9; --card: #fff; --ink: #1b1f27; --quiet: #5b6474;
  --line: #dfe3ea; --good: #11713f; --good-ground: #ddf3e6; --bad: #a11a1a; --bad-ground: #fbe3e3; --link: #1a56b0; }
@media (prefers-color-scheme: dark) { :root { --ground: #12151b; --card: #1a1f28; --ink: #e7eaf0; --quiet: #9aa5b6;
  --line: #2b323e; --good: #7fdca8; --good-ground: #16352a; --bad: #ff9c9c; --bad-ground: #43191c; --link: #8ab8ff; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
header, main, footer { max-width: 76rem; margin: 0 auto; padding: 0 1.25rem; }
header { display: flex; flex-wrap: wrap; align-items: baseline; gap: .25rem 1rem; padding-top: 2rem; }
h1 { font-size: 1.6rem; letter-spacing: -.01em; margin: 0; }
header p, footer { color: var(--quiet); margin: 0; }
a { color: var(--link); }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(25rem, 100%), 1fr)); gap: 1rem;
  padding-top: 1.5rem; padding-bottom: 1.5rem; align-items: start; }
section { background: var(--card); border: 1px solid var(--line); border-radius: .75rem; padding: 1rem 1.25rem 1.1rem; }
.title { display: flex; justify-content: space-between; align-items: center; gap: 1rem; }
h2 { font-size: 1.1rem; margin: 0; overflow-wrap: anywhere; }
.badge { font-size: .8rem; font-weight: 600; border-radius: 1rem; padding: .1rem .7rem; white-space: nowrap;
  color: var(--good); background: var(--good-ground); }
.badge.bad { color: var(--bad); background: var(--bad-ground); }
.detail { color: var(--bad); margin: .25rem 0 0; }
.detail:empty { display: none; }
ul { list-style: none; padding: 0; margin: .75rem 0 0; }
li { margin-top: .4rem; }
code { font: .85rem/1.4 ui-monospace, "SF Mono", "DejaVu Sans Mono", Menlo, monospace; overflow-wrap: anywhere; }
.hint { display: block; color: var(--quiet); user-select: all; }
table { width: 100%; border-collapse: collapse; margin-top: .75rem; font-size: .92rem; }
th { text-align: left; font-weight: 400; color: var(--quiet); }
th, td { border-top: 1px solid var(--line); padding: .25rem 0; }
td { text-align: right; font-variant-numeric: tabular-nums; padding-left: 1rem; }
.rate { color: var(--quiet); width: 6.5rem; white-space: nowrap; }
footer { padding-bottom: 2rem; display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
"""

_SCRIPT: Final = """
"use strict";
const number = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const find = (scope, kind, name) =>
  [...scope.querySelectorAll(`[data-${kind}]`)].find((each) => each.dataset[kind] === name);
let last = null, saidOk = document.body.dataset.ok === "true";
function span(seconds) {
  const s = Math.floor(seconds), d = Math.floor(s / 86400), h = Math.floor(s / 3600) % 24, m = Math.floor(s / 60) % 60;
  return d ? `${d} d ${h} h` : h ? `${h} h ${m} min` : m ? `${m} min ${s % 60} s` : `${s} s`;
}
function badge(at, ok, words) {
  at.textContent = words;
  at.classList.toggle("bad", !ok);
}
function show(status) {
  const now = performance.now(), then = last ? last.figures : new Map(), figures = new Map();
  document.getElementById("uptime").textContent = span(status.uptime);
  badge(document.getElementById("overall"), status.ok, status.ok ? "all well" : "trouble");
  for (const service of status.services) {
    const card = find(document, "service", service.name);
    if (!card) { location.reload(); return; }
    badge(card.querySelector(".badge"), service.ok, service.ok ? "well" : "trouble");
    card.querySelector(".detail").textContent = service.detail;
    for (const figure of service.figures) {
      const row = find(card, "figure", figure.name);
      if (!row) { location.reload(); return; }
      const key = `${service.name}\\n${figure.name}`, before = then.get(key);
      figures.set(key, figure.value);
      row.cells[2].textContent = number.format(figure.value);
      const rate = before === undefined ? 0 : (figure.value - before) * 1000 / (now - last.at);
      row.cells[1].textContent = rate > 0 ? `${number.format(rate)}/s` : "";
    }
  }
  if (status.ok !== saidOk) {
    saidOk = status.ok;
    document.getElementById("news").textContent = status.ok ? "All services are well." : "A service is in trouble.";
  }
  last = { at: now, figures };
}
async function look() {
  if (!document.hidden) {
    try {
      const answer = await fetch("/status.json", { cache: "no-store" });
      if (answer.ok) show(await answer.json());
    } catch {
      badge(document.getElementById("overall"), false, "no answer");
    }
  }
  setTimeout(look, 2000);
}
setTimeout(look, 2000);
"""


def _hash(text: str) -> str:
    return "'sha256-" + b64encode(sha256(text.encode()).digest()).decode() + "'"


POLICY: Final = (
    f"default-src 'none'; style-src {_hash(_STYLE)}; script-src {_hash(_SCRIPT)}; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The Content-Security-Policy that belongs to the page."""

_ICON: Final = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
    "%3Crect width='16' height='16' rx='4' fill='%231a56b0'/%3E"
    "%3Cpath d='M4 12V4l8 8V4' fill='none' stroke='white' stroke-width='2'/%3E%3C/svg%3E"
)


def page(status: SiteStatus) -> str:
    """The page that shows a site as it is now."""
    cards = "\n".join(_card(service) for service in status.services) or "<p>This site has no services.</p>"
    processes = f" in {status.workers + 1} processes" if status.workers else ""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>netsuite</title>
<link rel="icon" href="{_ICON}">
<noscript><meta http-equiv="refresh" content="10"></noscript>
<style>{_STYLE}</style>
</head>
<body data-ok="{"true" if status.ok else "false"}">
<header>
<h1>netsuite</h1>
{_badge(status.ok, "all well", "overall")}
<p>version {escape(status.version)}, up for <span id="uptime">{_span(status.uptime)}</span>{processes}</p>
<p id="news" class="hidden" role="status" aria-live="polite"></p>
</header>
<main>
{cards}
</main>
<footer>
<a href="/metrics">metrics for Prometheus</a> <a href="/health">health</a> <a href="/status.json">this page as JSON</a>
</footer>
<script>{_SCRIPT}</script>
</body>
</html>
"""


def _badge(ok: bool, words: str, name: str = "") -> str:
    label = f' id="{name}"' if name else ""
    return f'<span{label} class="badge">{words}</span>' if ok else f'<span{label} class="badge bad">trouble</span>'


def _card(service: ServiceStatus) -> str:
    name = escape(service.name)
    addresses = "".join(
        f"<li><code>{_place(address)}</code>"
        + (f'<code class="hint">{escape(address.hint)}</code>' if address.hint else "")
        + "</li>"
        for address in service.addresses
    )
    figures = "".join(
        f'<tr data-figure="{escape(what)}"><th scope="row">{escape(what)}</th>'
        f'<td class="rate"></td><td>{_number(value)}</td></tr>'
        for what, value in service.figures
    )
    caption = f'<caption class="hidden">What {name} has counted</caption>'
    return (
        f'<section data-service="{name}" aria-labelledby="service-{name}">\n'
        f'<div class="title"><h2 id="service-{name}">{name}</h2>{_badge(service.health.ok, "well")}</div>\n'
        f'<p class="detail">{escape(service.health.detail)}</p>\n'
        + (f'<ul aria-label="Addresses">{addresses}</ul>\n' if addresses else "")
        + (f"<table>{caption}<tbody>{figures}</tbody></table>\n" if figures else "")
        + "</section>"
    )


def _place(address: Address) -> str:
    """An address as text; a web address can be followed."""
    text = escape(str(address))
    if address.kind not in ("http", "https"):
        return text
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f'<a rel="noreferrer" href="{address.kind}://{escape(host)}:{address.port}/">{text}</a>'


def _number(value: float) -> str:
    text = f"{value:,.1f}"
    return text.removesuffix(".0")


def _span(seconds: float) -> str:
    whole = int(seconds)
    days, hours, minutes = whole // 86400, whole // 3600 % 24, whole // 60 % 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"
