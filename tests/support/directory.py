"""The demo tree's read account as an ``ldap:`` table of Postfix's own, and LDIF for tests to add."""

from __future__ import annotations

from pathlib import Path

from vmaild.demo.slapd import Slapd
from vmaild.demo.tree import READER_DN, READER_PW, SEARCH_BASE


def ldap_table(file: Path, slapd: Slapd, query_filter: str, result_attribute: str, *more: str) -> str:
    """Write an ldap_table(5) file for ``slapd`` and return its name as main.cf takes it."""
    lines = [
        f"server_host = {slapd.uri}",
        "version = 3",
        "bind = yes",
        f"bind_dn = {READER_DN}",
        f"bind_pw = {READER_PW}",
        f"search_base = {SEARCH_BASE}",
        f"query_filter = {query_filter}",
        f"result_attribute = {result_attribute}",
        *more,
    ]
    file.write_text("".join(f"{line}\n" for line in lines))
    return f"ldap:{file}"


def mailbox_table(file: Path, slapd: Slapd) -> str:
    """The table for virtual(8)'s own last lookup: mailboxes by address."""
    return ldap_table(file, slapd, "(&(objectClass=courierMailAccount)(mail=%s))", "mailbox")


def account(address: str, *, domain: str = "", mail: tuple[str, ...] = (), mailbox: str | None = None) -> str:
    """LDIF of an account below ``o=domain``, by default the address's own; ``mailbox`` "" leaves it out."""
    localpart, _, own_domain = address.rpartition("@")
    box = f"{own_domain}/{localpart}/" if mailbox is None else mailbox
    return _entry(
        address,
        domain or own_domain,
        "objectClass: courierMailAccount",
        *(f"mail: {value}" for value in mail or (address,)),
        "homeDirectory: /home/vmail/domains",
        "uidNumber: 101",
        "gidNumber: 101",
        *([f"mailbox: {box}"] if box else []),
    )


def alias(address: str, *maildrops: str, domain: str = "") -> str:
    """LDIF of an alias below ``o=domain``, by default the address's own."""
    drops = [f"maildrop: {maildrop}" for maildrop in maildrops]
    under = domain or address.rpartition("@")[2]
    return _entry(address, under, "objectClass: courierMailAlias", f"mail: {address}", *drops)


def _entry(address: str, domain: str, *lines: str) -> str:
    quoted = address.replace("+", "\\2B")
    return "\n".join([f"dn: mail={quoted},o={domain},{SEARCH_BASE}", *lines, "", ""])
