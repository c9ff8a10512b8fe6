"""How fast vmaild's directory layer searches: ``python -m benchmarks.directory [--entries N] [--json FILE]``.

A private slapd with ``--entries`` accounts is asked for random ones of them, one search after the other on each of
1, 2, 4, 8 and 16 connections: directly, through the relay in clear text and with TLS; and, to compare, by bonsai's
own asyncio pool and by OpenLDAP's ``ldapsearch -f``. Each figure is the median of the rounds, in which all take their
turn. Searches a second depend on what else runs; CPU for each search is the client's own, and slapd's beside it: where
both together use all cores, no client is faster. The last line is the CPU that the process uses while searches hang.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import uvloop

from benchmarks.cpu import cpu_seconds
from benchmarks.machine import ROOT, machine
from benchmarks.population import address, write_ldif
from vmaild.demo.slapd import Slapd, Tls
from vmaild.demo.tree import READER_DN, READER_PW, SEARCH_BASE
from vmaild.directory import DirectorySettings, Pool
from vmaild.directory.transport import Transport
from vmaild.errors import DirectoryFailure
from vmaild.lookup import Scope, Search

CONNECTIONS = (1, 2, 4, 8, 16)
ENTRIES = 100_000
SECONDS = 2.0
ROUNDS = 3
LDAPSEARCH_KEYS = 20_000
HANG_SECONDS = 2.0

Ask = Callable[[str], Awaitable[object]]


@dataclasses.dataclass
class Speed:
    """One measurement. ``cpu_us`` and ``slapd_us``: microseconds of CPU for each search, the client's and slapd's."""

    connections: int
    per_second: float
    cpu_us: float
    slapd_us: float
    p99_ms: float = 0.0


async def measure(ask: Ask, connections: int, entries: int, seconds: float, slapd: int) -> Speed:
    """Searches one after the other on as many lines as ``connections``, for ``seconds``; each must find its entry.

    ``slapd`` is its process id.
    """
    chance = random.Random(connections)
    end = time.perf_counter() + seconds
    took: list[float] = []

    async def line() -> None:
        now = time.perf_counter()
        while now < end:
            if not await ask(address(chance.randrange(entries))):
                raise AssertionError("an account was not found")
            before, now = now, time.perf_counter()
            took.append(now - before)

    began, cpu, other = time.perf_counter(), time.process_time(), cpu_seconds(slapd)
    await asyncio.gather(*(line() for _ in range(connections)))
    elapsed, cpu, other = time.perf_counter() - began, time.process_time() - cpu, cpu_seconds(slapd) - other
    took.sort()
    count = len(took)
    return Speed(connections, count / elapsed, cpu / count * 1e6, other / count * 1e6, took[int(count * 0.99)] * 1e3)


async def vmaild_speeds(settings: DirectorySettings, entries: int, seconds: float, slapd: int) -> list[Speed]:
    """vmaild's own layer, with a pool as large as the number of lines."""
    speeds = []
    for connections in CONNECTIONS:
        directory = await _filled(dataclasses.replace(settings, pool_size=connections))

        def ask(mail: str, directory: Pool = directory) -> Awaitable[object]:
            return directory.search(Search(SEARCH_BASE, Scope.SUB, f"(mail={mail})", ("mailbox",)))

        speeds.append(await measure(ask, connections, entries, seconds, slapd))
        await directory.close()
    return speeds


async def _filled(settings: DirectorySettings) -> Pool:
    directory = Pool(settings)
    await directory.start()
    while directory.status().servers[0].connections < settings.pool_size:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.01)
    return directory


async def hanging_cpu(settings: DirectorySettings, slapd: Slapd) -> float:
    """The share of one processor that the process uses while searches hang."""
    directory = await _filled(dataclasses.replace(settings, timeout=HANG_SECONDS + 1))
    slapd.suspend()
    search = Search(SEARCH_BASE, Scope.SUB, f"(mail={address(0)})", ("mailbox",))
    searches = [asyncio.create_task(directory.search(search)) for _ in range(settings.pool_size)]
    await asyncio.sleep(0.1)
    cpu = time.process_time()
    await asyncio.sleep(HANG_SECONDS)
    cpu = time.process_time() - cpu
    slapd.resume()
    outcomes = await asyncio.gather(*searches, return_exceptions=True)
    assert all(isinstance(outcome, list | DirectoryFailure) for outcome in outcomes)
    await directory.close()
    return cpu / HANG_SECONDS


def rival_speeds(slapd: Slapd, entries: int, seconds: float) -> list[Speed]:
    """bonsai's own pool, in a process of its own: vmaild changes what bonsai makes of an entry."""
    arguments = (slapd.uri, str(slapd.pid), str(entries), str(seconds))
    command = [sys.executable, "-m", "benchmarks.directory_rival", *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    return [Speed(**speed) for speed in json.loads(done.stdout)]


def ldapsearch_speed(slapd: Slapd, entries: int, home: Path) -> Speed:
    """``ldapsearch -f``: a C program, one search after the other on one connection."""
    chance = random.Random(1)
    keys = home / "keys"
    keys.write_text("".join(f"{address(chance.randrange(entries))}\n" for _ in range(LDAPSEARCH_KEYS)))
    bind = ("-x", "-H", slapd.uri, "-D", READER_DN, "-w", READER_PW)
    command = ["ldapsearch", "-LLL", *bind, "-b", SEARCH_BASE, "-f", str(keys), "(mail=%s)", "mailbox"]
    before, other = resource.getrusage(resource.RUSAGE_CHILDREN), cpu_seconds(slapd.pid)
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    elapsed = time.perf_counter() - began
    after, other = resource.getrusage(resource.RUSAGE_CHILDREN), cpu_seconds(slapd.pid) - other
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Speed(1, LDAPSEARCH_KEYS / elapsed, cpu / LDAPSEARCH_KEYS * 1e6, other / LDAPSEARCH_KEYS * 1e6)


@contextmanager
def _relay_for_all() -> Iterator[None]:
    """Sends loopback through the relay too, as a server elsewhere would be."""
    direct = Transport.is_direct
    Transport.is_direct = property(lambda self: False)  # type: ignore[assignment,method-assign]
    try:
        yield
    finally:
        Transport.is_direct = direct  # type: ignore[method-assign]


def _certificate(home: Path) -> Tls:
    cert, key = home / "cert.pem", home / "key.pem"
    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc", "-keyout", str(key))
    command = ["openssl", "req", "-x509", *new_key, "-out", str(cert), "-subj", "/CN=localhost", "-days", "2"]
    subprocess.run(command, check=True, capture_output=True)
    return Tls(cert, key)


def run(entries: int, seconds: float, rounds: int) -> dict[str, object]:
    """All measurements, one after the other, ``rounds`` times."""
    with tempfile.TemporaryDirectory(prefix="vmaild-benchmark-") as name:
        home = Path(name)
        write_ldif(home / "content.ldif", entries)
        with Slapd(home / "slapd", ldif=home / "content.ldif", tls=_certificate(home)) as slapd:
            settings = DirectorySettings(
                (slapd.uri,), SEARCH_BASE, bind_dn=READER_DN, bind_pw=READER_PW, pool_size=8, tls_require_cert=False
            )
            # What is asked first must not pay for reading the database into memory.
            uvloop.run(vmaild_speeds(settings, entries, seconds / 3, slapd.pid))
            measured = [_measure_all(slapd, settings, entries, seconds, home) for _ in range(rounds)]
            return {
                "machine": machine(),
                "entries": entries,
                "rounds": rounds,
                "speeds": {name: _medians([each[name] for each in measured]) for name in measured[0]},
                "cpu_share_while_hanging": uvloop.run(hanging_cpu(settings, slapd)),
            }


def _measure_all(
    slapd: Slapd, settings: DirectorySettings, entries: int, seconds: float, home: Path
) -> dict[str, list[Speed]]:
    encrypted = dataclasses.replace(settings, uri=(slapd.ldaps_uri,))
    speeds = {"direct": uvloop.run(vmaild_speeds(settings, entries, seconds, slapd.pid))}
    with _relay_for_all():
        speeds["relay"] = uvloop.run(vmaild_speeds(settings, entries, seconds, slapd.pid))
    speeds["relay with TLS"] = uvloop.run(vmaild_speeds(encrypted, entries, seconds, slapd.pid))
    speeds["direct, asyncio's own loop"] = asyncio.run(vmaild_speeds(settings, entries, seconds, slapd.pid))
    speeds["bonsai's own pool"] = rival_speeds(slapd, entries, seconds)
    speeds["ldapsearch -f"] = [ldapsearch_speed(slapd, entries, home)]
    return speeds


def _medians(rounds: list[list[Speed]]) -> list[dict[str, float]]:
    """Of the same measurements in each round, the median of each figure."""
    each = [[dataclasses.asdict(speed) for speed in speeds] for speeds in zip(*rounds, strict=True)]
    return [{name: statistics.median(speed[name] for speed in same) for name in same[0]} for same in each]


def report(result: dict[str, object]) -> str:
    """The result as a table."""
    lines = [f"{'':28}" + "".join(f"{count:>18}" for count in CONNECTIONS) + "   connections"]
    speeds = result["speeds"]
    assert isinstance(speeds, dict)
    for name, each in speeds.items():
        cells = (f"{speed['per_second']:.0f}/s {speed['cpu_us']:.0f}+{speed['slapd_us']:.0f} us" for speed in each)
        lines.append(f"{name:28}" + "".join(f"{cell:>18}" for cell in cells))
    lines.append(f"CPU while searches hang: {result['cpu_share_while_hanging']:.1%} of one processor")
    return "\n".join(lines)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--entries", type=int, default=ENTRIES, help="accounts in the directory")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for each measurement")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of all measurements")
    parser.add_argument("--json", type=Path, help="write the result here too")
    arguments = parser.parse_args()
    result = run(arguments.entries, arguments.seconds, arguments.rounds)
    print(report(result))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
