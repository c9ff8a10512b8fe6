"""A slapd of one's own: in a directory of its own, on loopback, stopped by its own process id.

``Slapd`` writes a slapd.conf and loads its content with slapadd, runs Debian's slapd in the foreground and waits
until it answers LDAP. The demo, the tests and the benchmark use it. It never touches the slapd that the
machine may run: other port, other database, other configuration.

Everything here blocks; call it before a loop runs, or from a thread. Data is not synced to disk: it lives as
long as the home directory does.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from vmaild.demo.process import Process, ProcessError, free_port, run
from vmaild.demo.slapd_conf import Conf, Tls
from vmaild.demo.tree import BASE, access_rules

__all__ = ["SLAPD", "Slapd", "SlapdError", "Tls", "free_port"]

SLAPD = "/usr/sbin/slapd"

START_SECONDS = 20.0
"""How long slapd may take to answer: seconds. It takes 0.1 s; a loaded build machine has been seen to need 5."""

PORT_TRIES = 5
"""Another process can take a free port between its choice and slapd's bind; then the next one is tried."""

_ANONYMOUS_BIND = bytes.fromhex("300c020101600702010304008000")

SlapdError = ProcessError


class Slapd:
    """One slapd with one database.

    ``home`` is created if need be, holds everything, and is removed by ``close``. ``ldif`` (text, or a path) is
    loaded before the first start. ``port`` 0 takes a free one, kept for later starts. ``ldapi`` adds a unix
    socket in ``home``, ``tls`` allows StartTLS and adds an ``ldaps://`` port. ``config`` are global lines of
    slapd.conf(5) (``idletimeout 2``, ``sizelimit 5``), ``database`` lines of the database; ``syncprov`` adds that
    overlay, and with it the suffix's contextCSN. ``access`` replaces the access rules, by default those of the
    demo's tree for its ``base``; empty means that everybody reads. ``log_level`` is slapd's ``-d``: ``stats``
    logs every operation to the file ``log``. A failure raises ``SlapdError`` with what slapd said.
    """

    def __init__(
        self,
        home: Path,
        *,
        ldif: str | Path = "",
        base: str = BASE,
        host: str = "127.0.0.1",
        port: int = 0,
        ldapi: bool = False,
        tls: Tls | None = None,
        syncprov: bool = False,
        access: str | None = None,
        config: Sequence[str] = (),
        database: Sequence[str] = (),
        log_level: str = "0",
    ) -> None:
        self.home = home
        self.base = base
        self.root_dn = f"cn=admin,{base}"
        self.root_pw = secrets.token_hex(8)
        self.log = home / "slapd.log"
        self._ldif = ldif
        self._host = host
        self._port = port
        self._port_is_settled = port != 0
        self._tls_port = 0
        self._ldapi = ldapi
        self._log_level = log_level
        self._process: Process | None = None
        self._conf = Conf(
            home=home,
            base=base,
            root_dn=self.root_dn,
            root_pw=self.root_pw,
            access=access if access is not None else access_rules(base),
            tls=tls,
            syncprov=syncprov,
            config=tuple(config),
            database=tuple(database),
        )

    def __enter__(self) -> Slapd:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def port(self) -> int:
        """The plain LDAP port; 0 before the first start."""
        return self._port

    @property
    def uri(self) -> str:
        """``ldap://HOST:PORT``."""
        return f"ldap://{self._authority(self._port)}"

    @property
    def tls_port(self) -> int:
        """The ``ldaps://`` port; 0 before the first start and without ``tls``."""
        return self._tls_port

    @property
    def ldaps_uri(self) -> str:
        """``ldaps://HOST:PORT``, with ``tls`` only."""
        return f"ldaps://{self._authority(self._tls_port)}"

    @property
    def ldapi_uri(self) -> str:
        """``ldapi://`` with the quoted path, with ``ldapi`` only."""
        return f"ldapi://{quote(str(self.home / 'ldapi'), safe='')}"

    @property
    def pid(self) -> int:
        """The process id; raises ``SlapdError`` when it does not run."""
        if self._process is None:
            raise SlapdError("slapd does not run")
        return self._process.pid

    @property
    def running(self) -> bool:
        """True from a start until it is stopped, killed or has ended by itself."""
        return self._process is not None and self._process.running

    def start(self) -> None:
        """Load the content if there is none yet, start slapd and wait until it answers."""
        if self.running:
            return
        if not Path(SLAPD).exists():
            raise SlapdError(f"{SLAPD} is missing; on Debian: apt-get install slapd ldap-utils")
        self._load()
        for attempt in range(1, PORT_TRIES + 1):
            self._choose_ports()
            self._process = Process(self._command(), self.log)
            try:
                self._process.start(self._answers, START_SECONDS)
            except ProcessError as error:
                if self._port_is_settled or attempt == PORT_TRIES or "Address already in use" not in str(error):
                    raise
            else:
                self._port_is_settled = True
                return

    def stop(self) -> None:
        """SIGTERM, and SIGKILL when that does not do; data and port stay for the next start."""
        if self._process is not None:
            self._process.stop()

    def kill(self) -> None:
        """SIGKILL, as a crash would be; data and port stay for the next start."""
        if self._process is not None:
            self._process.kill()

    def suspend(self) -> None:
        """SIGSTOP: connections stay open and nothing is answered, from the moment that this returns."""
        self._send(signal.SIGSTOP)
        # The signal is on its way until the last thread has stopped; one still running may answer before that.
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOWAIT)

    def resume(self) -> None:
        """SIGCONT after ``suspend``."""
        self._send(signal.SIGCONT)

    def restart(self) -> None:
        """Stop and start again, on the same port and data."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Stop, and remove the home directory."""
        self.stop()
        shutil.rmtree(self.home, ignore_errors=True)

    def last_words(self) -> str:
        """The end of its log."""
        return self._process.last_words() if self._process is not None else ""

    def add(self, ldif: str) -> None:
        """Add entries as the root DN."""
        self._ldap_tool("ldapadd", ldif)

    def modify(self, ldif: str) -> None:
        """Apply change records (``changetype:`` modify, delete, add, modrdn) as the root DN."""
        self._ldap_tool("ldapmodify", ldif)

    def _ldap_tool(self, tool: str, ldif: str) -> None:
        run([tool, "-x", "-H", self.uri, "-D", self.root_dn, "-w", self.root_pw], stdin=ldif)

    def _send(self, number: signal.Signals) -> None:
        if self._process is None:
            raise SlapdError("slapd does not run")
        self._process.send(number)

    def _authority(self, port: int) -> str:
        return f"[{self._host}]:{port}" if ":" in self._host else f"{self._host}:{port}"

    def _load(self) -> None:
        data = self.home / "data"
        if data.exists():
            return
        data.mkdir(parents=True)
        source = self._ldif if isinstance(self._ldif, Path) else self.home / "content.ldif"
        if isinstance(self._ldif, str):
            source.write_text(self._ldif)
        self._conf_file.touch(mode=0o600)
        self._conf_file.write_text(self._conf.text())
        try:
            run([SLAPD, "-Ta", "-q", "-f", str(self._conf_file), "-l", str(source)])
        except ProcessError:
            # A part of the content must not pass for the whole at the next start.
            shutil.rmtree(data)
            raise

    @property
    def _conf_file(self) -> Path:
        return self.home / "slapd.conf"

    def _choose_ports(self) -> None:
        if not self._port_is_settled:
            self._port = free_port(self._host)
        if self._conf.tls is not None and not (self._tls_port and self._port_is_settled):
            self._tls_port = free_port(self._host)

    def _command(self) -> list[str]:
        uris = [self.uri]
        if self._conf.tls is not None:
            uris.append(self.ldaps_uri)
        if self._ldapi:
            uris.append(self.ldapi_uri)
        return [SLAPD, "-f", str(self._conf_file), "-h", " ".join(uris), "-d", self._log_level]

    def _answers(self) -> bool:
        try:
            with socket.create_connection((self._host, self._port), timeout=1.0) as probe:
                probe.sendall(_ANONYMOUS_BIND)
                # A port that someone else took would answer too, but slapd ends then.
                return bool(probe.recv(64)) and self.running
        except OSError:
            return False
