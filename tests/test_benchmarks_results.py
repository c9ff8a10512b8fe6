"""What the experiments make of what they measured, and the pieces that they stand on."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest

from benchmarks import growth_report, plots
from benchmarks.compare_report import ratio, report
from benchmarks.cpu import cpu_seconds, family_cpu, resident_bytes, total_cpu
from benchmarks.expectation import Expectations
from benchmarks.population import ALIASES, DOMAINS, MAILBOXES, PER_DOMAIN, address, answers, ldif
from benchmarks.postmap import run_postmap
from benchmarks.progress import progress_line
from benchmarks.samples import Rows, table
from benchmarks.searches import LogMark, Seen, count, open_connections
from benchmarks.tally import Tally
from vmaild.lookup import Status

LOG = """\
656 conn=1000 fd=12 ACCEPT from IP=127.0.0.1:36000 (IP=127.0.0.1:389)
656 conn=1000 op=0 BIND dn="cn=vmaild,dc=myhosting,dc=example" method=128
656 conn=1000 op=1 SRCH base="o=hosting,dc=myhosting,dc=example" scope=0 deref=0 filter="(objectClass=*)"
656 conn=1000 op=1 SRCH attr=1.1
656 conn=1000 op=2 SRCH base="o=hosting,dc=myhosting,dc=example" scope=1 deref=0 filter="(o=domain1.example)"
656 conn=1000 op=3 SRCH base="o=domain1.example,o=hosting,dc=myhosting,dc=example" scope=2 deref=0 filter="(mail=a)"
656 conn=1000 op=3 SEARCH RESULT tag=101 err=0 nentries=1 text=
"""

MACHINE = {"date": "2026-01-02", "cores": "2", "processor": "some"}


def test_searches_and_connections_are_counted_and_health_checks_are_not() -> None:
    assert count(LOG.splitlines()) == Seen(searches=2, connections=1)


def test_only_what_follows_a_mark_is_counted(tmp_path: Path) -> None:
    log = tmp_path / "slapd.log"
    log.write_text(LOG)
    mark = LogMark(log)
    with log.open("a") as file:
        file.write('9 conn=1 op=1 SRCH base="mail=x" scope=0 deref=0 filter="(objectClass=*)"\n')
    assert mark.since() == Seen(searches=1, connections=0)


def test_open_connections_are_counted_on_the_servers_side() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)), socket.create_connection(("127.0.0.1", port)):
            assert open_connections(port) == 2


def test_cpu_time_of_a_process_grows_with_its_work() -> None:
    before = cpu_seconds(os.getpid())
    began = time.process_time()
    while time.process_time() - began < 0.1:
        pass
    assert cpu_seconds(os.getpid()) - before >= 0.05
    assert family_cpu(os.getpid()) >= cpu_seconds(os.getpid())
    assert resident_bytes(os.getpid()) > 1 << 20


def test_a_process_that_is_gone_counts_nothing() -> None:
    with pytest.raises(ProcessLookupError):
        cpu_seconds(2**22 + 1)
    assert total_cpu([2**22 + 1]) == 0


def test_the_directory_and_the_answers_agree() -> None:
    accounts = PER_DOMAIN + 3
    text = "".join(ldif(accounts))
    expected = Expectations(answers(accounts))
    last = address(accounts - 1)
    assert last.endswith("@host1.example")
    assert text.count("objectClass: courierMailAccount\n") >= accounts
    assert f"mail: {last}\n" in text
    assert f"mailbox: host1.example/user{accounts - 1}/\n" in text
    mailbox = expected.of(MAILBOXES, last.encode())
    assert mailbox is not None
    assert mailbox.value == b"host1.example/user%d/" % (accounts - 1)
    domain = expected.of(DOMAINS, b"host1.example")
    assert domain is not None
    assert domain.value == b"host1.example"
    alias = expected.of(ALIASES, b"alias500@host1.example")
    assert alias is not None
    assert alias.value == b"user500@host1.example"
    for map_name in (DOMAINS, MAILBOXES, ALIASES):
        other = expected.of(map_name, b"nobody@host1.example")
        assert other is not None
        assert other.status is Status.NOT_FOUND


def test_every_entry_of_the_directory_is_separated_and_named_once() -> None:
    names = [line for line in "".join(ldif(25)).splitlines() if line.startswith("dn: ")]
    assert len(names) == len(set(names))


def test_figures_are_medians_of_the_rounds() -> None:
    rows = Rows()
    for rate in (1.0, 50.0, 3.0):
        rows.add("load", "a", 1, {"rate": rate})
    assert rows.section("load")[0].figures == {"rate": 3.0}
    assert rows.find("load", "a", 2) is None


def test_a_ratio_is_the_median_of_the_rounds_ratios() -> None:
    rows = Rows()
    # In the second round the machine was ten times slower for both.
    for mine, other in ((200.0, 100.0), (22.0, 10.0), (180.0, 100.0)):
        rows.add("rcpt", "mine", 1, {"rate": mine})
        rows.add("rcpt", "other", 1, {"rate": other})
    assert ratio(rows.as_json(), "rcpt", 1, "mine", "other") == 2.0
    assert ratio(rows.as_json(), "rcpt", 10, "mine", "other") is None


def test_a_table_is_markdown_with_even_columns() -> None:
    lines = table(["", "rate"], [["a", "1"], ["bb", "1,000"]]).splitlines()
    assert lines == ["|    |  rate |", "| -- | ----: |", "| a  |     1 |", "| bb | 1,000 |"]


def compare_result() -> dict[str, object]:
    rows = Rows()
    rows.add(
        "load", "vmaild, cached", 16, {"rate": 90_000, "cpu server": 0.01, "client_cpu": 0.01, "p50": 0.1, "p99": 1}
    )
    rows.add("postmap", "ldap:", 1, {"rate": 3000, "cpu slapd": 0.3, "client_cpu": 0.05})
    rows.add("postmap", "socketmap: vmaild, cached", 1, {"rate": 30_000, "cpu server": 0.01, "client_cpu": 0.02})
    rcpt = {"rate": 600, "client_cpu": 0.7, "p50": 1, "p99": 2, "ldap_connections": 12}
    rows.add("rcpt", "ldap:", 10, rcpt)
    names = ("cold searches", "warm searches", "cold connections", "warm connections")
    rows.add("messages", "vmaild, an account", 1, dict.fromkeys(names, 3.0))
    return {"rows": rows.as_json(), "machine": MACHINE}


def test_the_report_of_a_comparison_has_every_section_and_the_ratios() -> None:
    text = report(compare_result())
    assert "| cached through 1 postmap, over ldap: |    10.00 | 4.00 |" in text
    assert "LDAP connections" in text
    assert "| vmaild, an account |    3 |" in text


def test_pictures_are_png_files(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    plots.draw_compare(compare_result(), tmp_path / "compare.png")
    point = {"size": 1000.0, "cpu server": 0.01, "rate": 9.0, "p50": 1.0, "p99": 2.0}
    series = {"connections": [point, {**point, "size": 10_000.0}]}
    plots.draw_growth({"series": series, "machine": MACHINE}, tmp_path / "growth.png")
    states = {state: {"p50": 1.0, "p99": 2.0, "p99.9": 3.0} for state in ("with", "without", "elsewhere")}
    plots.draw_interference({**states, "machine": MACHINE}, tmp_path / "interference.png")
    for name in ("compare", "growth", "interference"):
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert "| 1,000       |" in growth_report.report({"series": series})


def test_postmap_is_checked_key_by_key(tmp_path: Path) -> None:
    (tmp_path / "main.cf").write_text("compatibility_level = 3.6\n")
    (tmp_path / "table").write_text("a right\nb wrong\nc unasked\n")
    keys = [b"a", b"b", b"absent", b"missing"] * 2
    expected = {b"a": b"right", b"b": b"other", b"missing": b"there"}
    result = run_postmap(tmp_path, f"texthash:{tmp_path}/table", keys, 2, expected)
    assert (result.asked, result.found) == (8, 4)
    assert result.wrong >= 2


def test_the_progress_line_shows_what_goes_wrong() -> None:
    tally = Tally(0)
    tally.answer(Status.FOUND, 0, 2_000_000)
    assert progress_line(3, 10, 1234, tally, False) == "3 of 10 s: 1,234/s, p99 2.00 ms"
    tally.error("timeout", 0, 5_000_000)
    tally.check(False, 0, "x")
    assert progress_line(3, 10, 0, tally, False).endswith("1 errors, 1 WRONG")
    assert progress_line(3, 10, 0, tally, True).startswith("warm-up")
