"""How long a change in the directory takes to show: each kind of change, for each state of what was asked before."""

import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from benchmarks.experiments.experiment import Run
from benchmarks.report.rows import Section
from benchmarks.site.population import ENTRY, account_entry, alias_entry, domain_entry, role_entry
from benchmarks.site.site import Site
from vmaild.demo.ask import ask
from vmaild.demo.tree import SEARCH_BASE
from vmaild.lookup import NOT_FOUND, Reply

HEARD_SECONDS = {"sync": 0.1, "poll": 1.3, "none": 0.0}
"""How long what was prepared takes to be heard."""
OTHERS = 8
"""Keys that are found beside each change: where all is gone, vmaild suspects that the directory was emptied."""
MAILBOX, ALIAS, DOMAIN = "virtual_mailbox_maps", "virtual_alias_maps", "virtual_mailbox_domains"
SECTIONS = (Section("freshness", "From a change to the first other answer", "", "bars", "longest"),)
OPTIONS = {
    "rounds": (10, ""),
    "seconds": (10.0, "after which a change is given up"),
    "mode": ("sync", "sync, poll or none"),
    "only": ("", "only the changes with this text in their name"),
}


class Case(NamedTuple):
    """``before`` makes the ground, ``change`` is timed (LDIF, ``{n}`` a number); ``asked``: the key is known before."""

    name: str
    map: str
    key: str
    before: str
    change: str
    asked: bool = True


D, E = "d{n}.example", "e{n}.example"
BASE = f"o={D},{SEARCH_BASE}"
A, B, PM, ANY, ALL = (f"{localpart}@{D}" for localpart in ("a", "b", "postmaster", "any", ""))
DELETE = f"dn: %s{BASE}\nchangetype: delete\n\n"
RENAME = f"dn: %s{BASE}\nchangetype: modrdn\nnewrdn: %s\ndeleteoldrdn: 1\n%s\n"
MOVE = RENAME % (f"mail={A},", f"mail={A}", f"newsuperior: o={E},{SEARCH_BASE}\n")
_account, _alias = partial(account_entry, D, box=f"{D}/x/"), partial(alias_entry, D, drop="x@x.example")
_role, BOTH = partial(role_entry, D), _account(A) + _account(B)
_also = f"description: alias\nmail: {A}\nmaildrop: {B}"
ALSO = ENTRY.format(f"mail={A}+description=alias", D, "courierMailAlias", _also)


def _modify(rdn: str, attribute: str, value: str) -> str:
    return f"dn: {rdn},{BASE}\nchangetype: modify\nreplace: {attribute}\n{attribute}: {value}\n\n"


CASES = (
    Case("account created, never asked", MAILBOX, A, "", _account(A), asked=False),
    Case("account created, not found", MAILBOX, A, "", _account(A)),
    Case("account created, found by the catch-all", MAILBOX, A, _alias(ALL), _account(A)),
    Case("account changed, found", MAILBOX, A, _account(A), _modify(f"mail={A}", "mailbox", f"{D}/y/")),
    Case("account deleted, found", MAILBOX, A, _account(A), DELETE % f"mail={A},"),
    Case("account renamed, found", MAILBOX, A, _account(A), RENAME % (f"mail={A},", f"mail={B}", "")),
    Case("account renamed, not found", MAILBOX, B, _account(A), RENAME % (f"mail={A},", f"mail={B}", "")),
    Case("account moved away, found", MAILBOX, A, domain_entry(E) + _account(A), MOVE),
    Case("alias created, not found", ALIAS, A, "", _alias(A)),
    Case("alias created, NODATA of an account", ALIAS, A, _account(A), ALSO),
    Case("alias changed, found", ALIAS, A, _alias(A), _modify(f"mail={A}", "maildrop", "y@y.example")),
    Case("alias deleted, found", ALIAS, A, _alias(A), DELETE % f"mail={A},"),
    Case("catch-all created, not found", ALIAS, ANY, "", _alias(ALL)),
    Case("catch-all changed, found", ALIAS, ANY, _alias(ALL), _modify(f"mail={ALL}", "maildrop", "y@y.example")),
    Case("catch-all deleted, found", ALIAS, ANY, _alias(ALL), DELETE % f"mail={ALL},"),
    Case("role created, not found", ALIAS, PM, _account(A), _role(A)),
    Case(
        "role changed, found", ALIAS, PM, BOTH + _role(A), _modify("cn=postmaster", "roleOccupant", f"mail={B},{BASE}")
    ),
    Case("role deleted, found", ALIAS, PM, _account(A) + _role(A), DELETE % "cn=postmaster,"),
    Case("member created, found without it", ALIAS, PM, _account(A) + _role(A, B), _account(B)),
    Case("member renamed, found", ALIAS, PM, BOTH + _role(A, B), RENAME % (f"mail={B},", "mail=c@d{n}.example", "")),
    Case("member deleted, found", ALIAS, PM, BOTH + _role(A, B), DELETE % f"mail={B},"),
    Case("domain created, not found", DOMAIN, "new{n}.example", "", domain_entry("new{n}.example")),
    Case("domain deleted, found", DOMAIN, D, "", DELETE % ""),
    Case("domain renamed, found", DOMAIN, D, "", RENAME % ("", "o=r{n}.example", "")),
    Case("domain renamed, its account", MAILBOX, A, _account(A), RENAME % ("", "o=r{n}.example", "")),
)


def measure(run: Run) -> None:
    """Every case in turn, all rounds of it; the longest time is that of all rounds."""
    mode, rounds = run.arguments.mode, run.arguments.rounds
    with Site(1, run.say, syncprov=True) as site:
        vmaild = site.vmaild(changes=mode)
        vmaild.await_mode(mode)
        for number, case in enumerate(case for case in CASES if run.arguments.only in case.name):
            run.say(f"{mode}: {case.name}")
            steps = range(number * rounds, (number + 1) * rounds)
            taken = [_milliseconds(run, site, partial(ask, vmaild.address, case.map), case, step) for step in steps]
            for each in taken:
                run.rows.add("freshness", case.name, 0, {"time": each, "longest": max(taken)})
    run.notes.append(f"Mode: {mode}.")


def _milliseconds(run: Run, site: Site, ask: Callable[[str], Reply], case: Case, number: int) -> float:
    """Until the change shows; ``--seconds`` when it does not."""
    key, domain = case.key.format(n=number), f"k{number}.example"
    others = [f"k{i}{'.' if case.map == DOMAIN else '@'}{domain}" for i in range(OTHERS)]
    entries: dict[str, Callable[[str], str]] = {MAILBOX: _account, ALIAS: _alias, DOMAIN: domain_entry}
    beside = "".join(map(entries[case.map], others)).replace(D, domain)
    site.slapd.add((domain_entry(D) + case.before).format(n=number) + domain_entry(domain) + beside)
    before = NOT_FOUND
    if case.asked:
        time.sleep(HEARD_SECONDS[run.arguments.mode])
        ask(key)
        time.sleep(0.05)
        before = ask(key)
    for each in others:
        ask(each)
    site.slapd.add(case.change.format(n=number))
    changed_at = time.monotonic()
    while ask(key) == before and time.monotonic() < changed_at + run.arguments.seconds:
        time.sleep(0.001)
    return 1e3 * (time.monotonic() - changed_at)
