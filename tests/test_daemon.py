"""What the daemon does beside serving."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from vmaild import daemon
from vmaild.cache.resident import FIXED
from vmaild.config import load
from vmaild.directory import DirectorySettings
from vmaild.process.descriptors import raise_limit
from vmaild.reload import same_directories, same_directory

CONFIGURATION = """
preset = "courier"
[directory]
uri = "ldap://127.0.0.1:1"
search_base = "o=x"
[maps.virtual_mailbox_maps]
canary = "a@b.example"
"""


@pytest.fixture
def config(tmp_path: Path) -> Any:
    path = tmp_path / "vmaild.toml"
    path.write_text(CONFIGURATION)
    return load(path, {})


async def test_canaries_are_checked_on_whatever_a_check_raised(
    config: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(daemon, "CANARY_RETRY", 0.001)
    watching = daemon.Daemon(config)
    checks = 0
    enough = asyncio.Event()

    async def check() -> None:
        nonlocal checks
        checks += 1
        if checks == 3:
            enough.set()
        raise RuntimeError("unexpected")

    monkeypatch.setattr(watching.maps.canaries, "check", check)
    task = asyncio.create_task(watching._watch_canaries())
    await asyncio.wait_for(enough.wait(), 10)
    task.cancel()
    assert caplog.text.count("could not be checked: RuntimeError('unexpected')") == 1


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({}, True),
        ({"uri": ("ldap://two", "ldap://three")}, True),
        ({"uri": ("ldap://three",)}, False),
        ({"search_base": "o=y"}, False),
        ({"bind": "simple", "bind_dn": "cn=b", "bind_pw": "p"}, False),
        ({"timeout": 9.0}, True),
    ],
)
def test_another_tree_server_or_account_may_say_something_else(change: dict[str, Any], same: bool) -> None:
    """An access rule may show another account other entries: what is cached is that of the old one."""
    one = DirectorySettings(uri=("ldap://one", "ldap://two"), search_base="o=x")
    other = dataclasses.replace(one, **change)
    assert same_directory(one, other) is same
    assert same_directories([one], [other]) is same
    assert not same_directories([one], [one, one])


@pytest.mark.parametrize(("allowed", "limit"), [(True, 4096), (False, 1024)])
def test_the_limit_of_open_files_is_raised_where_that_is_allowed(
    monkeypatch: pytest.MonkeyPatch, allowed: bool, limit: int
) -> None:
    asked: list[object] = []

    def set_limit(what: int, limits: tuple[int, int]) -> None:
        asked.append(limits)
        if not allowed:
            raise OSError(1, "Operation not permitted")

    monkeypatch.setattr("resource.getrlimit", lambda what: (1024, 4096))
    monkeypatch.setattr("resource.setrlimit", set_limit)
    assert raise_limit() == limit
    assert asked == [(4096, 4096)]


@pytest.mark.parametrize(
    ("wanted", "limit", "kept", "places"),
    [(10_000, 65_536, 200, 10_000), (10_000, 1024, 200, 824), (100, 256, 156, 100), (100, 100, 156, 25)],
)
def test_clients_get_what_the_open_files_leave(
    wanted: int, limit: int, kept: int, places: int, caplog: pytest.LogCaptureFixture
) -> None:
    assert daemon.descriptors.for_clients(wanted, limit, kept) == places  # type: ignore[attr-defined]
    assert ("max_connections is" in caplog.text) is (places < wanted)


def test_places_follow_the_limit_of_open_files(config: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon.descriptors, "raise_limit", lambda: 256)  # type: ignore[attr-defined]
    assert 64 <= daemon.places(config) < 192


async def test_what_the_process_holds_has_the_cache_use_less(config: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon, "MEMORY_INTERVAL", 0.001)
    monkeypatch.setattr(daemon, "GcTuning", lambda *_: SimpleNamespace(start=int, tick=int))
    held = 100 << 20
    monkeypatch.setattr(daemon, "resident_memory", lambda: held)
    tuned = daemon.Daemon(config)
    withhold, withheld = tuned.cache.withhold, asyncio.Event()

    def noted(wanted: int) -> None:
        withhold(wanted)
        if wanted:
            withheld.set()

    monkeypatch.setattr(tuned.cache, "withhold", noted)
    task = asyncio.create_task(tuned._tune_memory())
    await asyncio.sleep(0)
    held += FIXED + (10 << 20)
    await asyncio.wait_for(withheld.wait(), 10)
    assert tuned.cache.withheld == 10 << 20
    task.cancel()


async def test_without_proc_the_garbage_collector_is_tuned_all_the_same(
    config: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(daemon, "MEMORY_INTERVAL", 0.001)
    ticked = asyncio.Event()
    monkeypatch.setattr(daemon, "GcTuning", lambda *_: SimpleNamespace(start=int, tick=ticked.set))

    def hidden() -> int:
        raise FileNotFoundError(2, "No such file or directory", "/proc/self/statm")

    monkeypatch.setattr(daemon, "resident_memory", hidden)
    task = asyncio.create_task(daemon.Daemon(config)._tune_memory())
    await asyncio.wait_for(ticked.wait(), 10)
    task.cancel()
    assert "resident memory cannot be read" in caplog.text
