"""Changes heard from a real slapd with slapo-syncprov: which, how and over which transport."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.directory.certificates import Authority
from tests.directory.rig import Stalls, until
from tests.directory.sync_rig import (
    DOMAIN,
    READER,
    account,
    add,
    change,
    context_of,
    dn_of,
    feeding,
    last_cookie,
    open_stream,
    rename,
)
from tests.support.loops import on_each_loop
from vmaild.demo.slapd import Slapd, Tls
from vmaild.demo.tree import BASE, READER_DN, SEARCH_BASE, access_rules, tree
from vmaild.directory import tls
from vmaild.directory.relay import StartTlsRefused
from vmaild.directory.sync_cookie import Cookie
from vmaild.directory.sync_events import State
from vmaild.directory.sync_phases import UNWILLING, AgeAll, Changed, Deleted, Ended, Moved, Persisting, Present
from vmaild.directory.sync_requests import Bind
from vmaild.directory.sync_stream import Refused

ELSEWHERE = f"o=accounts,{BASE}"
OLD = Cookie.parse(b"rid=000,csn=20200101000000.000000Z#000000#000#000000")


def with_overlay(*lines: str) -> dict[str, object]:
    """Options of a slapd whose overlay has ``lines`` of its own."""
    return {"access": "\n".join([access_rules(), "overlay syncprov", *lines])}


@pytest.fixture(scope="module")
def server(service_home: Path, authority: Authority) -> Iterator[Slapd]:
    """One slapd with every transport; the tests make entries of their own."""
    cert, key = authority.issue("/CN=localhost", "DNS:localhost")
    peer = f"gidNumber={os.getgid()}+uidNumber={os.getuid()},cn=peercred,cn=external,cn=auth"
    mapped = access_rules().replace(
        f'by dn.exact="{READER_DN}" read',
        f'by dn.exact="{READER_DN}" read\n    by dn.exact="cn=mailer" read\n    by dn.exact="{peer}" read',
    )
    files = Tls(cert, key, ca=authority.ca, verify_client="try")
    with Slapd(service_home / "sync", ldif=tree(), tls=files, ldapi=True, access=mapped, syncprov=True) as made:
        yield made


@pytest.fixture
def name() -> str:
    return f"u{uuid.uuid4().hex[:8]}"


@on_each_loop
async def test_each_kind_of_change_is_heard_with_its_state_dn_and_uuid(server: Slapd, name: str) -> None:
    async with feeding(server.uri) as feed:
        assert await feed.ready() == [Persisting()]

        await add(server, account(name))
        (added,) = await feed.next(Changed)
        assert (added.dn, added.state) == (dn_of(name), State.ADD)
        assert added.attributes["mail"] == (f"{name}@domain1.example".encode(),)
        assert set(added.attributes) == {"objectclass", "mail", "mailbox"}

        await change(server, dn_of(name), "modify", "replace: mailbox", "mailbox: elsewhere/")
        (written,) = await feed.next(Changed)
        assert (written.dn, written.uuid, written.state) == (dn_of(name), added.uuid, State.MODIFY)
        assert written.attributes["mailbox"] == (b"elsewhere/",)

        await rename(server, dn_of(name), f"mail={name}x@domain1.example")
        (renamed,) = await feed.next(Changed)
        assert (renamed.dn, renamed.uuid, renamed.state) == (dn_of(f"{name}x"), added.uuid, State.MODIFY)

        await change(server, dn_of(f"{name}x"), "delete")
        assert await feed.next(Deleted) == [Deleted(added.uuid, dn_of(f"{name}x"))]


@on_each_loop
async def test_a_write_to_what_was_not_asked_for_is_heard_with_the_same_values(server: Slapd, name: str) -> None:
    await add(server, account(name))
    async with feeding(server.uri) as feed:
        await change(server, dn_of(name), "modify", "replace: mailbox", "mailbox: b/")
        (before,) = await feed.next(Changed)
        await change(server, dn_of(name), "modify", "add: description", "description: a login")
        assert await feed.next(Changed) == [before]


@on_each_loop
async def test_the_uuid_is_the_entrys_entryuuid(server: Slapd, name: str) -> None:
    await add(server, account(name))
    stream = await open_stream(server.uri)
    entry = await stream.read_entry(dn_of(name), "entryUUID", seconds=2.0)
    assert await stream.read_entry(dn_of("nobody"), "entryUUID", seconds=2.0) is None
    stream.close()
    await stream.wait_closed()
    async with feeding(server.uri) as feed:
        await change(server, dn_of(name), "delete")
        (deleted,) = await feed.next(Deleted)
    assert str(uuid.UUID(bytes=deleted.uuid)).encode() == entry.attributes["entryuuid"][0]  # type: ignore[index]


@on_each_loop
async def test_of_a_renamed_domain_only_its_own_entry_is_heard(server: Slapd, name: str) -> None:
    await add(server, f"dn: o={name},{SEARCH_BASE}\nobjectClass: organization\no: {name}\n")
    await add(server, account(name, f"o={name},{SEARCH_BASE}"))
    async with feeding(server.uri) as feed:
        await rename(server, f"o={name},{SEARCH_BASE}", f"o={name}x")
        await add(server, account(name))
        heard = await feed.next(Changed, 2)
    assert [changed.dn for changed in heard] == [f"o={name}x,{SEARCH_BASE}", dn_of(name)]


@on_each_loop
async def test_a_move_within_the_search_is_a_change_and_one_out_of_it_a_deletion(make_slapd: Any, name: str) -> None:
    readable = f'access to dn.subtree="{ELSEWHERE}" attrs=entry by dn.exact="{READER_DN}" read by * break\n'
    server = make_slapd(syncprov=True, access=readable + access_rules())
    await asyncio.to_thread(server.add, account(name))
    async with feeding(server.uri) as feed:
        await rename(server, dn_of(name), f"mail={name}@domain1.example", f"o=domain2.example,{SEARCH_BASE}")
        (moved,) = await feed.next(Changed)
        assert moved.dn == dn_of(name, f"o=domain2.example,{SEARCH_BASE}")
        await rename(server, moved.dn, f"mail={name}@domain1.example", ELSEWHERE)
        assert await feed.next(Deleted) == [Deleted(moved.uuid, dn_of(name, ELSEWHERE))]


@on_each_loop
async def test_a_move_to_where_nothing_may_be_read_is_not_reported_but_shows(server: Slapd, name: str) -> None:
    """slapd 2.5 leaves out the deletion when the new place is hidden; contextCSN shows that something is missing."""
    await add(server, account(name))
    async with feeding(server.uri) as feed:
        await feed.ready()
        await rename(server, dn_of(name), f"mail={name}@domain1.example", ELSEWHERE)
        (aged,) = await feed.next(AgeAll)
        assert "not reported" in aged.reason


@on_each_loop
async def test_a_write_outside_the_search_moves_the_cookie_only(server: Slapd) -> None:
    async with feeding(server.uri) as feed:
        await feed.ready()
        await change(server, f"uid=root,{ELSEWHERE}", "modify", "replace: cn", f"cn: {uuid.uuid4()}")
        await until(lambda: bool(feed.heard))
        assert [type(output) for output in feed.heard] == [Moved]


async def _changes_while_away(server: Slapd, name: str) -> Any:
    """What a feed hears that was away while one account was written and one deleted."""
    await add(server, account(name))
    await add(server, account(f"{name}gone"))
    async with feeding(server.uri) as feed:
        await feed.ready()
        for each in (name, f"{name}gone"):
            await change(server, dn_of(each), "modify", "replace: mailbox", "mailbox: x/")
        await until(lambda: sum(type(output) is Moved for output in feed.heard) == 2)
        kept, gone = (output.uuid for output in feed.heard if isinstance(output, Changed))
        cookie = last_cookie(feed.heard)
    await change(server, dn_of(name), "modify", "replace: mailbox", "mailbox: y/")
    await change(server, dn_of(f"{name}gone"), "delete")
    async with feeding(server.uri, cookie=cookie) as feed:
        heard = await feed.ready()
        assert last_cookie(heard) == feed.context.cookie
    (changed,) = [output for output in heard if isinstance(output, Changed)]
    assert (changed.dn, changed.uuid, changed.attributes["mailbox"]) == (dn_of(name), kept, (b"y/",))  # type: ignore[index]
    return [kept, gone, heard]


@on_each_loop
async def test_after_a_pause_the_present_phase_tells_what_went_meanwhile(server: Slapd, name: str) -> None:
    kept, gone, heard = await _changes_while_away(server, name)
    (present,) = [output for output in heard if isinstance(output, Present)]
    assert kept in present.uuids
    assert gone not in present.uuids
    assert not any(isinstance(output, AgeAll) for output in heard)


@on_each_loop
async def test_after_a_pause_a_session_log_tells_what_went_meanwhile(make_slapd: Any, name: str) -> None:
    server = make_slapd(**with_overlay("syncprov-sessionlog 100"))
    _, gone, heard = await _changes_while_away(server, name)
    assert [output.uuid for output in heard if isinstance(output, Deleted)] == [gone]
    assert not any(isinstance(output, AgeAll | Present) for output in heard)


@on_each_loop
async def test_a_lost_cookie_brings_everything_and_the_word_that_it_may_not_be_all(server: Slapd) -> None:
    async with feeding(server.uri, cookie=Cookie()) as feed:
        heard = await feed.ready()
        assert DOMAIN in [output.dn for output in heard if isinstance(output, Changed)]
        assert [type(output) for output in heard[-3:]] == [AgeAll, Moved, Persisting]


@on_each_loop
async def test_a_server_that_cannot_tell_from_an_old_cookie_says_so(make_slapd: Any) -> None:
    server = make_slapd(**with_overlay("syncprov-reloadhint TRUE"))
    async with feeding(server.uri, cookie=OLD) as feed:
        await asyncio.wait_for(feed.task, 5)
        assert [type(output) for output in feed.heard] == [AgeAll, Ended]
        assert feed.heard[-1].code == 4096
        assert feed.error is None
    async with feeding(server.uri, cookie=OLD, reload_hint=True) as feed:
        assert any(isinstance(output, Present) for output in await feed.ready())


@on_each_loop
async def test_a_size_limit_ends_a_refresh_but_not_what_comes_after_it(make_slapd: Any, name: str) -> None:
    server = make_slapd(syncprov=True, config=("sizelimit 5",))
    async with feeding(server.uri, cookie=OLD) as feed:
        await asyncio.wait_for(feed.task, 5)
        assert [type(output) for output in feed.heard] == [*[Changed] * 5, AgeAll, Ended]
    async with feeding(server.uri) as feed:
        await feed.ready()
        await add(server, "\n".join(account(f"{name}{number}") for number in range(12)))
        assert len(await feed.next(Changed, 12)) == 12


@on_each_loop
async def test_a_server_that_is_behind_the_cookie_says_so(server: Slapd) -> None:
    future = Cookie.parse(b"rid=000,csn=20900101000000.000000Z#000000#000#000000")
    async with feeding(server.uri, cookie=future) as feed:
        await asyncio.wait_for(feed.task, 5)
        assert [type(output) for output in feed.heard] == [Ended]
        assert feed.heard[0].code == UNWILLING


@on_each_loop
async def test_a_database_without_the_overlay_says_so(make_slapd: Any) -> None:
    async with feeding(make_slapd().uri) as feed:
        assert feed.context == (BASE, None, True)
        await asyncio.wait_for(feed.task, 5)
        assert feed.heard == [Ended(12, "critical control unavailable in context")]


@on_each_loop
async def test_a_restart_of_slapd_ends_the_stream_and_the_last_cookie_takes_it_up_again(
    make_slapd: Any, name: str
) -> None:
    server = make_slapd(syncprov=True)
    for stop in (server.stop, server.kill):
        async with feeding(server.uri) as feed:
            await feed.ready()
            await add(server, account(name))
            (added,) = await feed.next(Changed)
            await asyncio.to_thread(stop)
            await asyncio.wait_for(feed.task, 5)
            assert isinstance(feed.error, ConnectionError)
        await asyncio.to_thread(server.start)
        await change(server, dn_of(name), "delete")
        async with feeding(server.uri, cookie=feed.context.cookie) as feed:
            (present,) = [output for output in await feed.ready() if isinstance(output, Present)]
            assert added.uuid not in present.uuids


@on_each_loop
async def test_a_server_that_hangs_is_found_out(make_slapd: Any) -> None:
    server = make_slapd(syncprov=True)
    async with feeding(server.uri, interval=0.05, answer=0.2) as feed:
        await feed.ready()
        await asyncio.sleep(0.5)
        assert feed.error is None
        await asyncio.to_thread(server.suspend)
        await asyncio.wait_for(feed.task, 5)
        assert isinstance(feed.error, TimeoutError)


@pytest.mark.parametrize("way", ["ldap", "starttls", "ldaps", "ldapi", "ldapi external", "certificate"])
@on_each_loop
async def test_changes_are_heard_over_every_transport_and_bind(
    server: Slapd, authority: Authority, name: str, way: str
) -> None:
    secure = tls.context(ca_file=str(authority.ca))
    ldaps = f"ldaps://localhost:{server.tls_port}"
    if way == "certificate":
        cert, key = await asyncio.to_thread(authority.issue, "/CN=mailer")
        own = tls.context(ca_file=str(authority.ca), cert=str(cert), key=str(key))
    uri, bind, options = {  # type: ignore[no-untyped-call]
        "ldap": lambda: (server.uri, READER, {}),
        "starttls": lambda: (f"ldap://localhost:{server.port}", READER, {"context": secure, "start_tls": True}),
        "ldaps": lambda: (ldaps, READER, {"context": secure}),
        "ldapi": lambda: (server.ldapi_uri, READER, {}),
        "ldapi external": lambda: (server.ldapi_uri, Bind("EXTERNAL"), {}),
        "certificate": lambda: (ldaps, Bind("EXTERNAL"), {"context": own}),
    }[way]()
    async with feeding(uri, bind, **options) as feed:
        await feed.ready()
        await add(server, account(name))
        assert [changed.dn for changed in await feed.next(Changed)] == [dn_of(name)]


@on_each_loop
async def test_an_anonymous_feed_hears_what_everybody_may_read(make_slapd: Any, name: str) -> None:
    server = make_slapd(syncprov=True, access="")
    async with feeding(server.uri, Bind()) as feed:
        await feed.ready()
        await add(server, account(name))
        assert len(await feed.next(Changed)) == 1


@on_each_loop
async def test_what_must_not_be_trusted_is_refused(server: Slapd, make_slapd: Any, authority: Authority) -> None:
    with pytest.raises(Refused) as refused:
        await open_stream(server.uri, Bind("SIMPLE", READER_DN, "wrong"))
    assert refused.value.code == 49
    with pytest.raises(Refused):
        await open_stream(server.uri, Bind("EXTERNAL"))
    secure = tls.context(ca_file=str(authority.ca))
    with pytest.raises(OSError, match="certificate verify failed"):
        await open_stream(f"ldaps://127.0.0.1:{server.tls_port}", context=secure)
    with pytest.raises(OSError, match="certificate verify failed"):
        await open_stream(f"ldap://localhost:{server.port}", context=tls.context(), start_tls=True)
    with pytest.raises(StartTlsRefused):
        await open_stream(make_slapd().uri, context=secure, start_tls=True)
    await asyncio.sleep(0.05)


@on_each_loop
async def test_a_bulk_load_is_heard_whole(make_slapd: Any, name: str) -> None:
    """5,000 entries by one ldapadd. How long the loop was held up is printed, not judged."""
    server = make_slapd(syncprov=True, config=("sizelimit unlimited",))
    ldif = "\n".join(account(f"{name}{number}") for number in range(5_000))
    stalls = Stalls()
    async with feeding(server.uri) as feed:
        await feed.ready()
        probe = asyncio.create_task(stalls.watch())
        await add(server, ldif)
        heard = await feed.next(Changed, 5_000, 25.0)
        probe.cancel()
        assert len({changed.uuid for changed in heard}) == 5_000
    print(f"longest stall in the load: {stalls.longest * 1e3:.2f} ms")
    stalls = Stalls()
    probe = asyncio.create_task(stalls.watch())
    async with feeding(server.uri, cookie=Cookie()) as feed:
        await until(lambda: any(type(output) is Persisting for output in feed.heard), 25.0)
        assert sum(type(output) is Changed for output in feed.heard) >= 5_000
    probe.cancel()
    print(f"longest stall in a whole refresh: {stalls.longest * 1e3:.2f} ms")


@on_each_loop
async def test_an_entry_of_megabytes_is_heard_without_its_values_and_the_stream_goes_on(
    make_slapd: Any, name: str
) -> None:
    server = make_slapd(syncprov=True)
    async with feeding(server.uri) as feed:
        await feed.ready()
        await add(server, account(name, mailbox="x" * 1_000_000))
        await add(server, account(f"{name}b"))
        long, short = await feed.next(Changed, 2)
        assert (long.dn, long.attributes, long.state) == (dn_of(name), None, State.ADD)
        assert (short.dn, short.state) == (dn_of(f"{name}b"), State.ADD)
        await change(server, dn_of(name), "delete")
        assert await feed.next(Deleted) == [Deleted(long.uuid, dn_of(name))]


@on_each_loop
async def test_the_state_of_other_servers_is_kept_when_one_changes(make_slapd: Any, name: str) -> None:
    """The cookie of a change names only the server that made it: here 1, after a past as 0."""
    server = make_slapd(syncprov=True)
    await add(server, account(f"{name}a"))
    await asyncio.to_thread(server.stop)
    file = server.home / "slapd.conf"
    file.write_text(f"serverID 1\n{file.read_text()}")
    await asyncio.to_thread(server.start)
    async with feeding(server.uri) as feed:
        await feed.ready()
        await add(server, account(name))
        await until(lambda: any(type(output) is Moved for output in feed.heard))
        cookie = last_cookie(feed.heard)
    assert list(cookie.csns) == [0, 1]
    async with feeding(server.uri) as feed:
        assert feed.context.cookie == cookie
        assert await feed.ready() == [Persisting()]


def as_consumer_of(provider: Slapd) -> dict[str, object]:
    return {
        "ldif": "",
        "syncprov": True,
        "database": (
            f'syncrepl rid=001 provider={provider.uri} type=refreshAndPersist retry="1 +" searchbase="{BASE}"'
            f' bindmethod=simple binddn="{provider.root_dn}" credentials={provider.root_pw}',
        ),
    }


@on_each_loop
async def test_a_consumer_has_no_state_before_its_first_load_and_then_its_providers(make_slapd: Any, name: str) -> None:
    provider = make_slapd(syncprov=True)
    await asyncio.to_thread(provider.suspend)
    consumer = make_slapd(**as_consumer_of(provider), access="")
    stream = await open_stream(consumer.uri, Bind())
    assert (await context_of(stream)).cookie is None
    await asyncio.to_thread(provider.resume)
    async with asyncio.timeout(10):
        while (await context_of(stream)).cookie is None:  # noqa: ASYNC110 - slapd sets no event
            await asyncio.sleep(0.05)
    stream.close()
    await stream.wait_closed()
    async with feeding(consumer.uri, Bind()) as feed:
        await add(provider, account(name))
        (added,) = await feed.next(Changed)
        assert (added.dn, added.state) == (dn_of(name), State.ADD)
        await change(provider, dn_of(name), "delete")
        assert [deleted.uuid for deleted in await feed.next(Deleted)] == [added.uuid]
        stream = await open_stream(provider.uri)
        seen = (await context_of(stream)).cookie
        stream.close()
        await stream.wait_closed()
        assert not feed.context.cookie.merged(seen).is_behind(seen)
        assert feed.context.cookie.is_behind(seen)
