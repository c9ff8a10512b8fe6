"""A mail host: Postfix, vmaild and a slapd on one machine, and the servers that vmaild asks when its own fails."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from tests.machines.network import Machine
from tests.machines.slapds import PORT, MachineSlapd
from tests.support.directory import SNIPPETS
from tests.support.environment import environment
from vmaild.demo.ask import ask
from vmaild.demo.daemon import DaemonProcess, Listen
from vmaild.demo.postfix import Postfix
from vmaild.demo.tree import READER_PW
from vmaild.errors import ProtocolError
from vmaild.listening import parse_address
from vmaild.lookup import Reply

SMTP_PORT = 25
VMAILD = "inet:127.0.0.1:10143"
OWN_URI = f"ldap://127.0.0.1:{PORT}"

MAPS = ("virtual_mailbox_domains", "virtual_mailbox_maps", "virtual_alias_maps")

_SETTINGS = {
    **{name: f"socketmap:{VMAILD}:{name}" for name in MAPS},
    # Tried again within a second, a message may "still be being delivered", and then waits for minutes.
    "queue_run_delay": "2s",
    "minimal_backoff_time": "2s",
    "maximal_backoff_time": "4s",
}


class Daemon(DaemonProcess):
    """vmaild, which counts as started once it answers anything: the directory may be away."""

    def __init__(self, home: Path, uris: Sequence[str]) -> None:
        with environment({"STATE_DIRECTORY": str(home), **_code()}):
            super().__init__(home, uris, [Listen(VMAILD)], directory="allow_cleartext_bind = true\n")

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()

    def _answers(self) -> bool:
        try:
            ask(self.address, "virtual_mailbox_domains", "domain1.example")
        except (OSError, ProtocolError):
            return False
        return True


class MailHost:
    """The services of ``machine`` below ``home``. ``others`` are the LDAP servers behind its own, in order."""

    def __init__(self, machine: Machine, home: Path, slapd: MachineSlapd, others: Sequence[str]) -> None:
        home.mkdir()
        home.chmod(0o755)
        self.machine = machine
        self.slapd = slapd
        self.home = home
        self._uris = [OWN_URI, *others]
        self._new_daemon()
        self.postfix = Postfix(
            home / "postfix",
            _SETTINGS,
            mailbox_table=self._mailbox_table(),
            services=f"{machine.net}:{SMTP_PORT} inet n - n - 200 smtpd\n",
        )

    def start(self) -> None:
        """Start vmaild and Postfix; slapd runs already."""
        self.start_daemon()
        with self.machine.inside():
            self.postfix.start()

    def start_daemon(self) -> None:
        """Start vmaild alone."""
        with self.machine.inside():
            self.daemon.start()

    def restart_daemon(self) -> None:
        """Stop vmaild and start it again: what it keeps on disk stays."""
        self.daemon.stop()
        self.start_daemon()

    def forget(self) -> None:
        """Stop vmaild, and start it without anything that it kept on disk."""
        self.daemon.stop()
        self._new_daemon()
        self.start_daemon()

    def close(self) -> None:
        """Stop all three, in the order of those who ask."""
        self.postfix.stop()
        self.daemon.stop()
        self.slapd.stop()

    def lose(self) -> None:
        """The machine is gone at once, and its disk but for the mail: the queue and the mailboxes."""
        self.machine.kill_all()
        self.slapd.kill()
        self.daemon.kill()
        self.postfix.stop()
        self.slapd.empty()
        self._new_daemon()

    def ask(self, map_name: str, key: str) -> Reply:
        """One lookup, as Postfix makes it."""
        with self.machine.inside():
            return ask(parse_address(VMAILD), map_name, key)

    def _new_daemon(self) -> None:
        home = self.home / "vmaild"
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir()
        self.daemon = Daemon(home, self._uris)

    def _mailbox_table(self) -> str:
        """virtual(8)'s own tables. It relies on the server that it asks: the provider first, never behind."""
        servers = " ".join([*self._uris[2:], *self._uris[:2]])
        tables = []
        for name in ("ldap-mailbox.cf", "ldap-mailbox-wait.cf"):
            text = (SNIPPETS / name).read_text().replace("ldap://127.0.0.1:389", servers)
            text = text.replace("CHANGE-ME", READER_PW).replace("timeout          = 5", "timeout = 2")
            (self.home / name).write_text(text)
            tables.append(f"ldap:{self.home / name}")
        return ",".join([*tables, f"regexp:{SNIPPETS / 'mailbox-nobody.regexp'}"])


def _code() -> dict[str, str]:
    """Where the daemon's code is, when it is not this one's: an older or newer vmaild in the same system."""
    other = os.environ.get("VMAILD_CODE")
    return {"PYTHONPATH": other, "PYTHONSAFEPATH": "1"} if other else {}
