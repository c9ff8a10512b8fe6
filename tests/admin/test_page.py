"""The status page: complete, well-formed, without scripts, and with every value escaped."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest

from tests.admin.test_http import get
from vmaild.admin.http import HttpProtocol, Readiness
from vmaild.admin.page import html

NOW = 1_700_000_000.0
EVIL = "<script>alert('\"&')</script>"


def state(text: str = "ldap://one.example", **changes: object) -> dict[str, Any]:
    one = {"replies": 3, "hit_rate": 0.5, "p50": 0.00001, "p99": None, "found": 2, "not_found": 0}
    return {
        "version": text,
        "pid": 7,
        "uptime": 61.0,
        "ready": True,
        "ready_text": text,
        "servers": [
            {
                "uri": text,
                "up": False,
                "current": True,
                "connections": 2,
                "in_use": 1,
                "state_for": 5.0,
                "last_error": text,
                "failed_ago": 1.0,
            }
        ],
        "feed": {"mode": text, "behind": text},
        "maps": {text: {**one, "temporary": 1, "permanent": 0}},
        "cache": dict.fromkeys(
            (
                *("records", "positive", "negative", "max_positive", "max_negative", "bytes", "max_bytes"),
                *("withheld", "resident", "stale"),
            ),
            4,
        ),
        "clients": {"connections": 1, "max": 9},
        "refused": [{"text": text, "count": 2, "now": now} for now in (True, False)],
        "log_level": text,
        **changes,
    }


class Reader(HTMLParser):
    """Every tag is closed in its order, and what is read is noted."""

    VOID = ("meta", "link")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += f"{data} "


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


def test_the_page_has_everything_and_is_well_formed() -> None:
    text = " ".join(read(html(state(), NOW)).text.split())
    assert "up for 1 min 1 s" in text
    assert "vmaild ldap://one.example: ready, from the cache only" in text
    assert "at 22:13:20 UTC, process 7" in text
    assert "ldap://one.example DOWN for 5 s, in use, 2 connections" in text
    assert "last error 1 s ago: ldap://one.example" in text
    assert "50.0 %" in text
    assert "1 of 9" in text
    assert "2: ldap://one.example (now)" in text


def test_a_server_that_is_behind_or_slow_is_shown_as_that() -> None:
    told = state()
    told["servers"][0] |= {"up": True, "behind": True, "slow": True, "probe_seconds": 0.437}
    assert "up for 5 s, in use, behind, slow (a probe takes 0.44 s), 2 connections" in " ".join(
        read(html(told, NOW)).text.split()
    )
    told["servers"][0] |= {"current": False, "behind": False, "probe_seconds": None}
    assert "up for 5 s, slow, 2 connections" in " ".join(read(html(told, NOW)).text.split())


def test_every_value_is_escaped() -> None:
    page = html(state(EVIL), NOW)
    reader = read(page)
    assert "script" not in reader.tags
    assert reader.text.count(EVIL) == 10
    assert "<script" not in page


def test_the_page_needs_no_script_and_follows_the_scheme_and_the_width_of_the_browser() -> None:
    page = html(state(), NOW)
    assert "prefers-color-scheme: dark" in page
    assert "max-width: 40rem" in page
    assert 'name="viewport"' in page
    assert "http" not in page.replace("http-equiv", "")


def test_what_is_refused_now_stands_before_everything_that_is_long() -> None:
    page = html(state("text"), NOW)
    assert page.index("text (now)") < page.index("<h2>Directory") < page.index("<h2>Maps")


@pytest.mark.parametrize(
    ("ready", "up", "kind", "words"),
    [
        (True, True, "good", "ready"),
        (True, False, "doubtful", "ready, from the cache only"),
        (False, False, "bad", "NOT READY"),
    ],
)
def test_the_headline_tells_serving_from_the_cache_from_being_well(
    ready: bool, up: bool, kind: str, words: str
) -> None:
    servers = [{**server, "up": up} for server in state()["servers"]]
    page = html(state(ready=ready, servers=servers), NOW)
    assert f'<span class="{kind}">{words}</span></h1>' in page
    assert f"<title>vmaild: {words}</title>" in page


def test_nothing_refused_is_said_so() -> None:
    assert "Refused nothing" in " ".join(read(html(state(refused=[]), NOW)).text.split())


def test_the_page_is_at_the_root_and_lets_a_browser_load_nothing_else() -> None:
    protocol = HttpProtocol(lambda: b"", lambda: Readiness(True, ""), lambda: 0.0, lambda: html(state(), NOW))
    head, _, body = protocol.answer(get("/")).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Content-Type: text/html; charset=utf-8" in head
    assert b"Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'" in head
    assert body.startswith(b"<!DOCTYPE html>")
    assert protocol.answer(get("/", "HEAD")).endswith(b"\r\n\r\n")
    assert protocol.answer(get("/", "POST")).startswith(b"HTTP/1.1 405 ")


def test_without_a_page_there_is_none() -> None:
    protocol = HttpProtocol(lambda: b"", lambda: Readiness(True, ""), lambda: 0.0)
    assert protocol.answer(get("/")).startswith(b"HTTP/1.1 404 ")
