"""Single lookups side by side: by the load generator, and by Postfix's own client code in postmap(1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

from benchmarks.cpu import family_cpu
from benchmarks.measure import Figures, MeasurementFailed, keys_of, load
from benchmarks.postfix_tables import ldap_table, socketmap_table
from benchmarks.postmap import PostmapResult, run_postmap
from benchmarks.rivals import master_pid
from benchmarks.samples import Rows
from benchmarks.site import Reference, Site, Vmaild
from vmaild.demo.postfix import Postfix

CONNECTIONS = 16
"""Connections of the load generator, and processes of postmap: as many as a small Postfix has smtpd processes."""

CALIBRATION_KEYS = 1000
"""Keys of the run that finds out how many more fill the wanted time."""

MOST_KEYS = 2_000_000


@dataclass(frozen=True, slots=True)
class Lookups:
    """What the lookups are measured on.

    ``proxy`` is a running Postfix whose proxymap(8) serves the ``ldap:`` tables in the directory ``tables``;
    ``mailboxes`` the right answers, the first ``hot`` of which are asked again and again.
    """

    site: Site
    vmaild: Vmaild
    echo: Reference
    dictionary: Reference
    proxy: Postfix
    tables: Path
    mailboxes: Mapping[bytes, bytes]
    seconds: float
    hot: int

    def measure(self, rows: Rows, say: Callable[[str], None]) -> None:
        """One round of all."""
        self._generated(rows, say)
        for clients in (1, CONNECTIONS):
            self._postmaps(rows, clients, say)

    def _generated(self, rows: Rows, say: Callable[[str], None]) -> None:
        times = ["--duration", str(self.seconds), "--warm-up", "0.5", "--connections", str(CONNECTIONS)]
        hot = [*keys_of(self.site), *times, "--hot", str(self.hot)]
        slapd = {"slapd": self.site.slapd.pid}
        vmaild = {"server": self.vmaild.pid, **slapd}
        plain: list[tuple[str, str, list[str], Mapping[str, int]]] = [
            ("bare uvloop echo", self.echo.address, [*hot, "--protocol", "echo"], {"server": self.echo.pid}),
            ("dict socketmap server", self.dictionary.address, hot, {"server": self.dictionary.pid}),
            ("vmaild, cached", self.vmaild.socketmap, [*hot, "--warm-keys"], vmaild),
            ("vmaild, all misses", self.vmaild.socketmap, [*keys_of(self.site), *times, "--cold", "1"], vmaild),
        ]
        for name, where, options, pids in plain:
            say(f"load: {name}")
            if name.endswith("misses"):
                self.vmaild.flush()
            rows.add("load", name, CONNECTIONS, load(where, options, pids))

    def _postmaps(self, rows: Rows, clients: int, say: Callable[[str], None]) -> None:
        slapd = {"slapd": self.site.slapd.pid}
        vmaild = {"server": self.vmaild.pid, **slapd}
        socketmap = socketmap_table(self.vmaild.socketmap)
        ceiling = socketmap_table(self.dictionary.address)
        rivals: list[tuple[str, str, Mapping[str, int], bool]] = [
            ("ldap:", ldap_table(self.tables, proxy=False), slapd, False),
            ("proxy:ldap:", ldap_table(self.tables, proxy=True), {"server": master_pid(self.proxy), **slapd}, False),
            ("socketmap: vmaild, cached", socketmap, vmaild, False),
            ("socketmap: vmaild, all misses", socketmap, vmaild, True),
            ("socketmap: dict server", ceiling, {"server": self.dictionary.pid}, False),
        ]
        for name, where, pids, misses in rivals:
            say(f"postmap -q -, {clients} clients: {name}")
            rows.add("postmap", name, clients, self._postmap(where, pids, clients, misses))

    def _postmap(self, where: str, pids: Mapping[str, int], clients: int, misses: bool) -> Figures:
        everything = list(self.mailboxes)
        hot = everything[: self.hot]
        # The first run warms what can be warmed, and says how many keys fill the time.
        first = self._run(where, everything[-CALIBRATION_KEYS:] if misses else hot, clients)
        wanted = int(first.asked / first.seconds * self.seconds)
        if misses:
            self.vmaild.flush()
        again = everything[:wanted] if misses else list(islice(cycle(hot), min(max(wanted, self.hot), MOST_KEYS)))
        before = {name: family_cpu(pid) for name, pid in pids.items()}
        result = self._run(where, again, clients)
        cpu = {f"cpu {name}": family_cpu(pid) - before[name] for name, pid in pids.items()}
        cpu["client_cpu"] = result.cpu
        figures = {name: 1e3 * seconds / result.asked for name, seconds in cpu.items()}
        return {**figures, "rate": result.asked / result.seconds}

    def _run(self, where: str, keys: Sequence[bytes], clients: int) -> PostmapResult:
        expected = {key: self.mailboxes[key] for key in keys}
        result = run_postmap(self.proxy.config, where, keys, clients, expected)
        if result.wrong:
            raise MeasurementFailed(f"{where}: {result.wrong} of {result.asked} answers were wrong")
        return result
