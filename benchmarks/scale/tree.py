"""A directory of many small domains in the layout of the HOWTO, as LDIF for slapadd(8), and changes to it.

``PER_DOMAIN`` accounts make a domain, so that a million accounts are in 50,000. Each domain has its organization, the
postmaster role with two occupants, an abuse alias, and an alias for every tenth account; every fourth has a catch-all.
Nothing is random: the n-th address is the same in every run.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vmaild.demo.tree import BASE, SEARCH_BASE, access_rules, tree

PER_DOMAIN = 20
PER_ALIAS = 10
PER_CATCH_ALL = 4

ACCESS = f'limits dn.exact="cn=vmaild,{BASE}" size=unlimited time=unlimited\n' + access_rules()
"""The rules of the demo, and leave to read all domains at once: slapd's default is 500 entries."""


def domain_of(number: int) -> str:
    """The domain of account ``number``."""
    return f"host{number // PER_DOMAIN}.example"


def address(number: int) -> str:
    """The address of account ``number``."""
    return f"user{number}@{domain_of(number)}"


def mailbox(number: int, *, moved: bool = False) -> str:
    """Its mailbox, before or after the bulk change."""
    return f"{domain_of(number)}/user{number}{'-moved' * moved}/"


def ldif(accounts: int) -> Iterator[str]:
    """One entry after the other, the demo's tree first."""
    yield tree().rstrip("\n") + "\n\n"
    for first in range(0, accounts, PER_DOMAIN):
        numbers = range(first, min(first + PER_DOMAIN, accounts))
        yield from _domain(numbers)
        yield from map(_account, numbers)


def write_ldif(path: Path, accounts: int) -> None:
    """The tree as a file."""
    with path.open("w", encoding="ascii") as file:
        file.writelines(ldif(accounts))


def write_changes(path: Path, accounts: int, count: int) -> None:
    """Changes of ``count`` accounts, spread over all, for ldapmodify(1) and slapmodify(8)."""
    with path.open("w", encoding="ascii") as file:
        for number in changed(accounts, count):
            file.write(f"dn: {_dn(address(number), domain_of(number))}\nchangetype: modify\nreplace: mailbox\n")
            file.write(f"mailbox: {mailbox(number, moved=True)}\n\n")


def changed(accounts: int, count: int) -> range:
    """The numbers of the accounts that ``write_changes`` changes."""
    return range(0, accounts, max(1, accounts // count))[:count]


def _domain(numbers: range) -> Iterator[str]:
    first = numbers[0]
    name = domain_of(first)
    yield f"dn: o={name},{SEARCH_BASE}\nobjectClass: top\nobjectClass: organization\no: {name}\n\n"
    occupants = "".join(f"roleOccupant: {_dn(address(one), name)}\n" for one in numbers[:2])
    role = f"dn: cn=postmaster,o={name},{SEARCH_BASE}\nobjectClass: top\nobjectClass: organizationalRole\n"
    yield f"{role}cn: postmaster\n{occupants}\n"
    yield _alias(f"abuse@{name}", address(first), name)
    if (first // PER_DOMAIN) % PER_CATCH_ALL == 0:
        yield _alias(f"@{name}", address(first), name)
    for number in numbers[::PER_ALIAS]:
        yield _alias(f"alias{number}@{name}", address(number), name)


def _account(number: int) -> str:
    name = domain_of(number)
    return (
        f"dn: {_dn(address(number), name)}\nobjectClass: top\nobjectClass: courierMailAccount\n"
        f"mail: {address(number)}\nhomeDirectory: /home/vmail/domains\nuidNumber: 101\ngidNumber: 101\n"
        f"mailbox: {mailbox(number)}\n\n"
    )


def _alias(mail: str, maildrop: str, name: str) -> str:
    classes = "objectClass: top\nobjectClass: courierMailAlias\n"
    return f"dn: {_dn(mail, name)}\n{classes}mail: {mail}\nmaildrop: {maildrop}\n\n"


def _dn(mail: str, name: str) -> str:
    return f"mail={mail},o={name},{SEARCH_BASE}"
