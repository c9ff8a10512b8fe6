"""The page ``/``: what ``vmaild status`` prints, for a browser. No script, one file, light and dark, fit for a phone.

``html(state, now)`` makes it of a state as ``vmaild.admin.status`` has it. Every value is escaped: errors and names of
maps come from elsewhere. The page asks for itself again every ``RELOAD`` seconds, by the ``refresh`` in its head, and
has its time of day, since a browser that cannot reach the daemon any more shows the last one.

What is refused comes first, as on a phone the rest is below the screen's edge.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from vmaild.admin.words import (
    cache_in_words,
    count,
    duration,
    error_in_words,
    feed_in_words,
    latency,
    percent,
    readiness_in_words,
    standing_in_words,
)

RELOAD = 10
"""Seconds until a browser asks again."""

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'"
)
"""Nothing but this page's own style and its empty icon: what is escaped wrongly could still do nothing."""

_STYLE = """
:root { color-scheme: light dark; --back: #fff; --text: #1b1f24; --quiet: #57606a; --line: #d0d7de; --good: #116329;
  --doubtful: #7d4e00; --bad: #a40e26; --card: #f6f8fa }
@media (prefers-color-scheme: dark) { :root { --back: #0d1117; --text: #e6edf3; --quiet: #9198a1; --line: #3d444d;
  --good: #4cc764; --doubtful: #e3b341; --bad: #ff7b72; --card: #161b22 } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 62rem; padding: 1rem; background: var(--back); color: var(--text);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere }
h1 { font-size: 1.3rem; margin: 0 }
h2 { font-size: 1.05rem; margin: 1.6rem 0 .4rem }
p { margin: .2rem 0 }
.quiet { color: var(--quiet) }
.good { color: var(--good); font-weight: 600 }
.doubtful { color: var(--doubtful); font-weight: 600 }
.bad { color: var(--bad); font-weight: 600 }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .6rem .8rem;
  margin: .5rem 0 }
.now { border-left: .3rem solid var(--bad) }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th, td { text-align: right; padding: .3rem .5rem; border-bottom: 1px solid var(--line) }
th:first-child, td:first-child { text-align: left }
thead th { color: var(--quiet); font-weight: 600 }
tbody th { font-weight: 600 }
@media (max-width: 40rem) {
  table, tbody, tbody th, td { display: block }
  thead { position: absolute; left: -999rem }
  tr { display: grid; grid-template-columns: 1fr 1fr; column-gap: 1.5rem; background: var(--card);
    border: 1px solid var(--line); border-radius: .5rem; margin: .5rem 0; padding: .4rem .8rem }
  tbody th { grid-column: 1 / -1; border: 0; padding: 0 }
  td { border: 0; padding: 0; display: flex; justify-content: space-between; gap: .5rem }
  td::before { content: attr(data-name); color: var(--quiet) }
}
"""

_HEADS = ("map", "replies", "cached", "p50", "p99", "found", "not found", "failed")


def html(state: Mapping[str, Any], now: float) -> str:
    """The page of the moment ``now``, seconds since 1970."""
    title = f"vmaild: {readiness_in_words(state)}"
    body = "".join([_head(state, now), _refused(state["refused"]), _servers(state), _maps(state["maps"]), _rest(state)])
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="refresh" content="{RELOAD}"><link rel="icon" href="data:,"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head>\n<body>{body}</body></html>\n"
    )


def _head(state: Mapping[str, Any], now: float) -> str:
    kind = "bad" if not state["ready"] else "good" if any(one["up"] for one in state["servers"]) else "doubtful"
    at = time.strftime("%H:%M:%S UTC", time.gmtime(now))
    text = f"at {at}, process {state['pid']}, up for {duration(state['uptime'])}, log level {state['log_level']}"
    return (
        f"<header><h1>vmaild {escape(state['version'])}: {_marked(readiness_in_words(state), kind)}</h1>"
        f'<p>{escape(state["ready_text"])}</p><p class="quiet">{escape(text)}</p></header>\n'
    )


def _servers(state: Mapping[str, Any]) -> str:
    cards = "".join(_server(server) for server in state["servers"])
    return f"<h2>Directory</h2>{cards}<p>Changes: {escape(feed_in_words(state['feed']))}</p>\n"


def _server(server: Mapping[str, Any]) -> str:
    mark = _marked("up", "good") if server["up"] else _marked("DOWN", "bad")
    standing = standing_in_words(server)
    text = f"for {duration(server['state_for'])}{standing}, {count(server['connections'], 'connection')}"
    return (
        f'<div class="card"><p><strong>{escape(server["uri"])}</strong> {mark} {escape(text)}</p>'
        f'<p class="quiet">{escape(error_in_words(server))}</p></div>'
    )


def _maps(maps: Mapping[str, Any]) -> str:
    rows = "".join(_row(name, one) for name, one in maps.items())
    heads = "".join(f'<th scope="col">{head}</th>' for head in _HEADS)
    return f"<h2>Maps</h2><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>\n"


def _row(name: str, one: Mapping[str, Any]) -> str:
    failed = one["temporary"] + one["permanent"]
    cells: Sequence[str] = (
        *(f"{one['replies']:,}", percent(one["hit_rate"]), latency(one["p50"]), latency(one["p99"])),
        *(f"{one['found']:,}", f"{one['not_found']:,}"),
    )
    tds = "".join(_cell(head, escape(cell)) for head, cell in zip(_HEADS[1:], cells, strict=False))
    last = _cell(_HEADS[-1], _marked(f"{failed:,}", "bad") if failed else "0")
    return f'<tr><th scope="row">{escape(name)}</th>{tds}{last}</tr>'


def _cell(head: str, content: str) -> str:
    return f'<td data-name="{head}">{content}</td>'


def _rest(state: Mapping[str, Any]) -> str:
    clients = state["clients"]
    return (
        f"<h2>Cache</h2><p>{escape(cache_in_words(state['cache']))}</p>"
        f"<h2>Clients</h2><p>{clients['connections']:,} of {clients['max']:,}</p>\n"
    )


def _refused(refused: Iterable[Mapping[str, Any]]) -> str:
    lines = []
    for one in refused:
        text = f"{one['count']:,}: {one['text']}"
        now = f'<p class="card now">{_marked(f"{text} (now)", "bad")}</p>'
        lines.append(now if one["now"] else f"<p>{escape(text)}</p>")
    return f"<h2>Refused</h2>{''.join(lines) or '<p>nothing</p>'}\n"


def _marked(text: str, kind: str) -> str:
    return f'<span class="{kind}">{escape(text)}</span>'
