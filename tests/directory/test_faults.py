"""What the directory answers while servers and networks fail: in time, never wrong, and up again by itself.

``running`` adds to each test: the event loop was not held up, nothing was left behind.
"""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest

from tests.directory.proxy import Mode, blackhole, proxied, silent
from tests.directory.rig import ABSENT, AT_ONCE, SETTINGS, ask, ask_until_right, by_mail, is_right, running, until
from tests.support.loops import on_each_loop
from vmaild.demo.tree import SEARCH_BASE
from vmaild.directory import subschema
from vmaild.directory.backoff import MIN_LIFE
from vmaild.directory.connection import LdapConnection
from vmaild.lookup import Scope, Search

EVERYTHING = Search(SEARCH_BASE, Scope.SUB, "(objectClass=*)", ("mail", "maildrop", "objectClass"))


async def fails_at_once(directory: Any) -> None:
    """Every server is known to be down: no waiting."""
    answer = await ask(directory)
    assert answer.kind == "unavailable"
    assert answer.seconds < AT_ONCE


@on_each_loop
async def test_an_unanswered_syn_costs_no_more_than_the_deadline(slapd: Any) -> None:
    with blackhole() as port:
        async with running(f"ldap://127.0.0.1:{port}", ready=False) as directory:
            assert (await ask(directory)).entries is None
            await until(lambda: directory.counters.connect_failures["timeout"] >= 2)
            await fails_at_once(directory)
        async with running(f"ldap://127.0.0.1:{port}", slapd.uri, ready=False) as directory:
            assert is_right(await ask(directory))


@on_each_loop
async def test_a_refused_connection_fails_at_once_and_recovers(slapd: Any) -> None:
    with proxied(slapd.port) as proxy:
        proxy.refuse()
        async with running(proxy.uri, ready=False) as directory:
            assert (await ask(directory)).kind == "unavailable"
            await fails_at_once(directory)
            assert not directory.ready
            proxy.listen()
            assert set(await ask_until_right(directory)) <= {"unavailable"}
            assert directory.ready


@on_each_loop
async def test_a_server_that_accepts_and_stays_silent_is_down() -> None:
    with silent() as port:
        async with running(f"ldap://127.0.0.1:{port}", ready=False) as directory:
            assert (await ask(directory)).entries is None
            await until(lambda: directory.counters.connect_failures["timeout"] >= 1)
            await fails_at_once(directory)


@on_each_loop
async def test_sigkill_in_the_middle_of_searches(make_slapd: Any) -> None:
    server = make_slapd()
    async with running(server.uri) as directory:
        lookups = [asyncio.create_task(ask(directory)) for _ in range(40)]
        await asyncio.sleep(0)
        await asyncio.to_thread(server.kill)
        for answer in await asyncio.gather(*lookups):
            assert is_right(answer) or answer.kind in ("unavailable", "broken")
        await asyncio.to_thread(server.start)
        assert set(await ask_until_right(directory)) <= {"unavailable", "broken"}


@on_each_loop
async def test_a_stopped_server_is_taken_out_and_returns(make_slapd: Any) -> None:
    server = make_slapd()
    async with running(server.uri) as directory:
        await asyncio.to_thread(server.suspend)
        answers = await asyncio.gather(*(ask(directory) for _ in range(12)))
        assert {answer.kind for answer in answers} <= {"timeout", "unavailable", "broken"}
        assert directory.counters.taken_out == 1
        await until(lambda: not directory.ready)
        await fails_at_once(directory)
        server.resume()
        assert set(await ask_until_right(directory)) <= {"unavailable"}


@on_each_loop
async def test_a_stopped_server_costs_a_delay_when_another_is_up(make_slapd: Any, slapd: Any) -> None:
    server = make_slapd()
    async with running(server.uri, slapd.uri, pool_size=2) as directory:
        await until(lambda: all(one.connections == 2 for one in directory.status().servers))
        assert is_right(await ask(directory))
        await asyncio.to_thread(server.suspend)
        answers = await asyncio.gather(*(ask(directory) for _ in range(40)))
        assert all(is_right(answer) for answer in answers)
        assert directory.counters.failovers == 1
        assert (await ask(directory)).seconds < AT_ONCE


@on_each_loop
async def test_a_restart_is_survived_without_a_wrong_answer(make_slapd: Any) -> None:
    server = make_slapd()
    async with running(server.uri) as directory:
        restart = asyncio.create_task(asyncio.to_thread(server.restart))
        while not restart.done():
            answer = await ask(directory)
            assert is_right(answer) or answer.kind in ("unavailable", "broken", "busy")
            await asyncio.sleep(0.005)
        await restart
        await ask_until_right(directory)


@on_each_loop
async def test_connections_closed_by_idletimeout_are_no_failure(make_slapd: Any) -> None:
    server = make_slapd(config=["idletimeout 2"])
    async with running(server.uri, check_interval=30.0) as directory:
        await until(lambda: directory.counters.lost >= 4)
        for _ in range(50):
            assert is_right(await ask(directory))
            await asyncio.sleep(0.02)
        assert not directory.counters.failures


@on_each_loop
async def test_a_search_has_its_own_time_whatever_the_one_before_had(slapd: Any) -> None:
    with proxied(slapd.port) as proxy:
        async with running(proxy.uri, pool_size=1, check_interval=30.0) as directory:
            assert is_right(await ask(directory, timeout=0.3))
            proxy.mode = Mode.HOLD
            answer = await ask(directory, timeout=0.8)
            assert answer.kind == "timeout"
            assert answer.seconds > 0.7
            proxy.mode = Mode.PASS
            await ask_until_right(directory)
            assert is_right(await ask(directory, timeout=8.0))
            proxy.mode = Mode.HOLD
            assert (await ask(directory, timeout=0.3)).kind == "timeout"


@on_each_loop
async def test_a_dead_connection_is_freed_without_the_garbage_collector(slapd: Any) -> None:
    async with running(slapd.uri, pool_size=1) as directory:
        assert is_right(await ask(directory))
        before = [weakref.ref(one) for one in gc.get_objects() if isinstance(one, LdapConnection) and not one.dead]
        assert len(before) == 1
        gc.disable()
        try:
            await directory.close()
            await asyncio.sleep(0.05)
            assert before[0]() is None
        finally:
            gc.enable()


@on_each_loop
async def test_half_an_answer_and_then_silence(slapd: Any) -> None:
    with proxied(slapd.port) as proxy:
        async with running(proxy.uri, check_interval=30.0) as directory:
            proxy.mode = Mode.HALF
            answer = await ask(directory, EVERYTHING)
            assert answer.kind == "timeout"
            proxy.mode = Mode.PASS
            await ask_until_right(directory)


@on_each_loop
async def test_one_byte_a_second_is_too_slow_and_holds_nothing_up(slapd: Any) -> None:
    with proxied(slapd.port) as proxy:
        async with running(proxy.uri) as directory:
            proxy.mode = Mode.DRIP
            answers = await asyncio.gather(*(ask(directory) for _ in range(8)))
            assert {answer.entries is None for answer in answers} == {True}
            proxy.mode = Mode.PASS
            await ask_until_right(directory)


@on_each_loop
async def test_a_reset_of_idle_connections_is_not_noticed_by_lookups(slapd: Any) -> None:
    with proxied(slapd.port) as proxy:
        async with running(proxy.uri, check_interval=30.0) as directory:
            for _ in range(5):
                await asyncio.to_thread(proxy.reset)
                assert is_right(await ask(directory))
                await until(lambda: directory.status().servers[0].connections == 4)
                await asyncio.sleep(2 * MIN_LIFE)
            assert directory.counters.lost == 20
            assert not directory.counters.failures


@on_each_loop
async def test_both_servers_down_fails_at_once_and_either_brings_it_back(make_slapd: Any) -> None:
    first, second = make_slapd(), make_slapd()
    async with running(first.uri, second.uri) as directory:
        await asyncio.to_thread(first.kill)
        await asyncio.to_thread(second.kill)
        await until(lambda: directory.counters.connect_failures["unavailable"] >= 2)
        await fails_at_once(directory)
        await asyncio.to_thread(second.start)
        await ask_until_right(directory)


@on_each_loop
async def test_the_second_server_serves_while_the_first_is_down_and_the_first_again_later(
    make_slapd: Any, slapd: Any
) -> None:
    first = make_slapd()
    first.kill()
    async with running(first.uri, slapd.uri, ready=False) as directory:
        for _ in range(20):
            assert is_right(await ask(directory))
        await asyncio.to_thread(first.start)
        await until(lambda: directory.status().servers[0].up)
        assert directory.status().servers[1].current
        await until(lambda: directory.status().servers[0].current)
        assert directory.counters.failbacks == 1
        assert is_right(await ask(directory))


@on_each_loop
async def test_a_flapping_first_server_does_not_pull_lookups_to_and_fro(make_slapd: Any, slapd: Any) -> None:
    first = make_slapd()
    with proxied(first.port) as proxy:
        async with running(proxy.uri, slapd.uri, failback_after=3.0) as directory:
            end = asyncio.get_running_loop().time() + 6.5
            while (now := asyncio.get_running_loop().time()) < end:
                if (end - now) % 4 < 2:
                    if proxy.listening:
                        await asyncio.to_thread(proxy.refuse)
                elif not proxy.listening:
                    proxy.listen()
                assert is_right(await ask(directory))
                await asyncio.sleep(0.01)
            assert directory.counters.failovers == 1
            assert directory.counters.failbacks == 0


@on_each_loop
async def test_a_wrong_bind_password_is_down_until_it_is_right(make_slapd: Any) -> None:
    server = make_slapd()
    async with running(server.uri, ready=False, bind_pw="corrected") as directory:
        answer = await ask(directory)
        assert answer.kind == "unavailable"
        assert directory.counters.connect_failures["credentials"] >= 1
        dn = SETTINGS.bind_dn
        change = f"dn: {dn}\nchangetype: modify\nreplace: userPassword\nuserPassword: corrected\n"
        await asyncio.to_thread(server.modify, change)
        assert set(await ask_until_right(directory)) <= {"unavailable"}


@on_each_loop
async def test_a_server_with_the_wrong_password_does_not_stop_the_other(make_slapd: Any, slapd: Any) -> None:
    server = make_slapd()
    dn = SETTINGS.bind_dn
    server.modify(f"dn: {dn}\nchangetype: modify\nreplace: userPassword\nuserPassword: other\n")
    async with running(server.uri, slapd.uri, ready=False) as directory:
        for _ in range(10):
            assert is_right(await ask(directory))


@on_each_loop
async def test_an_answer_past_the_size_limit_is_a_failure_and_no_part_of_it(make_slapd: Any, slapd: Any) -> None:
    async with running(slapd.uri) as directory:
        answer = await ask(directory, by_mail("*", size_limit=3))
        assert answer.kind == "limit"
        assert is_right(await ask(directory, by_mail("user1@domain1.example", size_limit=1)))
    server = make_slapd(config=["sizelimit 3"])
    async with running(server.uri) as directory:
        assert (await ask(directory, by_mail("*"))).kind == "limit"
        assert is_right(await ask(directory))


@on_each_loop
async def test_a_cancelled_search_never_leaves_its_answer_to_the_next(slapd: Any) -> None:
    async with running(slapd.uri, pool_size=1) as directory:
        for turn in range(60):
            other = asyncio.create_task(directory.search(by_mail("user2@domain1.example")))
            for _ in range(turn % 12):
                await asyncio.sleep(0)
            other.cancel()
            await asyncio.gather(other, return_exceptions=True)
            await ask_until_right(directory)
            assert (await ask(directory, by_mail(ABSENT))).entries == []
        # Some were given up when they had begun, with their connection or abandoned on it.
        assert directory.counters.cancelled > 0


@on_each_loop
async def test_more_lookups_than_may_wait_fail_at_once(slapd: Any) -> None:
    with proxied(slapd.port) as proxy:
        async with running(proxy.uri, max_waiting=5, check_interval=30.0) as directory:
            proxy.mode = Mode.HOLD
            lookups = [asyncio.create_task(ask(directory)) for _ in range(9)]
            await until(lambda: directory.waiting == 5)
            assert (await ask(directory)).kind == "overloaded"
            proxy.mode = Mode.PASS
            assert all(is_right(answer) for answer in await asyncio.gather(*lookups))


@on_each_loop
async def test_old_connections_are_replaced(slapd: Any) -> None:
    async with running(slapd.uri, max_lifetime=1.0, check_interval=0.2) as directory:
        await until(lambda: directory.counters.retired >= 4)
        assert is_right(await ask(directory))
        assert directory.counters.lost == 0


@on_each_loop
async def test_a_connection_that_ends_before_a_waiter_gets_it_costs_no_retry(slapd: Any) -> None:
    async with running(slapd.uri, pool_size=1, check_interval=30.0) as directory:
        lookups = [asyncio.create_task(ask(directory)) for _ in range(2)]
        await asyncio.sleep(0)
        assert directory.waiting == 1
        (connection,) = directory._servers[0]._all
        connection.expires = 0.0  # it is closed when it comes back from the first
        assert all(is_right(answer) for answer in await asyncio.gather(*lookups))
        assert connection.dead
        assert directory.counters.retries == 0
        assert directory.counters.connects == 2


@on_each_loop
async def test_a_waiter_that_was_cancelled_gets_no_connection_and_the_next_does(slapd: Any) -> None:
    async with running(slapd.uri, pool_size=1, check_interval=30.0) as directory:
        lookups = [asyncio.create_task(ask(directory)) for _ in range(3)]
        await asyncio.sleep(0)
        assert directory.waiting == 2
        lookups[1].cancel()
        first, second, third = await asyncio.gather(*lookups, return_exceptions=True)
        assert is_right(first)
        assert isinstance(second, asyncio.CancelledError)
        assert is_right(third)
        # A second where the search was begun before its end was told, and so given up with its connection.
        assert directory.counters.connects <= 2


@on_each_loop
async def test_a_waiter_that_is_cancelled_just_when_it_gets_its_connection_leaves_the_next_its_answer(
    slapd: Any,
) -> None:
    async with running(slapd.uri, pool_size=1, check_interval=30.0) as directory:
        lookups = [asyncio.create_task(ask(directory)) for _ in range(3)]
        await asyncio.sleep(0)
        take_turn = directory._waiting.next

        def next_and_cancel() -> object:
            directory._waiting.next = take_turn
            lookups[1].cancel()
            return take_turn()

        directory._waiting.next = next_and_cancel  # type: ignore[assignment]
        first, second, third = await asyncio.gather(*lookups, return_exceptions=True)
        assert is_right(first)
        assert isinstance(second, asyncio.CancelledError)
        assert is_right(third)
        assert directory.waiting == 0
        assert directory.status().servers[0].in_use == 0


@on_each_loop
async def test_a_connection_that_ends_while_the_schema_is_parsed_does_not_count(
    slapd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stayed among the pool's connections, dead, and the server passed for up while all lookups timed out."""
    read, ended = subschema.read, []  # type: ignore[var-annotated]

    async def ends(connection: LdapConnection, *arguments: object) -> object:
        schema = await read(connection, *arguments)
        if not ended:
            ended.append(connection)
            connection.kill()
        return schema

    monkeypatch.setattr(subschema, "read", ends)
    async with running(slapd.uri, pool_size=1, check_interval=30.0) as directory:
        assert directory.counters.connect_failures["broken"] == len(ended) == 1
        assert is_right(await ask(directory))
        assert directory.counters.retries == 0
        status = directory.status().servers[0]
        assert (status.connections, status.in_use) == (1, 0)
