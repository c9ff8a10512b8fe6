"""The metrics, read from counters that are set to known numbers."""

from __future__ import annotations

import json
import os
import re
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from vmaild.admin.metrics import UNKNOWN_MAP, Metrics, _Process
from vmaild.cache import Cache, CacheCounters, CacheSettings
from vmaild.config.maps import Common, read_maps
from vmaild.config.section import Problems
from vmaild.directory import Counters, PoolStatus, ServerStatus
from vmaild.errors import DirectoryFailure
from vmaild.lookup import NODATA, NOT_FOUND, Request, Status, found
from vmaild.manual import FOLDER
from vmaild.maps import MapCounters, Maps
from vmaild.maps.counters import FlightCounters
from vmaild.server import Latency, ServerCounters
from vmaild.server.counters import LATENCY_BOUNDS
from vmaild.wire import socketmap

ALIAS = "virtual_alias_maps"
MAILBOX = "virtual_mailbox_maps"
PAGE = (FOLDER / "vmaild-metrics.7").read_text()


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> Any:
        return self.now


class Daemon:
    """The four parts, of which only the cache is real."""

    def __init__(self) -> None:
        self.clock = Clock()
        settings = CacheSettings(max_entries=300, max_negative_entries=20)
        self.cache = Cache(settings, clock=self.clock, jitter=lambda: 0.0)
        self.server = SimpleNamespace(
            counters=ServerCounters(),
            connections=17,
            recent_size=4096,
            cached_latency=Latency(),
            lookup_latency=Latency(),
        )
        self.maps = SimpleNamespace(
            counters={ALIAS: MapCounters(), MAILBOX: MapCounters()},
            unknown=MapCounters(),
            in_flight=6,
            flight_counters=FlightCounters(),
            canaries=SimpleNamespace(missing={ALIAS: ("a@d.example", "b@d.example")}),
        )
        self.status = PoolStatus(
            (
                ServerStatus("ldap://one", True, True, 4, 3, 1, 0, "", slow=True, probe_seconds=0.5),
                ServerStatus("ldap://two", False, False, 0, 0, 0, 5, "timeout"),
            ),
            9,
        )
        self.directory = SimpleNamespace(counters=Counters(), status=lambda: self.status)
        self.metrics = Metrics(cache=self.cache, server=self.server, directory=self.directory, maps=self.maps)

    def samples(self) -> Any:
        """Every sample of the exposition: name and labels, as they are written, to value."""
        return dict(
            re.fullmatch(r"(.+?) ([^ ]+)", line).groups()  # type: ignore[misc]
            for line in self.metrics.exposition().decode().splitlines()
            if not line.startswith("#")
        )

    def value(self, sample: Any) -> Any:
        return float(self.samples()[f"vmaild_{sample}"])

    def families(self) -> Any:
        return list(text_string_to_metric_families(self.metrics.exposition().decode()))

    def hit(self, name: Any = ALIAS, status: Any = Status.FOUND, *, stale: bool = False) -> None:
        """What the server does on the hot path."""
        self.cache.tally(name, status, stale=stale).hits += 1


@pytest.fixture
def daemon() -> Any:
    return Daemon()


def distinct_numbers(counters: Any, first: Any) -> Any:
    """Gives every integer field of ``counters`` a number of its own; returns them by field."""
    numbers = {}
    for number, field in enumerate(fields(counters), first):
        if isinstance(getattr(counters, field.name), int):
            setattr(counters, field.name, number)
            numbers[field.name] = number
    return numbers


@pytest.mark.parametrize(
    ("part", "counters", "of_its_own"),
    [
        ("cache", CacheCounters, {}),
        ("server", ServerCounters, {}),
        ("directory", Counters, {}),
    ],
)
def test_every_counter_of_a_part_is_exported(daemon: Any, part: str, counters: Any, of_its_own: Any) -> None:
    numbers = distinct_numbers(getattr(daemon, part).counters, 70001)
    exported = [float(value) for value in daemon.samples().values() if 70001 <= float(value) < 80000]
    assert sorted(exported) == sorted(numbers.values())


@pytest.mark.parametrize(
    ("part", "field", "sample"),
    [
        ("cache", "misses", "cache_misses_total"),
        ("cache", "prefetches", "cache_prefetches_total"),
        ("cache", "slow", "cache_slow_total"),
        ("cache", "shared", "cache_shared_total"),
        ("cache", "stored", "cache_stored_total"),
        ("cache", "outdated", "cache_outdated_total"),
        ("cache", "admitted", "cache_admitted_total"),
        ("cache", "returned", "cache_returned_total"),
        ("cache", "too_large", "cache_not_kept_total"),
        ("server", "protocol_errors", "protocol_errors_total"),
        ("server", "refused", "connections_refused_total"),
        ("server", "lookups", "requests_looked_up_total"),
        ("directory", "searches", "ldap_searches_total"),
        ("directory", "retries", "ldap_retries_total"),
        ("directory", "failovers", "ldap_failovers_total"),
        ("directory", "failbacks", "ldap_failbacks_total"),
        ("directory", "check_failures", "ldap_check_failures_total"),
    ],
)
def test_a_counter_is_exported_under_its_own_name(daemon: Any, part: str, field: str, sample: str) -> None:
    setattr(getattr(daemon, part).counters, field, 12345)
    assert daemon.value(sample) == 12345


def test_failures_are_told_by_kind_and_every_kind_is_there_from_the_start(daemon: Any) -> None:
    assert daemon.value('ldap_failures_total{kind="timeout"}') == 0
    daemon.directory.counters.failures["timeout"] += 3
    daemon.directory.counters.failures["new_kind"] += 1
    daemon.directory.counters.connect_failures["certificate"] += 2
    assert daemon.value('ldap_failures_total{kind="timeout"}') == 3
    assert daemon.value('ldap_failures_total{kind="new_kind"}') == 1
    assert daemon.value('ldap_connect_failures_total{kind="certificate"}') == 2
    assert daemon.value('ldap_connect_failures_total{kind="timeout"}') == 0


def test_lookups_are_those_of_the_hot_path_and_those_of_the_maps(daemon: Any) -> None:
    for _ in range(5):
        daemon.hit()
    daemon.maps.counters[ALIAS].found = 2
    daemon.maps.counters[MAILBOX].not_found = 3
    daemon.maps.counters[MAILBOX].temporary = 4
    daemon.maps.unknown.permanent = 6
    assert daemon.value(f'lookups_total{{map="{ALIAS}",status="found"}}') == 7
    assert daemon.value(f'lookups_total{{map="{MAILBOX}",status="not_found"}}') == 3
    assert daemon.value(f'lookups_total{{map="{MAILBOX}",status="temporary"}}') == 4
    assert daemon.value(f'lookups_total{{map="{MAILBOX}",status="found"}}') == 0
    assert daemon.value(f'lookups_total{{map="{UNKNOWN_MAP}",status="permanent"}}') == 6


async def test_an_answer_that_the_maps_got_from_the_cache_is_one_lookup(daemon: Any) -> None:
    """Maps as they are, with a directory that is down: a stale answer, then one on the hot path."""

    class Down:
        schema = None
        search_time = 0.0

        def begin(self, search: Any, end: Any, done: Any) -> None:
            done(DirectoryFailure("down"))

    groups = read_maps("courier", {}, Common("o=hosting"), Problems("f.toml")).groups
    maps = Maps(groups, daemon.cache, Down(), timeout=1.0, clock=daemon.clock)
    daemon.cache.store(b"1 a@d.example", [NODATA, b"b@d.example", b"b@d.example"], None)
    daemon.clock.now += 400
    metrics = Metrics(cache=daemon.cache, server=daemon.server, directory=daemon.directory, maps=maps)
    assert await maps.find(Request(ALIAS.encode(), b"a@d.example")) == found(b"b@d.example")
    assert metrics.lookups()[ALIAS, "found"] == 1
    assert daemon.value(f'cache_hits_total{{age="stale",map="{ALIAS}",status="found"}}') == 1
    answer = maps.seek(ALIAS.encode(), b"a@d.example", socketmap.encode_reply)
    answer.tally.hits += 1
    assert metrics.lookups()[ALIAS, "found"] == 2
    assert daemon.value(f'cache_hits_total{{age="stale",map="{ALIAS}",status="found"}}') == 2
    await maps.close()


def test_fresh_and_stale_hits_are_samples_of_their_own_and_one_kind_of_lookup(daemon: Any) -> None:
    daemon.hit(status=Status.NOT_FOUND)
    daemon.hit(status=Status.NOT_FOUND)
    daemon.hit(status=Status.NOT_FOUND, stale=True)
    assert daemon.value(f'cache_hits_total{{age="fresh",map="{ALIAS}",status="not_found"}}') == 2
    assert daemon.value(f'cache_hits_total{{age="stale",map="{ALIAS}",status="not_found"}}') == 1
    assert daemon.value(f'lookups_total{{map="{ALIAS}",status="not_found"}}') == 3


def test_records_are_counted_by_whether_an_entry_was_found(daemon: Any) -> None:
    daemon.cache.store(b"0 a@d.example", [NOT_FOUND, NOT_FOUND], None)
    daemon.cache.store(b"0 b@d.example", [NODATA, b"d.example/b/"], None)
    daemon.cache.store(b"0 c@d.example", [b"x@d.example", NOT_FOUND], None)
    assert daemon.value('cache_records{kind="positive"}') == 2
    assert daemon.value('cache_records{kind="negative"}') == 1
    assert daemon.value('cache_records_max{kind="positive"}') == 300
    assert daemon.value('cache_records_max{kind="negative"}') == 20
    assert daemon.value("lookups_in_flight") == 6


def test_evictions_are_told_by_kind_and_reason_and_every_kind_is_there_from_the_start(daemon: Any) -> None:
    assert daemon.value('cache_evictions_total{kind="derived",reason="size"}') == 0
    for n in range(30):
        daemon.cache.store(b"0 %d@d.example" % n, [NOT_FOUND], None)
    assert daemon.value('cache_evictions_total{kind="negative",reason="entries"}') == 10


def test_the_memory_of_the_cache_is_told_by_kind_with_its_bound(daemon: Any) -> None:
    daemon.cache.store(b"0 a@d.example", [b"x" * 10_000], None)
    daemon.cache.store(b"0 b@d.example", [b"y" * 20_000], None, derived=True)
    daemon.cache.store(b"0 c@d.example" + b"c" * 9000, [NOT_FOUND], None)
    assert 10_000 < daemon.value('cache_bytes{kind="positive"}') < 11_000
    assert 20_000 < daemon.value('cache_bytes{kind="derived"}') < 21_000
    assert 9000 < daemon.value('cache_bytes{kind="negative"}') < 10_000
    assert daemon.value('cache_bytes{kind="requests"}') == 4096
    assert daemon.value("cache_bytes_max") == 256 * 1024 * 1024


def test_refusals_of_a_map_stand_under_its_name(daemon: Any) -> None:
    daemon.maps.counters[ALIAS].canary_refusals = 4
    daemon.maps.counters[MAILBOX].data_errors = 5
    assert daemon.value(f'canary_refusals_total{{map="{ALIAS}"}}') == 4
    assert daemon.value(f'data_errors_total{{map="{MAILBOX}"}}') == 5
    assert daemon.value(f'canaries_missing{{map="{ALIAS}"}}') == 2
    assert daemon.value(f'canaries_missing{{map="{MAILBOX}"}}') == 0


def test_latency_is_a_cumulative_histogram_in_seconds(daemon: Any) -> None:
    for seconds in (0.000009, 0.0009, 0.001, 0.3, 60.0):
        daemon.server.lookup_latency.observe(seconds)
    assert daemon.value('lookup_seconds_bucket{le="1e-05"}') == 1
    assert daemon.value('lookup_seconds_bucket{le="0.0005"}') == 1
    assert daemon.value('lookup_seconds_bucket{le="0.001"}') == 3
    assert daemon.value('lookup_seconds_bucket{le="5.0"}') == 4
    assert daemon.value('lookup_seconds_bucket{le="+Inf"}') == 5
    assert daemon.value("lookup_seconds_count") == 5
    assert daemon.value("lookup_seconds_sum") == pytest.approx(60.301909)
    assert daemon.value("cached_answer_seconds_count") == 0
    buckets = [sample for sample in daemon.samples() if sample.startswith("vmaild_lookup_seconds_bucket")]
    assert len(buckets) == len(LATENCY_BOUNDS) + 1


def test_each_server_of_the_directory_has_its_state(daemon: Any) -> None:
    assert daemon.value('ldap_server_up{server="ldap://one"}') == 1
    assert daemon.value('ldap_server_up{server="ldap://two"}') == 0
    assert daemon.value('ldap_server_current{server="ldap://two"}') == 0
    assert daemon.value('ldap_connections{server="ldap://one",state="idle"}') == 1
    assert daemon.value('ldap_connections{server="ldap://one",state="in_use"}') == 3
    assert daemon.value('ldap_connections{server="ldap://one",state="opening"}') == 1
    assert daemon.value("ldap_searches_waiting") == 9
    assert daemon.value("connections") == 17


def test_process_metrics_are_on_a_registry_of_the_daemons_own(daemon: Any) -> None:
    other = Daemon()
    assert other.metrics.registry is not daemon.metrics.registry
    assert float(daemon.samples()["process_resident_memory_bytes"]) > 1_000_000


def test_each_metric_is_there_once(daemon: Any) -> None:
    names = [family.name for family in daemon.metrics.collect()]
    assert sorted(set(names)) == sorted(names)


def test_names_follow_the_rules_of_prometheus(daemon: Any) -> None:
    families = [family for family in daemon.families() if family.name.startswith("vmaild_")]
    assert len({family.name for family in families}) == len(families)
    for family in families:
        assert re.fullmatch(r"vmaild(_[a-z]+)+", family.name)
        assert not re.search(r"_(total|count|sum|bucket)$", family.name.removesuffix("_total"))
        assert family.documentation[0].isupper()
        assert family.documentation[-1] != "."
        assert family.type in ("counter", "gauge", "histogram")
        assert family.type != "histogram" or family.name.endswith("_seconds")
        for sample in family.samples:
            assert sample.name.endswith("_total") == (family.type == "counter")


def test_the_manual_page_names_every_metric_with_its_labels(daemon: Any) -> None:
    daemon.hit()
    exported = {}
    for family in daemon.families():
        if family.name.startswith("vmaild_"):
            name = family.name + "_total" * (family.type == "counter")
            labels = {label for sample in family.samples for label in sample.labels} - {"le"}
            exported[name] = (family.type, labels)
    documented = {
        name: (kind, set(re.findall(r"\w+", labels)))
        for name, kind, labels in re.findall(r"^\.It Li (vmaild_\w+) Pq (\w+);?(.*)$", PAGE, re.MULTILINE)
    }
    assert documented == exported


def test_stats_hold_the_same_numbers_as_json(daemon: Any) -> None:
    daemon.maps.counters[ALIAS].found = 2
    daemon.directory.counters.failures["timeout"] += 3
    daemon.server.counters.accepted = 8
    daemon.cache.store(b"0 a@d.example", [b"b@d.example"], None)
    daemon.hit()
    stats = json.loads(json.dumps(daemon.metrics.stats()))
    assert stats["lookups"][ALIAS]["found"] == 3
    assert stats["lookups"][UNKNOWN_MAP]["permanent"] == 0
    assert stats["missing_canaries"] == {ALIAS: ["a@d.example", "b@d.example"]}
    assert (stats["cache"]["records"], stats["cache"]["stored"], stats["cache"]["lookups_in_flight"]) == (1, 1, 6)
    assert stats["server"] | {"accepted": 8, "connections": 17} == stats["server"]
    assert stats["directory"]["failures"] == {"timeout": 3}
    assert [server["uri"] for server in stats["directory"]["servers"]] == ["ldap://one", "ldap://two"]


def test_the_start_time_is_told_where_only_processes_are_seen_in_proc(tmp_path: Path) -> None:
    """As the unit's ``ProcSubset=pid`` has it: no /proc/stat, which prometheus_client reads the time of boot from."""
    (tmp_path / str(os.getpid())).symlink_to(f"/proc/{os.getpid()}")
    registry = CollectorRegistry()
    _Process(proc=str(tmp_path), pid=os.getpid, registry=registry)
    started = registry.get_sample_value("process_start_time_seconds")
    assert started is not None
    assert abs(started - start_time()) < 2


def start_time() -> float:
    ticks = int(Path("/proc/self/stat").read_bytes().rpartition(b") ")[2].split()[19])
    boot = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime "))
    return int(boot.split()[1]) + ticks / os.sysconf("SC_CLK_TCK")
