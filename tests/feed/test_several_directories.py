"""Feeds of several directories: each is told of by its own server, and drops nothing of another."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.directory import sync_rig
from tests.feed.served import served
from tests.oracle.trees import Node
from vmaild.demo.slapd import Slapd
from vmaild.lookup import NOT_FOUND, Reply, Status, found

BASE = "o=site"
KINDS = [("objectClass", "organizationalRole"), ("objectClass", "extensibleObject")]


def person(name: str, drop: str = "", base: str = BASE) -> str:
    pairs = [*KINDS, ("cn", name), ("mail", f"{name}@d.example"), ("maildrop", drop or f"{name}@box.example")]
    return Node(f"cn={name},{base}", pairs).ldif()


def hosted(name: str) -> str:
    return Node(f"cn={name},ou=d,{BASE}", [*KINDS, ("cn", name), ("associatedDomain", name)]).ldif()


def group(name: str, *members: str) -> str:
    pairs = [*KINDS, ("cn", name), ("mail", f"{name}@d.example")]
    return Node(f"cn={name},{BASE}", [*pairs, *(("member", f"cn={one},{BASE}") for one in members)]).ldif()


def top() -> str:
    nodes = [Node(BASE, [("objectClass", "organization"), ("o", "site")])]
    nodes.append(Node(f"ou=d,{BASE}", [("objectClass", "organizationalUnit"), ("ou", "d")]))
    return "".join(node.ldif() for node in nodes)


@pytest.fixture
def two(service_home: Path) -> Iterator[tuple[Slapd, Slapd]]:
    first = top() + hosted("d.example") + person("ann") + person("bob") + group("all", "ann", "bob")
    kinds = {"base": BASE, "access": "", "syncprov": True}
    with (
        Slapd(service_home / "one", ldif=first, **kinds) as one,
        Slapd(service_home / "other", ldif=top() + person("eve"), **kinds) as other,
    ):
        yield one, other


def table(home: Path, name: str, slapd: Slapd, *more: str) -> str:
    lines = [f"server_host = {slapd.uri}", "bind = no", "version = 3", f"search_base = {BASE}", *more]
    if not any(line.startswith("query_filter") for line in lines):
        lines.append("query_filter = (mail=%s)")
    file = home / f"{name}.cf"
    file.write_text("".join(f"{line}\n" for line in lines))
    return str(file)


def maps(**files: list[str]) -> str:
    return "".join(f'[maps.{name}]\nkeys = "exact"\ncf = {json.dumps(cf)}\n' for name, cf in files.items())


async def test_a_change_of_one_directory_drops_nothing_of_the_other(
    two: tuple[Slapd, Slapd], service_home: Path
) -> None:
    one, other = two
    first, second = table(service_home, "first", one), table(service_home, "second", other)
    text = maps(one=[first], other=[second], both=[first, second])
    async with served(service_home / "vmaild.toml", text) as site:
        assert sorted(feed.counters.server for feed in site.hearing.feeds.values()) == sorted([one.uri, other.uri])
        assert await site.find("one", "ann@d.example") == found(b"ann@box.example")
        assert await site.find("other", "eve@d.example") == found(b"eve@box.example")
        assert await site.find("one", "new@d.example") == NOT_FOUND
        assert await site.find("other", "new@d.example") == NOT_FOUND
        kept = site.record("other", "eve@d.example"), site.record("other", "new@d.example")
        await sync_rig.change(one, f"cn=ann,{BASE}", "modify", "replace: maildrop", "maildrop: ann@new.example")
        await site.until_found("one", "ann@d.example", found(b"ann@new.example"))
        await sync_rig.add(one, person("new"))
        await site.until_found("one", "new@d.example", found(b"new@box.example"))
        assert (site.record("other", "eve@d.example"), site.record("other", "new@d.example")) == kept
        assert kept[0] is not None
        assert kept[0].expires_at > time.monotonic() + 70_000
        kept = site.record("one", "ann@d.example"), site.record("one", "new@d.example")
        await sync_rig.change(other, f"cn=eve,{BASE}", "delete")
        await site.until_found("other", "eve@d.example", NOT_FOUND)
        assert (site.record("one", "ann@d.example"), site.record("one", "new@d.example")) == kept


async def test_what_two_directories_answer_together_lives_as_without_a_feed(
    two: tuple[Slapd, Slapd], service_home: Path
) -> None:
    one, other = two
    first, second = table(service_home, "first", one), table(service_home, "second", other)
    text = maps(one=[first], both=[first, second])
    async with served(service_home / "vmaild.toml", text) as site:
        assert list(site.hearing.feeds) == [0], "none of the second, whose changes are nothing by themselves"
        assert await site.find("both", "eve@d.example") == found(b"eve@box.example")
        assert await site.find("both", "nobody@d.example") == NOT_FOUND
        positive, negative = site.record("both", "eve@d.example"), site.record("both", "nobody@d.example")
        assert positive is not None
        assert negative is not None
        assert positive.expires_at <= time.monotonic() + 300
        assert negative.expires_at <= time.monotonic() + 30
        await sync_rig.change(one, f"cn=ann,{BASE}", "modify", "replace: maildrop", "maildrop: x@new.example")
        await site.until_heard()
        assert site.record("both", "eve@d.example") is positive


async def test_one_directory_that_is_gone_leaves_the_feed_of_the_other(
    two: tuple[Slapd, Slapd], service_home: Path
) -> None:
    one, other = two
    text = maps(one=[table(service_home, "first", one)], other=[table(service_home, "second", other)])
    async with served(service_home / "vmaild.toml", text) as site:
        await site.find("one", "ann@d.example")
        await asyncio.to_thread(other.stop)
        await sync_rig.change(one, f"cn=ann,{BASE}", "modify", "replace: maildrop", "maildrop: ann@new.example")
        await site.until_found("one", "ann@d.example", found(b"ann@new.example"))
        assert await site.find("other", "nobody@d.example") == Reply(Status.TEMPORARY, b"directory unavailable")


async def test_a_domain_that_is_looked_up_in_a_table_takes_its_addresses_along(
    two: tuple[Slapd, Slapd], service_home: Path
) -> None:
    """``domain = ldap:FILE``: the record was made from the domain's entry too."""
    one, _ = two
    asks = ("query_filter = (&(objectClass=organizationalRole)(cn=%s))", "result_attribute = associatedDomain")
    domains = table(service_home, "domains", one, f"search_base = ou=d,{BASE}", *asks)
    people = table(service_home, "people", one, f"domain = ldap:{domains}")
    async with served(service_home / "vmaild.toml", maps(people=[people])) as site:
        assert await site.find("people", "ann@d.example") == found(b"ann@box.example")
        assert await site.find("people", "ann@e.example") == NOT_FOUND
        await sync_rig.change(one, f"cn=d.example,ou=d,{BASE}", "modify", "delete: associatedDomain")
        await site.until_found("people", "ann@d.example", NOT_FOUND)
        await sync_rig.change(
            one, f"cn=d.example,ou=d,{BASE}", "modify", "add: associatedDomain", "associatedDomain: d.example"
        )
        await site.until_found("people", "ann@d.example", found(b"ann@box.example"))
        await sync_rig.change(one, f"cn=d.example,ou=d,{BASE}", "delete")
        await site.until_found("people", "ann@d.example", NOT_FOUND)
        await sync_rig.add(one, hosted("d.example"))
        await site.until_found("people", "ann@d.example", found(b"ann@box.example"))
        await sync_rig.add(one, person("ann2").replace("ann2@d.example", "ann@e.example"))
        await sync_rig.add(one, hosted("e.example"))
        await site.until_found("people", "ann@e.example", found(b"ann2@box.example"))
        assert sum(freshness.counters.aged for freshness in site.hearing.freshness.values()) == 0


async def test_a_member_that_changes_drops_the_groups_record(two: tuple[Slapd, Slapd], service_home: Path) -> None:
    one, _ = two
    asks = ("special_result_attribute = member", "leaf_result_attribute = maildrop")
    groups = table(service_home, "groups", one, *asks)
    async with served(service_home / "vmaild.toml", maps(groups=[groups])) as site:
        key = "all@d.example"
        assert await site.find("groups", key) == found(b"ann@box.example,bob@box.example")
        await sync_rig.change(one, f"cn=bob,{BASE}", "modify", "replace: maildrop", "maildrop: bob@new.example")
        await site.until_found("groups", key, found(b"ann@box.example,bob@new.example"))
        await sync_rig.change(one, f"cn=ann,{BASE}", "delete")
        await site.until_found("groups", key, found(b"bob@new.example"))
        await sync_rig.add(one, person("ann", "ann@back.example"))
        await site.until_found("groups", key, found(b"ann@back.example,bob@new.example"))
        await sync_rig.rename(one, f"cn=bob,{BASE}", "cn=robert")
        await site.until_found("groups", key, found(b"ann@back.example"))
        await sync_rig.change(one, f"cn=all,{BASE}", "modify", "add: member", f"member: cn=robert,{BASE}")
        await site.until_found("groups", key, found(b"ann@back.example,bob@new.example"))


async def test_a_map_that_tells_only_whether_an_entry_exists_follows_it(
    two: tuple[Slapd, Slapd], service_home: Path
) -> None:
    one, _ = two
    text = (
        f'[directory]\nuri = "{one.uri}"\nsearch_base = "{BASE}"\n'
        '[maps.there]\nkeys = "exact"\nquery_filter = "(mail=%s)"\nexists = true\n'
    )
    async with served(service_home / "vmaild.toml", text) as site:
        assert await site.find("there", "ann@d.example") == found(b"ann@d.example")
        assert await site.find("there", "new@d.example") == NOT_FOUND
        await sync_rig.add(one, person("new"))
        await site.until_found("there", "new@d.example", found(b"new@d.example"))
        what = ("modify", "replace: mail", "mail: other@d.example")
        await sync_rig.change(one, f"cn=new,{BASE}", *what)
        await site.until_found("there", "new@d.example", NOT_FOUND)
        await site.until_found("there", "other@d.example", found(b"other@d.example"))
        await sync_rig.change(one, f"cn=ann,{BASE}", "delete")
        await site.until_found("there", "ann@d.example", NOT_FOUND)
