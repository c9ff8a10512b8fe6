"""What ``vmaild audit --as DN`` tries: changes that would take another domain's mail, and what each would mean. Pure.

``Samples`` remembers one account, one alias and the role of each domain while the tree is walked; ``trials`` makes the
changes of them for an administrator of a domain, and ``judged`` reads the server's results.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from vmaild.commands.audit_rules import Problem
from vmaild.directory.examine import Level
from vmaild.directory.trial_requests import (
    ADD_VALUES,
    NO_OPERATION,
    REPLACE,
    Add,
    Change,
    Delete,
    Modify,
    Rename,
)
from vmaild.lookup import Entry
from vmaild.tables import dn

REFUSED = {8, 13, 19, 32, 48, 50, 53}
"""Results (RFC 4511, appendix A.2) that say no: to this account, for this value, or for everybody."""

_RESULTS = {
    10: "the server points to another one: ask the provider (the first of uri)",
    16: "the attribute has no such value",
    17: "the server does not know an attribute of it",
    21: "the server does not take its syntax",
    64: "the server does not take the name",
    65: "the entry would not fit the schema: its classes want more than an account of the HOWTO has",
    68: "an entry of that name is there already",
}


class Trial(NamedTuple):
    """One change, and what it would mean if it were made."""

    change: Change
    meaning: str


@dataclass
class Domain:
    """What was seen of one: the DNs of its entry and its role, who occupies that, an account and an alias."""

    name: str
    entry: str = ""
    role: str = ""
    occupants: list[dn.Dn] = field(default_factory=list)
    account: Entry | None = None
    alias: Entry | None = None


class Samples:
    """Takes every entry below ``search_base`` by ``add``."""

    def __init__(self, search_base: str) -> None:
        self.base = search_base
        self._depth = len(dn.parse(search_base))
        self.domains: dict[str, Domain] = {}

    def add(self, entry: Entry) -> None:
        """Take one entry; one whose DN cannot be read is left out."""
        try:
            name = dn.parse(entry.dn)
        except ValueError:
            return
        own = name[: len(name) - self._depth]
        if not own:
            return
        domain = self.domains.setdefault(own[-1][0][1], Domain(own[-1][0][1]))
        classes = {value.lower() for value in entry.values("objectclass")}
        if len(own) == 1:
            domain.entry = entry.dn
        elif b"couriermailaccount" in classes:
            domain.account = domain.account or entry
        elif b"couriermailalias" in classes:
            domain.alias = domain.alias or entry
        elif b"organizationalrole" in classes and b"postmaster" in {one.lower() for one in entry.values("cn")}:
            domain.role = entry.dn
            domain.occupants += _readable(entry)

    def of(self, who: str) -> list[str]:
        """The domains whose role ``who`` occupies; its own one where it has no role."""
        name = dn.parse(who)
        held = [domain for domain, seen in self.domains.items() if name in seen.occupants]
        own = name[: len(name) - self._depth]
        return held or [domain for domain in (own[-1][0][1] if own else "",) if domain in self.domains]


def _readable(entry: Entry) -> Iterator[dn.Dn]:
    for value in entry.values("roleoccupant"):
        try:
            yield dn.parse(value.decode())
        except ValueError:
            continue


def trials(samples: Samples, who: str) -> list[Trial]:
    """What to try as ``who``. Empty where there are no two domains with accounts, of which one is his.

    The first changes nothing even if it is made: a server that does so ignores the control.
    """
    own, other = sides(samples, who)
    if own is None or other is None:
        return []
    assert own.account is not None
    same = [value.decode(errors="replace") for value in own.account.values("mailbox")]
    return [
        Trial(Modify(own.account.dn, REPLACE, "mailbox", same), ""),
        *_within(own, other),
        *_outside(samples, own, other, who),
    ]


def sides(samples: Samples, who: str) -> tuple[Domain | None, Domain | None]:
    """A domain that is his, and one that is not, each with an account."""
    held = samples.of(who)
    own = (samples.domains[name] for name in held if samples.domains[name].account)
    other = (seen for name, seen in samples.domains.items() if name not in held and seen.account)
    return next(own, None), next(other, None)


def _within(seen: Domain, victim: Domain) -> Iterator[Trial]:
    """In his own domain: values that reach out of it."""
    account, own, other = seen.account, seen.name, victim.name
    assert account is not None
    assert victim.account is not None
    box, mail = _first(victim.account, "mailbox") or f"{other}/vmaild-audit/", _first(victim.account, "mail")
    yield from _new_accounts(seen, account, own, box, mail)
    yield Trial(
        Modify(account.dn, REPLACE, "mailbox", [box]), f"sets mailbox to {box}, of {other}: reads and gets its mail"
    )
    yield Trial(
        Modify(account.dn, REPLACE, "homeDirectory", ["/"]),
        "sets homeDirectory to /: reads and writes files of any name",
    )
    yield Trial(Modify(account.dn, REPLACE, "uidNumber", ["0"]), "sets uidNumber to 0: mail is delivered as root")
    yield Trial(Modify(account.dn, ADD_VALUES, "mail", [mail]), f"gives an account the address {mail}, of {other}")
    rdn = account.dn[: len(account.dn) - len(seen.entry) - 1]
    yield Trial(
        Rename(account.dn, f"mail={dn.quote(mail)}"),
        f"renames an entry to {mail}, of {other}: by a rename slapd sets any value, past rules for values"
        " (olcRestrict: rename)",
    )
    yield Trial(Rename(account.dn, rdn, victim.entry), f"moves an entry to {other}")


def _new_accounts(seen: Domain, account: Entry, own: str, box: str, mail: str) -> Iterator[Trial]:
    """New entries, each good but for one value."""
    name = f"vmaild-audit-{secrets.token_hex(4)}@{own}"
    place = f"mail={dn.quote(name)},{seen.entry}"
    good = {
        "objectClass": [value.decode(errors="replace") for value in account.values("objectclass")],
        "mail": [name],
        "mailbox": [f"{own}/vmaild-audit/"],
        **{key: [value] for key in ("homeDirectory", "uidNumber", "gidNumber") if (value := _first(account, key))},
    }
    reads = "reads and gets mail there"
    for key, value, meaning in (
        ("mailbox", box, f"adds an account with mailbox {box}: {reads}"),
        ("mailbox", f"{own}/../{box}", f"adds an account with mailbox {own}/../{box}: {reads}"),
        ("mailbox", f"/{box}", f"adds an account with mailbox /{box}: {reads}"),
        ("homeDirectory", "/", "adds an account with homeDirectory /: reads and writes files of any name"),
        ("uidNumber", "0", "adds an account with uidNumber 0: mail is delivered as root"),
    ):
        yield Trial(Add(place, {**good, key: [value]}), meaning)
    yield Trial(Add(place, {**good, "mail": [name, mail]}), f"adds an account with the address {mail}")
    for kind, key, value in (("referral", "ref", "ldap://127.0.0.1/"), ("alias", "aliasedObjectName", seen.entry)):
        entry = {"objectClass": [kind, "extensibleObject"], "ou": ["vmaild-audit"], key: [value]}
        text = f"adds an object of class {kind}: lookups that meet it fail, or follow it"
        yield Trial(Add(f"ou=vmaild-audit,{seen.entry}", entry), text)


def _outside(samples: Samples, seen: Domain, victim: Domain, who: str) -> Iterator[Trial]:
    """What is not his at all."""
    account, own, other = victim.account, seen.name, victim.name
    assert account is not None
    yield Trial(Modify(account.dn, REPLACE, "userPassword", ["x"]), f"sets a password of {other}")
    yield Trial(Modify(account.dn, REPLACE, "mailbox", [f"{other}/x/"]), f"turns a mailbox of {other}")
    yield Trial(Delete(account.dn), f"removes an account of {other}")
    if victim.alias:
        target = [f"x@{own}"]
        yield Trial(Modify(victim.alias.dn, REPLACE, "maildrop", target), f"turns an alias of {other} to {target[0]}")
    entry = {"objectClass": ["courierMailAlias"], "mail": [f"vmaild-audit@{other}"], "maildrop": [f"x@{own}"]}
    yield Trial(Add(f"mail=vmaild-audit@{dn.quote(other)},{victim.entry}", entry), f"adds an alias in {other}")
    for domain, seen_there in ((other, victim), (own, seen)):
        if seen_there.role:
            text = f"makes administrators of {domain}, which is the hosting company's to do"
            yield Trial(Modify(seen_there.role, REPLACE, "roleOccupant", [who]), text)
    new = {"objectClass": ["organization"], "o": ["vmaild-audit.invalid"]}
    yield Trial(Add(f"o=vmaild-audit.invalid,{samples.base}", new), "adds a domain, which is then hosted here")


def judged(tried: Sequence[Trial], codes: Sequence[int]) -> list[Problem]:
    """What is wrong, by the server's results: an error for each change that it would make."""
    found = []
    for trial, code in zip(tried, codes, strict=True):
        if not trial.meaning:
            continue
        if code == NO_OPERATION:
            found.append(Problem(Level.ERROR, "access", trial.change.dn, f"this account {trial.meaning}"))
        elif code not in REFUSED:
            why = _RESULTS.get(code, f"LDAP result {code}")
            text = f"cannot be told whether this account {trial.meaning}: {why}"
            found.append(Problem(Level.WARNING, "access", trial.change.dn, text))
    return found


def _first(entry: Entry, attribute: str) -> str:
    values = entry.values(attribute)
    return values[0].decode(errors="replace") if values else ""
