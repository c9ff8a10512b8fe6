"""How long a change in the directory takes to show: each kind of change, for each state of what was asked before.

A private slapd with syncprov, the demo's tree, and vmaild's parts in this process. A change is timed from the moment
that ldapmodify(1) has returned until the first reply that is another. ``--mode`` is sync, poll or none.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vmaild.cache import Cache, CacheSettings
from vmaild.config.maps import Common, read_maps
from vmaild.config.section import Problems
from vmaild.demo.slapd import Slapd
from vmaild.demo.tree import READER_DN, READER_PW, SEARCH_BASE, tree
from vmaild.directory import DirectorySettings, Pool
from vmaild.feed import Feed, HostedDomains
from vmaild.lookup import NOT_FOUND, Reply, Request
from vmaild.maps import Freshness, Maps
from vmaild.tables.hosted import hosted_domains

POLL = 0.001
"""Seconds between two lookups while a change is waited for."""

MAILBOX, ALIAS, DOMAIN = "virtual_mailbox_maps", "virtual_alias_maps", "virtual_mailbox_domains"


@dataclass(frozen=True)
class Case:
    """One kind of change: ``before`` makes the ground, ``change`` is timed; LDIF for ldapmodify(1), ``{n}`` a number.

    ``asked``: whether the key is asked for before the change; else it is asked for the first time after it.
    """

    name: str
    map: str
    key: str
    before: str
    change: str
    asked: bool = True


def _account(address: str, box: str = "", domain: str = "d{n}.example") -> str:
    return (
        f"dn: mail={address},o={domain},{SEARCH_BASE}\nchangetype: add\nobjectClass: courierMailAccount\n"
        f"mail: {address}\nhomeDirectory: /x\nuidNumber: 1\ngidNumber: 1\nmailbox: {domain}/{box or 'x'}/\n\n"
    )


def _alias(address: str, drop: str) -> str:
    return (
        f"dn: mail={address},o=d{{n}}.example,{SEARCH_BASE}\nchangetype: add\nobjectClass: courierMailAlias\n"
        f"mail: {address}\nmaildrop: {drop}\n\n"
    )


def _role(*occupants: str) -> str:
    lines = "".join(f"roleOccupant: mail={one},{D}\n" for one in occupants)
    return f"dn: cn=postmaster,{D}\nchangetype: add\nobjectClass: organizationalRole\ncn: postmaster\n{lines}\n"


def _modify(dn: str, attribute: str, value: str) -> str:
    return f"dn: {dn}\nchangetype: modify\nreplace: {attribute}\n{attribute}: {value}\n\n"


def _delete(dn: str) -> str:
    return f"dn: {dn}\nchangetype: delete\n\n"


def _rename(dn: str, new: str, above: str = "") -> str:
    superior = f"newsuperior: {above}\n" if above else ""
    return f"dn: {dn}\nchangetype: modrdn\nnewrdn: {new}\ndeleteoldrdn: 1\n{superior}\n"


D = f"o=d{{n}}.example,{SEARCH_BASE}"
A, B, PM, ANY = "a@d{n}.example", "b@d{n}.example", "postmaster@d{n}.example", "any@d{n}.example"
ORGANIZATION = f"dn: {D}\nchangetype: add\nobjectClass: organization\no: d{{n}}.example\n\n"
OTHER = f"dn: o=e{{n}}.example,{SEARCH_BASE}\nchangetype: add\nobjectClass: organization\no: e{{n}}.example\n\n"

_TWIN = (
    _alias(A, "x@x.example")
    .replace(f"mail={A},", f"mail={A}+description=alias,")
    .replace("\nmail:", "\ndescription: alias\nmail:")
)

CASES = (
    Case("account created, never asked", MAILBOX, A, "", _account(A), asked=False),
    Case("account created, not found", MAILBOX, A, "", _account(A)),
    Case("account created, found by the catch-all", MAILBOX, A, _alias("@d{n}.example", "x@x.example"), _account(A)),
    Case("account changed, found", MAILBOX, A, _account(A), _modify(f"mail={A},{D}", "mailbox", "d{n}.example/y/")),
    Case("account deleted, found", MAILBOX, A, _account(A), _delete(f"mail={A},{D}")),
    Case("account renamed, found", MAILBOX, A, _account(A), _rename(f"mail={A},{D}", f"mail={B}")),
    Case("account renamed, not found", MAILBOX, B, _account(A), _rename(f"mail={A},{D}", f"mail={B}")),
    Case(
        "account moved away, found", MAILBOX, A, OTHER + _account(A),
        _rename(f"mail={A},{D}", f"mail={A}", f"o=e{{n}}.example,{SEARCH_BASE}"),
    ),
    Case("alias created, not found", ALIAS, A, "", _alias(A, "x@x.example")),
    Case("alias created, NODATA of an account", ALIAS, A, _account(A), _TWIN),
    Case("alias changed, found", ALIAS, A, _alias(A, "x@x.example"),
         _modify(f"mail={A},{D}", "maildrop", "y@y.example")),
    Case("alias deleted, found", ALIAS, A, _alias(A, "x@x.example"), _delete(f"mail={A},{D}")),
    Case("catch-all created, not found", ALIAS, ANY, "", _alias("@d{n}.example", "x@x.example")),
    Case("catch-all changed, found", ALIAS, ANY, _alias("@d{n}.example", "x@x.example"),
         _modify(f"mail=@d{{n}}.example,{D}", "maildrop", "y@y.example")),
    Case("catch-all deleted, found", ALIAS, ANY, _alias("@d{n}.example", "x@x.example"),
         _delete(f"mail=@d{{n}}.example,{D}")),
    Case("role created, not found", ALIAS, PM, _account(A), _role(A)),
    Case("role changed, found", ALIAS, PM, _account(A) + _account(B) + _role(A),
         _modify(f"cn=postmaster,{D}", "roleOccupant", f"mail={B},{D}")),
    Case("role deleted, found", ALIAS, PM, _account(A) + _role(A), _delete(f"cn=postmaster,{D}")),
    Case("member created, found without it", ALIAS, PM, _account(A) + _role(A, B), _account(B)),
    Case("member renamed, found", ALIAS, PM, _account(A) + _account(B) + _role(A, B),
         _rename(f"mail={B},{D}", "mail=c@d{n}.example")),
    Case("member deleted, found", ALIAS, PM, _account(A) + _account(B) + _role(A, B), _delete(f"mail={B},{D}")),
    Case("domain created, not found", DOMAIN, "new{n}.example", "", ORGANIZATION.replace("d{n}", "new{n}")),
    Case("domain deleted, found", DOMAIN, "d{n}.example", "", _delete(D)),
    Case("domain renamed, found", DOMAIN, "d{n}.example", "", _rename(D, "o=r{n}.example")),
    Case("domain renamed, its account", MAILBOX, A, _account(A), _rename(D, "o=r{n}.example")),
)  # fmt: skip


class Site:
    """What a daemon is made of, without its listeners."""

    def __init__(self, uri: str, mode: str) -> None:
        changes = {"sync": "sync", "poll": "poll", "none": "none"}[mode]
        settings = DirectorySettings((uri,), SEARCH_BASE, bind_dn=READER_DN, bind_pw=READER_PW, changes=changes)
        groups = read_maps("courier", {}, Common(SEARCH_BASE), Problems("freshness")).groups
        self.mode = mode
        self.pool = Pool(settings)
        self.maps = Maps(groups, Cache(CacheSettings()), self.pool, timeout=3.0)
        self.work: list[Callable[[], Any]] = []
        self.feed: Feed | None = None
        if mode != "none":
            freshness = Freshness(self.maps._cache, self.maps.groups, 6.0)
            self.maps.hear(freshness, groups)
            self.feed = Feed(settings, self.pool, freshness)
            hosted = hosted_domains(groups)
            assert hosted is not None
            domains = HostedDomains(hosted, self.maps, freshness, self.pool.search, stale=86400.0, clock=time.monotonic)
            self.work = [self.feed.run, domains.run]

    async def ask(self, name: str, key: str) -> Reply:
        """One lookup."""
        return await self.maps.find(Request(name.encode(), key.encode()))

    async def seconds(self, slapd: Slapd, case: Case, number: int, longest: float) -> float:
        """Seconds until the change shows; ``longest`` when it does not."""
        key = case.key.format(n=number)
        await asyncio.to_thread(slapd.modify, (ORGANIZATION + case.before).format(n=number))
        before = await self._settled(case, key) if case.asked else NOT_FOUND
        await asyncio.to_thread(slapd.modify, case.change.format(n=number))
        changed_at = time.monotonic()
        while await self.ask(case.map, key) == before:
            if time.monotonic() > changed_at + longest:
                return longest
            await asyncio.sleep(POLL)
        return time.monotonic() - changed_at

    async def _settled(self, case: Case, key: str) -> Reply:
        """The reply once what was prepared is heard."""
        await asyncio.sleep(1.3 if self.mode == "poll" else 0.1)
        await self.ask(case.map, key)
        await asyncio.sleep(0.05)
        return await self.ask(case.map, key)


async def _heard(site: Site) -> None:
    while site.feed is not None and site.feed.counters.mode != site.mode:  # noqa: ASYNC110 - it sets no event
        await asyncio.sleep(0.05)


async def measure(
    slapd: Slapd, mode: str, times: int, longest: float, report: Callable[[str], object], only: str = ""
) -> float:
    """Every case whose name has ``only`` in it, so many times. Returns the longest time of all."""
    site = Site(slapd.uri, mode)
    await site.pool.start()
    tasks = [asyncio.create_task(work()) for work in site.work]
    worst = 0.0
    try:
        await _heard(site)
        number = 0
        for case in (case for case in CASES if only in case.name):
            taken = []
            for _ in range(times):
                number += 1
                taken.append(await site.seconds(slapd, case, number, longest))
            worst = max(worst, *taken)
            report(f"| {case.name} | {statistics.median(taken):.3f} | {max(taken):.3f} |")
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await site.maps.close()
        await site.pool.close()
    return worst


def add_to(commands: Any) -> None:
    """The command's arguments."""
    parser = commands.add_parser("freshness", help="how long a change in the directory takes to show")
    parser.add_argument("--mode", choices=("sync", "poll", "none"), default="sync")
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--only", default="", metavar="TEXT", help="only the changes with this text in their name")
    parser.add_argument("--longest", type=float, default=10.0, help="seconds after which a change is given up")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Measure and print the table."""
    print(f"| change, and what was known ({arguments.mode}) | median s | longest s |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as home, Slapd(Path(home) / "slapd", ldif=tree(), syncprov=True) as slapd:
        worst = asyncio.run(measure(slapd, arguments.mode, arguments.times, arguments.longest, print, arguments.only))
    print(f"\nlongest of all: {worst:.3f} s")
    return 0
