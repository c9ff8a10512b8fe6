"""``vmaild snippets``: lists what there is for Postfix, Dovecot, Courier, slapd, systemd and the monitors.

``vmaild snippets NAME`` prints one, filled in from the configuration at hand: listeners, LDAP servers, bases, accounts.
Passwords are not printed. Where there is no configuration yet the HOWTO's values stay, with a warning. Exit status: 0;
64 no such snippet; 69 they were not installed; 78 the configuration cannot be used.
"""

from __future__ import annotations

import argparse
import os
import sys

from vmaild.commands.output import columns, style_for
from vmaild.commands.session import configuration, fail, print_json
from vmaild.commands.snippet_files import Snippet, filled, named, snippets
from vmaild.commands.snippet_values import values
from vmaild.config import DEFAULT_PATH
from vmaild.config.section import did_you_mean


def run(options: argparse.Namespace) -> int:
    """List, or print one."""
    try:
        known = snippets()
    except FileNotFoundError as error:
        return fail(os.EX_UNAVAILABLE, str(error))
    if not options.name:
        return _list(known, options)
    found = named(options.name, known)
    if len(found) > 1:
        return fail(os.EX_USAGE, f"{options.name}: which one? {', '.join(f'{one.kind}/{one.name}' for one in found)}")
    if not found:
        near = did_you_mean(options.name, [one.name for one in known])
        return fail(os.EX_USAGE, f"no snippet named {options.name!r}{near}; `vmaild snippets` lists them")
    text = filled(found[0].text, _values(options))
    if options.json:
        print_json({"kind": found[0].kind, "name": found[0].name, "text": text})
    else:
        sys.stdout.write(text)
    return os.EX_OK


def _values(options: argparse.Namespace) -> dict[str, str]:
    """From the configuration. Where the default one is not there yet: nothing. Raises ConfigError."""
    if options.config == DEFAULT_PATH and not DEFAULT_PATH.exists():
        print(f"vmaild: warning: no {DEFAULT_PATH}: the values are examples", file=sys.stderr)
        return {}
    return values(configuration(options))


def _list(known: list[Snippet], options: argparse.Namespace) -> int:
    if options.json:
        print_json([{"kind": one.kind, "name": one.name, "title": one.title} for one in known])
        return os.EX_OK
    style = style_for()
    rows = [[style.quiet(one.kind), style.title(one.name), one.title] for one in known]
    print("\n".join(columns(rows, indent="")))
    return os.EX_OK
