"""What the experiments make of what they measured, and the pieces that they stand on."""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.load.questions import Question, expectations
from benchmarks.load.tally import Tally, latencies, summary
from benchmarks.report.rows import Aim, Result, Rows, Section, milliseconds, report, table
from benchmarks.site.clients import postmap
from benchmarks.site.population import ALIASES, DOMAINS, MAILBOXES, PER_DOMAIN, address, answers, bulk_addresses, ldif
from benchmarks.site.site import MeasurementFailed
from benchmarks.site.use import Meter, cpu_seconds, open_connections, seen
from vmaild.lookup import NOT_FOUND, Status, found

LOG = """\
656 conn=1000 fd=12 ACCEPT from IP=127.0.0.1:36000 (IP=127.0.0.1:389)
656 conn=1000 op=0 BIND dn="cn=vmaild,dc=myhosting,dc=example" method=128
656 conn=1000 op=1 SRCH base="o=hosting,dc=myhosting,dc=example" scope=0 deref=0 filter="(objectClass=*)"
656 conn=1000 op=1 SRCH attr=1.1
656 conn=1000 op=2 SRCH base="o=hosting,dc=myhosting,dc=example" scope=1 deref=0 filter="(o=domain1.example)"
656 conn=1000 op=3 SRCH base="o=domain1.example,o=hosting,dc=myhosting,dc=example" scope=2 deref=0 filter="(mail=a)"
656 conn=1000 op=3 SEARCH RESULT tag=101 err=0 nentries=1 text=
"""

MACHINE = {"date": "2026-01-02", "cores": "2", "processor": "some", "python": "3.11"}


def test_searches_and_connections_are_counted_and_health_checks_are_not() -> None:
    assert seen(LOG) == (2, 1)


def test_open_connections_are_counted_once_each() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)), socket.create_connection(("127.0.0.1", port)):
            assert open_connections(port, os.getpid()) == 2
            assert open_connections(port) == 2


def test_cpu_time_of_a_process_grows_with_its_work() -> None:
    meter = Meter({"own": os.getpid()})
    began = time.process_time()
    while time.process_time() - began < 0.1:
        pass
    assert meter.each(10)["cpu own"] >= 5
    assert cpu_seconds(os.getpid()) > 0


def test_a_process_that_is_gone_counts_nothing() -> None:
    assert cpu_seconds(2**22 + 1) == 0


def test_latencies_have_three_digits() -> None:
    taken = latencies()
    for number in range(1, 1001):
        taken.record_value(number * 1_000_003)
    assert summary(taken)["p50"] == pytest.approx(500.0015, rel=0.002)
    assert summary(taken)["p99.9"] == pytest.approx(999.003, rel=0.002)
    assert summary(taken)["max"] == pytest.approx(1000.003, rel=0.001)
    assert summary(taken)["mean"] == pytest.approx(500.5015, rel=0.002)


def test_without_latencies_everything_is_zero() -> None:
    assert set(summary(latencies()).values()) == {0.0}


def test_the_directory_and_the_answers_agree() -> None:
    accounts = PER_DOMAIN + 3
    text = "".join(ldif(accounts))
    expected = expectations(answers(accounts))
    last = address(accounts - 1)
    assert last.endswith("@host1.example")
    assert text.count("objectClass: courierMailAccount\n") >= accounts
    assert f"mail: {last}\n" in text
    assert f"mailbox: host1.example/user{accounts - 1}/\n" in text
    mailbox = expected(MAILBOXES, last.encode())
    assert mailbox is not None
    assert mailbox.text == b"host1.example/user%d/" % (accounts - 1)
    domain = expected(DOMAINS, b"host1.example")
    assert domain is not None
    assert domain.text == b"host1.example"
    alias = expected(ALIASES, b"alias500@host1.example")
    assert alias is not None
    assert alias.text == b"user500@host1.example"
    for map_name in (DOMAINS, MAILBOXES, ALIASES):
        other = expected(map_name, b"nobody@host1.example")
        assert other is not None
        assert other.status is Status.NOT_FOUND


def test_every_entry_of_the_directory_is_separated_and_named_once() -> None:
    names = [line for line in "".join(ldif(25)).splitlines() if line.startswith("dn: ")]
    assert len(names) == len(set(names))


def test_bulk_accounts_are_numbered_as_smtp_source_numbers_them() -> None:
    text = "".join(ldif(3, bulk=2))
    expected = expectations(answers(3, bulk=2))
    assert bulk_addresses(2) == ("2user@bulk.example", "user1@bulk.example")
    assert "mail: 2user@bulk.example\nmail: user1@bulk.example\n" in text
    found = expected(MAILBOXES, b"user1@bulk.example")
    assert found is not None
    assert found.text == b"bulk.example/2/"
    assert "bulk.example" not in "".join(ldif(3))


def test_figures_are_medians_of_the_rounds() -> None:
    rows = Rows()
    for rate in (1.0, 50.0, 3.0):
        rows.add("load", "a", 1, {"rate": rate})
    assert rows.figures("load", "a", 1) == {"rate": 3.0}
    assert rows.figures("load", "a", 2) == {}


def test_a_ratio_is_the_median_of_the_rounds_ratios() -> None:
    rows = Rows()
    # In the second round the machine was ten times slower for both.
    for mine, other in ((200.0, 100.0), (22.0, 10.0), (180.0, 100.0)):
        rows.add("rcpt", "mine", 1, {"rate": mine})
        rows.add("rcpt", "other", 1, {"rate": other})
    ratios = rows.ratios(Aim("", "rcpt", sessions, "mine", "other") for sessions in (1, 10))
    assert [each["ratio"] for each in ratios] == [2.0]


@pytest.mark.parametrize(
    ("bounds", "text", "missed"),
    [
        ({}, "", False),
        ({"least": 2.0}, "at least 2.00", False),
        ({"least": 2.1}, "at least 2.10", True),
        ({"most": 2.0}, "at most 2.00", False),
        ({"most": 1.9}, "at most 1.90", True),
    ],
)
def test_an_aim_is_kept_or_missed(bounds: dict[str, float], text: str, missed: bool) -> None:
    aim = Aim("", "rcpt", 1, "mine", "other", **bounds)
    rows = Rows()
    rows.add("rcpt", "mine", 1, {"rate": 4.0})
    rows.add("rcpt", "other", 1, {"rate": 2.0})
    assert rows.ratios([aim]) == [{"title": "", "ratio": 2.0, "aim": text, "missed": missed}]


def test_a_table_is_markdown_with_even_columns() -> None:
    lines = table(["", "rate"], [["a", "1"], ["bbbb", "1,000"]]).splitlines()
    assert lines == ["|      |  rate |", "| ---- | ----: |", "| a    |     1 |", "| bbbb | 1,000 |"]


@pytest.mark.parametrize(("number", "text"), [(0.05, "50.0 us"), (5, "5.00 ms"), (5000, "5.00 s")])
def test_a_time_has_a_unit_that_suits_it(number: float, text: str) -> None:
    assert milliseconds(number) == text


def a_result() -> Result:
    rows = Rows()
    rows.add(
        "load", "vmaild, cached", 16, {"rate": 90_000, "cpu server": 0.01, "client_cpu": 0.01, "p50": 0.1, "p99": 1}
    )
    rows.add("postmap", "ldap:", 1, {"rate": 3000, "cpu slapd": 0.3, "client_cpu": 0.05})
    rows.add("postmap", "vmaild, cached", 1, {"rate": 30_000, "cpu server": 0.01, "client_cpu": 0.02})
    rows.add("grown", "vmaild", 1000, {"cpu server": 0.01, "rate": 9.0, "p50": 1.0, "p99": 2.0})
    rows.add("grown", "vmaild", 10_000, {"cpu server": 0.02, "rate": 9.0, "p50": 1.0, "p99": 2.0})
    sections = [
        Section("load", "Lookups", "connections", "percentiles"),
        Section("postmap", "Lookups by postmap", "processes"),
        Section("grown", "Growth", "answers", "lines"),
        Section("unmeasured", "Nothing"),
    ]
    aim = Aim("cached over ldap:", "postmap", 1, "vmaild, cached", "ldap:", least=4.0)
    return {
        "machine": MACHINE,
        "sections": [section._asdict() for section in sections],
        "rows": rows.as_json(),
        "percentiles": [(0.0, 0.1), (99.0, 1.0)],
        "ratios": rows.ratios([aim, Aim("", "unmeasured", 1, "a", "b")]),
        "notes": ["- a note"],
    }


def test_a_report_has_every_measured_section_the_ratios_and_the_notes() -> None:
    text = report(a_result())
    assert "| cached over ldap: |    10.00 | at least 4.00 |" in text
    assert "| vmaild, cached |          16 |   90,000 |     10.0 us | 10.0 us | 0.10 ms | 1.00 ms |" in text
    assert "- a note" in text
    assert "Nothing" not in text
    assert text.endswith("processor some, python 3.11.\n")


@pytest.mark.slow
def test_figures_makes_tables_and_pictures_from_the_json_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    (tmp_path / "compare.json").write_text(json.dumps(a_result()))
    # Was: a TypeError at the first file that is no result, such as that of `scale`.
    (tmp_path / "another.json").write_text("[]")
    assert main(["figures", str(tmp_path)]) == 0
    assert (tmp_path / "compare.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "compare.md").read_text() == report(a_result())
    assert "compare" in capsys.readouterr().out


def test_postmap_is_checked_key_by_key(tmp_path: Path) -> None:
    (tmp_path / "main.cf").write_text("compatibility_level = 3.6\n")
    (tmp_path / "table").write_text("a right\nb wrong\n")
    where = f"texthash:{tmp_path}/table"
    assert postmap(tmp_path, where, [b"a", b"absent"] * 2, 2, {b"a": b"right"})["rate"] > 0
    for expected in ({b"a": b"other"}, {b"a": b"right", b"absent": b"there"}, {}):
        with pytest.raises(MeasurementFailed, match="wrong"):
            postmap(tmp_path, where, [b"a", b"absent"], 1, expected)


def test_the_progress_line_shows_what_goes_wrong() -> None:
    tally = Tally(0)
    question = Question(b"wire", b"key", NOT_FOUND)
    tally.answer(question, NOT_FOUND, 0, 2_000_000)
    assert tally.line(10**9) == "1/s"
    tally.error("timeout", 0, 5_000_000)
    tally.answer(question, found(b"x"), 0, 2_000_000)
    assert tally.line(10**9).endswith("1 errors, 1 WRONG")
    assert tally.examples == ["key: OK x, but NOTFOUND is right"]
