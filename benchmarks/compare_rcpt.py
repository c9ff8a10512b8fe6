"""RCPT TO a second through a real Postfix, by kind of table and number of sessions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle

import uvloop

from benchmarks.cpu import family_cpu
from benchmarks.measure import Figures, MeasurementFailed, load
from benchmarks.population import address
from benchmarks.rivals import VMAILD, Rival, Rivals, master_pid
from benchmarks.samples import Rows
from benchmarks.searches import open_connections
from benchmarks.site import POOL_SIZE
from benchmarks.smtp import RcptResult, rcpt_load
from vmaild.demo.postfix import Postfix

MAPS = ("virtual_mailbox_domains", "virtual_mailbox_maps", "virtual_alias_maps")


@dataclass(frozen=True, slots=True)
class Recipients:
    """How to measure: the first ``hot`` accounts are the recipients."""

    rivals: Rivals
    sessions: Sequence[int]
    seconds: float
    hot: int

    def measure(self, rows: Rows, say: Callable[[str], None]) -> None:
        """One round of all rivals."""
        for rival in self.rivals.all:
            if rival.name == VMAILD:
                self._warm()
            with self.rivals.postfix(rival) as postfix:
                for sessions in self.sessions:
                    say(f"RCPT TO, sessions: {sessions}, {rival.name}")
                    figures = self._measure(rival, postfix, sessions)
                    figures["ldap_connections"] = self._connections(rival)
                    rows.add("rcpt", rival.name, sessions, figures)

    def _connections(self, rival: Rival) -> int:
        """Its LDAP connections: vmaild's pool is always there, and whatever is open beyond it is the rival's."""
        opened = open_connections(self.rivals.site.slapd.port)
        if rival.name == VMAILD:
            return opened
        return max(0, opened - POOL_SIZE) if rival.asks_directory else 0

    def _warm(self) -> None:
        """Every recipient is in vmaild's cache before the first session; the sessions' own warm-up is too short."""
        site = self.rivals.site
        for map_name in MAPS[1:]:
            options = ["--map", map_name, "--keys", str(site.addresses), "--expect", str(site.table)]
            options += ["--hot", str(self.hot), "--warm-keys", "--duration", "0.2", "--warm-up", "0"]
            load(self.rivals.vmaild.socketmap, options, {})

    def _measure(self, rival: Rival, postfix: Postfix, sessions: int) -> Figures:
        pids = {"client": master_pid(postfix), "slapd": self.rivals.site.slapd.pid}
        if rival.server_pid:
            pids["server"] = rival.server_pid
        before: dict[str, float] = {}

        def started() -> None:
            before.update({name: family_cpu(pid) for name, pid in pids.items()})

        result = self._run(postfix.port, sessions, started)
        if result.refused or not result.accepted:
            raise MeasurementFailed(f"{rival.name}: Postfix refused recipients: {result.refused}")
        cpu = {name: 1e3 * (family_cpu(pid) - before[name]) / result.accepted for name, pid in pids.items()}
        figures = {"client_cpu": cpu.pop("client"), **{f"cpu {name}": used for name, used in cpu.items()}}
        figures |= {name: value for name, value in result.latency.summary().items() if name != "mean"}
        return {**figures, "rate": result.accepted / result.seconds}

    def _run(self, port: int, sessions: int, started: Callable[[], None]) -> RcptResult:
        recipients = cycle([address(number) for number in range(self.hot)])
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(rcpt_load(port, sessions, 1.0, self.seconds, recipients.__next__, started))
