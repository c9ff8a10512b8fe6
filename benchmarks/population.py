"""A large directory in the layout of the HOWTO, as LDIF, and the right answers to go with it.

``accounts`` accounts are spread over domains of ``PER_DOMAIN``. Each domain has an organization entry, the postmaster
role with two occupants, an abuse alias, and an alias for every tenth account. Nothing here is random: the n-th
address is the same in every run, and so files of keys fit every directory that is as large.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.expectation import ANY, Expected, Line
from vmaild.demo.tree import SEARCH_BASE, tree
from vmaild.lookup import Status

PER_DOMAIN = 500
"""Accounts in each domain, as a hosting company's larger customers have."""

PER_ALIAS = 10

DOMAINS = b"virtual_mailbox_domains"
MAILBOXES = b"virtual_mailbox_maps"
ALIASES = b"virtual_alias_maps"


def domain_of(number: int) -> str:
    """The domain of account ``number``."""
    return f"host{number // PER_DOMAIN}.example"


def address(number: int) -> str:
    """The address of account ``number``."""
    return f"user{number}@{domain_of(number)}"


def mailbox(number: int) -> str:
    """Its mailbox."""
    return f"{domain_of(number)}/user{number}/"


def alias(number: int) -> str:
    """The alias of account ``number``, for each tenth one."""
    return f"alias{number}@{domain_of(number)}"


def ldif(accounts: int) -> Iterator[str]:
    """The directory, one entry after the other; the demo's tree stands before it."""
    yield tree().rstrip("\n") + "\n\n"
    for number in range(accounts):
        if number % PER_DOMAIN == 0:
            yield _domain(number, min(number + 1, accounts - 1))
        yield _account(number)
        if number % PER_ALIAS == 0:
            yield _alias(number)


def write_ldif(path: Path, accounts: int) -> None:
    """The directory as a file for slapadd(8)."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(ldif(accounts))


def answers(accounts: int) -> Iterator[Line]:
    """What the maps of the preset ``courier`` must answer; mailboxes first, in the order of their numbers."""
    yield from mailboxes(accounts)
    for number in range(0, accounts, PER_DOMAIN):
        name = domain_of(number).encode()
        yield Line(DOMAINS, name, Expected(Status.FOUND, name))
    for number in range(0, accounts, PER_ALIAS):
        yield Line(ALIASES, alias(number).encode(), Expected(Status.FOUND, address(number).encode()))
        yield Line(MAILBOXES, alias(number).encode(), Expected(Status.NOT_FOUND))
    for map_name in (DOMAINS, MAILBOXES, ALIASES):
        yield Line(map_name, ANY, Expected(Status.NOT_FOUND))


def mailboxes(accounts: int) -> Iterator[Line]:
    """The accounts' mailboxes alone."""
    for number in range(accounts):
        yield Line(MAILBOXES, address(number).encode(), Expected(Status.FOUND, mailbox(number).encode()))


def _domain(number: int, second: int) -> str:
    name = domain_of(number)
    occupants = "".join(
        f"roleOccupant: mail={address(one)},o={name},{SEARCH_BASE}\n" for one in dict.fromkeys((number, second))
    )
    return (
        f"dn: o={name},{SEARCH_BASE}\nobjectClass: top\nobjectClass: organization\no: {name}\n\n"
        f"dn: cn=postmaster,o={name},{SEARCH_BASE}\n"
        f"objectClass: top\nobjectClass: organizationalRole\ncn: postmaster\n{occupants}\n"
        f"dn: mail=abuse@{name},o={name},{SEARCH_BASE}\n"
        f"objectClass: top\nobjectClass: courierMailAlias\nmail: abuse@{name}\nmaildrop: {address(number)}\n\n"
    )


def _account(number: int) -> str:
    return (
        f"dn: mail={address(number)},o={domain_of(number)},{SEARCH_BASE}\n"
        f"objectClass: top\nobjectClass: courierMailAccount\nmail: {address(number)}\n"
        f"homeDirectory: /home/vmail/domains\nuidNumber: 101\ngidNumber: 101\nmailbox: {mailbox(number)}\n\n"
    )


def _alias(number: int) -> str:
    return (
        f"dn: mail={alias(number)},o={domain_of(number)},{SEARCH_BASE}\n"
        f"objectClass: top\nobjectClass: courierMailAlias\nmail: {alias(number)}\nmaildrop: {address(number)}\n\n"
    )
