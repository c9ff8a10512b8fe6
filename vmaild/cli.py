"""The command line: which command, with which options. What they do is in ``vmaild.commands``.

Exit status, after sysexits.h where it has one:

====  ==================================================================
0     done; ``query``: found
1     ``query``, ``cache show``: not found; ``audit``: something is wrong
64    wrong usage, an unknown map
69    the daemon or a needed service is not there
71    an address cannot be listened on
75    ``query``, ``explain``: temporary failure, ask again later; ``status``: lookups cannot be answered;
      ``check``: a server cannot be asked, or says no
78    the configuration cannot be used; every problem is on stderr
====  ==================================================================

Modules of commands are imported when they run: the daemon starts without them in a twentieth less time.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from vmaild import __version__, admin, daemon
from vmaild.commands import around, session, texts
from vmaild.config import DEFAULT_LISTEN, DEFAULT_PATH
from vmaild.errors import ConfigError
from vmaild.process import open_log, systemd

DEMO_PORT = 10143
"""Where the demo listens: the daemon's own default."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    options = parser().parse_args(arguments)
    try:
        status: int = options.run(options)
    except ConfigError as error:
        return session.fail(os.EX_CONFIG, *error.problems)
    except admin.ControlError as error:
        return session.refused(error)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of the output has gone; there is nothing left to print, and nowhere to print it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return os.EX_OK
    return status


def _serve(options: argparse.Namespace) -> int:
    # Until the loop takes it for a reload. SIGHUP never ends the daemon.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        config = session.configuration(options)
    except ConfigError as error:
        # `systemctl status` shows it, however many lines the journal got since.
        systemd.Notifier().status(f"not started: {'; '.join(error.problems)}")
        raise
    with open_log(sys.stderr, config.daemon.log_level) as log:
        try:
            daemon.run(config, log)
        except OSError as error:
            return session.fail(os.EX_OSERR, f"{error.filename}: {error.strerror}" if error.filename else str(error))
    return os.EX_OK


def _check(options: argparse.Namespace) -> int:
    from vmaild.commands import check

    return check.run(options)


def _query(options: argparse.Namespace) -> int:
    from vmaild.commands import query

    return query.run(options)


def _explain(options: argparse.Namespace) -> int:
    from vmaild.commands import explain

    return explain.run(options)


def _flush(options: argparse.Namespace) -> int:
    from vmaild.commands import flush

    return flush.run(options)


def _log_level(options: argparse.Namespace) -> int:
    from vmaild.commands import log_level

    return log_level.run(options)


def _domains(options: argparse.Namespace) -> int:
    from vmaild.commands import domains

    return domains.run(options)


def _cache_list(options: argparse.Namespace) -> int:
    from vmaild.commands import cached

    return cached.run_list(options)


def _cache_show(options: argparse.Namespace) -> int:
    from vmaild.commands import cached

    return cached.run_show(options)


def _status(options: argparse.Namespace) -> int:
    from vmaild.commands import status

    return status.run(options)


def _top(options: argparse.Namespace) -> int:
    from vmaild.commands import top

    return top.run(options)


def _audit(options: argparse.Namespace) -> int:
    from vmaild.commands import audit

    return audit.run(options)


def _stats(options: argparse.Namespace) -> int:
    session.print_json(admin.stats(session.control_path(options)))
    return os.EX_OK


def _reload(options: argparse.Namespace) -> int:
    from vmaild.commands import reload

    return reload.run(options)


def _demo(options: argparse.Namespace) -> int:
    # Not at the top: the daemon starts without it in a twentieth less time.
    from vmaild import demo

    return demo.run(options.once, options.port, with_mail=options.mail)


def _import_postfix(options: argparse.Namespace) -> int:
    from vmaild.migration import import_command

    return import_command.run(options)


def _compare(options: argparse.Namespace) -> int:
    from vmaild.migration import compare_command

    return compare_command.run(options)


class _Parser(argparse.ArgumentParser):
    """argparse ends with 2 for wrong usage, where the system's word is 64."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(os.EX_USAGE, f"{self.prog}: {message}\n")


if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[Any]


def parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="vmaild", description="Answers Postfix's lookups from OpenLDAP, cached.")
    parser.add_argument("--version", action="version", version=f"vmaild {__version__}")
    config_help = f"configuration ({DEFAULT_PATH})"
    parser.add_argument("-c", "--config", type=Path, default=DEFAULT_PATH, metavar="FILE", help=config_help)
    commands: Commands = parser.add_subparsers(required=True, metavar="COMMAND")
    configured = argparse.ArgumentParser(add_help=False)
    # No default here, which would undo what stands before the command.
    configured.add_argument("-c", "--config", type=Path, default=argparse.SUPPRESS, metavar="FILE", help=config_help)
    as_json = argparse.ArgumentParser(add_help=False)
    as_json.add_argument("--json", action="store_true", help="print JSON, for a program")

    serve = commands.add_parser("serve", parents=[configured], help="run the daemon in the foreground")
    serve.set_defaults(run=_serve)
    _add_checking(commands, [configured, as_json])
    _add_asking(commands, [configured, as_json])
    _add_watching(commands, [configured, as_json])
    _add_moving(commands, configured)
    around.add_to(commands, [configured, as_json])
    texts.describe(commands)
    return parser


def _add_checking(commands: Commands, parents: list[argparse.ArgumentParser]) -> None:
    check = commands.add_parser("check", parents=parents, help="check the configuration, its servers, and Postfix")
    check.add_argument("--offline", action="store_true", help="ask no server")
    check.add_argument(
        "--postfix", nargs="?", type=Path, const=Path("/etc/postfix"), metavar="DIR",
        help="read Postfix's main.cf and master.cf too (/etc/postfix)",
    )  # fmt: skip
    check.set_defaults(run=_check)
    audit = commands.add_parser("audit", parents=parents, help="check the whole directory against the rules")
    audit.add_argument("--bind-dn", default="", metavar="DN", help="walk as this account, which may read more")
    audit.add_argument("--bind-pw-file", type=Path, metavar="FILE", help="its password")
    audit.add_argument("--as", dest="as_dn", default="", metavar="DN", help="try what this tenant may write, by no-ops")
    audit.add_argument("--as-pw-file", type=Path, metavar="FILE", help="its password")
    audit.set_defaults(run=_audit)


def _add_asking(commands: Commands, parents: list[argparse.ArgumentParser]) -> None:
    query = commands.add_parser("query", parents=parents, help="print one answer, as the daemon gives it")
    query.add_argument("--direct", action="store_true", help="ask the directory, past the daemon")
    query.add_argument("-v", "--verbose", action="store_true", help="with --direct: log to stderr as the daemon would")
    query.add_argument("map", metavar="MAP")
    query.add_argument("key", metavar="KEY")
    query.set_defaults(run=_query)
    explain = commands.add_parser(
        "explain", parents=parents, help="print every map's answer for an address, how it came, and where mail ends"
    )
    explain.add_argument("--direct", action="store_true", help="ask the directory, past the daemon")
    explain.add_argument(
        "--postfix", type=Path, default=Path("/etc/postfix"), metavar="DIR", help="Postfix's directory (/etc/postfix)"
    )
    explain.add_argument("address", metavar="ADDRESS")
    explain.set_defaults(run=_explain)


def _add_watching(commands: Commands, parents: list[argparse.ArgumentParser]) -> None:
    status = commands.add_parser("status", parents=parents, help="print the running daemon's state on a page")
    status.set_defaults(run=_status)
    stats = commands.add_parser("stats", parents=parents, help="print the running daemon's counters as JSON")
    stats.set_defaults(run=_stats)
    top = commands.add_parser("top", parents=parents[:1], help="the state, again and again; q ends it")
    top.add_argument("-d", "--delay", type=float, default=2.0, metavar="SECONDS", help="between two pages (2)")
    top.set_defaults(run=_top)
    flush = commands.add_parser("flush", parents=parents, help="make the running daemon forget cached answers")
    flush.add_argument("map", metavar="MAP", nargs="?")
    flush.add_argument("key", metavar="KEY", nargs="?")
    flush.set_defaults(run=_flush)
    reload = commands.add_parser("reload", parents=parents, help="make the running daemon read its file again")
    reload.set_defaults(run=_reload)
    level = commands.add_parser("log-level", parents=parents, help="print or set the running daemon's log level")
    level.add_argument("level", metavar="LEVEL", nargs="?", help="debug, info, warning or error")
    level.set_defaults(run=_log_level)
    domains = commands.add_parser("domains", parents=parents, help="print the hosted domains the running daemon knows")
    domains.add_argument(
        "--confirm", action="store_true", help="what was read last counts at once: you say it is right"
    )
    domains.set_defaults(run=_domains)
    cached = commands.add_parser("cache", help="what the running daemon's cache holds").add_subparsers(
        required=True, metavar="list|show"
    )
    listed = cached.add_parser("list", parents=parents, help="the records stored last")
    listed.add_argument("--count", type=int, default=20, metavar="N", help="how many (20, at most 1000)")
    listed.add_argument("map", metavar="MAP", nargs="?")
    listed.set_defaults(run=_cache_list)
    shown = cached.add_parser("show", parents=parents, help="what is known of one key")
    shown.add_argument("key", metavar="KEY")
    shown.set_defaults(run=_cache_show)


def _add_moving(commands: Commands, configured: argparse.ArgumentParser) -> None:
    showing = commands.add_parser("demo", help="run a private slapd and vmaild in front of it")
    showing.add_argument("--once", action="store_true", help="end after the table of lookups")
    showing.add_argument("--mail", action="store_true", help="with Postfix too, and a message along each lookup")
    showing.add_argument("--port", type=int, default=DEMO_PORT, help=f"port to listen on ({DEMO_PORT})")
    showing.set_defaults(run=_demo)
    moving = commands.add_parser("import-postfix", help="print a vmaild.toml made from the ldap: tables of a Postfix")
    moving.add_argument("directory", metavar="DIR", nargs="?", type=Path, default=Path("/etc/postfix"))
    moving.add_argument(
        "--listen", default=DEFAULT_LISTEN, metavar="ADDRESS", help=f"where vmaild shall listen ({DEFAULT_LISTEN})"
    )
    moving.add_argument("--output", type=Path, metavar="FILE", help="write the vmaild.toml there")
    moving.add_argument("--diff", type=Path, metavar="FILE", help="write the diff of main.cf there")
    moving.set_defaults(run=_import_postfix)
    comparing = commands.add_parser(
        "compare", parents=[configured], help="ask Postfix's table and vmaild the same keys"
    )
    comparing.add_argument("map", metavar="MAP|FILE.cf")
    comparing.add_argument("keys", metavar="KEYS", help="a file of keys, or a mail log; - for stdin")
    comparing.add_argument("--postfix-config", default="", metavar="DIR", help="Postfix's directory, as postmap -c")
    comparing.set_defaults(run=_compare)
