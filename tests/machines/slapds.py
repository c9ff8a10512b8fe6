"""A slapd of a machine: provider or consumer, and made the other while its data stays."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from tests.machines.company import REPLICATOR_DN, REPLICATOR_PW, access
from tests.machines.network import Machine
from vmaild.demo.slapd import Slapd
from vmaild.demo.tree import BASE

PORT = 389

SYNCREPL = (
    "syncrepl rid={rid:03} provider={uri} type=refreshAndPersist retry=1,+ searchbase={base} "
    "bindmethod=simple binddn={dn} credentials={password} network-timeout=2 timeout=5 keepalive=2:2:1"
)
"""``keepalive`` ends a connection that the network has lost: else a consumer hears nothing more, and never knows."""


def syncrepl(uri: str, rid: int = 1) -> str:
    """The line of a consumer's slapd.conf(5) for this provider."""
    line = SYNCREPL.format(rid=rid, uri=uri, base=f'"{BASE}"', dn=f'"{REPLICATOR_DN}"', password=REPLICATOR_PW)
    return line.replace("retry=1,+", 'retry="1 +"')


class MachineSlapd(Slapd):
    """The slapd of ``machine``, which answers at all of its addresses. All calls are made from outside."""

    def __init__(self, machine: Machine, home: Path, *, ldif: Path | str = "", database: Sequence[str] = ()) -> None:
        super().__init__(
            home, ldif=ldif, host="0.0.0.0", port=PORT, syncprov=True, access=access(), database=tuple(database)
        )
        self._machine = machine

    @property
    def lan_uri(self) -> str:
        """Its address for the other machines."""
        return f"ldap://{self._machine.lan}:{PORT}"

    def configure(self, database: Sequence[str], config: Sequence[str] = ()) -> None:
        """Have these lines from the next start on."""
        self._conf = dataclasses.replace(self._conf, database=tuple(database), config=tuple(config))
        self._write_conf()

    def load_copy(self, data: Path) -> None:
        """Begin with a copy of another's data, which must be stopped."""
        self.stop()
        shutil.rmtree(self.home / "data", ignore_errors=True)
        self._write_conf()
        copy_data(data, self.home / "data")

    def empty(self) -> None:
        """Lose all data, while stopped."""
        shutil.rmtree(self.home / "data", ignore_errors=True)
        (self.home / "data").mkdir(parents=True)
        self._write_conf()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with self._machine.inside():
            super().start()

    def _ldap_tool(self, tool: str, ldif: str) -> None:
        with self._machine.inside():
            super()._ldap_tool(tool, ldif)

    def search(self, *arguments: str) -> str:
        """What the root DN finds, as LDIF."""
        bind = ["-D", self.root_dn, "-w", self.root_pw, "-H", f"ldap://127.0.0.1:{PORT}"]
        command = ["ldapsearch", "-x", "-LLL", "-o", "ldif-wrap=no", *bind, *arguments]
        with self._machine.inside():
            return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30).stdout

    def context(self) -> frozenset[str]:
        """Its ``contextCSN``: the state of its data, empty for one that does not run or is not loaded."""
        lines = self.search("-b", BASE, "-s", "base", "contextCSN").splitlines() if self.running else []
        return frozenset(line for line in lines if line.startswith("contextCSN"))

    def _write_conf(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        self._conf_file.touch(mode=0o600)
        self._conf_file.write_text(self._conf.text())


def copy_data(source: Path, target: Path) -> None:
    """Copy the files of a database that nobody has open, leaving holes as holes."""
    subprocess.run(["cp", "-a", "--sparse=always", source, target], check=True)


class Slow(AbstractContextManager["Slow"]):
    """A slapd that works for ``WORK`` seconds out of each ``WORK + REST``: every answer takes long, none fails."""

    WORK, REST = 0.02, 0.7

    def __init__(self, slapd: Slapd) -> None:
        self._slapd = slapd
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._alternate)

    def __enter__(self) -> Slow:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _alternate(self) -> None:
        while not self._end.is_set():
            self._slapd.suspend()
            self._end.wait(self.REST)
            self._slapd.resume()
            self._end.wait(self.WORK)
