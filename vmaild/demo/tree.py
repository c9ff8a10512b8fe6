"""The demo's directory: the tree, the schema and the access rules of a small web hosting company.

The layout is that of the HOWTO "Virtual mail users with Postfix, Courier and OpenLDAP": each hosted domain is an
organization below ``o=hosting``, each address an entry below its domain. The three files beside this module hold
it; here stand only the names that others need.
"""

from __future__ import annotations

from pathlib import Path

BASE = "dc=myhosting,dc=example"
"""The suffix of the directory."""

SEARCH_BASE = f"o=hosting,{BASE}"
"""Where the hosted domains are."""

READER_DN = f"cn=vmaild,{BASE}"
"""The account that vmaild binds with. It reads everything below ``SEARCH_BASE`` but passwords."""

READER_PW = "vmaild-demo"

COURIER_DN = f"cn=courier,{BASE}"
"""The account of an IMAP server. It reads what vmaild's does, and ``mailbox`` only where it stays in its domain."""

COURIER_PW = "courier-demo"
ACCOUNT_PW = "demo"
"""The password of every mail account in the tree."""

SCHEMA_FILE = Path(__file__).with_name("courier.schema")
ACCESS_FILE = Path(__file__).with_name("access.conf")
TREE_FILE = Path(__file__).with_name("hosting.ldif")

MAIL_HOME = "/home/vmail/domains"
"""The base directory of every mailbox: ``homeDirectory`` in the tree, and its only value that the rules allow."""


def access_rules(base: str = BASE, *, mail_home: str = MAIL_HOME) -> str:
    """The access rules for a directory of suffix ``base``, as lines for slapd.conf(5); none for a foreign one."""
    return ACCESS_FILE.read_text(encoding="ascii").replace(MAIL_HOME, mail_home) if base == BASE else ""


def tree(*, mail_home: str = MAIL_HOME) -> str:
    """The whole tree as LDIF, its suffix entry first, with its mailboxes below ``mail_home``."""
    return TREE_FILE.read_text(encoding="utf-8").replace(MAIL_HOME, mail_home)
