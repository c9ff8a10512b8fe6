"""How long a change in the directory takes to show: each kind of change, for each state of what was asked before.

A private slapd with syncprov, the demo's tree, and a vmaild of its own that hears of changes by ``--mode`` sync (RFC
4533) or poll, or (none) not at all. A change is timed from the moment that ldapmodify(1) has returned until the first
reply that is another; ``--seconds`` after it, it is given up. Needs slapd and ldap-utils.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.experiments.experiment import Run
from benchmarks.report.rows import Aim, Section
from vmaild.admin import stats
from vmaild.demo.ask import ask
from vmaild.demo.daemon import CONTROL_SOCKET, DaemonProcess, Listen
from vmaild.demo.slapd import Slapd, free_port
from vmaild.demo.tree import SEARCH_BASE, tree
from vmaild.lookup import NOT_FOUND, Reply

POLL = 0.001
"""Seconds between two lookups while a change is waited for."""

HEARD_SECONDS = {"sync": 0.1, "poll": 1.3, "none": 0.0}
"""How long what was prepared takes to be heard."""

OTHERS = 8
"""Keys that are found beside each change, as in a company: where all that was found lately is gone, vmaild suspects
that the directory was emptied, and trusts no "not found" for a while (vmaild/maps/samples.py)."""

MAILBOX, ALIAS, DOMAIN = "virtual_mailbox_maps", "virtual_alias_maps", "virtual_mailbox_domains"

SECTIONS = (Section("freshness", "From a change to the first other answer", "", "bars", "longest"),)
AIMS: tuple[Aim, ...] = ()
OPTIONS = {
    "rounds": (20, ""),
    "seconds": (10.0, "after which a change is given up"),
    "mode": ("sync", "sync, poll or none"),
    "only": ("", "only the changes with this text in their name"),
}


class Case(NamedTuple):
    """One kind of change: ``before`` makes the ground, ``change`` is timed; LDIF for ldapmodify(1), ``{n}`` a number.

    ``asked``: whether the key is asked for before the change; else it is asked for the first time after it.
    """

    name: str
    map: str
    key: str
    before: str
    change: str
    asked: bool = True


def _account(address: str) -> str:
    return (
        f"dn: mail={address},{D}\nchangetype: add\nobjectClass: courierMailAccount\nmail: {address}\n"
        f"homeDirectory: /x\nuidNumber: 1\ngidNumber: 1\nmailbox: d{{n}}.example/x/\n\n"
    )


def _alias(address: str, drop: str = "x@x.example", also: str = "") -> str:
    rdn = f"mail={address}" + (f"+description={also}" if also else "")
    more = f"description: {also}\n" if also else ""
    return f"dn: {rdn},{D}\nchangetype: add\nobjectClass: courierMailAlias\n{more}mail: {address}\nmaildrop: {drop}\n\n"


def _role(*occupants: str) -> str:
    lines = "".join(f"roleOccupant: mail={one},{D}\n" for one in occupants)
    return f"dn: cn=postmaster,{D}\nchangetype: add\nobjectClass: organizationalRole\ncn: postmaster\n{lines}\n"


def _modify(rdn: str, attribute: str, value: str) -> str:
    return f"dn: {rdn},{D}\nchangetype: modify\nreplace: {attribute}\n{attribute}: {value}\n\n"


def _delete(rdn: str) -> str:
    return f"dn: {rdn}{D}\nchangetype: delete\n\n"


def _rename(rdn: str, new: str, above: str = "") -> str:
    superior = f"newsuperior: {above}\n" if above else ""
    return f"dn: {rdn}{D}\nchangetype: modrdn\nnewrdn: {new}\ndeleteoldrdn: 1\n{superior}\n"


def _organization(name: str) -> str:
    return f"dn: o={name},{SEARCH_BASE}\nchangetype: add\nobjectClass: organization\no: {name}\n\n"


D = f"o=d{{n}}.example,{SEARCH_BASE}"
E = f"o=e{{n}}.example,{SEARCH_BASE}"
A, B, PM, ANY = "a@d{n}.example", "b@d{n}.example", "postmaster@d{n}.example", "any@d{n}.example"
CATCH_ALL = "@d{n}.example"
BOTH = _account(A) + _account(B)


def _others(map_name: str, number: int, keys: Sequence[str]) -> str:
    """Entries for keys that are found and stay."""
    if map_name == DOMAIN:
        return "".join(_organization(key) for key in keys)
    entry = {MAILBOX: _account, ALIAS: _alias}[map_name]
    domain = f"k{number}.example"
    return _organization(domain) + "".join(entry(key) for key in keys).replace("d{n}.example", domain)


CASES = (
    Case("account created, never asked", MAILBOX, A, "", _account(A), asked=False),
    Case("account created, not found", MAILBOX, A, "", _account(A)),
    Case("account created, found by the catch-all", MAILBOX, A, _alias(CATCH_ALL), _account(A)),
    Case("account changed, found", MAILBOX, A, _account(A), _modify(f"mail={A}", "mailbox", "d{n}.example/y/")),
    Case("account deleted, found", MAILBOX, A, _account(A), _delete(f"mail={A},")),
    Case("account renamed, found", MAILBOX, A, _account(A), _rename(f"mail={A},", f"mail={B}")),
    Case("account renamed, not found", MAILBOX, B, _account(A), _rename(f"mail={A},", f"mail={B}")),
    Case("account moved away, found", MAILBOX, A, _organization("e{n}.example") + _account(A),
         _rename(f"mail={A},", f"mail={A}", E)),
    Case("alias created, not found", ALIAS, A, "", _alias(A)),
    Case("alias created, NODATA of an account", ALIAS, A, _account(A), _alias(A, also="alias")),
    Case("alias changed, found", ALIAS, A, _alias(A), _modify(f"mail={A}", "maildrop", "y@y.example")),
    Case("alias deleted, found", ALIAS, A, _alias(A), _delete(f"mail={A},")),
    Case("catch-all created, not found", ALIAS, ANY, "", _alias(CATCH_ALL)),
    Case("catch-all changed, found", ALIAS, ANY, _alias(CATCH_ALL),
         _modify(f"mail={CATCH_ALL}", "maildrop", "y@y.example")),
    Case("catch-all deleted, found", ALIAS, ANY, _alias(CATCH_ALL), _delete(f"mail={CATCH_ALL},")),
    Case("role created, not found", ALIAS, PM, _account(A), _role(A)),
    Case("role changed, found", ALIAS, PM, BOTH + _role(A), _modify("cn=postmaster", "roleOccupant", f"mail={B},{D}")),
    Case("role deleted, found", ALIAS, PM, _account(A) + _role(A), _delete("cn=postmaster,")),
    Case("member created, found without it", ALIAS, PM, _account(A) + _role(A, B), _account(B)),
    Case("member renamed, found", ALIAS, PM, BOTH + _role(A, B), _rename(f"mail={B},", "mail=c@d{n}.example")),
    Case("member deleted, found", ALIAS, PM, BOTH + _role(A, B), _delete(f"mail={B},")),
    Case("domain created, not found", DOMAIN, "new{n}.example", "", _organization("new{n}.example")),
    Case("domain deleted, found", DOMAIN, "d{n}.example", "", _delete("")),
    Case("domain renamed, found", DOMAIN, "d{n}.example", "", _rename("", "o=r{n}.example")),
    Case("domain renamed, its account", MAILBOX, A, _account(A), _rename("", "o=r{n}.example")),
)  # fmt: skip


def measure(run: Run) -> None:
    """Every case in turn, all rounds of it; the longest time is that of all rounds."""
    arguments = run.arguments
    with tempfile.TemporaryDirectory() as name, Slapd(Path(name) / "slapd", ldif=tree(), syncprov=True) as slapd:
        directory = f'changes = "{arguments.mode}"\n'
        daemon = DaemonProcess(Path(name), [slapd.uri], [Listen(f"inet:127.0.0.1:{free_port()}")], directory=directory)
        daemon.start()
        try:
            while stats(str(Path(name) / CONTROL_SOCKET))["changes"]["mode"] != arguments.mode:
                time.sleep(0.05)
            for number, case in enumerate(case for case in CASES if arguments.only in case.name):
                run.say(f"{arguments.mode}: {case.name}")
                steps = range(number * arguments.rounds, (number + 1) * arguments.rounds)
                taken = [_milliseconds(run, slapd, daemon, case, step) for step in steps]
                for each in taken:
                    run.rows.add("freshness", case.name, 0, {"time": each, "longest": max(taken)})
        finally:
            daemon.stop()
    run.notes.append(f"Mode: {arguments.mode}.")


def _milliseconds(run: Run, slapd: Slapd, daemon: DaemonProcess, case: Case, number: int) -> float:
    """Until the change shows; ``--seconds`` when it does not."""

    def answer() -> Reply:
        return ask(daemon.address, case.map, case.key.format(n=number))

    others = [f"k{i}@k{number}.example" if case.map != DOMAIN else f"k{i}x{number}.example" for i in range(OTHERS)]
    slapd.modify((_organization("d{n}.example") + case.before).format(n=number) + _others(case.map, number, others))
    before = NOT_FOUND
    if case.asked:
        time.sleep(HEARD_SECONDS[run.arguments.mode])
        answer()
        time.sleep(0.05)
        before = answer()
    for key in others:
        ask(daemon.address, case.map, key)
    slapd.modify(case.change.format(n=number))
    changed_at = time.monotonic()
    while answer() == before and time.monotonic() < changed_at + run.arguments.seconds:
        time.sleep(POLL)
    return 1e3 * (time.monotonic() - changed_at)
