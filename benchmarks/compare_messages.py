"""LDAP searches and connections for one message, as slapd's log counts them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.measure import MeasurementFailed
from benchmarks.population import PER_DOMAIN, domain_of
from benchmarks.rivals import Rival, Rivals
from benchmarks.samples import Rows
from benchmarks.searches import LogMark
from benchmarks.smtp import send_message
from vmaild.demo.postfix import Postfix

DELIVERED_SECONDS = 30.0
"""Past this a message is stuck."""

SETTLE_SECONDS = 0.3
"""For background searches that may follow a message; they belong to it."""

KINDS = ("an account", "with an extension", "postmaster with two occupants")


@dataclass(frozen=True, slots=True)
class Messages:
    """How to count. slapd must log its operations (``Site.log_searches``)."""

    rivals: Rivals

    def measure(self, rows: Rows, say: Callable[[str], None]) -> None:
        """Send each kind of message through each rival twice: to a cold cache, and once more."""
        # It has lost its connections when slapd was restarted, and is not to look for them while others are counted.
        self.rivals.vmaild.stop()
        self.rivals.vmaild.start()
        for rival in self.rivals.all:
            if not rival.asks_directory:
                continue
            say(f"searches for a message: {rival.name}")
            for number, kind in enumerate(KINDS):
                self.rivals.vmaild.flush()
                # Postfix's own processes remember a little, so each kind gets new ones.
                with self.rivals.postfix(rival) as postfix:
                    rows.add("messages", f"{rival.name}, {kind}", 1, self._count(rival, postfix, number))

    def _count(self, rival: Rival, postfix: Postfix, kind: int) -> dict[str, float]:
        log = self.rivals.site.slapd.log
        figures: dict[str, float] = {}
        for number, state in enumerate(("cold", "warm"), 1):
            mark = LogMark(log)
            send_message(postfix.port, recipient(kind))
            _wait_until_removed(postfix, rival, number)
            seen = mark.since()
            figures |= {f"{state} searches": seen.searches, f"{state} connections": seen.connections}
        return figures


def recipient(kind: int) -> str:
    """The recipient of a message of ``KINDS[kind]``, each kind in a domain of its own."""
    number = kind * PER_DOMAIN + 2
    domain = domain_of(number)
    return (f"user{number}@{domain}", f"user{number}+extension@{domain}", f"postmaster@{domain}")[kind]


def _wait_until_removed(postfix: Postfix, rival: Rival, messages: int) -> None:
    # By the log and not by the queue: a message that moves between directories can be in none that one looks at.
    give_up = time.monotonic() + DELIVERED_SECONDS
    while postfix.log_text().count(": removed\n") < messages:
        if time.monotonic() > give_up:
            raise MeasurementFailed(f"{rival.name}: a message was not delivered: {postfix.log_text()[-500:]}")
        time.sleep(0.05)
    time.sleep(SETTLE_SECONDS)
