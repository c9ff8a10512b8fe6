"""A large directory in the layout of the HOWTO, as LDIF, and the right answers to go with it.

``accounts`` accounts are spread over domains of ``PER_DOMAIN``. Each domain has an organization entry, the postmaster
role with two occupants, an abuse alias, and an alias for every tenth account. Nothing here is random: the n-th
address is the same in every run, and so files of keys fit every directory that is as large. ``bulk`` adds accounts of
one domain whose addresses begin with their number, as smtp-source(1) makes them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.load.questions import ANY, Expected, Line
from vmaild.demo.tree import SEARCH_BASE, tree
from vmaild.lookup import Status

PER_DOMAIN = 500
"""Accounts in each domain, as a hosting company's larger customers have."""

PER_ALIAS = 10
BULK_DOMAIN = "bulk.example"

DOMAINS = b"virtual_mailbox_domains"
MAILBOXES = b"virtual_mailbox_maps"
ALIASES = b"virtual_alias_maps"

ENTRY = "dn: {},o={},%s\nobjectClass: top\nobjectClass: {}\n{}\n\n" % SEARCH_BASE  # noqa: UP031
ACCOUNT = "mail: {}\nhomeDirectory: /home/vmail/domains\nuidNumber: 101\ngidNumber: 101\nmailbox: {}"


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


def bulk_address(number: int) -> str:
    """The n-th address of the bulk domain, from 1."""
    return f"{number}user@{BULK_DOMAIN}"


def ldif(accounts: int, bulk: int = 0) -> Iterator[str]:
    """The directory, one entry after the other; the demo's tree stands before it."""
    yield tree().rstrip("\n") + "\n\n"
    for number in range(accounts):
        name = domain_of(number)
        if number % PER_DOMAIN == 0:
            yield from _domain(name, address(number), address(min(number + 1, accounts - 1)))
        yield _account(name, address(number), mailbox(number))
        if number % PER_ALIAS == 0:
            yield _alias(name, alias(number), address(number))
    if bulk:
        yield from _domain(BULK_DOMAIN, bulk_address(1), bulk_address(bulk))
    for number in range(1, bulk + 1):
        yield _account(BULK_DOMAIN, bulk_address(number), f"{BULK_DOMAIN}/{number}/")


def write_ldif(path: Path, accounts: int, bulk: int = 0) -> None:
    """The directory as a file for slapadd(8)."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(ldif(accounts, bulk))


def answers(accounts: int, bulk: int = 0) -> Iterator[Line]:
    """What the maps of the preset ``courier`` must answer; mailboxes first, in the order of their numbers."""
    yield from (_found(MAILBOXES, address(number), mailbox(number)) for number in range(accounts))
    for name in [domain_of(number) for number in range(0, accounts, PER_DOMAIN)] + [BULK_DOMAIN] * bool(bulk):
        yield _found(DOMAINS, name, name)
    for number in range(0, accounts, PER_ALIAS):
        yield _found(ALIASES, alias(number), address(number))
        yield Line(MAILBOXES, alias(number).encode(), Expected(Status.NOT_FOUND))
    for number in range(1, bulk + 1):
        yield _found(MAILBOXES, bulk_address(number), f"{BULK_DOMAIN}/{number}/")
    yield from (Line(map_name, ANY, Expected(Status.NOT_FOUND)) for map_name in (DOMAINS, MAILBOXES, ALIASES))


def _found(map_name: bytes, key: str, value: str) -> Line:
    return Line(map_name, key.encode(), Expected(Status.FOUND, value.encode()))


def _domain(name: str, *occupants: str) -> Iterator[str]:
    yield f"dn: o={name},{SEARCH_BASE}\nobjectClass: top\nobjectClass: organization\no: {name}\n\n"
    lines = [f"roleOccupant: mail={each},o={name},{SEARCH_BASE}" for each in dict.fromkeys(occupants)]
    yield ENTRY.format("cn=postmaster", name, "organizationalRole", "\n".join(["cn: postmaster", *lines]))
    yield _alias(name, f"abuse@{name}", occupants[0])


def _account(domain: str, mail: str, box: str) -> str:
    return ENTRY.format(f"mail={mail}", domain, "courierMailAccount", ACCOUNT.format(mail, box))


def _alias(domain: str, mail: str, drop: str) -> str:
    return ENTRY.format(f"mail={mail}", domain, "courierMailAlias", f"mail: {mail}\nmaildrop: {drop}")
