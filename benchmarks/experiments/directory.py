"""How fast vmaild's directory layer searches, beside bonsai's own asyncio pool and OpenLDAP's ``ldapsearch -f``."""

import asyncio
import multiprocessing
import random
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any
from unittest.mock import patch

import bonsai.ldapentry
from bonsai.asyncio import AIOConnectionPool

from benchmarks.experiments.experiment import Run
from benchmarks.load.loop import run_in_uvloop
from benchmarks.load.tally import latencies, summary
from benchmarks.report.rows import Aim, Figures, Section
from benchmarks.site.population import address
from benchmarks.site.site import POOL_SIZE, Site
from benchmarks.site.use import Meter, children_cpu
from vmaild.demo.tree import READER_DN, READER_PW, SEARCH_BASE
from vmaild.directory import DirectorySettings, Pool
from vmaild.directory.transport import Transport
from vmaild.lookup import Scope, Search

HANG_SECONDS = 2.0
DIRECT, RELAY, TLS = "vmaild, direct", "vmaild, relay", "vmaild, relay with TLS"
SLOW_LOOP, BONSAI, LDAPSEARCH = "vmaild, direct, asyncio's own loop", "bonsai's own pool", "ldapsearch -f"
SECTIONS = (Section("directory", "Searches", "connections"),)
AIMS = (
    Aim("searches of vmaild over bonsai's own pool", "directory", 8, DIRECT, BONSAI),
    Aim("searches of vmaild over ldapsearch -f", "directory", 1, DIRECT, LDAPSEARCH),
)
OPTIONS = {
    "accounts": (100_000, ""),
    "seconds": (1.0, ""),
    "rounds": (3, ""),
    "connections": ([1, 2, 4, 8, 16], "of a pool"),
}


def measure(run: Run) -> None:
    def searches(name: str, count: int, loop: Callable[..., Figures] = run_in_uvloop, tls: bool = False) -> None:
        run.row("directory", name, count, lambda: loop(_searches(site, seconds, count, tls)))

    with Site(run.arguments.accounts, run.say, tls=True) as site:
        seconds = run.arguments.seconds
        # What is asked first must not pay for reading the database into memory.
        run_in_uvloop(_searches(site, seconds / 3))
        for _ in run.rounds():
            for count in run.arguments.connections:
                searches(DIRECT, count)
                # Loopback goes through the relay too, as a server elsewhere would.
                with patch.object(Transport, "is_direct", False):
                    searches(RELAY, count)
                searches(TLS, count, tls=True)
                searches(SLOW_LOOP, count, asyncio.run)
                # In a process of its own: bonsai looks only once in a process for the class of entries.
                with multiprocessing.get_context("spawn").Pool(1) as process:
                    asked = site.slapd.uri, count, site.accounts, seconds, site.slapd.pid
                    run.row("directory", BONSAI, count, process.apply, _bonsai_pool, asked)
                if count == 1:
                    run.row("directory", LDAPSEARCH, count, _ldapsearch, site, seconds)
        run.notes.append(f"CPU while searches hang: {run_in_uvloop(_hanging_cpu(site)):.1%} of one core.")


@asynccontextmanager
async def filled(uri: str, pool_size: int = POOL_SIZE, timeout: float = 3.0) -> AsyncIterator[Pool]:
    """vmaild's directory layer in front of a slapd of the site, with all its connections."""
    settings = DirectorySettings((uri,), SEARCH_BASE, bind_dn=READER_DN, bind_pw=READER_PW, tls_require_cert=False)
    pool = Pool(replace(settings, pool_size=pool_size, timeout=timeout))
    await pool.start()
    while pool.status().servers[0].connections < pool_size:  # noqa: ASYNC110 - it sets no event
        await asyncio.sleep(0.01)
    yield pool
    await pool.close()


async def search_in_lines(
    ask: Callable[[str], Awaitable[object]], lines: int, accounts: int, seconds: float, slapd: int
) -> Figures:
    """Searches for accounts at random, on so many lines; ``ask`` must find each. ``slapd`` is its process id."""
    chance, taken = random.Random(lines), latencies()
    # slapd is this process's child, so that its family is not to be counted.
    meter, cpu, began = Meter({"slapd": slapd}), time.process_time(), time.monotonic_ns()

    async def line() -> None:
        now = began
        while now < began + seconds * 1e9:
            if not await ask(address(chance.randrange(accounts))):
                raise AssertionError("an account was not found")
            before, now = now, time.monotonic_ns()
            taken.record_value(now - before)

    await asyncio.gather(*(line() for _ in range(lines)))
    seconds, cpu, count = (time.monotonic_ns() - began) / 1e9, time.process_time() - cpu, taken.get_total_count()
    return {"rate": count / seconds, "client_cpu": 1e3 * cpu / count, **meter.each(count), **summary(taken)}


def _search(pool: Pool, mail: str) -> Awaitable[object]:
    return pool.search(Search(SEARCH_BASE, Scope.SUB, f"(mail={mail})", ("mailbox",)))


async def _searches(site: Site, seconds: float, lines: int = POOL_SIZE, tls: bool = False) -> Figures:
    """vmaild's own layer, with as many lines as its pool has connections."""
    async with filled(site.slapd.ldaps_uri if tls else site.slapd.uri, lines) as pool:
        return await search_in_lines(partial(_search, pool), lines, site.accounts, seconds, site.slapd.pid)


async def _hanging_cpu(site: Site) -> float:
    """The share of one core that the process uses while searches hang."""
    async with filled(site.slapd.uri, timeout=HANG_SECONDS + 1) as pool:
        site.slapd.suspend()
        searches = [asyncio.ensure_future(_search(pool, address(0))) for _ in range(POOL_SIZE)]
        await asyncio.sleep(0.1)
        cpu = time.process_time()
        await asyncio.sleep(HANG_SECONDS)
        cpu = time.process_time() - cpu
        site.slapd.resume()
        await asyncio.gather(*searches, return_exceptions=True)
    return cpu / HANG_SECONDS


def _bonsai_pool(uri: str, connections: int, *asked: Any) -> Figures:
    # The class of entries, in whose place importing vmaild.directory has put vmaild's.
    setattr(bonsai.ldapentry, "LDAPEntry", bonsai.LDAPEntry)  # noqa: B010
    client = bonsai.LDAPClient(uri)
    client.set_credentials("SIMPLE", READER_DN, READER_PW)
    client.set_raw_attributes(["mailbox"])

    async def searches() -> Figures:
        pool = AIOConnectionPool(client, minconn=connections, maxconn=connections)
        await pool.open()

        async def ask(mail: str) -> object:
            async with pool.spawn() as connection:
                return await connection.search(SEARCH_BASE, bonsai.LDAPSearchScope.SUB, f"(mail={mail})", ["mailbox"])

        figures = await search_in_lines(ask, connections, *asked)
        await pool.close()
        return figures

    return run_in_uvloop(searches())


def _ldapsearch(site: Site, seconds: float) -> Figures:
    """A C program, one search after the other on one connection: it makes 8,000 a second."""
    count = max(1, int(8000 * seconds))
    keys = site.write("ldapsearch", (b"%s\n" % address(random.randrange(site.accounts)).encode() for _ in range(count)))
    bind = ("-x", "-H", site.slapd.uri, "-D", READER_DN, "-w", READER_PW)
    command = ["ldapsearch", "-LLL", *bind, "-b", SEARCH_BASE, "-f", str(keys), "(mail=%s)", "mailbox"]
    began, cpu, meter = time.monotonic(), children_cpu(), Meter({"slapd": site.slapd.pid})
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    rate = count / (time.monotonic() - began)
    return {"rate": rate, "client_cpu": 1e3 * (children_cpu() - cpu) / count, **meter.each(count)}
