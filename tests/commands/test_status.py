"""status and top: the page's words from made-up states, and both on a running daemon."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import sys
import time
import urllib.request
from typing import Any

import pytest

from vmaild import admin
from vmaild.admin.words import bytes_in_words, count, duration, feed_in_words, latency, percent
from vmaild.commands.output import Style, columns, style_for
from vmaild.commands.status import page
from vmaild.commands.top import _lines, cut, rate
from vmaild.demo.ask import ask

SERVER = {
    "uri": "ldap://one",
    "up": False,
    "current": False,
    "connections": 0,
    "in_use": 0,
    "state_for": 61.0,
    "last_error": "the server refused the bind (LDAP result 49: '')",
    "failed_ago": 3.0,
}
MAP = {
    "replies": 8,
    "hits": 6,
    "hit_rate": 0.75,
    "p50": 0.000025,
    "p99": 0.0025,
    "found": 5,
    "not_found": 2,
    "temporary": 1,
    "permanent": 0,
}


def state(**changes: object) -> dict[str, object]:
    return {
        "version": "9.9",
        "pid": 77,
        "uptime": 90_061.0,
        "ready": True,
        "ready_text": "a directory server is up",
        "servers": [SERVER],
        "feed": {"mode": "none"},
        "maps": {"virtual_alias_maps": MAP},
        "cache": {
            "records": 3,
            "positive": 2,
            "negative": 1,
            "max_positive": 10,
            "max_negative": 5,
            "bytes": 4100,
            "max_bytes": 268_000_000,
            "withheld": 2_000_000,
            "resident": 90_000_000,
            "stale": 1,
        },
        "clients": {"connections": 4, "max": 100},
        "refused": [{"text": "a canary is missing", "count": 2, "now": True}],
        "log_level": "info",
        **changes,
    }


def test_the_page_has_everything_of_the_state() -> None:
    text = "\n".join(page(state(), Style(False)))
    assert "vmaild 9.9, process 77, up for 1 d 1 h; log level info" in text
    assert "ldap://one  DOWN  for 1 min 1 s  0 connections  last error 3 s ago: the server refused the bind" in text
    assert re.search(r"virtual_alias_maps +8 +75.0 % +25 us +2.5 ms +5 +2 +1", text)
    assert "3 records, about 4.1 kB of 268 MB, of which 2.0 MB stay unused (the process holds 90.0 MB); " in text
    assert "4 of 100" in text
    assert "2  a canary is missing (now)" in text
    assert "\x1b" not in text


def test_colours_paint_what_is_bad_and_change_no_width() -> None:
    plain, painted = page(state(ready=False), Style(False)), page(state(ready=False), Style(True))
    assert any("\x1b[31mDOWN\x1b[0m" in line for line in painted)
    assert [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in painted] == plain


def test_a_feed_is_told_with_what_it_says() -> None:
    assert feed_in_words({"mode": "none"}) == "not followed; records age by their TTL"
    assert feed_in_words({"mode": "sync", "behind": "0 s"}) == "followed by sync: behind 0 s"


class Terminal:
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environ", "on"), [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)]
)
def test_colours_are_for_a_terminal_that_wants_them(environ: dict[str, str], on: bool) -> None:
    assert style_for(Terminal(), environ).on is on


def test_numbers_in_words() -> None:
    assert [duration(s) for s in (0, 59.6, 3600, 86_400 + 7200 + 5)] == ["0 s", "1 min", "1 h", "1 d 2 h"]
    assert [latency(s) for s in (None, 0.00001, 0.0025, 5.0)] == ["-", "10 us", "2.5 ms", "5 s"]
    assert [bytes_in_words(b) for b in (17, 1700, 170_000, 3_400_000, 5e9)] == [
        "17 bytes",
        "1.7 kB",
        "170 kB",
        "3.4 MB",
        "5.0 GB",
    ]
    assert [percent(p) for p in (None, 0.0, 0.99999, 1.0)] == ["-", "0.0 %", "99.9 %", "100 %"]
    assert [count(1, "entry", "entries"), count(2, "entry", "entries")] == ["1 entry", "2 entries"]


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert columns([["a", "1"], ["bbb", "22"]], right="lr") == ["  a     1", "  bbb  22"]


def test_status_of_a_running_daemon(run: Any, daemon: Any) -> None:
    ask(daemon.address, "virtual_mailbox_maps", "user2@domain2.example")
    ask(daemon.address, "virtual_mailbox_maps", "user2@domain2.example")
    status, out, err = run("status")
    assert (status, err) == (0, "")
    assert "ready: a directory server is up" in out
    told = json.loads(run("status", "--json")[1])
    assert told["servers"][0]["up"]
    found = told["maps"]["virtual_mailbox_maps"]
    assert found["replies"] >= 2
    assert 0 < found["hit_rate"] < 1
    assert found["p50"] <= found["p99"]
    assert told["cache"]["bytes"] > 100


def test_the_page_of_a_running_daemon_has_the_same(daemon: Any, http_port: int) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{http_port}/", timeout=10) as answer:
        page_of_it = answer.read().decode()
    assert "vmaild: ready" in page_of_it
    assert "smtpd_sender_login_maps" in page_of_it


def test_status_in_an_outage_has_the_last_error_in_words(run: Any, outage: Any) -> None:
    with outage():
        server = {"failed_ago": None}
        while server["failed_ago"] is None:  # the first try to connect again takes its pause
            (server,) = json.loads(run("status", "--json")[1])["servers"]
    assert not server["up"]
    assert server["last_error"].startswith("no server can be reached (cannot connect:")
    assert server["failed_ago"] >= 0


def test_status_without_a_daemon_ends_with_69(vmaild: Any, configured: Any) -> None:
    status, _, err = vmaild("status", "-c", configured(("control.sock", "none.sock")))
    assert status == os.EX_UNAVAILABLE
    assert "is vmaild running?" in err


# --- top


def test_replies_a_second_need_two_pages_of_the_same_daemon() -> None:
    assert rate(None, (1.0, 5)) is None
    assert rate((1.0, 5), (3.0, 9)) == 2.0
    assert rate((1.0, 5), (3.0, 2)) is None


def test_a_line_is_cut_at_the_width_and_keeps_its_colours() -> None:
    assert cut("\x1b[31mabcdef\x1b[0m", 3) == "\x1b[31mabc\x1b[0m"


def test_top_is_for_a_terminal(run: Any) -> None:
    status, _, err = run("top")
    assert status == os.EX_USAGE
    assert "vmaild status" in err


def test_top_waits_for_a_daemon_that_is_not_there() -> None:
    assert _lines({"error": "nobody listens at /x"}, None, Style(False))[0] == "nobody listens at /x"
    assert "waiting for it" in _lines({"error": "x"}, None, Style(False))[-1]


def until(master: int, wanted: bytes) -> bytes:
    """What comes from the terminal up to ``wanted``."""
    seen = b""
    end = time.monotonic() + 20
    while wanted not in seen:
        assert time.monotonic() < end, seen
        if select.select([master], [], [], 1)[0]:
            seen += os.read(master, 65_536)
    return seen


def test_top_shows_pages_on_its_own_screen_until_q(daemon: Any) -> None:
    pid, master = pty.fork()
    if pid == 0:  # the child: the terminal is its stdin and stdout
        os.environ["COLUMNS"], os.environ["LINES"] = "60", "40"
        arguments = [sys.executable, "-m", "vmaild", "-c", str(daemon.configuration), "top", "-d", "0.2"]
        os.execv(sys.executable, arguments)
    first = until(master, b"Clients")
    assert first.startswith(b"\x1b[?1049h")
    assert b"a second; q ends this" in first
    until(master, b"Clients")
    os.write(master, b"q")
    assert until(master, b"\x1b[?1049l")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(master)


def test_the_daemon_answers_others_while_a_query_waits(run: Any, daemon: Any, slapd: Any) -> None:
    path = str(daemon.home / "control.sock")
    run("flush")
    slapd.suspend()
    try:
        waiting = admin.control.socket.socket(admin.control.socket.AF_UNIX)  # type: ignore[attr-defined]
        waiting.connect(path)
        waiting.sendall(b"query virtual_mailbox_maps user1%40domain1.example\n")
        assert admin.ask(path, b"status", timeout=2.0)["status"]["ready"]
    finally:
        slapd.resume()
    waiting.settimeout(20)
    assert b'"status":"OK"' in waiting.recv(1000)
    waiting.close()
