"""bonsai's own asyncio pool under the load of ``directory``: ``... URI SLAPD_PID ACCOUNTS SECONDS CONNECTIONS``.

A process of its own, because importing ``vmaild.directory`` changes what bonsai makes of an entry. Prints JSON.
"""

from __future__ import annotations

import json
import sys

import uvloop
from bonsai import LDAPClient
from bonsai.asyncio import AIOConnectionPool

from benchmarks.experiments.lines import search_in_lines
from benchmarks.report.rows import Figures
from vmaild.demo.tree import READER_DN, READER_PW, SEARCH_BASE

SUBTREE = 2


async def measure(uri: str, slapd: int, accounts: int, seconds: float, connections: int) -> Figures:
    """One pool, as large as there are lines."""
    client = LDAPClient(uri)
    client.set_credentials("SIMPLE", READER_DN, READER_PW)
    client.set_raw_attributes(["mailbox"])
    pool = AIOConnectionPool(client, minconn=connections, maxconn=connections)
    await pool.open()

    async def ask(mail: str) -> object:
        async with pool.spawn() as connection:
            return await connection.search(SEARCH_BASE, SUBTREE, f"(mail={mail})", ["mailbox"])

    figures = await search_in_lines(ask, connections, accounts, seconds, slapd)
    await pool.close()
    return figures


if __name__ == "__main__":
    uri, slapd, accounts, seconds, connections = sys.argv[1:]
    print(json.dumps(uvloop.run(measure(uri, int(slapd), int(accounts), float(seconds), int(connections)))))
