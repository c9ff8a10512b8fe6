"""Command line options that several commands share."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.directory_keys import ACCOUNTS, Source


def share(text: str) -> float:
    """A share from 0 to 1, written ``0.1`` or ``10%``."""
    number = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not from 0 to 1, or 0% to 100%")
    return number


def add_directory(parser: argparse.ArgumentParser) -> None:
    """Options for keys out of a directory."""
    group = parser.add_argument_group("keys from the directory, by ldapsearch")
    group.add_argument("--directory", metavar="URI", help="ldap://HOST, ldaps://HOST or ldapi://PATH")
    group.add_argument("--base", default="", help="search base")
    group.add_argument("--query", default=ACCOUNTS, help="filter (default: %(default)s)")
    group.add_argument("--key-attribute", default="mail", metavar="NAME", help="(default: %(default)s)")
    group.add_argument("--value-attribute", default="", metavar="NAME", help="holds the right answer to the key")
    group.add_argument("--bind-dn", default="", metavar="DN")
    group.add_argument("--bind-pw-file", type=Path, metavar="FILE", help="the password, without a newline")
    group.add_argument("--start-tls", action="store_true")


def directory_source(arguments: argparse.Namespace) -> Source:
    """What those options say."""
    return Source(
        uri=arguments.directory,
        base=arguments.base,
        query=arguments.query,
        key_attribute=arguments.key_attribute,
        value_attribute=arguments.value_attribute,
        bind_dn=arguments.bind_dn,
        bind_pw_file=arguments.bind_pw_file,
        start_tls=arguments.start_tls,
    )
