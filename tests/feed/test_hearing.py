"""What goes on behind the maps, when another configuration takes over and when a bug ends it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.directory.rig import until
from tests.feed.served import served
from vmaild import hearing
from vmaild.config import load
from vmaild.demo.slapd import Slapd
from vmaild.demo.tree import READER_DN, READER_PW, SEARCH_BASE, tree
from vmaild.lookup import NOT_FOUND, found
from vmaild.maps.walk import SLICE
from vmaild.reload import serving

USER, MAILBOX = "user1@domain1.example", "virtual_mailbox_maps"


@pytest.fixture
def slapd(tmp_path: Path) -> Iterator[Slapd]:
    with Slapd(tmp_path / "slapd", ldif=tree(), syncprov=True) as running:
        yield running


def configuration(slapd: Slapd, *directory: str) -> str:
    lines = ['preset = "courier"', "[directory]", f'uri = "{slapd.uri}"', f'search_base = "{SEARCH_BASE}"']
    return "\n".join([*lines, f'bind_dn = "{READER_DN}"', f'bind_pw = "{READER_PW}"', *directory, ""])


async def test_what_is_heard_of_no_more_lives_as_without_a_feed(slapd: Slapd, tmp_path: Path) -> None:
    """Seen by reading: after a reload with ``changes = "none"`` answers lived on for a day."""
    file = tmp_path / "vmaild.toml"
    async with served(file, configuration(slapd)) as site:
        assert await site.find(MAILBOX, USER) == found(b"domain1.example/user1/")
        record = site.record(MAILBOX, USER)
        assert record is not None
        assert record.expires_at > time.monotonic() + 70_000
        await asyncio.to_thread(file.write_text, configuration(slapd, 'changes = "none"'))
        after = serving(load(file, {}), site.cache, site.serving)
        after.maps.take_over(site.serving.maps)
        site.hearing.stop()
        after.hearing.follow(site.hearing)
        assert record.expires_at < time.monotonic() + 301
        await after.close()


async def test_a_walk_that_goes_on_ends_before_what_it_is_of_is_closed(slapd: Slapd, tmp_path: Path) -> None:
    """Seen by reading: with a reload just after a domain was renamed, its addresses went on being answered."""
    async with served(tmp_path / "vmaild.toml", configuration(slapd)) as site:
        prefix = site.serving.maps._maps[MAILBOX.encode()].prefix
        keys = [prefix + b"%d@gone.example" % number for number in range(3 * SLICE)]
        for key in keys:
            site.cache.store(key, (NOT_FOUND, NOT_FOUND, NOT_FOUND), None)
        site.hearing.freshness[0].drop_domain("gone.example")
        assert site.cache.get(keys[-1]) is not None
        await site.serving.retire()
        assert not any(site.cache.get(key) for key in keys)


async def test_what_a_bug_ends_begins_again(
    slapd: Slapd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Seen by reading: the hosted domains were not read any more, and nothing said so."""
    monkeypatch.setattr(hearing, "BUG_PAUSE", 0.05)
    async with served(tmp_path / "vmaild.toml", configuration(slapd)) as site:
        domains, runs = site.hearing.domains, []
        assert domains is not None

        async def run() -> None:
            runs.append(1)
            raise KeyError("a bug")

        with caplog.at_level(logging.ERROR):
            site.hearing._begin("reading the hosted domains", run)
            await until(lambda: len(runs) >= 3)
        assert "reading the hosted domains ended by a bug" in caplog.text
