"""A large directory in the layout of the HOWTO, as LDIF, and the right answers to go with it.

``accounts`` accounts are spread over domains of ``size``. Each domain has an organization entry, the postmaster role
with two occupants, an abuse alias, and an alias for every tenth account. Nothing here is random, so that files of keys
fit every directory that is as large. ``bulk`` adds accounts of one domain that have the addresses which smtp-source(1)
makes: up to Postfix 3.9 they begin with a number from 1, later they end in one from 0.
"""

from collections.abc import Iterator

from benchmarks.load.questions import ANY, Line
from vmaild.demo.tree import SEARCH_BASE, tree
from vmaild.lookup import NOT_FOUND, Reply, Status

PER_DOMAIN = 500
"""Accounts in each domain, as a hosting company's larger customers have."""
PER_ALIAS = 10
BULK_DOMAIN = "bulk.example"
BULK_ADDRESS = f"user@{BULK_DOMAIN}"
"""For smtp-source(1), which adds the number."""
DOMAINS, MAILBOXES, ALIASES = b"virtual_mailbox_domains", b"virtual_mailbox_maps", b"virtual_alias_maps"
ENTRY = "dn: {},o={},%s\nobjectClass: top\nobjectClass: {}\n{}\n\n" % SEARCH_BASE  # noqa: UP031
ACCOUNT = "mail: {}\nhomeDirectory: /home/vmail/domains\nuidNumber: 101\ngidNumber: 101\nmailbox: {}"


def domain_of(number: int, size: int = PER_DOMAIN) -> str:
    return f"host{number // size}.example"


def address(number: int, size: int = PER_DOMAIN) -> str:
    return f"user{number}@{domain_of(number, size)}"


def mailbox(number: int, size: int = PER_DOMAIN) -> str:
    return f"{domain_of(number, size)}/user{number}/"


def alias(number: int, size: int = PER_DOMAIN) -> str:
    """The alias of account ``number``, for each tenth one."""
    return f"alias{number}@{domain_of(number, size)}"


def bulk_addresses(number: int) -> tuple[str, str]:
    """The addresses of the n-th account of the bulk domain, from 1."""
    return f"{number}{BULK_ADDRESS}", BULK_ADDRESS.replace("@", f"{number - 1}@")


def dn(number: int, size: int = PER_DOMAIN) -> str:
    return f"mail={address(number, size)},o={domain_of(number, size)},{SEARCH_BASE}"


def ldif(accounts: int, bulk: int = 0, size: int = PER_DOMAIN) -> Iterator[str]:
    """The directory, one entry after the other; the demo's tree stands before it."""
    yield tree().rstrip("\n") + "\n\n"
    for number in range(accounts):
        name = domain_of(number, size)
        if number % size == 0:
            yield _domain(name, address(number, size), address(min(number + 1, accounts - 1), size))
        yield account_entry(name, address(number, size), mailbox(number, size))
        if number % PER_ALIAS == 0:
            yield alias_entry(name, alias(number, size), address(number, size))
    if bulk:
        yield _domain(BULK_DOMAIN, bulk_addresses(1)[0], bulk_addresses(bulk)[0])
    for number in range(1, bulk + 1):
        mail, other = bulk_addresses(number)
        yield account_entry(BULK_DOMAIN, mail, f"{BULK_DOMAIN}/{number}/", other)


def answers(accounts: int, bulk: int = 0, size: int = PER_DOMAIN) -> Iterator[Line]:
    """What the maps of the preset ``courier`` must answer; mailboxes first, in the order of their numbers."""
    yield from (found(MAILBOXES, address(number, size), mailbox(number, size)) for number in range(accounts))
    for name in [domain_of(number, size) for number in range(0, accounts, size)] + [BULK_DOMAIN] * bool(bulk):
        yield found(DOMAINS, name, name)
    for number in range(0, accounts, PER_ALIAS):
        yield found(ALIASES, alias(number, size), address(number, size))
        yield Line(MAILBOXES, alias(number, size).encode(), NOT_FOUND)
    for number in range(1, bulk + 1):
        yield from (found(MAILBOXES, each, f"{BULK_DOMAIN}/{number}/") for each in bulk_addresses(number))
    yield from (Line(map_name, ANY, NOT_FOUND) for map_name in (DOMAINS, MAILBOXES, ALIASES))


def found(map_name: bytes, key: str, value: str) -> Line:
    return Line(map_name, key.encode(), Reply(Status.FOUND, value.encode()))


def domain_entry(name: str) -> str:
    return f"dn: o={name},{SEARCH_BASE}\nobjectClass: top\nobjectClass: organization\no: {name}\n\n"


def account_entry(domain: str, mail: str, box: str, *more: str) -> str:
    """The entry of an account, with ``more`` addresses."""
    addresses = "\nmail: ".join([mail, *more])
    return ENTRY.format(f"mail={mail}", domain, "courierMailAccount", ACCOUNT.format(addresses, box))


def _domain(name: str, *occupants: str) -> str:
    role = role_entry(name, *dict.fromkeys(occupants))
    return domain_entry(name) + role + alias_entry(name, f"abuse@{name}", occupants[0])


def role_entry(domain: str, *occupants: str) -> str:
    """The entry of a domain's postmaster."""
    lines = [f"roleOccupant: mail={each},o={domain},{SEARCH_BASE}" for each in occupants]
    return ENTRY.format("cn=postmaster", domain, "organizationalRole", "\n".join(["cn: postmaster", *lines]))


def alias_entry(domain: str, mail: str, drop: str) -> str:
    return ENTRY.format(f"mail={mail}", domain, "courierMailAlias", f"mail: {mail}\nmaildrop: {drop}")
