"""Write the keys of a directory, each with the right answer, as an expectation file for ``load``.

It asks the directory itself and not the server under test, so the expectation is an independent one. The account
that binds must be allowed to read that many entries: slapd's default is 500 (``limits`` in slapd.conf(5)).
Exit status: 0 done; 2 the directory could not be read.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from bonsai import LDAPClient, LDAPError, LDAPSearchScope

from benchmarks.load.questions import ANY, Expected, Line, format_line
from benchmarks.report.output import new_parser
from vmaild.lookup import Status

PAGE = 1000
"""Entries for each page (RFC 2696), so that a limit on one answer is no limit on the whole."""

ACCOUNTS = "(objectClass=courierMailAccount)"
"""The mail accounts of the HOWTO's schema."""

CONNECT_SECONDS = 10.0
EXIT_USAGE = 2


class DirectoryUnreadable(Exception):
    """The directory did not give its keys. The text says why."""


def add_directory(parser: argparse.ArgumentParser) -> None:
    """Options for keys out of a directory."""
    add = parser.add_argument_group("keys from the directory").add_argument
    add("--directory", metavar="URI", help="ldap://HOST, ldaps://HOST or ldapi://PATH")
    add("--base", default="", help="search base")
    add("--query", default=ACCOUNTS, help="filter (default: %(default)s)")
    add("--key-attribute", default="mail", metavar="NAME", help="(default: %(default)s)")
    add("--value-attribute", default="", metavar="NAME", help="holds the right answer to the key")
    add("--bind-dn", default="", metavar="DN")
    add("--bind-pw-file", type=Path, metavar="FILE", help="the password, with or without a newline")
    add("--start-tls", action="store_true")


def directory_lines(options: argparse.Namespace, map_name: bytes) -> Iterator[Line]:
    """One line for each key in the directory. Raises ``DirectoryUnreadable``, and ``OSError`` for the password."""
    wanted = [name for name in (options.key_attribute, options.value_attribute) if name]
    try:
        client = LDAPClient(options.directory, tls=options.start_tls)
        client.set_raw_attributes(wanted)
        if options.bind_dn:
            password = options.bind_pw_file.read_text().rstrip("\r\n") if options.bind_pw_file else ""
            client.set_credentials("SIMPLE", options.bind_dn, password)
        with client.connect(timeout=CONNECT_SECONDS) as connection:
            scope = LDAPSearchScope.SUBTREE
            for entry in connection.paged_search(options.base, scope, options.query, wanted, page_size=PAGE):
                values = entry.get(options.value_attribute, []) if options.value_attribute else []
                for key in entry.get(options.key_attribute, []):
                    yield Line(map_name, key, Expected(Status.FOUND, b",".join(values) or None))
    except LDAPError as error:
        raise DirectoryUnreadable(f"{options.directory}: {error}") from None


def main(argv: Sequence[str]) -> int:
    """Write the file to standard output; returns the exit status."""
    parser = new_parser("keys", __doc__)
    parser.add_argument("--map", default="virtual_mailbox_maps", metavar="NAME", help="(default: %(default)s)")
    text = "every other key is not found: right without catch-alls"
    parser.add_argument("--others-not-found", action="store_true", help=text)
    add_directory(parser)
    arguments = parser.parse_args(argv)
    if arguments.directory is None:
        parser.error("give --directory URI")
    map_name, out = arguments.map.encode(), sys.stdout.buffer
    try:
        out.writelines(format_line(line) for line in directory_lines(arguments, map_name))
    except (DirectoryUnreadable, OSError) as error:
        print(f"keys: {error}", file=sys.stderr)
        return EXIT_USAGE
    if arguments.others_not_found:
        out.write(format_line(Line(map_name, ANY, Expected(Status.NOT_FOUND))))
    out.flush()
    return 0
