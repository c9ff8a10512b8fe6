"""Whatever happens in the directory: each cached answer of each kind of map is what a new lookup says.

Entries are added, written, renamed, moved and deleted at random beside lookups that take their time; after each step
cached answers are compared with lookups past the cache. ``STEPS=100000 pytest ...`` for a long run.
"""

from __future__ import annotations

import asyncio
import os
import random
from typing import Any

import pytest

from tests.cache.fake_time import run
from tests.maps.fake_directory import BASE, account, alias, entry, role
from tests.maps.site import now
from tests.maps.test_freshness import Heard
from vmaild.errors import DataError
from vmaild.lookup import Entry, Reply, Request, Status

STEPS = int(os.environ.get("STEPS", "300"))
COMPARED = 25
"""Cached answers that are compared after each step, taken at random."""

TABLE = {"search_base": BASE, "query_filter": "(cn=%s)", "result_attribute": "maildrop"}
MAPS = {
    "transport": {**TABLE, "keys": "transport"},
    "access": {**TABLE, "keys": "access"},
    "local": {**TABLE, "keys": "local"},
    "there": {"search_base": BASE, "query_filter": "(mail=%s)", "keys": "exact", "exists": True},
    "groups": {
        "search_base": BASE,
        "query_filter": "(&(objectClass=organizationalRole)(mail=%s))",
        "special_result_attribute": "roleOccupant",
        "leaf_result_attribute": "maildrop",
        "keys": "exact",
    },
}
DOMAINS = ("d.example", "sub.d.example", "e.example")
LOCALS = ("a", "a+t", "b", "postmaster", '"c d"', "c d")
ADDRESSES = [f"{local}@{domain}" for domain in DOMAINS for local in LOCALS]
# What the tables for transport, access and local have, of which some are asked for on the way only.
NAMES = ("a@d.example", "a@", "a+t@", "a", "b", "@d.example", "d.example", ".d.example", "example", ".example", "*")


class Anything:
    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.site = Heard(maps=MAPS)
        self.asking: list[asyncio.Future[Reply]] = []
        self.compared = self.number = 0
        self.maps = self.site.maps.all

    async def go(self, steps: int) -> None:
        rng = self.rng
        for _ in range(steps):
            if rng.random() < 0.6:
                self.ask()
            else:
                self.change()
            await asyncio.sleep(rng.choice((0.001, 0.001, 0.3, 0.6)))
            await self.compare()
            self.site.directory.searches.clear()
        await asyncio.gather(*self.asking)

    def key_of(self, name: str) -> str:
        if name in ("transport", "access", "local") and self.rng.random() < 0.3:
            return self.rng.choice((*DOMAINS, "*", "a", "b", "x.e.example"))
        groups = [one.attributes["mail"][0].decode() for one in self.site.tree.values() if one.dn.startswith("cn=g")]
        if name == "groups" and groups:
            return self.rng.choice(groups)
        return self.rng.choice(DOMAINS if name.endswith("domains") else ADDRESSES)

    def ask(self) -> None:
        self.site.directory.takes = self.rng.choice((0, 0, 0.5, 1.0))
        name = self.rng.choice([*(one.name for one in self.maps), "groups", "groups"])
        request = Request(name.encode(), self.key_of(name).encode())
        self.asking = [one for one in self.asking if not one.done()]
        self.asking.append(asyncio.ensure_future(self.site.maps.find(request)))

    def change(self) -> None:
        rng, site = self.rng, self.site
        slots = list(site.tree)
        if slots and rng.random() < 0.25:
            site.remove(rng.choice(slots))
            return
        # An entry that is there becomes another, under its DN or another one, as likely as there is a new one.
        slot = rng.choice(slots) if slots and (len(slots) > 25 or rng.random() < 0.6) else self.new_slot()
        one = self.some_entry()
        if all(other.dn.lower() != one.dn.lower() for name, other in site.tree.items() if name != slot):
            site.put(slot, one)

    def new_slot(self) -> str:
        self.number += 1
        return str(self.number)

    def some_entry(self) -> Entry:
        rng, number = self.rng, self.rng.randrange(3)
        value = f"{rng.randrange(50)}@x.example"
        address = rng.choice(ADDRESSES)
        domain = address.rpartition("@")[2]
        name = f"n{rng.randrange(4)}"
        kind = rng.randrange(7)
        if kind == 0:
            return account(address, f"{domain}/{value}/", name=name)
        if kind == 1:
            return alias(rng.choice((address, f"@{domain}")), value, name=name)
        if kind == 2:
            return role(domain, *self.some_members())
        if kind == 3:
            one = entry(f"cn=g{number},o={domain},{BASE}", "organizationalRole", mail=(address,), cn=(f"g{number}",))
            members = tuple(member.encode() for member in self.some_members())
            return Entry(one.dn, {**one.attributes, **({"roleoccupant": members} if members else {})})
        if kind == 4:
            return entry(f"o={domain},{BASE}", "organization", o=(domain,))
        return entry(f"cn=t{rng.randrange(6)},{BASE}", "organizationalRole", cn=(rng.choice(NAMES),), maildrop=(value,))

    def some_members(self) -> list[str]:
        # Of entries that are there, and of those that may come.
        dns = [one.dn for one in self.site.tree.values()]
        dns += [f"mail=n{number},o={domain},{BASE}" for number in range(4) for domain in DOMAINS]
        return self.rng.sample(dns, min(len(dns), self.rng.randrange(3)))

    async def compare(self) -> None:
        site = self.site
        fresh = [record for record in site.cache.all() if record.refresh_at > now()]
        takes, site.directory.takes = site.directory.takes, 0
        for record in self.rng.sample(fresh, min(COMPARED, len(fresh))):
            for one in self.maps:
                known = record.known[one.place] if record.key.startswith(one.prefix) else None
                if known is None:
                    continue
                flight = await site.maps.fly(one, record.key[len(one.prefix) :], site.directory)
                said = flight.failure or flight.lookup.settle(one.place)
                if isinstance(said, Reply) and said.status is Status.FOUND:
                    said = said.text  # type: ignore[assignment]
                self.compared += 1
                same = type(known) is type(said) if isinstance(said, DataError) else known == said
                assert same, f"map {one.name}, {record.key!r}: {known!r} is cached, and it is {said!r}"
        site.directory.takes = takes


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 10))])
def test_every_cached_answer_is_what_a_new_lookup_says(seed: Any) -> None:
    async def main() -> None:
        anything = Anything(seed)
        await anything.go(STEPS)
        counters = anything.site.freshness.counters
        print(f"{STEPS} steps: {anything.compared} answers compared, {counters}")
        assert anything.compared > 4 * STEPS
        assert counters.aged == 0
        assert counters.overtaken > 0

    run(main())
