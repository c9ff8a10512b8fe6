"""``vmaild status``: the running daemon on a page (``vmaild.admin.status`` has the fields).

Exit status: 0 when lookups can be answered, 75 when they cannot, 69 when the daemon is not there.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from typing import Any

from vmaild import admin
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
from vmaild.commands.output import Style, columns, escape, style_for
from vmaild.commands.session import control_path, print_json

Json = dict[str, Any]


def run(options: argparse.Namespace) -> int:
    """Ask and print."""
    told = fetch(control_path(options))
    if options.json:
        print_json(told)
    else:
        print("\n".join(page(told, style_for())))
    return os.EX_OK if told["ready"] else os.EX_TEMPFAIL


def fetch(path: str) -> Json:
    """The state of the daemon at ``path``. Raises ControlError."""
    told: Json = admin.ask(path, b"status")["status"]
    return told


def page(told: Json, style: Style) -> list[str]:
    """The lines of the page."""
    return [
        *_head(told, style),
        "",
        style.title("Directory"),
        *columns(_server(server, style) for server in told["servers"]),
        f"  changes: {escape(feed_in_words(told['feed']))}",
        "",
        style.title("Maps"),
        *maps(told["maps"], style),
        "",
        f"{style.title('Cache')}    {cache_in_words(told['cache'])}",
        f"{style.title('Clients')}  {told['clients']['connections']} of {told['clients']['max']}",
        *_refused(told["refused"], style),
    ]


def _head(told: Json, style: Style) -> Iterator[str]:
    mark = style.good if any(server["up"] for server in told["servers"]) else style.doubtful
    state = (mark if told["ready"] else style.bad)(readiness_in_words(told))
    text = f"vmaild {told['version']}, process {told['pid']}, up for {duration(told['uptime'])}"
    yield f"{style.title(text)}; log level {told['log_level']}"
    yield f"{state}: {told['ready_text']}"


def _server(server: Json, style: Style) -> list[str]:
    state = style.good("up") if server["up"] else style.bad("DOWN")
    return [
        escape(server["uri"]),
        f"{state}{standing_in_words(server)}",
        f"for {duration(server['state_for'])}",
        count(server["connections"], "connection"),
        escape(error_in_words(server)),
    ]


def maps(told: Json, style: Style) -> list[str]:
    """A line for each map, below a headline."""
    rows = [["", "replies", "cached", "p50", "p99", "found", "not found", "failed"]]
    for name, one in told.items():
        failed = one["temporary"] + one["permanent"]
        rows.append(
            [
                name,
                str(one["replies"]),
                percent(one["hit_rate"]),
                latency(one["p50"]),
                latency(one["p99"]),
                str(one["found"]),
                str(one["not_found"]),
                style.doubtful(str(failed)) if failed else "0",
            ]
        )
    return columns(rows, right="lrrrrrrr")


def _refused(refused: list[Json], style: Style) -> list[str]:
    if not refused:
        return [f"{style.title('Refused')}  nothing"]
    rows = [
        [str(one["count"]), style.bad(escape(one["text"]) + " (now)") if one["now"] else escape(one["text"])]
        for one in refused
    ]
    return ["", style.title("Refused"), *columns(rows, right="r")]
