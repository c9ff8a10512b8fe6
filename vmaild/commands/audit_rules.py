"""The rules that ``vmaild audit`` holds the HOWTO's tree to: entries go in, findings come out. Pure.

==========  ========================================================================================================
domain      each has its postmaster role, and an address abuse@
role        occupants exist and have an address; one from another domain is a warning
mailbox     one for each account: relative, ending in ``/``, no ``..``, inside its own domain, of no other account
home        homeDirectory is the same for all accounts
password    there, and not in clear; only where the walking account may read it
mail        there, of one entry only, inside the entry's domain
maildrop    an alias leads somewhere: not round in a circle, and not to an address of a hosted domain that is not there
rdn         mailbox and homeDirectory name no entry: a rename goes round rules for values
object      no alias and no referral object: what stands elsewhere is not answered for
access      with ``--as``: what that account may write or read and should not (``audit_trials``)
==========  ========================================================================================================
"""

from __future__ import annotations

import functools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from vmaild.directory.examine import Level
from vmaild.errors import DataError
from vmaild.lookup import Entry
from vmaild.tables import address, dn
from vmaild.tables.results import check_mailbox

ATTRIBUTES = (
    *("objectClass", "o", "cn", "mail", "mailbox", "maildrop", "homeDirectory", "uidNumber", "gidNumber"),
    *("userPassword", "roleOccupant", "ref", "aliasedObjectName"),
)
"""What the walk must ask for."""

_OWN_RDN = frozenset({"mailbox", "homedirectory"})
_CLEAR = ("{cleartext}", "{plain}")


class Problem(NamedTuple):
    """One finding: how bad, against which rule, at which entry, and in words what is wrong."""

    level: Level
    rule: str
    entry: str
    text: str


def in_order(found: Iterable[Problem]) -> list[Problem]:
    """Errors first, then by rule and entry."""
    return sorted(found, key=lambda one: (one.level is not Level.ERROR, one.rule, one.entry, one.text))


class Audit:
    """Takes every entry below ``search_base`` by ``add``; then ``problems`` has what is wrong with them."""

    def __init__(self, search_base: str, recipient_delimiter: str = "") -> None:
        self._base = dn.parse(search_base)
        self._delimiter = recipient_delimiter
        self._found: list[Problem] = []
        self.entries = 0
        self.passwords_read = False
        self._domains: dict[str, str] = {}
        self._roles: dict[str, list[tuple[str, str]]] = {}
        self._with_address: dict[dn.Dn, bool] = {}
        self._owners: dict[str, list[str]] = defaultdict(list)
        self._drops: dict[str, list[str]] = {}
        self._mailboxes: dict[str, list[str]] = defaultdict(list)
        self._homes: dict[str, list[str]] = defaultdict(list)
        self._without_password: list[str] = []

    # --- entries ----------------------------------------------------------------------------------------------------

    def add(self, entry: Entry) -> None:
        """Take one entry."""
        self.entries += 1
        try:
            name = _parsed(entry.dn)
        except ValueError:
            self._problem(Level.ERROR, "object", entry.dn, "its DN cannot be read")
            return
        classes = {value.lower() for value in entry.values("objectclass")}
        self._with_address[name] = bool(entry.values("mail"))
        domain = self._domain_of(name)
        self._check_object(entry, name, classes)
        if len(name) == len(self._base) + 1 and b"organization" in classes:
            self._domains[domain] = entry.dn
        if b"organizationalrole" in classes:
            self._add_role(entry, domain)
        if b"couriermailaccount" in classes:
            self._add_account(entry, domain)
        if b"couriermailalias" in classes:
            self._add_alias(entry)
        if {b"couriermailaccount", b"couriermailalias"} & classes:
            self._add_mail(entry, domain)

    def _domain_of(self, name: dn.Dn) -> str:
        """The value of the RDN right below the base; empty for the base itself."""
        own = name[: len(name) - len(self._base)]
        return own[-1][0][1] if own else ""

    def _check_object(self, entry: Entry, name: dn.Dn, classes: set[bytes]) -> None:
        for kind, what in ((b"alias", "an alias object"), (b"referral", "a referral object")):
            if kind in classes:
                text = f"{what}: what it points to is no part of this tree, and lookups that meet it fail"
                self._problem(Level.ERROR, "object", entry.dn, text)
        if name and (held := {attribute for attribute, _ in name[0]} & _OWN_RDN):
            text = f"its RDN holds {', '.join(sorted(held))}: a rename sets the value past access rules for values"
            self._problem(Level.ERROR, "rdn", entry.dn, text)

    def _add_role(self, entry: Entry, domain: str) -> None:
        if any(_text(value) == "postmaster" for value in entry.values("cn")):
            occupants = [(entry.dn, value.decode(errors="replace")) for value in entry.values("roleoccupant")]
            self._roles.setdefault(domain, []).extend(occupants)

    def _add_account(self, entry: Entry, domain: str) -> None:
        boxes = [value.decode(errors="replace") for value in entry.values("mailbox")]
        try:
            check_mailbox(boxes, domain, entry.dn)
        except DataError as error:
            self._problem(Level.ERROR, "mailbox", entry.dn, str(error).removeprefix(f"{entry.dn}: "))
        for box in boxes:
            self._mailboxes[box].append(entry.dn)
        homes = entry.values("homedirectory")
        self._homes[homes[0].decode(errors="replace") if homes else ""].append(entry.dn)
        if b"0" in entry.values("uidnumber"):
            self._problem(Level.ERROR, "mailbox", entry.dn, "uidNumber is 0: mail would be delivered as root")
        self._add_password(entry)

    def _add_password(self, entry: Entry) -> None:
        passwords = entry.values("userpassword")
        if not passwords:
            self._without_password.append(entry.dn)
            return
        self.passwords_read = True
        if any(not value.startswith(b"{") or _text(value).startswith(_CLEAR) for value in passwords):
            self._problem(Level.ERROR, "password", entry.dn, "userPassword is in clear: hash it, {SSHA} or {ARGON2}")

    def _add_alias(self, entry: Entry) -> None:
        drops = [value.decode(errors="replace").casefold() for value in entry.values("maildrop")]
        if not drops:
            self._problem(Level.ERROR, "maildrop", entry.dn, "an alias without maildrop: mail to it waits")
        for value in entry.values("mail"):
            self._drops.setdefault(_text(value), []).extend(drops)

    def _add_mail(self, entry: Entry, domain: str) -> None:
        mails = {_text(value) for value in entry.values("mail")}
        if not mails:
            self._problem(Level.ERROR, "mail", entry.dn, "no mail: it can get none")
        for mail in sorted(mails):
            self._owners[mail].append(entry.dn)
            if mail.rpartition("@")[2] != domain:
                self._problem(Level.ERROR, "mail", entry.dn, f"{mail} is not inside its domain {domain}")

    # --- what is wrong ----------------------------------------------------------------------------------------------

    def problems(self) -> list[Problem]:
        """Everything that is wrong, errors first, then by rule and entry."""
        found = [
            *self._found, *self._of_domains(), *self._of_roles(), *self._shared(), *self._other_homes(),
            *self._no_passwords(), *self._dead_ends(), *self._loops(),
        ]  # fmt: skip
        return in_order(found)

    def _of_domains(self) -> Iterator[Problem]:
        for domain, entry in self._domains.items():
            if not self._roles.get(domain):
                text = "no cn=postmaster role with an occupant: mail to postmaster@ bounces (RFC 5321, 4.5.1)"
                yield Problem(Level.ERROR, "domain", entry, text)
            if f"abuse@{domain}" not in self._owners:
                yield Problem(Level.WARNING, "domain", entry, f"no abuse@{domain} (RFC 2142)")

    def _of_roles(self) -> Iterator[Problem]:
        for domain, occupants in self._roles.items():
            for entry, occupant in occupants:
                try:
                    name = dn.parse(occupant)
                except ValueError:
                    yield Problem(Level.ERROR, "role", entry, f"roleOccupant {occupant!r} is no DN")
                    continue
                if not dn.under(name, self._base):
                    yield Problem(Level.WARNING, "role", entry, f"{occupant} stands outside the search base")
                elif name not in self._with_address:
                    yield Problem(Level.ERROR, "role", entry, f"{occupant} does not exist")
                elif not self._with_address[name]:
                    yield Problem(Level.ERROR, "role", entry, f"{occupant} has no mail")
                elif self._domain_of(name) != domain:
                    text = f"{occupant} is of another domain, and may write in this one"
                    yield Problem(Level.WARNING, "role", entry, text)

    def _shared(self) -> Iterator[Problem]:
        for box, owners in self._mailboxes.items():
            if len(owners) > 1:
                yield Problem(Level.ERROR, "mailbox", owners[0], f"{box} is shared with {_others(owners)}")
        for mail, owners in self._owners.items():
            if len(owners) > 1:
                yield Problem(Level.ERROR, "mail", owners[0], f"{mail} is also of {_others(owners)}")

    def _other_homes(self) -> Iterator[Problem]:
        usual = Counter({home: len(entries) for home, entries in self._homes.items()}).most_common(1)
        for home, entries in self._homes.items():
            for entry in entries if home != usual[0][0] else ():
                text = f"homeDirectory is {home!r}, of the others {usual[0][0]!r}: mail would be filed elsewhere"
                yield Problem(Level.ERROR, "home", entry, text)

    def _no_passwords(self) -> Iterator[Problem]:
        if self.passwords_read:
            for entry in self._without_password:
                yield Problem(Level.WARNING, "password", entry, "no userPassword: nobody can log in")

    def _hosted(self, mail: str) -> bool:
        return mail.rpartition("@")[2] in self._domains

    def _known(self, mail: str) -> str:
        """The address that answers for ``mail``, as vmaild finds it; empty for none."""
        for key in address.search_keys(mail, self._delimiter):
            if key.text in self._owners:
                return key.text
            if key.localpart == "postmaster" and self._roles.get(key.domain):
                return key.text
        return ""

    def _dead_ends(self) -> Iterator[Problem]:
        for mail, drops in self._drops.items():
            for drop in drops:
                if "@" in drop and self._hosted(drop) and not self._known(drop):
                    text = f"{mail}: maildrop {drop} is not there, and its domain is hosted here: mail bounces"
                    yield Problem(Level.ERROR, "maildrop", self._owners[mail][0], text)

    def _loops(self) -> Iterator[Problem]:
        """Circles of aliases, each once."""
        done: set[str] = set()
        for start in self._drops:
            yield from self._circles_from(start, done)

    def _circles_from(self, start: str, done: set[str]) -> Iterator[Problem]:
        """A search in depth, without recursion: chains may be as long as a tenant likes."""
        path: dict[str, None] = {}
        pending: list[tuple[str, bool]] = [(start, False)]
        while pending:
            mail, leaving = pending.pop()
            if leaving:
                path.pop(mail, None)
                done.add(mail)
            elif mail in path:
                circle = [*list(path)[list(path).index(mail) :], mail]
                text = f"loop: {' -> '.join(circle)}"
                yield Problem(Level.ERROR, "maildrop", self._owners[mail][0], text)
            elif mail not in done:
                path[mail] = None
                pending.append((mail, True))
                pending += [
                    (self._known(drop), False) for drop in self._drops[mail] if self._known(drop) in self._drops
                ]

    def _problem(self, level: Level, rule: str, entry: str, text: str) -> None:
        self._found.append(Problem(level, rule, entry, text))


def _parsed(text: str) -> dn.Dn:
    """The DN; what stands above an entry is parsed once for all its neighbours. Raises ValueError."""
    own, comma, above = text.partition(",")
    if not comma or "\\" in own or '"' in own:
        return dn.parse(text)
    return (*dn.parse(own), *_parents(above))


_parents = functools.lru_cache(maxsize=1000)(dn.parse)


def _text(value: bytes) -> str:
    return value.decode(errors="replace").casefold()


def _others(owners: list[str]) -> str:
    more = f" and {len(owners) - 3} more" if len(owners) > 3 else ""
    return ", ".join(owners[1:3]) + more
