"""Dovecot of one's own behind a private Postfix: LMTP and logins, configured by the snippets for its version alone.

What is replaced in them: paths, the LDAP server, the Unix account, and TLS, which nothing here needs. There is no IMAP
server in it, since Debian's package of that excludes Courier's: ``doveadm`` logs in and reads in its place. Needs root.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.support.hosting_slapd import IMAP_PW
from tests.support.snippets import snippet
from vmaild.demo.postfix_conf import MAIL_OWNER_ID
from vmaild.demo.process import Process, ProcessError, run
from vmaild.demo.slapd import Slapd
from vmaild.demo.tree import MAIL_HOME

DOVECOT = Path("/usr/sbin/dovecot")
DOVEADM = "/usr/bin/doveadm"
NEEDED = {
    DOVECOT: "dovecot-core",
    Path("/usr/lib/dovecot/lmtp"): "dovecot-lmtpd",
    Path("/usr/lib/dovecot/modules/auth/libauthdb_ldap.so"): "dovecot-ldap",
}

START_SECONDS = 20.0
"""How long it may take until its sockets are there: seconds. It takes 0.2 s."""

_OWN = """
protocols = lmtp
ssl = no
base_dir = {home}/run
log_path = {home}/dovecot.log
"""


_TLS_FILES = (("cert", "pem"), ("key", "key"))


class Dovecot:
    """One Dovecot below ``home`` for the mail below ``mail``, with its sockets in Postfix's ``queue``."""

    def __init__(self, home: Path, slapd: Slapd, mail: Path, queue: Path) -> None:
        self.home = home
        self.log = home / "dovecot.log"
        self._slapd = slapd
        self._mail = mail
        self._queue = queue
        self._conf = home / "dovecot.conf"
        self._process = Process([str(DOVECOT), "-F", "-c", str(self._conf)], home / "dovecot.out")

    def start(self) -> None:
        """Start it; Postfix's queue must be there. Raises ``ProcessError`` when it does not start, or is missing."""
        missing = [package for file, package in NEEDED.items() if not file.exists()]
        if missing:
            raise ProcessError(f"Dovecot is missing; on Debian: apt-get install {' '.join(missing)}")
        self.home.mkdir()
        (self.home / "homes").mkdir()
        (self.home / "homes").chmod(0o777)
        write = self._write_24 if run([str(DOVECOT), "--version"]).startswith("2.4") else self._write_23
        write()
        for path in self.home.glob("dovecot*"):
            path.chmod(0o600)
        self._process.start((self._queue / "private/dovecot-lmtp").is_socket, START_SECONDS)

    def close(self) -> None:
        """Stop it, and remove ``home``."""
        self._process.stop()
        shutil.rmtree(self.home, ignore_errors=True)

    def logs_in(self, login: str, password: str) -> bool:
        """Whether the login is let in and finds a mailbox, as IMAP would ask."""
        return self._doveadm("auth", "login", login, password).returncode == 0

    def login_fields(self, login: str, password: str) -> str:
        """What a login is told about its user: name, mailbox and the like."""
        return self._doveadm("auth", "login", login, password).stdout

    def subjects(self, address: str) -> list[str]:
        """The subjects in the inbox that a login as ``address`` is given."""
        fetched = self._doveadm("fetch", "-u", address, "hdr.subject", "mailbox", "INBOX")
        if fetched.returncode:
            raise ProcessError(fetched.stderr)
        lines = fetched.stdout.splitlines()
        return [line.removeprefix("hdr.subject: ") for line in lines if line.startswith("hdr.subject: ")]

    def _write_23(self) -> None:
        for name in ("dovecot-ldap.conf.ext", "dovecot-ldap-wait.conf.ext"):
            text = snippet(name, self._directory() | (self._homes() if "wait" not in name else {}))
            (self.home / name).write_text(text)
        changes = {"/etc/dovecot/dovecot-": f"{self.home}/dovecot-"} | self._places()
        tls = {"ssl_cert = </etc/dovecot/private/dovecot.pem": "", "ssl_key = </etc/dovecot/private/dovecot.key": ""}
        self._conf.write_text(snippet("dovecot.conf", changes | tls) + _OWN.format(home=self.home))

    def _write_24(self) -> None:
        changes = self._directory() | self._homes() | self._places()
        tls = {f"ssl_server_{one}_file = /etc/dovecot/private/dovecot.{end}": "" for one, end in _TLS_FILES}
        self._conf.write_text(snippet("dovecot-2.4.conf", changes | tls) + _OWN.format(home=self.home))

    def _directory(self) -> dict[str, str]:
        return {"ldap://127.0.0.1:389": self._slapd.uri, "CHANGE-ME": IMAP_PW}

    def _homes(self) -> dict[str, str]:
        return {MAIL_HOME: str(self._mail), "/home/vmail/dovecot": str(self.home / "homes")}

    def _places(self) -> dict[str, str]:
        ids = ("mail_uid", "mail_gid", "first_valid_uid", "last_valid_uid")
        return {f"{name} = 101": f"{name} = {MAIL_OWNER_ID}" for name in ids} | {"/var/spool/postfix": str(self._queue)}

    def _doveadm(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [DOVEADM, "-c", str(self._conf), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
