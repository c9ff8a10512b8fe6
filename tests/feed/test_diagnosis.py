"""What ``vmaild check`` says of a server's changes: that they arrive, or which lines slapd lacks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vmaild.demo.slapd import Slapd, free_port
from vmaild.demo.tree import READER_DN, READER_PW, SEARCH_BASE, tree
from vmaild.directory import Context, DirectorySettings, read_context
from vmaild.directory.examine import Level
from vmaild.feed import diagnosis


@pytest.fixture(scope="module")
def slapd(service_home: Path) -> Iterator[Slapd]:
    with Slapd(service_home / "slapd", ldif=tree(), syncprov=True) as running:
        yield running


async def told(uri: str) -> list[tuple[Level, str]]:
    settings = DirectorySettings(
        uri=(uri,), search_base=SEARCH_BASE, bind="simple", bind_dn=READER_DN, bind_pw=READER_PW
    )
    return [(finding.level, finding.text) for finding in await diagnosis.describe(uri, settings)]


async def test_changes_that_arrive_are_told_in_one_line(slapd: Slapd) -> None:
    assert await told(slapd.uri) == [(Level.OK, "changes arrive as they happen (sync)")]


@pytest.mark.parametrize(
    ("offers", "code", "why"),
    [(False, 0, "syncprov is not loaded"), (True, 50, "the stream was refused with LDAP result 50")],
)
async def test_changes_that_are_polled_for_are_told_with_the_lines_that_slapd_lacks(
    slapd: Slapd, monkeypatch: pytest.MonkeyPatch, offers: bool, code: int, why: str
) -> None:
    async def as_without_it(*arguments: Any) -> Context:
        context = await read_context(*arguments)
        return context._replace(offers_sync=offers)

    async def refused(*_: object) -> int:
        return code

    monkeypatch.setattr(diagnosis, "read_context", as_without_it)
    monkeypatch.setattr(diagnosis, "_try", refused)
    (first, text), *lines = await told(slapd.uri)
    assert first is Level.WARNING
    assert text == f"changes are polled once a second: {why}; add to slapd:"
    assert ["overlay syncprov" in line for _, line in lines] == [True, False]
    assert "index entryCSN" in lines[1][1]


async def test_of_a_server_that_is_not_there_nothing_is_said() -> None:
    """``examine`` has said why."""
    assert await told(f"ldap://127.0.0.1:{free_port()}") == []
