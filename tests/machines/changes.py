"""A change in the directory, and how long each mail host's vmaild takes until it answers accordingly."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence

from tests.machines.company import account, address, alias, domain_of
from tests.machines.hosts import MailHost
from tests.machines.slapds import MachineSlapd
from tests.support.ldap_client import dn, removed, replaced
from vmaild.errors import ProtocolError
from vmaild.lookup import Status

GIVE_UP = 15.0
"""Seconds after which a change counts as never seen."""

DOMAIN = 1
"""A domain without a catch-all."""

MAILBOXES, ALIASES = "virtual_mailbox_maps", "virtual_alias_maps"

_numbers = itertools.count()


def create(slapd: MachineSlapd) -> str:
    """Add an account, and return its address."""
    new = f"change{next(_numbers)}@{domain_of(DOMAIN)}"
    slapd.add(account(new))
    return new


def seen_after(hosts: Sequence[MailHost], map_name: str, key: str, value: str, since: float) -> float:
    """Seconds from ``since`` until each host answers ``value`` ("" for "not found"); infinite when one never does."""
    left = list(hosts)
    while left and time.monotonic() < since + GIVE_UP:
        left = [host for host in left if _answer(host, map_name, key) != value]
    return float("inf") if left else time.monotonic() - since


def measure(slapd: MachineSlapd, hosts: Sequence[MailHost]) -> float:
    """The longest of four changes made at ``slapd``: an account and an alias created, turned, and both removed.

    Every host has been asked for both before, and has "not found" in its cache.
    """
    number = next(_numbers)
    new, way = f"change{number}@{domain_of(DOMAIN)}", f"way{number}@{domain_of(DOMAIN)}"
    for host in hosts:
        for key in (new, way):
            _answer(host, MAILBOXES, key)
            _answer(host, ALIASES, key)
    first, second = address(DOMAIN, 3), address(DOMAIN, 4)
    steps = [
        (account(new), MAILBOXES, new, f"{domain_of(DOMAIN)}/change{number}/"),
        (alias(way, first), ALIASES, way, first),
        (replaced(dn(way), "maildrop", second), ALIASES, way, second),
        (removed(dn(way)), ALIASES, way, ""),
        (removed(dn(new)), MAILBOXES, new, ""),
    ]
    longest = 0.0
    for ldif, map_name, key, value in steps:
        if "changetype:" in ldif:
            slapd.modify(ldif)
        else:
            slapd.add(ldif)
        # The directory has it from here on; ldapadd takes as long as it takes.
        longest = max(longest, seen_after(hosts, map_name, key, value, time.monotonic()))
        if longest == float("inf"):
            break
    return longest


def _answer(host: MailHost, map_name: str, key: str) -> str | None:
    try:
        reply = host.ask(map_name, key)
    except (OSError, ProtocolError):
        return None
    if reply.status is Status.NOT_FOUND:
        return ""
    return reply.text.decode() if reply.status is Status.FOUND else None
