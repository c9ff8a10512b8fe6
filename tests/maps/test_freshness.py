"""What a change drops, and what it leaves. In fake time, over a directory in memory that tells its changes."""

from __future__ import annotations

import asyncio
import random
import uuid
from typing import Any

import pytest

from tests.cache.fake_time import in_fake_time, run
from tests.maps.fake_directory import BASE, DOMAIN, account, alias, entry, role
from tests.maps.site import ALIAS, LOGIN, MAILBOX, Site, now
from tests.maps.truth import outcome, plain
from vmaild.cache import CacheSettings
from vmaild.cache.dependents import of_entry
from vmaild.lookup import NOT_FOUND, Entry, found
from vmaild.tables import dn

SETTINGS = CacheSettings(ttl=300, negative_ttl=30)
ANN, BOB = "ann@d.example", "bob@d.example"
DOMAINS = b"virtual_mailbox_domains"


class Heard(Site):
    """A site whose directory tells each change at once: ``put`` and ``remove`` by a name of the test's own."""

    def __init__(self, settings: CacheSettings = SETTINGS, maps: dict[str, dict[str, object]] | None = None) -> None:
        super().__init__(settings, **(maps or {}))
        self.freshness = self.hear()
        self.freshness.heard("")
        self.tree: dict[str, Entry] = {}
        self.uuids: dict[str, uuid.UUID] = {}

    def plant(self, slot: str, one: Entry) -> Entry:
        """Put an entry there, and tell nobody."""
        name = self.uuids.setdefault(slot, uuid.uuid4())
        self.tree[slot] = Entry(one.dn, {**one.attributes, "entryuuid": (str(name).encode(),)})
        self.directory.entries[:] = self.tree.values()
        return self.tree[slot]

    def put(self, slot: str, one: Entry, *, below: bool = False, created: bool = False) -> None:
        added = slot not in self.tree
        planted = self.plant(slot, one)
        asked = {name: planted.attributes[name] for name in self.freshness.attributes & planted.attributes.keys()}
        shown = {**asked, "hassubordinates": (b"TRUE" if below else b"FALSE",)}
        name = self.uuids[slot].bytes
        self.freshness.changed(planted.dn, name, shown, added=added, each=True, created=created)

    def remove(self, slot: str) -> None:
        if self.tree.pop(slot, None) is not None:
            self.directory.entries[:] = self.tree.values()
            self.freshness.deleted(self.uuids.pop(slot).bytes)


def domain(name: str) -> Entry:
    return entry(f"o={name},{BASE}", "organization", o=(name,))


@in_fake_time
async def test_lives_are_long_while_changes_are_heard_and_as_before_from_then_on() -> None:
    site = Heard()
    site.plant("ann", account(ANN, "d.example/ann/"))
    await site.find(ANN)
    await site.find(BOB)
    await asyncio.sleep(10_000)
    assert site.cached(ANN) == found(b"d.example/ann/")
    assert site.cached(BOB) == NOT_FOUND
    site.freshness.lost(now())
    await asyncio.sleep(29)
    assert site.cached(ANN) == found(b"d.example/ann/")
    await asyncio.sleep(2)
    assert site.cached(BOB) is None
    await asyncio.sleep(270)
    assert site.cached(ANN) is None
    assert await site.find(ANN) == found(b"d.example/ann/")
    await asyncio.sleep(301)
    assert site.cached(ANN) is None, "what is stored without a feed lives as long as without one"


@in_fake_time
async def test_lives_without_a_feed_count_from_when_changes_were_last_heard() -> None:
    site = Heard()
    site.plant("ann", account(ANN, "d.example/ann/"))
    await site.find(ANN)
    await asyncio.sleep(5000)
    site.freshness.lost(now() - 200)
    await asyncio.sleep(101)
    assert site.cached(ANN) is None


@in_fake_time
async def test_a_change_drops_the_records_of_its_entry_and_no_others() -> None:
    site = Heard()
    site.plant("ann", account(ANN, "d.example/ann/"))
    site.plant("bob", account(BOB, "d.example/bob/"))
    for key in (ANN, BOB, "ann+tag@d.example", "no@d.example", "x@e.example"):
        await site.find(key)
    site.put("ann", account(ANN, "d.example/elsewhere/"))
    assert site.record(ANN) is None
    assert site.record("ann+tag@d.example") is None
    assert site.record("no@d.example") is None
    assert site.cached(BOB) == found(b"d.example/bob/")
    assert site.cached("x@e.example") == NOT_FOUND


@in_fake_time
async def test_a_login_that_is_written_to_an_entry_drops_nothing() -> None:
    site = Heard()
    ann = account(ANN, "d.example/ann/")
    site.plant("ann", ann)
    for key in (ANN, "no@d.example"):
        await site.find(key)
    for number in range(1, 4):
        site.put("ann", Entry(ann.dn, {**ann.attributes, "authtimestamp": (b"2026010100000%dZ" % number,)}))
        assert site.cached(ANN) == found(b"d.example/ann/")
        assert site.cached("no@d.example") == NOT_FOUND
        assert site.freshness.counters.unchanged == site.freshness.counters.changes == number


@in_fake_time
async def test_a_new_address_is_found_with_and_without_its_extension() -> None:
    site = Heard()
    for key in (ANN, "ann+tag@d.example", "bob@e.example"):
        assert await site.find(key) == NOT_FOUND
    site.put("ann", account(ANN, "d.example/ann/"))
    assert await site.find(ANN) == found(b"d.example/ann/")
    assert await site.find("ann+tag@d.example") == found(b"d.example/ann/")
    assert site.cached("bob@e.example") == NOT_FOUND


@in_fake_time
async def test_a_new_account_takes_its_mail_from_the_catch_all_also_with_an_extension() -> None:
    site = Heard()
    site.plant("all", alias("@d.example", "all@x.example"))
    for key in (ANN, "ann+tag@d.example", BOB):
        assert (await site.find(key, ALIAS)).text.endswith(b"x.example")
    site.put("ann", account(ANN, "d.example/ann/"))
    assert await site.find(ANN) == found(b"d.example/ann/")
    assert await site.find("ann+tag@d.example") == found(b"d.example/ann/")
    assert site.cached(BOB, ALIAS) == found(b"all@x.example")


@pytest.mark.parametrize("first", [True, False])
@in_fake_time
async def test_a_catch_all_that_is_new_or_one_of_two_answers_at_once(first: bool) -> None:
    site = Heard()
    if not first:
        site.plant("all", alias("@d.example", "all@x.example"))
    await site.find(BOB, ALIAS)
    site.put("more", alias("@d.example", "more@x.example", name="more"))
    assert (await site.find(BOB, ALIAS)).text.endswith(b"more@x.example")


@in_fake_time
async def test_a_role_follows_its_members() -> None:
    site = Heard()
    ann, bob = account(ANN, "d.example/ann/"), account(BOB, "d.example/bob/")
    site.plant("ann", ann)
    site.plant("role", role("d.example", ann.dn, bob.dn))
    assert await site.find("postmaster@d.example", ALIAS) == found(ANN.encode())
    site.put("bob", bob)
    assert await site.find("postmaster@d.example", ALIAS) == found(f"{ANN},{BOB}".encode())
    site.put("ann", Entry(ann.dn, {**ann.attributes, "mail": (b"anna@d.example",)}))
    assert await site.find("postmaster@d.example", ALIAS) == found(f"anna@d.example,{BOB}".encode())
    site.remove("ann")
    assert await site.find("postmaster@d.example", ALIAS) == found(BOB.encode())
    site.put("role", role("d.example", ann.dn))
    assert (await site.find("postmaster@d.example", ALIAS)).text.startswith(b"cn=postmaster") is False


@in_fake_time
async def test_a_domain_that_is_renamed_takes_along_what_stands_below() -> None:
    site = Heard()
    site.plant("d", domain("d.example"))
    site.plant("ann", account(ANN, "d.example/ann/"))
    site.plant("e", account("x@e.example", "e.example/x/"))
    site.freshness.contains(dn.parse(DOMAIN), site.uuids["d"].bytes)
    for key in (ANN, "x@e.example", "x@f.example"):
        await site.find(key)
    await site.find("d.example", DOMAINS)
    site.plant("ann", Entry(f"mail={ANN},o=f.example,{BASE}", site.tree["ann"].attributes))
    site.put("d", domain("f.example"), below=True)
    assert site.record(ANN) is None
    assert site.record("x@f.example") is None
    assert await site.find("d.example", DOMAINS) == NOT_FOUND
    assert site.cached("x@e.example") == found(b"e.example/x/")
    assert site.freshness.counters.aged == 0


@in_fake_time
async def test_a_rename_of_what_was_not_known_to_have_entries_below_ages_everything() -> None:
    site = Heard()
    site.plant("ann", account(ANN, "d.example/ann/"))
    await site.find(ANN)
    site.put("ou", entry("ou=people,dc=x", "organizationalUnit"), below=True)
    asked = site.directory.asked
    await asyncio.sleep(0.01)
    assert await site.find(ANN) == found(b"d.example/ann/")
    assert site.directory.asked == asked + 1, "served, and renewed"
    site.put("ou", entry("ou=people,dc=x", "organizationalUnit"), below=True)
    assert site.cached(ANN) == found(b"d.example/ann/"), "written again under the same DN, it took nothing along"


@in_fake_time
async def test_a_domain_that_was_created_with_what_stands_below_drops_its_own_and_ages_nothing() -> None:
    """Seen beside a bulk load that was polled: everything was renewed."""
    site = Heard()
    site.plant("e", account("x@e.example", "e.example/x/"))
    for key in (ANN, "x@e.example"):
        await site.find(key)
    site.put("d", domain("d.example"), below=True, created=True)
    assert site.record(ANN) is None
    assert site.cached("x@e.example") == found(b"e.example/x/")
    assert site.freshness.counters.aged == 0
    site.put("d", domain("f.example"), below=True, created=True)
    assert site.freshness.counters.aged == 0, "it was known by now"
    site.put("ou", entry("ou=people,dc=x", "organizationalUnit"), below=True, created=True)
    assert site.freshness.counters.aged == 1, "what stands below it is of any domain"


@in_fake_time
async def test_a_search_that_began_before_a_change_is_not_stored_after_it() -> None:
    site = Heard()
    site.plant("ann", account(ANN, "d.example/ann/"))
    site.plant("bob", account(BOB, "d.example/bob/"))
    site.directory.takes = 1
    asking = [asyncio.ensure_future(site.find(key)) for key in (ANN, BOB, "new@d.example", "no@e.example")]
    await asyncio.sleep(0.5)
    site.put("ann", account(ANN, "d.example/elsewhere/"))
    site.put("new", account("new@d.example", "d.example/new/"))
    await asyncio.gather(*asking)
    assert site.record(ANN) is None
    assert site.record("new@d.example") is None
    assert site.cached(BOB) == found(b"d.example/bob/")
    assert site.cached("no@e.example") == NOT_FOUND
    assert site.freshness.counters.overtaken == 2


@in_fake_time
async def test_a_search_that_saw_what_a_change_made_is_stored() -> None:
    site = Heard()
    site.plant("ann", account(ANN, "d.example/ann/"))
    site.directory.takes = 1
    asking = asyncio.ensure_future(site.find(ANN))
    await asyncio.sleep(0.5)
    site.put("ann", account(ANN, "d.example/ann/"))
    await asking
    assert site.cached(ANN) == found(b"d.example/ann/")


@in_fake_time
async def test_what_another_server_says_lives_as_without_a_feed() -> None:
    site = Heard()
    site.plant("ann", account(ANN, "d.example/ann/"))
    site.freshness.heard("ldap://elsewhere.example")
    await site.find(ANN)
    site.freshness.settle()
    await asyncio.sleep(301)
    assert site.cached(ANN) is None


@in_fake_time
async def test_an_entry_that_does_not_show_its_uuid_lives_as_without_a_feed() -> None:
    site = Heard()
    site.directory.entries.append(account(ANN, "d.example/ann/"))
    await site.find(ANN)
    site.freshness.settle()
    await asyncio.sleep(301)
    assert site.cached(ANN) is None


@in_fake_time
async def test_what_is_aged_serves_and_is_renewed_at_its_next_use() -> None:
    site = Heard()
    site.plant("ann", account(ANN, "d.example/ann/"))
    await site.find(ANN)
    await site.find(BOB)
    site.plant("ann", account(ANN, "d.example/new/"))
    site.freshness.age_all()
    await asyncio.sleep(0.01)
    assert await site.find(ANN) == found(b"d.example/ann/")
    assert site.cached(ANN) == found(b"d.example/new/")
    assert await site.find(BOB) == NOT_FOUND
    assert len(site.cache) == 2


@in_fake_time
async def test_a_search_that_began_before_everything_was_aged_is_aged_too() -> None:
    site = Heard()
    site.plant("ann", account(ANN, "d.example/ann/"))
    site.directory.takes = 1
    asking = asyncio.ensure_future(site.find(ANN))
    await asyncio.sleep(0.5)
    site.freshness.age_all()
    await asking
    assert site.cached(ANN) is None
    assert site.record(ANN) is not None


@in_fake_time
async def test_who_is_not_among_those_that_are_there_is_gone() -> None:
    site = Heard()
    site.plant("ann", account(ANN, "d.example/ann/"))
    site.plant("bob", account(BOB, "d.example/bob/"))
    await site.find(ANN)
    await site.find(BOB)
    await site.freshness.present({of_entry(site.uuids["bob"].bytes)}.__contains__)
    assert site.record(ANN) is None
    assert site.cached(BOB) == found(b"d.example/bob/")


@in_fake_time
async def test_a_walk_through_many_records_leaves_the_loop_its_turns() -> None:
    site = Heard(CacheSettings(max_negative_entries=50_000))
    for number in range(9000):
        site.cache.store(b"0 %d@d.example" % number, (NOT_FOUND, NOT_FOUND, NOT_FOUND), None)
    site.freshness.age_all()
    turns = 0
    while any(record.refresh_at > now() for record in site.cache.all()):
        turns += 1
        await asyncio.sleep(0)
    assert turns >= 3
    await site.freshness.close()


# --- whatever happens -----------------------------------------------------------------------------------------------

LOCALS = ("a", "b", "a+t", "postmaster", "")
MEMBERS = ("m1@d.example", "m2@d.example")
KEYS = [f"{local}@{domain}" for domain in ("d.example", "e.example") for local in LOCALS if local] + [*MEMBERS]


class Walk:
    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.site = Heard()
        self.asking: list[asyncio.Future[Any]] = []
        self.checked = 0

    async def go(self, steps: int) -> None:
        for number, member in enumerate(MEMBERS):
            self.site.put(f"member {number}", account(member, f"d.example/m{number}/"))
        for _ in range(steps):
            self.step()
            await asyncio.sleep(self.rng.choice((0.001, 0.001, 0.3, 0.6)))
            self.check()
        await asyncio.gather(*self.asking)

    def step(self) -> None:
        rng, site = self.rng, self.site
        what = rng.random()
        if what < 0.6:
            site.directory.takes = rng.choice((0, 0, 0.5, 1.0))
            name = rng.choice((MAILBOX, ALIAS, LOGIN))
            self.asking.append(asyncio.ensure_future(site.find(rng.choice(KEYS), name)))
        elif what < 0.85:
            self.put()
        elif what < 0.95:
            slot = rng.choice(list(site.tree))
            if not slot.startswith("member"):
                site.remove(slot)
        else:
            members = rng.sample(MEMBERS, rng.randrange(3))
            dns = [account(member, name=member).dn for member in members]
            site.put("role", role("d.example", *dns))

    def put(self) -> None:
        rng = self.rng
        address = f"{rng.choice(LOCALS)}@{rng.choice(('d.example', 'e.example'))}"
        number = rng.randrange(2)
        name = f"{address} {number}".replace("+", "-")
        if rng.random() < 0.5 and address[0] != "@":
            one = account(address, f"{address.partition('@')[2]}/{rng.randrange(1000)}/", name=name)
        else:
            one = alias(address, f"{rng.randrange(1000)}@x.example", name=name)
        # The same entry under another address, a rename, is as likely as one of its own.
        slot = f"{number} {address if rng.random() < 0.7 else ''}"
        if all(other.dn != one.dn for name, other in self.site.tree.items() if name != slot):
            self.site.put(slot, one)

    def check(self) -> None:
        tree = sorted(self.site.tree.values(), key=lambda one: self.site.directory.entries.index(one))
        for key in KEYS:
            record = self.site.record(key)
            if record is None or record.refresh_at <= now():
                continue
            truth = outcome(tree, key)
            self.checked += 1
            for known, said in zip(map(plain, record.known), truth, strict=True):
                assert known is None or known == said, f"{key}: {record.known}, and it is {truth}"


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 20))])
def test_a_record_that_is_fresh_is_what_the_directory_would_say(seed: Any) -> None:
    async def main() -> None:
        walk = Walk(seed)
        await walk.go(500)
        assert walk.checked > 500

    run(main())


@in_fake_time
async def test_what_was_stored_while_no_changes_were_offered_is_renewed_when_they_are() -> None:
    site = Heard()
    site.freshness.lost(now())
    site.freshness.not_offered()
    site.put("ann", account(ANN, "d.example/ann/"))
    assert await site.find(ANN) == found(b"d.example/ann/")
    assert len(site.freshness) == 0
    assert not site.freshness.made
    site.plant("ann", account(ANN, "d.example/elsewhere/"))
    site.freshness.heard("")
    assert await site.find(ANN) == found(b"d.example/ann/"), "served, and renewed"
    await asyncio.sleep(0.1)
    assert await site.find(ANN) == found(b"d.example/elsewhere/")
