"""Write the keys of a directory, each with the right answer, as an expectation file for ``load``."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from bonsai import LDAPClient, LDAPError, LDAPSearchScope

from benchmarks.load.questions import ANY, Line, format_line
from benchmarks.report.output import new_parser
from vmaild.lookup import NOT_FOUND, Reply, Status


def main(argv: Sequence[str]) -> int:
    parser = new_parser("keys")
    add = parser.add_argument
    add("--directory", metavar="URI", required=True, help="ldap://HOST, ldaps://HOST or ldapi://PATH")
    add("--base", default="", help="search base")
    add("--query", default="(objectClass=courierMailAccount)", help="filter (default: %(default)s)")
    add("--key-attribute", default="mail", metavar="NAME", help="(default: %(default)s)")
    add("--value-attribute", default="", metavar="NAME", help="holds the right answer to the key")
    add("--bind-dn", default="", metavar="DN")
    add("--bind-pw-file", type=Path, metavar="FILE", help="the password, with or without a newline")
    add("--start-tls", action="store_true")
    text = "(default: virtual_mailbox_maps)"
    add("--map", type=str.encode, default=b"virtual_mailbox_maps", metavar="NAME", help=text)
    add("--others-not-found", action="store_true", help="every other key is not found: right without catch-alls")
    arguments = parser.parse_args(argv)
    try:
        sys.stdout.buffer.writelines(map(format_line, _lines(arguments)))
    except (LDAPError, OSError) as error:
        print(f"keys: {arguments.directory}: {error}", file=sys.stderr)
        return 2
    return 0


def _lines(options: argparse.Namespace) -> Iterator[Line]:
    wanted = [name for name in (options.key_attribute, options.value_attribute) if name]
    client = LDAPClient(options.directory, tls=options.start_tls)
    client.set_raw_attributes(wanted)
    if options.bind_dn:
        password = options.bind_pw_file.read_text().rstrip("\r\n") if options.bind_pw_file else ""
        client.set_credentials("SIMPLE", options.bind_dn, password)
    with client.connect(timeout=10.0) as connection:
        asked = options.base, LDAPSearchScope.SUBTREE, options.query, wanted
        # In pages (RFC 2696), so that a limit on one answer is no limit on the whole.
        for entry in connection.paged_search(*asked, page_size=1000):
            value = b",".join(entry.get(options.value_attribute, []))
            yield from (Line(options.map, key, Reply(Status.FOUND, value)) for key in entry.get(wanted[0], []))
    if options.others_not_found:
        yield Line(options.map, ANY, NOT_FOUND)
