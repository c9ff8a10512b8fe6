"""``vmaild domains [--confirm]``: the hosted domains as the running daemon knows them, and an administrator's word."""

from __future__ import annotations

import argparse
import os

from vmaild import admin
from vmaild.commands.output import columns, escape, style_for
from vmaild.commands.session import control_path, print_json


def run(options: argparse.Namespace) -> int:
    """Print them; with ``confirm`` those that are missing are hosted no more. Where there is no such set: 64."""
    words = [b"confirm"] if options.confirm else []
    told = admin.ask(control_path(options), b"domains", *words)["domains"]
    if options.json:
        print_json(told)
        return os.EX_OK
    style = style_for()
    print(style.title(_headline(told)))
    if told["not_believed"] is not None:
        print(style.bad(f"The last reading showed {told['not_believed']}, without a canary: it does not count."))
    if told["missing"]:
        print(
            style.doubtful(
                "Missing domains are searched for; after a minute, or with --confirm, they are hosted no more."
            )
        )
    rows = [(escape(name), _state(told["missing"].get(name))) for name in told["domains"]]
    print("\n".join(columns(rows)))
    for name in told["taken_out"]:
        print(f"taken out: {escape(name)}")
    return os.EX_OK


def _headline(told: dict[str, object]) -> str:
    age = told["age"]
    when = "never read yet" if age is None else f"read {age:.0f} s ago"
    return f"{told['total']} hosted domains, {when}{'' if told['in_use'] else ', not in use'}"


def _state(missing: float | None) -> str:
    return "" if missing is None else f"missing for {missing:.0f} s"
