"""Slow servers: told from quick ones by the seconds that probes took, by the test's clock; and one that is real."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from tests.directory.proxy import Mode, proxied
from tests.directory.rig import ask, is_right, running, until
from vmaild.directory import ServerStatus, probe_time
from vmaild.directory.failover import Standing, choose, next_change
from vmaild.directory.probe_time import (
    FEWEST,
    KEPT,
    LATELY,
    LONGEST_HOLD,
    RATIO,
    SHORTEST_HOLD,
    ProbeTime,
    compare,
)

BOUND = 0.25
AFTER = 15.0
QUICK = 0.001
SLOW = 0.7

Seconds = Callable[["Site", int], float | None]
"""What a probe of a server takes now, None when there is none."""


class Site:
    """Servers that are probed once a second, and what ``Pool`` makes of that. ``current`` is the server in use."""

    def __init__(self, servers: int = 2, bound: float = BOUND, after: float = AFTER) -> None:
        self.now = 1000.0
        self.bound, self.after = bound, after
        self.times = [ProbeTime() for _ in range(servers)]
        self.standings = [Standing(up=True) for _ in range(servers)]
        self.current: int | None = 0
        self.used: list[tuple[float, int | None]] = [(self.now, 0)]

    def run(self, seconds: float, *probes: float | None) -> None:
        """Let time pass, with what a probe of each server takes."""
        self.run_by(seconds, lambda _, server: probes[server])

    def run_by(self, seconds: float, probe: Seconds) -> None:
        for _ in range(round(seconds)):
            self.now += 1.0
            for server, times in enumerate(self.times):
                took = probe(self, server)
                if took is not None and self.standings[server].up:
                    times.observe(took, self.now)
                    self.decide()

    def decide(self) -> None:
        usable = [standing.up and not standing.behind for standing in self.standings]
        list(compare(self.times, usable, self.now, self.bound, self.after))
        for standing, times in zip(self.standings, self.times, strict=True):
            standing.slow, standing.quick = times.slow, times.quick(self.now)
        before, self.current = self.current, choose(self.standings, self.current, self.now, self.after)
        if before != self.current:
            self.used.append((self.now, self.current))

    @property
    def slow(self) -> list[bool]:
        return [times.slow for times in self.times]


def test_a_slow_server_loses_lookups_to_a_quick_one_within_some_probes() -> None:
    site = Site()
    site.run(60, QUICK, QUICK)
    began = site.now
    site.run(10, SLOW, QUICK)
    assert (site.current, site.slow) == (1, [True, False])
    assert site.used[-1][0] - began <= FEWEST


@pytest.mark.parametrize("pauses", [1, 2])
def test_a_pause_that_some_probes_meet_decides_nothing(pauses: int) -> None:
    site = Site()
    for _ in range(10):
        site.run(KEPT, QUICK, QUICK)
        site.run(pauses, 2.0, QUICK)
    assert len(site.used) == 1
    assert site.slow == [False, False]


def test_it_gets_them_back_when_it_has_been_quick_for_failback_after() -> None:
    site = Site()
    site.run(10, SLOW, QUICK)
    ended = site.now
    site.run(AFTER, QUICK, QUICK)
    assert site.current == 1
    site.run(5, QUICK, QUICK)
    assert (site.current, site.slow) == (0, [False, False])
    assert AFTER <= site.used[-1][0] - ended <= AFTER + FEWEST + 1


def test_what_is_neither_slow_nor_quick_changes_nothing() -> None:
    """Between half of ``slow_after`` and all of it: whoever serves goes on to."""
    site = Site()
    site.run(60, 0.9 * BOUND, QUICK)
    assert site.current == 0
    site.run(10, SLOW, QUICK)
    site.run(600, 0.9 * BOUND, QUICK)
    assert (site.current, site.slow) == (1, [True, False])
    site.run(AFTER - 2, QUICK, QUICK)
    site.run(5, 0.9 * BOUND, QUICK)  # not for long enough
    site.run(AFTER - 2, QUICK, QUICK)
    assert site.current == 1


def test_with_all_of_them_slow_lookups_stay_where_they_are() -> None:
    site = Site(3)
    site.run(60, SLOW, SLOW, 0.8 * SLOW)
    assert (len(site.used), site.slow) == (1, [False] * 3)
    site = Site()
    site.run(10, SLOW, QUICK)
    site.run(60, SLOW, SLOW)
    assert (site.current, len(site.used)) == (1, 2)


def test_it_is_worth_it_for_a_server_that_is_several_times_as_quick_only() -> None:
    site = Site()
    site.run(60, RATIO * 0.9 * 0.4, 0.4)
    assert site.current == 0
    site.run(10, RATIO * 1.1 * 0.4, 0.4)
    assert site.current == 1


def test_a_server_that_is_behind_or_down_does_not_take_them() -> None:
    site = Site(3)
    site.standings[1].behind = True
    site.standings[2].up = False
    site.run(60, SLOW, QUICK, QUICK)
    assert (site.current, site.slow) == (0, [False] * 3)
    site.standings[1].behind = False
    site.run(2, SLOW, QUICK, QUICK)
    assert site.current == 1


def test_a_slow_server_serves_when_the_quick_one_is_behind_or_goes_down() -> None:
    for harm in ({"behind": True}, {"up": False, "failing": True}):
        site = Site()
        site.run(10, SLOW, QUICK)
        for name, value in harm.items():
            setattr(site.standings[1], name, value)
        site.run(1, SLOW, QUICK)
        assert (site.current, site.slow[0]) == (0, True), harm


def test_a_server_that_was_not_probed_lately_does_not_take_them() -> None:
    site = Site(3)
    site.run(10, QUICK, QUICK, QUICK)
    site.run(LATELY + 1, QUICK, None, QUICK)
    site.run(10, SLOW, None, QUICK)
    assert site.current == 2
    site = Site()
    site.run(10, QUICK, QUICK)
    site.run(LATELY + 1, QUICK, None)
    site.run(60, SLOW, None)
    assert (site.current, site.slow) == (0, [False, False])


def test_a_server_that_is_slow_whenever_it_is_in_use_gets_lookups_back_more_and_more_rarely() -> None:
    site = Site()
    site.run_by(4 * 3600, lambda site, server: SLOW if server == 0 and site.current == 0 else QUICK)
    back = [at for at, server in site.used if server == 0]
    pauses = [after - before for before, after in pairwise(back)]
    assert all(after >= 1.5 * before for before, after in pairwise(pauses[:6]))
    assert LONGEST_HOLD <= pauses[-1] <= LONGEST_HOLD + 20
    assert len(site.used) < 50


def test_two_servers_that_are_slow_whenever_they_are_in_use_do_not_toss_lookups_to_and_fro() -> None:
    site = Site()
    site.run_by(3600, lambda site, server: SLOW if site.current == server else QUICK)
    assert len(site.used) < 16


@pytest.mark.parametrize("seed", range(5))
def test_probe_times_of_any_kind_move_lookups_seldom(seed: int) -> None:
    chance = random.Random(seed)
    site = Site(3, after=0.0)
    site.run_by(3600, lambda _, __: chance.choice([QUICK, 0.1, 0.3, SLOW, 2.0]))
    assert len(site.used) < 3600 / SHORTEST_HOLD / 2


def test_trouble_long_ago_counts_no_more() -> None:
    site = Site()
    for _ in range(3):
        site.run(10, SLOW, QUICK)
        site.run(600, QUICK, QUICK)
        assert site.current == 0
        assert site.times[0].hold == AFTER


def test_the_change_and_the_way_back_are_told_once() -> None:
    told = []
    times = [ProbeTime(), ProbeTime()]
    for second in range(60):
        for server in (0, 1):
            times[server].observe(SLOW if server == 0 and second < 20 else QUICK, float(second))
            told += [(second, *change) for change in compare(times, [True, True], float(second), BOUND, AFTER)]
    assert [index for _, index, _ in told] == [0, 0]
    assert [rival for *_, rival in told] == [QUICK, QUICK]


def test_the_first_answers_of_a_server_that_comes_up_may_be_slow() -> None:
    site = Site()
    site.run(10, QUICK, QUICK)
    site.times[0].forget()
    site.run(2, SLOW, QUICK)
    site.run(10, QUICK, QUICK)
    assert (site.current, len(site.used)) == (0, 1)


def test_nothing_is_known_of_a_server_that_was_down() -> None:
    times = ProbeTime()
    for second in range(KEPT):
        times.observe(SLOW, float(second))
    times.forget()
    for second in range(KEPT, KEPT + FEWEST - 1):
        times.observe(QUICK, float(second))
    assert times.seconds is None
    times.observe(QUICK, float(KEPT + FEWEST))
    assert times.seconds == QUICK


def test_time_alone_does_not_bring_back_a_server_that_is_slow_or_behind() -> None:
    """Else the pool would decide again each millisecond, as it did while a preferred server was behind."""
    quick = Standing(up=True, quick=True)
    for harm in ("slow", "behind", "lacks"):
        assert next_change([replace(quick, **{harm: True}), quick], 1, 100.0, AFTER) is None, harm
    assert next_change([Standing(up=True), quick], 1, 100.0, AFTER) is None
    assert next_change([replace(quick, well_since=95.0), quick], 1, 100.0, AFTER) == 10.0


def test_no_answer_goes_back_in_time_by_a_change_of_server_that_nobody_needs() -> None:
    """A consumer that was cut off got lookups back a second after a change that it had not."""
    site = Site(3)
    site.run(10, SLOW, QUICK, QUICK)
    site.standings[0].lacks = True
    site.run(60, QUICK, QUICK, QUICK)
    assert (site.current, site.slow) == (1, [False] * 3)
    site.standings[0].lacks = False
    site.run(1, QUICK, QUICK, QUICK)
    assert site.current == 0

    site = Site(3)
    site.standings[1].lacks = True
    site.run(10, SLOW, QUICK, QUICK)
    assert site.current == 2
    site = Site()
    site.standings[1].lacks = True
    site.run(60, SLOW, QUICK)
    assert (site.current, site.slow) == (0, [True, False])
    site.standings[0].up = False
    site.run(1, SLOW, QUICK)
    assert site.current == 1, "better than nothing"


# --- a server that is real --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("syncprov", [True, False])
async def test_lookups_leave_a_server_that_is_slow_and_busy_and_come_back(
    make_slapd: Any, monkeypatch: pytest.MonkeyPatch, syncprov: bool
) -> None:
    """Lookups keep each of its connections busy; it shows a ``contextCSN``, or none."""
    monkeypatch.setattr(probe_time, "SHORTEST_HOLD", 0.5)
    slapd = make_slapd(syncprov=syncprov)
    with proxied(slapd.port) as proxy:
        async with running(proxy.uri, slapd.uri, timeout=8.0, connect_timeout=8.0, pool_size=2) as directory:

            def servers() -> tuple[ServerStatus, ...]:
                return directory.status().servers

            await until(lambda: all(server.probe_seconds for server in servers()))
            assert servers()[0].current
            proxy.mode = Mode.SLOW
            busy = [asyncio.create_task(_keep_asking(directory)) for _ in range(6)]
            await until(lambda: servers()[1].current, 20)
            assert (servers()[0].up, servers()[0].slow, servers()[1].slow) == (True, True, False)
            assert (servers()[0].probe_seconds or 0) > 0.25
            proxy.mode = Mode.PASS
            await until(lambda: servers()[0].current, 20)
            for task in busy:
                task.cancel()
            await asyncio.gather(*busy, return_exceptions=True)
            counters = directory.counters
            assert (counters.slowed, counters.failovers, counters.failbacks) == (1, 1, 1)
            assert not counters.failures


async def _keep_asking(directory: Any) -> None:
    while True:
        assert is_right(await ask(directory, timeout=8.0))


async def test_with_slow_after_0_a_slow_server_keeps_its_lookups(make_slapd: Any) -> None:
    slapd = make_slapd(syncprov=True)
    with proxied(slapd.port) as proxy:
        async with running(proxy.uri, slapd.uri, timeout=8.0, connect_timeout=8.0, slow_after=0.0) as directory:
            proxy.mode = Mode.SLOW
            await until(lambda: (directory.status().servers[0].probe_seconds or 0) > 0.25)
            await asyncio.sleep(0.5)
            assert directory.status().servers[0].current
            assert directory.counters.slowed == 0
