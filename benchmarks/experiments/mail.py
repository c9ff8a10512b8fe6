"""Measurements through Postfix that ``compare`` and ``miss`` share: single lookups, and RCPT TO."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.experiments.experiment import Run
from benchmarks.report.rows import Figures
from benchmarks.site.clients import BATCH, postmap, rcpt
from benchmarks.site.population import bulk_address
from benchmarks.site.rivals import PROXY, VMAILD, Rival, Rivals, master_pid
from benchmarks.site.use import Meter, open_connections
from vmaild.demo.postfix import Postfix

MOST_KEYS = 2_000_000


@dataclass(frozen=True, slots=True)
class Keys:
    """What postmap asks: ``first`` to find out how fast a rival is, then as many of ``then`` as fill the time.

    ``misses``: its cache is emptied before. ``right`` has the values of all.
    """

    right: Mapping[bytes, bytes]
    first: Sequence[bytes]
    then: Callable[[int], Iterable[bytes]]
    misses: bool = False


def measure_postmap(run: Run, rivals: Rivals, postfix: Postfix, rival: Rival, clients: int, keys: Keys) -> Figures:
    """Single lookups through so many ``postmap -q -`` at once."""
    first = postmap(postfix.config, rival.mailboxes, keys.first, clients, keys.right)
    wanted = list(keys.then(min(int(first.rate * run.arguments.seconds), MOST_KEYS)))
    if keys.misses:
        rival.forget()
    server = rival.pid or (master_pid(postfix) if rival.name == PROXY else 0)
    meter = Meter({"slapd": rivals.site.slapd.pid, "server": server})
    result = postmap(postfix.config, rival.mailboxes, wanted, clients, keys.right)
    return {"rate": result.rate, "client_cpu": 1e3 * result.cpu / result.asked, **meter.each(result.asked)}


def measure_rcpt(
    run: Run, rivals: Rivals, postfix: Postfix, rival: Rival, sessions: int, *, misses: bool = False
) -> Figures:
    """RCPT TO for the bulk domain's accounts in their order, in so many sessions at once."""
    site = rivals.site
    domain = bulk_address(1).removeprefix("1")
    # The first run starts Postfix's processes, the second says how many recipients fill the time.
    rcpt(postfix.port, sessions, sessions, domain)
    rate = rcpt(postfix.port, sessions, max(sessions, 4), domain).rate
    wanted = max(sessions, min(int(rate * run.arguments.seconds), site.bulk) // BATCH)
    if misses:
        rival.forget()
    meter = Meter({"postfix": master_pid(postfix), "slapd": site.slapd.pid, "server": rival.pid})
    result = rcpt(postfix.port, sessions, wanted, domain)
    own = open_connections(site.slapd.port, rivals.vmaild.pid)
    connections = own if rival.name == VMAILD else open_connections(site.slapd.port) - own
    return {"rate": result.rate, **meter.each(result.asked), "ldap_connections": connections}
