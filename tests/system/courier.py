"""Courier-IMAP of one's own: authdaemond on a private slapd, imapd and pop3d on free loopback ports.

Courier's programs have ``/etc/courier`` and ``/run/courier`` compiled in. Each runs in a mount namespace of its own in
which these two are directories below ``home``: copies of what Debian's packages install, with ``authdaemonrc`` and
``authldaprc`` written for this slapd. The machine's own files are neither read later nor changed. Needs root.
"""

from __future__ import annotations

import imaplib
import os
import shutil
import socket
from pathlib import Path

from tests.support.snippets import snippet
from vmaild.demo.postfix_conf import MAIL_OWNER_ID
from vmaild.demo.process import Process, ProcessError, free_port
from vmaild.demo.slapd import Slapd
from vmaild.demo.tree import COURIER_DN, COURIER_PW

LIB = Path("/usr/lib/courier")
AUTHDAEMOND = LIB / "courier-authlib/authdaemond"
NEEDED = {
    AUTHDAEMOND: "courier-authdaemon",
    Path("/usr/lib/courier-authlib/libauthldap.so"): "courier-authlib-ldap",
    LIB / "courier/imaplogin": "courier-imap",
    LIB / "courier/courierpop3login": "courier-pop",
}

START_SECONDS = 20.0
"""How long one of the daemons may take to answer: seconds. They take 0.1 s."""

# imapd starts it to hear of changed folders; it would outlive the test by half a minute.
_GAM_SERVER = "/usr/libexec/gam_server"

IMAPD = "/usr/lib/courier/courier/imaplogin /usr/bin/imapd Maildir"
POP3D = "/usr/lib/courier/courier/courierpop3login /usr/lib/courier/courier/courierpop3d Maildir"

# The settings of Debian's files, then ours: no TLS inside the machine, and no locks, which need a gam_server.
_TCPD = """\
set -a; . /etc/courier/{name}-ssl; . /etc/courier/{name}
IMAP_STARTTLS=NO; POP3_STARTTLS=NO; IMAP_USELOCKS=0; set +a
exec couriertcpd -address=127.0.0.1 -nodnslookup -noidentlookup -maxprocs=40 -maxperip=40 {port} {command}"""

_AUTHDAEMONRC = """\
authmodulelist="authldap"
authmodulelistorig="authldap"
daemons=3
authdaemonvar=/run/courier/authdaemon
DEBUG_LOGIN=1
DEFAULTOPTIONS=""
LOGGEROPTS=""
"""


class Courier:
    """authdaemond, imapd and pop3d below ``home``, which must be short enough for a unix socket's path."""

    def __init__(self, home: Path, slapd: Slapd, bind: tuple[str, str] = (COURIER_DN, COURIER_PW)) -> None:
        self.home = home
        self._bind = bind
        self.imap_port = free_port()
        self.pop_port = free_port()
        self._slapd = slapd
        self._owner: int | str = MAIL_OWNER_ID
        self._auth = self._process("authdaemond", f"exec {AUTHDAEMOND}")
        self._imap = self._process("imapd", _TCPD.format(name="imapd", port=self.imap_port, command=IMAPD))
        self._pop = self._process("pop3d", _TCPD.format(name="pop3d", port=self.pop_port, command=POP3D))

    @property
    def auth_socket(self) -> Path:
        """authdaemond's socket, as programs outside of the namespaces reach it."""
        return self.home / "run/authdaemon/socket"

    def start(self) -> None:
        """Start the three and wait until they answer. Raises ``ProcessError`` when one does not, or is missing."""
        missing = [package for file, package in NEEDED.items() if not file.exists()]
        if missing:
            raise ProcessError(f"Courier is missing; on Debian: apt-get install {' '.join(missing)}")
        self._write_files()
        self.start_logins()
        self._imap.start(lambda: _greets(self.imap_port, b"* OK"), START_SECONDS)
        self._pop.start(lambda: _greets(self.pop_port, b"+OK"), START_SECONDS)

    def own(self, mail_home: Path, owner: int | str = MAIL_OWNER_ID) -> None:
        """Make all below ``mail_home`` belong to the one user of all mailboxes, and to the group of that name."""
        self._owner = owner
        for path in (mail_home, *mail_home.rglob("*")):
            shutil.chown(path, owner, owner)

    @property
    def inside(self) -> list[str]:
        """A command that runs another where Courier's files are; authdaemond must run."""
        return ["nsenter", "--mount", "--target", str(self._auth.pid), "--"]

    def start_logins(self) -> None:
        """Start authdaemond, without which nobody logs in."""
        self._auth.start(self._authenticates, START_SECONDS)

    def stop_logins(self) -> None:
        """Stop authdaemond; imapd and pop3d go on."""
        self._auth.stop()

    def close(self) -> None:
        """Stop them, and remove ``home``."""
        for process in (self._pop, self._imap, self._auth):
            process.stop()
        shutil.rmtree(self.home, ignore_errors=True)

    def subjects(self, login: str, password: str) -> list[str]:
        """The subjects in the inbox, by IMAP. Raises ``imaplib.IMAP4.error`` when the login is refused."""
        session = imaplib.IMAP4("127.0.0.1", self.imap_port, timeout=30)
        try:
            session.login(login, password)
            session.select(readonly=True)
            _, found = session.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
        finally:
            session.shutdown()
        texts = [part[1].decode() for part in found if isinstance(part, tuple)]
        return [text.strip().removeprefix("Subject: ") for text in texts]

    def log_text(self) -> str:
        """What the three have logged."""
        return "".join(path.read_text(errors="replace") for path in sorted(self.home.glob("*.log")))

    def _process(self, name: str, script: str) -> Process:
        etc, run = self.home / "etc", self.home / "run"
        mounts = {etc: "/etc/courier", run: "/run/courier", Path("/bin/false"): _GAM_SERVER}
        mounts[etc / "maildroprc"] = "/etc/maildroprc"
        inside = "mkdir -p /run/courier\n"
        inside += "".join(f"[ ! -e {over} ] || mount --bind {own} {over}\n" for own, over in mounts.items()) + script
        command = ["unshare", "--mount", "--propagation", "private", "sh", "-e", "-c", inside]
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        return Process(command, self.home / f"{name}.log", environment=environment)

    def _write_files(self) -> None:
        # The sockets' directory is open to Postfix, whose smtpd(8) asks authdaemond as the user postfix.
        (self.home / "run/authdaemon").mkdir(parents=True)
        shutil.copytree("/etc/courier", self.home / "etc")
        self._write("authdaemonrc", _AUTHDAEMONRC)
        dn, password = self._bind
        ldap = snippet(
            "authldaprc",
            {
                "ldap://127.0.0.1:389": self._slapd.uri,
                "cn=imap,dc=myhosting,dc=example": dn,
                "CHANGE-ME": password,
                "_UID vmail": f"_UID {self._owner}",
                "_GID vmail": f"_GID {self._owner}",
            },
        )
        self._write("authldaprc", ldap)

        self._write("maildroprc", snippet("maildroprc", {}), 0o644)

    def _write(self, name: str, text: str, mode: int = 0o600) -> None:
        path = self.home / "etc" / name
        path.write_text(text)
        path.chmod(mode)

    def _authenticates(self) -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(5.0)
                probe.connect(os.fspath(self.auth_socket))
                return True
        except OSError:
            return False


def _greets(port: int, greeting: bytes) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5.0) as probe:
            return probe.recv(len(greeting)) == greeting
    except OSError:
        return False
