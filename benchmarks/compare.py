"""``python -m benchmarks compare``: vmaild and its rivals side by side, in one run, on a directory of its own.

Every rival is measured in every round, and the figures are the medians of the rounds, so that what else the machine
does meanwhile hits all of them. Needs root, slapd, ldap-utils, postfix and postfix-ldap; touches none that is
installed. Exit status: 0 done; 1 a measurement failed or an answer was wrong; 130 interrupted.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from benchmarks.compare_lookups import Lookups
from benchmarks.compare_messages import Messages
from benchmarks.compare_rcpt import Recipients
from benchmarks.compare_report import report
from benchmarks.experiment import add_common, run_experiment, say
from benchmarks.population import PER_DOMAIN
from benchmarks.population import mailboxes as mailbox_lines
from benchmarks.rivals import Rivals
from benchmarks.samples import Rows
from benchmarks.site import Site

PARTS = ("lookups", "rcpt", "messages")


def add_to(commands: Any) -> None:
    """Add the command and its options to the parser."""
    parser = commands.add_parser(
        "compare",
        help="vmaild and its rivals, side by side",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.add_argument("--accounts", type=int, default=100_000, help="size of the directory (default: %(default)s)")
    parser.add_argument("--hot", type=int, default=10_000, help="keys of the cached lookups (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="(default: %(default)s)")
    parser.add_argument("--sessions", type=int, nargs="+", default=[1, 10, 50], help="SMTP sessions (default: 1 10 50)")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="(default: all)")
    add_common(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure, print the table, write JSON and picture; returns the exit status."""
    return run_experiment(arguments, "compare", lambda: _measure(arguments), report, "draw_compare")


def _measure(arguments: argparse.Namespace) -> dict[str, Any]:
    rows = Rows()
    accounts = max(arguments.accounts, 3 * PER_DOMAIN, arguments.hot)
    with Site(accounts, say) as site:
        vmaild = site.vmaild()
        tables = site.new_home("tables")
        rivals = Rivals.on(site, vmaild, tables)
        recipients = Recipients(rivals, arguments.sessions, arguments.seconds, arguments.hot)
        for number in range(arguments.rounds):
            say(f"round {number + 1} of {arguments.rounds}")
            if "lookups" in arguments.parts:
                _lookups(arguments, rivals, tables, rows)
            if "rcpt" in arguments.parts:
                recipients.measure(rows, say)
        if "messages" in arguments.parts:
            site.log_searches(True)
            Messages(rivals).measure(rows, say)
    return {"accounts": accounts, "hot": arguments.hot, "rounds": arguments.rounds, "rows": rows.as_json()}


def _lookups(arguments: argparse.Namespace, rivals: Rivals, tables: Path, rows: Rows) -> None:
    site = rivals.site
    proxied = next(rival for rival in rivals.all if rival.name == "proxy:ldap:")
    mailboxes = {line.key: line.expected.value or b"" for line in mailbox_lines(site.accounts)}
    with rivals.postfix(proxied) as proxy:
        lookups = Lookups(
            site,
            rivals.vmaild,
            rivals.echo,
            rivals.dictionary,
            proxy,
            tables / "ldap",
            mailboxes,
            arguments.seconds,
            arguments.hot,
        )
        lookups.measure(rows, say)
