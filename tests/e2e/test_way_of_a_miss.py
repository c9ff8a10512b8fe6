"""The way of a miss, as ARCHITECTURE.md tells it: which files a lookup passes that is not cached, in their order."""

from __future__ import annotations

import asyncio
import re
import sys
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any

import vmaild
from vmaild.cache import Cache
from vmaild.config.maps import Common, read_maps
from vmaild.config.section import Problems
from vmaild.demo.slapd import Slapd
from vmaild.demo.tree import READER_DN, READER_PW, SEARCH_BASE
from vmaild.directory import DirectorySettings, Pool
from vmaild.maps import Maps
from vmaild.server import ListenSettings, Server
from vmaild.wire import netstring

PACKAGE = Path(vmaild.__file__).parent
ARCHITECTURE = PACKAGE.parent / "ARCHITECTURE.md"
MOST_FILES = 14
MOST_CHANGES = 40
# The server's clock ticks at any time, and has no part in a lookup.
ASIDE = {"_tick", "tick", "time_next", "_next_turn", "_receive_timed"}


class Way:
    """The files whose functions are called, one after the other."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.is_relative_to(PACKAGE) and frame.f_code.co_name not in ASIDE:
            self.calls.append(path.relative_to(PACKAGE).as_posix())

    @property
    def changes(self) -> int:
        """How often a call is of another file than the one before."""
        return sum(one != other for one, other in pairwise(self.calls))


async def traced(slapd: Slapd) -> Way:
    """A lookup that one search answers, on a connection that has been used before."""
    settings = DirectorySettings(
        uri=(slapd.uri,), search_base=SEARCH_BASE, bind_dn=READER_DN, bind_pw=READER_PW, pool_size=1
    )
    pool = Pool(settings)
    await pool.start()
    maps = Maps(read_maps("courier", {}, Common(SEARCH_BASE), Problems("test")).groups, Cache(), pool, timeout=10)
    server = Server(maps, [ListenSettings("inet:127.0.0.1:0")])
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.addresses[0].port)

    *first, last = (netstring.encode(b"virtual_mailbox_maps user%d@domain2.example" % number) for number in (1, 3, 2))
    try:
        for request in first:  # of which one waits for the first connection, and one makes the plan
            writer.write(request)
            await reader.readuntil(b",")
        way = Way()
        writer.write(last)
        sys.setprofile(way)
        try:
            found = await reader.readuntil(b",")
        finally:
            sys.setprofile(None)
        assert found == b"25:OK domain2.example/user2/,"
    finally:
        writer.close()
        await server.close()
        await maps.close()
        await pool.close()
    return way


async def test_a_miss_passes_the_files_that_the_page_names_and_no_more(slapd: Slapd) -> None:
    # On a busy machine a timer of the server, such as that for slow clients, may come due in between.
    way = min([await traced(slapd) for _ in range(3)], key=lambda one: len(one.calls))
    table = ARCHITECTURE.read_text().partition("## The way of a miss")[2].partition("\n## ")[0]
    named = re.findall(r"^\| `([a-z_/]+\.py)` \|", table, re.MULTILINE)
    assert named == list(dict.fromkeys(way.calls))
    assert len(named) <= MOST_FILES
    assert way.changes <= MOST_CHANGES
