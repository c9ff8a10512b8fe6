"""``vmaild cache list [MAP]`` and ``vmaild cache show KEY``: what the running daemon's cache holds.

The list has the records stored last, the newest first. ``show`` ends with 1 when nothing is known of the key.
"""

from __future__ import annotations

import argparse
import os
from typing import Any

from vmaild import admin
from vmaild.admin.words import duration
from vmaild.commands.output import Style, columns, escape, style_for
from vmaild.commands.session import control_path, fail, print_json, wrong_map

Json = dict[str, Any]


def run_list(options: argparse.Namespace) -> int:
    """Print the records of a map, or of all."""
    if wrong := wrong_map(options):
        return fail(os.EX_USAGE, wrong)
    words = [os.fsencode(options.map)] if options.map else []
    told = admin.ask(control_path(options), b"cache-list", b"%d" % max(0, options.count), *words)
    if options.json:
        print_json(told)
        return os.EX_OK
    rows = [["key", "age", "lasts", "answers"], *(_row(record) for record in told["records"])]
    print("\n".join(columns(rows, indent="")))
    if told["more"]:
        print(f"... of {told['total']} records; --count shows more, up to 1000")
    return os.EX_OK


def _row(record: Json) -> list[str]:
    answers = ", ".join(f"{name}: {known}" for name, known in record["maps"].items())
    return [escape(record["key"]), age(record), ends(record), _cut(escape(answers))]


def _cut(text: str, width: int = 100) -> str:
    return text if len(text) <= width else f"{text[: width - 3]}..."


def run_show(options: argparse.Namespace) -> int:
    """Print what is known of a key, for each map."""
    told = admin.ask(control_path(options), b"cache-show", os.fsencode(options.key))
    if options.json:
        print_json(told)
    elif not told["records"]:
        print(f"nothing is cached for {escape(options.key)}")
    else:
        print("\n".join(line for record in told["records"] for line in shown(record, style_for())))
    return os.EX_OK if told["records"] else 1


def shown(record: Json, style: Style) -> list[str]:
    """The lines of one record."""
    state = style.good("fresh") if record["state"] == "fresh" else style.doubtful("stale")
    text = f"{escape(record['key'])}: {state}, stored {age(record)} ago, {ends(record)}"
    return [text, *columns([name, escape(known)] for name, known in record["maps"].items())]


def age(record: Json) -> str:
    """How old a record is."""
    return "some time" if record["age"] is None else duration(record["age"])


def ends(record: Json) -> str:
    """When it expires, or has expired."""
    left = record["expires_in"]
    return f"expires in {duration(left)}" if left > 0 else f"expired {duration(-left)} ago"
