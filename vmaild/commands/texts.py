"""What each command does, in a paragraph: for ``vmaild COMMAND --help`` and for vmaild(8).

``x`` between two backquotes is a literal; page(5) is a manual page.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

DESCRIPTIONS: Mapping[str, str] = {
    "serve": (
        "Run the daemon in the foreground; systemd does. It ends after SIGTERM with 0, when lookups in flight have"
        " finished or ``drain_timeout`` is over. SIGHUP is ``vmaild reload``. Exit status: 71 an address cannot be"
        " listened on; 78 the configuration cannot be used."
    ),
    "check": (
        "Read the configuration and print every problem at once, each with file, table and key. Then ask every"
        " server of it: bind, search base, contextCSN, indexes for the attributes that filters use, and whether the"
        " account can read userPassword. Exit status: 0, also with warnings; 75 a server cannot be asked or refuses;"
        " 78 the configuration, or with ``--postfix`` Postfix's, has a problem. The daemon starts whatever the"
        " servers answer."
    ),
    "audit": (
        "Read the whole directory, page by page, and check it against the rules that mail depends on: domains with"
        " their postmaster and abuse addresses, accounts whose mailbox is shared or outside their domain, passwords"
        " in clear text, addresses that occur twice, alias loops and aliases that lead nowhere. slapd's size limit"
        ' must let the account read everything (``limits dn.exact="..." size.prtotal=unlimited``), or ``--bind-dn``'
        " names one that may. With ``--as`` the server also judges what that tenant may write and should not; the"
        " No-Op control keeps all of it from being written. Exit status: 0; 1 something is wrong; 75 the directory"
        " cannot be read."
    ),
    "query": (
        "Print one answer of the running daemon. Exit status: 0 found; 1 not found; 64 there is no such map; 69 no"
        " daemon answers; 75 temporary failure, with its cause and the state of the servers."
    ),
    "explain": (
        "Print how every map answers an address: the search keys in order, the searches as sent, the entries that"
        " came back, what decided, whether it was cached; then where mail to the address ends, with aliases followed"
        " as cleanup(8) does. Exit status: 0; 75 a map fails, or mail would wait."
    ),
    "status": (
        "Print the state of the running daemon on one page: servers and their last error, maps with hit rate and"
        " latency, the cache, what is refused and why. Exit status: 0; 69 no daemon answers; 75 lookups cannot be"
        " answered."
    ),
    "stats": "Print every counter of the running daemon as JSON. Exit status: 0, or 69 no daemon answers.",
    "top": "Print what ``vmaild status`` prints, live, until q.",
    "flush": (
        "Forget the cached answers of the running daemon: all, those of one map, or those for one key. None of them"
        " serves after the command has returned. Exit status: 0; 64 there is no such map; 69 no daemon answers."
    ),
    "reload": (
        "Make the running daemon read its configuration, secrets and certificates again. Exit status: 0; 69 no"
        " daemon answers; 78 the daemon refused the file, whose problems are printed, and goes on with the old one."
    ),
    "log-level": (
        "Print the running daemon's log level, or set it until the next start or reload. Exit status: 0; 64 there"
        " is no such level; 69 no daemon answers."
    ),
    "cache list": "Print the records that were stored last.",
    "cache show": "Print what the running daemon has cached for a key. Exit status: 0; 1 nothing.",
    "domains": (
        "Print the hosted domains that the running daemon knows, when they were read, and which of them are missing"
        " in the directory. ``--confirm`` makes missing domains count as gone at once. Exit status: 0; 64 there is"
        " no set of domains; 69 no daemon answers."
    ),
    "snippets": (
        "Without NAME, list the configuration that there is for Postfix, Dovecot, Courier, slapd, systemd,"
        " Prometheus and Grafana. With NAME, print that one, filled in from vmaild.toml: listeners, LDAP servers,"
        " bases, accounts; never a password. Exit status: 0; 64 there is no such snippet; 69 they were not"
        " installed."
    ),
    "benchmark": (
        "Measure a vmaild, or what else Postfix can ask: ``vmaild benchmark --help`` prints the experiments. It"
        " needs the packages of the ``bench`` extra. Exit status: the benchmark's own, or 69 when it was not"
        " installed."
    ),
    "demo": (
        "Run a private slapd with the tree of a small hosting company, and vmaild in front of it; print a table of"
        " lookups, and stay until interrupted. Exit status: 0, or 69 when it cannot run here."
    ),
    "import-postfix": (
        "Read Postfix's main.cf and the ldap_table(5) files that it names, and print a configuration that answers"
        " the same, with a warning for each trap."
    ),
    "compare": (
        "Ask Postfix's table and vmaild the same keys, and print each difference, with its cause where that is"
        " known. MAP is one whose ``cf`` names Postfix's tables, as ``vmaild import-postfix`` writes it; FILE.cf needs"
        " no vmaild.toml. KEYS is a file with one key a line, or a mail log, whose recipients are taken. Exit status:"
        " 0; 1 there is a difference."
    ),
}
"""By the words of the command."""


def describe(commands: argparse._SubParsersAction[Any], before: str = "") -> None:
    """Give each parser of ``commands`` its description; ``before`` are the words before theirs."""
    for name, one in commands.choices.items():
        text = DESCRIPTIONS.get(before + name, "").replace("``", "")
        one.description = text.replace("%", "%%") or None
        for action in one._actions:
            if isinstance(action, argparse._SubParsersAction):
                describe(action, f"{before}{name} ")
