"""What a feed does when it is refused, lags, or meets a bug: in fake time, without a server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.cache.fake_time import in_fake_time
from tests.maps.fake_directory import account
from tests.maps.site import now
from tests.maps.test_freshness import ANN, Heard
from vmaild.directory import Cookie, DirectorySettings, Refused
from vmaild.directory.backoff import LONGEST_PAUSE
from vmaild.directory.sync_context import Context
from vmaild.directory.sync_phases import AgeAll, Ended, Moved
from vmaild.errors import DataError, DirectoryFailure
from vmaild.feed import Feed, HostedDomains
from vmaild.feed import feed as feed_module
from vmaild.feed.feed import PAUSES, RETRY, WRONG_PASSWORD
from vmaild.lookup import Entry, Search, found
from vmaild.tables.hosted import hosted_domains

ONE, OTHER = "ldap://one.example", "ldap://other.example"


class FakePool:
    current_uri = ONE

    async def search(self, *_: object) -> list[object]:
        raise AssertionError


class Course:
    """A feed whose tries end as ``outcome`` says; ``tries`` are the times of each."""

    def __init__(self, outcome: Callable[[int], Exception], monkeypatch: pytest.MonkeyPatch) -> None:
        self.site = Heard()
        self.tries: list[float] = []
        settings = DirectorySettings(uri=(ONE, OTHER), search_base="o=x")
        self.feed = Feed(settings, FakePool(), self.site.freshness, clock=now)
        monkeypatch.setattr(feed_module.random, "random", lambda: 0.0)  # type: ignore[attr-defined]

        async def once(uri: str) -> None:
            self.tries.append(now())
            raise outcome(len(self.tries))

        monkeypatch.setattr(self.feed, "_once", once)

    async def run(self, seconds: float) -> list[float]:
        """The pauses between tries."""
        task = asyncio.ensure_future(self.feed.run())
        await asyncio.sleep(seconds)
        task.cancel()
        return [round(after - before, 3) for before, after in zip(self.tries, self.tries[1:], strict=False)]


@in_fake_time
async def test_a_server_that_is_back_is_noticed_within_a_second_and_not_tried_in_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    course = Course(lambda _: ConnectionRefusedError(), monkeypatch)
    pauses = await course.run(10)
    assert tuple(pauses[:4]) == PAUSES
    assert set(pauses[4:]) == {PAUSES[-1]}
    assert max(PAUSES) <= LONGEST_PAUSE < 1
    monkeypatch.setattr(feed_module.random, "random", lambda: 0.99)  # type: ignore[attr-defined]
    course.tries.clear()
    assert max(await course.run(10)) < PAUSES[-1]


@in_fake_time
async def test_a_wrong_password_is_not_tried_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen by reading: every second, when lookups' connections wait for five, lest the account is locked."""
    course = Course(lambda _: Refused(49, "invalid credentials"), monkeypatch)
    assert set(await course.run(60)) == {WRONG_PASSWORD}


@pytest.mark.parametrize("bug", [KeyError("x"), AssertionError(), RecursionError()])
@in_fake_time
async def test_a_bug_ends_no_feed_and_does_not_fill_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, bug: Any
) -> None:
    """Seen by reading: ten tracebacks a second."""
    course = Course(lambda _: bug, monkeypatch)
    with caplog.at_level(logging.ERROR):
        assert set(await course.run(100)) == {RETRY}
    assert len(caplog.records) == 4
    assert type(bug).__name__ in course.feed.counters.why


@in_fake_time
async def test_what_is_more_than_a_server_may_say_is_no_bug(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    course = Course(lambda _: DataError("too much"), monkeypatch)
    with caplog.at_level(logging.ERROR):
        await course.run(10)
    assert caplog.records == []


@in_fake_time
async def test_a_server_that_ends_each_stream_at_once_is_not_tried_in_a_tight_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    course = Course(lambda _: DirectoryFailure("ended"), monkeypatch)
    heard = course.feed._once

    async def once(uri: str) -> None:
        course.feed._hearing("sync", uri)
        await heard(uri)

    monkeypatch.setattr(course.feed, "_once", once)
    await course.run(20)
    assert len(course.tries) < 40


# --- from which state on ----------------------------------------------------------------------------------------------


def state(*times: int) -> Cookie:
    return Cookie.of_context(
        [b"2026010100%04d.000000Z#000000#%03x#000000" % (time, sid) for sid, time in enumerate(times)]
    )


def starting(monkeypatch: pytest.MonkeyPatch) -> tuple[Feed, Heard, Callable[..., Cookie]]:
    course = Course(lambda _: OSError(), monkeypatch)
    course.site.freshness.hears = False  # not yet
    return course.feed, course.site, lambda uri, cookie: course.feed._start(uri, Context("o=x", cookie, True))


@in_fake_time
async def test_a_stream_begins_where_the_last_ended_whichever_server_it_was_of(monkeypatch: pytest.MonkeyPatch) -> None:
    feed, _, start = starting(monkeypatch)
    assert start(ONE, state(10)) == state(10)
    await feed._take(ONE, Moved(state(12)))
    assert start(ONE, state(15)) == state(12)
    assert start(OTHER, state(13)) == state(12)


@in_fake_time
async def test_of_a_server_that_lags_is_heard_from_where_it_is_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen by reading: a stream to it that ended was begun again with its state of then. What it had reported in
    between was lost, and what was made from its older state served for a day."""
    feed, site, start = starting(monkeypatch)
    start(ONE, state(10))
    assert start(OTHER, state(5)) == state(5)
    await feed._take(OTHER, Moved(state(6)))
    assert start(OTHER, state(8)) == state(6)
    assert site.freshness.counters.aged == 0
    await feed._take(OTHER, Moved(state(11)))
    assert start(OTHER, state(11)) == state(11)


@in_fake_time
async def test_a_server_that_has_gone_back_in_time_ages_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    feed, site, start = starting(monkeypatch)
    start(ONE, state(10))
    await feed._take(ONE, Moved(state(12)))
    assert start(ONE, state(7)) == state(7)
    assert site.freshness.counters.aged == 1


@pytest.mark.parametrize("code", [4, 4096])
@in_fake_time
async def test_when_the_refresh_is_refused_everything_is_aged_and_nothing_emptied(
    monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """e-syncRefreshRequired, or a size limit: the next stream begins with what is there then."""
    feed, site, start = starting(monkeypatch)
    site.plant("ann", account(ANN, "d.example/ann/"))
    assert start(ONE, state(10)) == state(10)
    site.freshness.heard("")
    await site.find(ANN)
    await feed._take(ONE, AgeAll("the cookie's age"))
    with pytest.raises(DirectoryFailure):
        feed._ended(ONE, Ended(code, ""))
    await asyncio.sleep(0.01)
    await site.find("in@between.example")
    await asyncio.sleep(0.01)
    assert start(ONE, state(20)) == state(20)
    record = site.record("in@between.example")
    assert record is not None
    assert record.refresh_at <= now(), "what changed since it was aged is not reported either"
    site.cache.forget(record.key)
    await asyncio.sleep(0.01)
    asked = site.directory.asked
    assert await site.find(ANN) == found(b"d.example/ann/")
    assert site.directory.asked == asked + 1, "served, and renewed"
    assert len(site.cache) == 1


# --- the domains ------------------------------------------------------------------------------------------------------


@in_fake_time
async def test_a_reading_of_the_domains_that_is_too_large_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    """Seen by reading: with more than ``max_answer`` the set was never read again, and nothing said so."""
    site = Heard()
    hosted = hosted_domains([group for _, group in site.maps.groups])
    assert hosted is not None
    tries = []

    async def find(_: Search) -> AsyncIterator[Entry]:
        tries.append(1)
        raise DataError("too much")
        yield

    domains = HostedDomains(hosted, site.maps, site.freshness, find, stale=100.0, clock=now)
    task = asyncio.ensure_future(domains.run())
    await asyncio.sleep(100)
    assert len(tries) >= 3
    assert caplog.text.count("cannot be read as a set") == 1
    task.cancel()
