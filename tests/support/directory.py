"""The demo tree's read account as an ``ldap:`` table of Postfix's own, and LDIF for tests to add."""

from __future__ import annotations

from pathlib import Path

from vmaild.demo.slapd import Slapd
from vmaild.demo.tree import MAIL_HOME, READER_DN, READER_PW, SEARCH_BASE

SNIPPETS = Path(__file__).parents[2] / "postfix-snippets"

BAD_MAILBOXES = {
    "absolute": "/etc/",
    "another-domain": "domain1.example/user1/",
    "upward": "domain2.example/../domain1.example/user1/",
    "no-slash": "domain2.example/no-slash",
    "longer-domain": "domain2.example.org/user/",
    "domain-alone": "domain2.example",
    "missing": "",
}
"""Mailboxes that an account of domain2.example must get no mail in, each by what is wrong with it."""


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


def mailbox_table(home: Path, slapd: Slapd) -> str:
    """virtual(8)'s own tables, those of ``postfix-snippets``, written below ``home``."""
    return ",".join(_snippet(home / name, slapd) for name in ("ldap-mailbox.cf", "ldap-mailbox-wait.cf"))


def _snippet(file: Path, slapd: Slapd) -> str:
    text = (SNIPPETS / file.name).read_text()
    file.write_text(text.replace("ldap://127.0.0.1:389", slapd.uri).replace("CHANGE-ME", READER_PW))
    return f"ldap:{file}"


def account(
    address: str,
    *,
    domain: str = "",
    mail: tuple[str, ...] = (),
    mailbox: str | None = None,
    mail_home: str = MAIL_HOME,
    more: tuple[str, ...] = (),
) -> str:
    """LDIF of an account below ``o=domain``, by default the address's own; ``mailbox`` "" leaves it out.

    ``more`` are further lines.
    """
    localpart, _, own_domain = address.rpartition("@")
    box = f"{own_domain}/{localpart}/" if mailbox is None else mailbox
    return _entry(
        address,
        domain or own_domain,
        "objectClass: courierMailAccount",
        *(f"mail: {value}" for value in mail or (address,)),
        f"homeDirectory: {mail_home}",
        "uidNumber: 101",
        "gidNumber: 101",
        *([f"mailbox: {box}"] if box else []),
        *more,
    )


def alias(address: str, *maildrops: str, domain: str = "") -> str:
    """LDIF of an alias below ``o=domain``, by default the address's own."""
    drops = [f"maildrop: {maildrop}" for maildrop in maildrops]
    under = domain or address.rpartition("@")[2]
    return _entry(address, under, "objectClass: courierMailAlias", f"mail: {address}", *drops)


def _entry(address: str, domain: str, *lines: str) -> str:
    quoted = address.replace("+", "\\2B")
    return "\n".join([f"dn: mail={quoted},o={domain},{SEARCH_BASE}", *lines, "", ""])
