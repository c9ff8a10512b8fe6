"""vmaild and its rivals side by side, in one run, on a directory of its own."""

import os
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.experiments.experiment import Run
from benchmarks.experiments.rivals import DICT, LDAP, MEMCACHE, PROXY, VMAILD, Rivals
from benchmarks.report.rows import Aim, Figures, Section
from benchmarks.site.clients import send_messages
from benchmarks.site.population import PER_DOMAIN, address, domain_of
from benchmarks.site.site import Site
from benchmarks.site.use import seen
from vmaild.demo.postfix import Postfix

CONNECTIONS = 16
"""Connections of the load generator, and processes of postmap: as many as a small Postfix has smtpd processes."""
ECHO, CACHED, MISSES = "bare uvloop echo", "vmaild, cached", "vmaild, all misses"
KINDS = {
    "an account": address(2),
    "with an extension": f"user{PER_DOMAIN + 2}+extension@{domain_of(PER_DOMAIN)}",
    "postmaster with two occupants": f"postmaster@{domain_of(2 * PER_DOMAIN)}",
}
"""Messages, and their recipients, each in a domain of its own."""
SECTIONS = (
    Section("load", "Lookups by the load generator", "connections"),
    Section("postmap", "Lookups by `postmap -q -`", "processes"),
    Section("rcpt", "RCPT TO through Postfix", "sessions"),
    Section("messages", "LDAP searches for one message", "", ""),
)
AIMS = (
    Aim("cached through 16 postmap, over ldap:", "postmap", 16, CACHED, LDAP, least=4.0),
    Aim("cached through 1 postmap, over ldap:", "postmap", 1, CACHED, LDAP, least=4.0),
    Aim("the dict server through 1 postmap, over ldap:", "postmap", 1, DICT, LDAP),
    Aim("cached through 16 postmap, over memcache:", "postmap", 16, CACHED, MEMCACHE),
    Aim("all misses through 16 postmap, over ldap:", "postmap", 16, MISSES, LDAP, least=1.0),
    *(Aim(f"RCPT TO, {n} sessions, over ldap:", "rcpt", n, VMAILD, LDAP, least=1.5) for n in (1, 10, 50)),
    *(Aim(f"RCPT TO, {n} sessions, over memcache:", "rcpt", n, VMAILD, MEMCACHE) for n in (1, 10, 50)),
    *(Aim(f"RCPT TO, {n} sessions, over the dict server", "rcpt", n, VMAILD, DICT, least=0.95) for n in (1, 10, 50)),
    Aim("CPU of a cached answer, over the dict server", "load", CONNECTIONS, CACHED, DICT, "cpu server", most=1.15),
)
OPTIONS = {
    "accounts": (100_000, ""),
    "seconds": (1.0, ""),
    "rounds": (3, ""),
    "hot": (10_000, "keys that are asked again and again"),
    "sessions": ([1, 10, 50], "of SMTP, at a time"),
    "parts": (["load", "postmap", "rcpt", "messages"], "what to measure"),
}


def measure(run: Run) -> None:
    parts: dict[str, Callable[[Rivals], None]] = {"load": _load, "postmap": _postmap, "rcpt": Rivals.rcpt}
    with Site(max(run.arguments.accounts, 3 * PER_DOMAIN), run.say, bulk=2 * run.arguments.hot) as site:
        rivals = Rivals(run, site)
        for _ in run.rounds():
            for part in filter(parts.__contains__, run.arguments.parts):
                parts[part](rivals)
        if "messages" in run.arguments.parts:
            count_messages(rivals)


def _load(rivals: Rivals) -> None:
    run, site, vmaild = rivals.run, rivals.site, rivals.vmaild
    times = ["--seconds", run.arguments.seconds, "--warm-up", 0.5, "--connections", CONNECTIONS]
    hot = [*site.keys, *times, "--hot", run.arguments.hot]
    run.row("load", ECHO, CONNECTIONS, site.load, rivals.echo, *hot, "--protocol", "echo")
    run.row("load", DICT, CONNECTIONS, site.load, rivals.dictionary, *hot)
    run.row("load", CACHED, CONNECTIONS, site.load, vmaild, *hot, "--warm-keys")
    vmaild.flush()
    run.row("load", MISSES, CONNECTIONS, site.load, vmaild, *site.keys, *times, "--cold", 1)
    if rivals.peer is not None:
        # To it such an address is "not found" without cache or DNS: what is measured is its protocol.
        numbers = site.write("numbers", (b"10.0.%d.%d\n" % divmod(number, 250) for number in range(run.arguments.hot)))
        peer = "mta-sts-daemon, protocol alone"
        run.row("load", peer, CONNECTIONS, site.load, rivals.peer, "--keys", numbers, *times)


def _postmap(rivals: Rivals) -> None:
    everything, vmaild = list(rivals.right), rivals.named(VMAILD)
    # One Postfix serves all: proxymap(8) for proxy:ldap: and for the backup of memcache:.
    with rivals.postfix(rivals.named(PROXY)) as postfix:
        for clients in (1, CONNECTIONS):
            for rival in rivals.all:
                name = CACHED if rival is vmaild else rival.name
                rivals.postmap(postfix, name, rival, clients, everything[: rivals.run.arguments.hot])
            rivals.postmap(postfix, MISSES, vmaild, clients, everything, misses=True)


def count_messages(rivals: Rivals) -> None:
    """Send each kind of message through each rival that asks the directory twice: to a cold cache, and once more."""
    rivals.site.log_searches()
    # It has lost its connections when slapd was restarted, and must not look for them while others are counted.
    rivals.vmaild.stop()
    rivals.vmaild.start()
    for rival in (rival for rival in rivals.all if rival.asks_directory):
        for kind, recipient in KINDS.items():
            rival.forget()
            # Postfix's own processes remember a little, so each kind gets new ones.
            with rivals.postfix(rival) as postfix:
                log = rivals.site.slapd.log
                rivals.run.row("messages", f"{rival.name}, {kind}", 0, _count, log, postfix, recipient)


def _count(slapd: Path, postfix: Postfix, recipient: str) -> Figures:
    figures: Figures = {}
    for state in ("cold", "warm"):
        with slapd.open(errors="replace") as log:
            log.seek(0, os.SEEK_END)
            send_messages(postfix, recipient)
            # Searches in the background may follow, and belong to it.
            time.sleep(0.3)
            figures[f"{state} searches"], figures[f"{state} connections"] = seen(log.read())
    return figures
