"""The company's directory, and where mail to each of its addresses must land.

``DOMAINS`` domains of ``ACCOUNTS`` accounts stand beside the demo's tree. Each has the postmaster role with two
occupants, and an alias for every tenth account; every second one has a catch-all. A consumer that is empty gets the
entries in the order in which the provider stored them, so that order decides what a half-loaded consumer says:
``BY_DOMAIN`` brings one domain after the other, ``BY_LEVEL`` all domains, then catch-alls and roles, accounts last.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from vmaild.demo.tree import BASE, SEARCH_BASE, access_rules, tree

DOMAINS = 60
ACCOUNTS = 400
"""In each domain: some 27,000 entries, which a consumer loads in 10 s."""

PER_ALIAS = 10
KNOWN = 150
"""Addresses that get mail again and again; all others get one message, and nobody has asked for them before."""

RECENT = 1200
"""Accounts that are created when the directory has been copied: a consumer with the copy does not have them."""

BY_DOMAIN, BY_LEVEL = "by domain", "by level"

REPLICATOR_DN = f"cn=replicator,{BASE}"
REPLICATOR_PW = "replicator-test"
_REPLICATOR = f"""\
dn: {REPLICATOR_DN}
objectClass: top
objectClass: applicationProcess
objectClass: simpleSecurityObject
cn: replicator
userPassword: {REPLICATOR_PW}

"""

ACCESS = f"""\
limits dn.exact="{REPLICATOR_DN}" size=unlimited time=unlimited
limits dn.exact="cn=vmaild,{BASE}" size=unlimited
access to *
    by dn.exact="{REPLICATOR_DN}" read
    by * break
"""
"""What consumers need on a provider, to stand before the other rules."""


@dataclass(frozen=True, slots=True)
class Case:
    """Mail to ``recipient`` lands in these folders, once in each; without folders it must be refused."""

    kind: str
    recipient: str
    folders: tuple[str, ...] = ()


def access() -> str:
    """The access rules of each slapd."""
    return ACCESS + access_rules()


def domain_of(domain: int) -> str:
    """The name of a domain."""
    return f"tenant{domain}.example"


def address(domain: int, account: int) -> str:
    """The address of an account."""
    return f"user{account}@{domain_of(domain)}"


def folder(domain: int, account: int) -> str:
    """Where its mail lands."""
    return f"{domain_of(domain)}/user{account}/"


def has_catch_all(domain: int) -> bool:
    """Whether mail to an address that a domain does not have goes to its first account."""
    return domain % 2 == 0


def ldif(order: str) -> Iterator[str]:
    """The whole tree in one of the two orders."""
    yield tree().rstrip("\n") + "\n\n" + _REPLICATOR
    parts = [list(_parts(domain)) for domain in range(DOMAINS)]
    if order == BY_LEVEL:
        for level in zip(*parts, strict=True):
            yield from itertools.chain.from_iterable(level)
    else:
        for one in parts:
            yield from itertools.chain.from_iterable(one)


def _parts(domain: int) -> Iterator[list[str]]:
    name = domain_of(domain)
    yield [f"dn: o={name},{SEARCH_BASE}\nobjectClass: top\nobjectClass: organization\no: {name}\n\n"]
    yield [catch_all(name, address(domain, 0))] if has_catch_all(domain) else []
    occupants = "".join(f"roleOccupant: mail={address(domain, one)},o={name},{SEARCH_BASE}\n" for one in (0, 1))
    role = f"dn: cn=postmaster,o={name},{SEARCH_BASE}\nobjectClass: top\nobjectClass: organizationalRole\n"
    yield [f"{role}cn: postmaster\n{occupants}\n"]
    yield [alias(f"alias{one}@{name}", address(domain, one)) for one in range(0, ACCOUNTS, PER_ALIAS)]
    yield [account(f"user{one}@{name}") for one in range(ACCOUNTS)]


def account(mail: str) -> str:
    """LDIF of an account."""
    localpart, _, name = mail.partition("@")
    return (
        f"dn: mail={mail},o={name},{SEARCH_BASE}\nobjectClass: top\nobjectClass: courierMailAccount\nmail: {mail}\n"
        f"homeDirectory: /home/vmail/domains\nuidNumber: 101\ngidNumber: 101\nmailbox: {name}/{localpart}/\n\n"
    )


def alias(mail: str, maildrop: str) -> str:
    """LDIF of an alias."""
    name = mail.rpartition("@")[2]
    return (
        f"dn: mail={mail},o={name},{SEARCH_BASE}\nobjectClass: top\nobjectClass: courierMailAlias\n"
        f"mail: {mail}\nmaildrop: {maildrop}\n\n"
    )


_newcomers = itertools.count()


def newcomer() -> Case:
    """An account that does not exist yet, every second one in a domain with a catch-all."""
    number = next(_newcomers)
    name = domain_of(number % DOMAINS)
    return Case("account created just now", f"newcomer{number}@{name}", (f"{name}/newcomer{number}/",))


def catch_all(name: str, maildrop: str) -> str:
    """LDIF of a domain's catch-all."""
    return alias(f"@{name}", maildrop)


class Addresses:
    """Recipients at random, in the proportions of ``_KINDS``. The seed makes them the same in each run."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        accounts = [(domain, one) for domain in range(DOMAINS) for one in range(2, ACCOUNTS)]
        self._chance.shuffle(accounts)
        self.known = [self._account("known account", *accounts.pop()) for _ in range(KNOWN)]
        self._fresh = accounts
        self._numbers = itertools.count()
        places = itertools.product(range(RECENT // DOMAINS), range(DOMAINS))
        self.recent = [f"recent{number}@{domain_of(domain)}" for number, domain in places]
        self._recent = self.recent.copy()
        self._chance.shuffle(self._recent)
        self._kinds: dict[Callable[[], Case], int] = {
            self._known: 35,
            self._never_asked: 22,
            self._lately_created: 6,
            self._extension: 5,
            self._alias: 10,
            self._catch_all: 8,
            self._postmaster: 5,
            self._nobody: 6,
            self._no_domain: 6,
        }

    def next(self) -> Case:
        """The next recipient."""
        (kind,) = self._chance.choices(list(self._kinds), list(self._kinds.values()))
        return kind()

    def warm(self) -> Iterator[Case]:
        """One message to each that counts as known: accounts, their aliases' and roles' addresses."""
        yield from self.known
        for domain in range(DOMAINS):
            yield self._postmaster(domain)
            yield self._alias(domain)

    def _account(self, kind: str, domain: int, one: int) -> Case:
        return Case(kind, address(domain, one), (folder(domain, one),))

    def _known(self) -> Case:
        return self._chance.choice(self.known)

    def _never_asked(self) -> Case:
        domain, one = self._fresh.pop()
        return self._account("account never asked", domain, one)

    def _lately_created(self) -> Case:
        mail = self._recent.pop()
        localpart, _, name = mail.partition("@")
        return Case("account created lately", mail, (f"{name}/{localpart}/",))

    def _extension(self) -> Case:
        case = self._known()
        localpart, _, name = case.recipient.partition("@")
        return Case("extension", f"{localpart}+{next(self._numbers)}@{name}", case.folders)

    def _alias(self, domain: int | None = None) -> Case:
        # The known ones are each domain's first; others were never asked for.
        where = self._chance.randrange(DOMAINS) if domain is None else domain
        one = 0 if domain is not None else self._chance.randrange(ACCOUNTS // PER_ALIAS) * PER_ALIAS
        return Case("alias", f"alias{one}@{domain_of(where)}", (folder(where, one),))

    def _catch_all(self) -> Case:
        domain = self._chance.randrange(DOMAINS // 2) * 2
        return Case("catch-all", f"no{next(self._numbers)}@{domain_of(domain)}", (folder(domain, 0),))

    def _postmaster(self, domain: int | None = None) -> Case:
        where = self._chance.randrange(DOMAINS) if domain is None else domain
        return Case("postmaster", f"postmaster@{domain_of(where)}", (folder(where, 0), folder(where, 1)))

    def _nobody(self) -> Case:
        domain = self._chance.randrange(DOMAINS // 2) * 2 + 1
        return Case("unknown user", f"no{next(self._numbers)}@{domain_of(domain)}")

    def _no_domain(self) -> Case:
        return Case("unknown domain", f"user{next(self._numbers)}@unknown{next(self._numbers)}.example")
