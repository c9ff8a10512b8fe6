"""A real Postfix of one's own: its own configuration, queue and data directories, one free port on loopback.

The instance never resolves a name and never leaves the machine: what is not for a hosted domain lands in the
Maildir ``foreign/``. Clients are strangers (``mynetworks`` is empty), so that it refuses what Postfix on the
internet would refuse. Mail for hosted domains is delivered by virtual(8) below ``mail``; since virtual(8) accepts
neither socketmap nor tcp tables, its own last lookup is an ``ldap:`` table. Needs root, as master(8) does. The demo,
the tests and the benchmark use it.
"""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import shutil
import signal
import smtplib
import socket
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

from vmaild.demo.postfix_conf import MAIL_OWNER_ID, QUEUE_OWNED, SERVICES, SETTINGS
from vmaild.demo.process import LAST_WORDS, Process, ProcessError, free_port

MASTER = Path("/usr/lib/postfix/sbin/master")
LDAP_TABLE = Path("/usr/lib/postfix/postfix-ldap.so")

START_SECONDS = 30.0
"""How long Postfix may take to greet: seconds. It takes 0.3 s."""

_WATCHED = """\
trap 'kill -TERM "$child"; wait "$child"; exit' TERM
"$@" & child=$!
wait "$child"
"""
"""The kernel forgets master(8)'s wish for a signal when its parent dies, as it changes its user; a shell does not."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What ``postmap -q`` did: its exit status, the value without its newline, and what it said on stderr."""

    status: int
    value: str
    errors: str

    @property
    def not_found(self) -> bool:
        """True for a proper "not found"; a failed lookup has the same exit status and says so on stderr."""
        return self.status == 1 and not self.value and not self.errors


class Postfix:
    """One instance below ``home``, which must be a directory that every user can traverse.

    ``settings`` add to main.cf and override it; ``mailbox_table`` is the table of virtual(8), or several with commas
    between them; ``services`` are more lines of master.cf.
    """

    def __init__(self, home: Path, settings: Mapping[str, str], *, mailbox_table: str = "", services: str = "") -> None:
        self.home = home
        self.config = home / "config"
        self.mail = home / "mail"
        self.log = home / "maillog"
        self._settings = settings
        self._mailbox_table = mailbox_table
        self._services = services
        self._port = 0
        command = ["sh", "-c", _WATCHED, "sh", str(MASTER), "-s", "-c", str(self.config)]
        self._process = Process(command, home / "master.out")

    @property
    def port(self) -> int:
        """The SMTP port; 0 before the first start."""
        return self._port

    @property
    def running(self) -> bool:
        """True until master(8) is stopped or has ended by itself."""
        return self._process.running

    @property
    def pid(self) -> int:
        """The process id of master(8), which wrote it down. Raises ``OSError`` or ``ValueError`` when it has not."""
        return int((self.home / "queue/pid/master.pid").read_text())

    def configure(self) -> None:
        """Write the configuration and make the directories, which is all that ``postmap`` needs."""
        self.home.mkdir(parents=True, exist_ok=True)
        self.config.mkdir(exist_ok=True)
        self._port = self._port or free_port()
        settings = {name: value.format(home=self.home) for name, value in SETTINGS.items()} | dict(self._settings)
        main = "".join(f"{name} = {value}\n" for name, value in settings.items())
        (self.config / "main.cf").write_text(main)
        services = SERVICES.format(port=self._port, mailbox_table=self._mailbox_table)
        (self.config / "master.cf").write_text(services + self._services)
        self._make_directories()

    def start(self) -> None:
        """Start master(8) in the foreground and wait for the SMTP greeting."""
        check_postfix()
        self.configure()
        try:
            self._process.start(self._greets, START_SECONDS)
        except ProcessError as error:
            self._end_master()
            raise ProcessError(f"{error}\n{self.log_text()[-2000:]}") from error

    def stop(self) -> None:
        """SIGTERM to master(8), which stops its processes; the queue stays."""
        self._process.stop()

    def close(self) -> None:
        """Stop, and remove ``home``."""
        self.stop()
        shutil.rmtree(self.home, ignore_errors=True)

    def last_words(self) -> str:
        """The end of the mail log."""
        return self.log_text()[-LAST_WORDS:]

    def log_text(self) -> str:
        """The mail log so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def lookup(self, table: str, key: str | bytes) -> Answer:
        """``postmap -q KEY TABLE``."""
        done = self._postmap(["-q", os.fsdecode(key), table], b"")
        return Answer(done.returncode, _text(done.stdout).removesuffix("\n"), _text(done.stderr))

    def lookup_all(self, table: str, keys: Iterable[str]) -> dict[str, str]:
        """``postmap -q - TABLE``: the values of the keys that were found. Raises when a lookup failed."""
        lines = "".join(f"{key}\n" for key in keys)
        done = self._postmap(["-q", "-", table], lines.encode())
        if done.stderr:
            raise ProcessError(_text(done.stderr))
        return dict(line.split("\t", 1) for line in _text(done.stdout).splitlines())

    def smtp(self) -> smtplib.SMTP:
        """A new SMTP session."""
        return smtplib.SMTP("127.0.0.1", self._port, local_hostname="client.example", timeout=60)

    def rcpt(self, recipient: str, sender: str = "sender@elsewhere.example") -> tuple[int, str]:
        """The reply to one ``RCPT TO``."""
        with self.smtp() as session:
            session.ehlo()
            session.mail(sender)
            code, text = session.rcpt(recipient)
            return code, text.decode()

    def send(self, recipients: Sequence[str], subject: str, sender: str = "sender@elsewhere.example") -> None:
        """Send one message in one transaction. Raises ``smtplib.SMTPRecipientsRefused`` when none is accepted."""
        message = EmailMessage()
        message["From"] = sender
        message["To"] = ", ".join(recipients)
        message["Subject"] = subject
        message.set_content("A test message.\n")
        with self.smtp() as session:
            refused = session.sendmail(sender, list(recipients), message.as_bytes())
        if refused:
            raise smtplib.SMTPRecipientsRefused(refused)

    def delivered(self, subject: str) -> dict[str, int]:
        """How many copies of the message with this subject lie in each Maildir, by its path below ``mail``."""
        copies: dict[str, int] = {}
        for message in self.mail.glob("**/new/*"):
            if f"Subject: {subject}\n" in message.read_text(errors="replace"):
                maildir = f"{message.parent.parent.relative_to(self.mail)}/"
                copies[maildir] = copies.get(maildir, 0) + 1
        return copies

    def queued(self) -> list[str]:
        """The queue files that are neither delivered nor returned."""
        queue = self.home / "queue"
        return [
            str(path)
            for name in ("incoming", "active", "deferred")
            for path in queue.glob(f"{name}/**/*")
            if path.is_file()
        ]

    def _postmap(self, arguments: Sequence[str], stdin: bytes) -> subprocess.CompletedProcess[bytes]:
        command = ["postmap", "-c", str(self.config), *arguments]
        return subprocess.run(command, input=stdin, capture_output=True, check=False, timeout=120)

    def _greets(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=5.0) as probe:
                return probe.recv(4) == b"220 "
        except OSError:
            return False

    def _end_master(self) -> None:
        # The shell was killed when it took too long, and could not pass it on.
        with contextlib.suppress(OSError, ValueError):
            os.kill(self.pid, signal.SIGTERM)

    def _make_directories(self) -> None:
        postfix = pwd.getpwnam("postfix").pw_uid
        postdrop = grp.getgrnam("postdrop").gr_gid
        queue = self.home / "queue"
        for path in (queue, queue / "pid"):
            _directory(path, 0o755, 0, 0)
        for name in QUEUE_OWNED:
            _directory(queue / name, 0o700, postfix, 0)
        _directory(queue / "public", 0o2710, postfix, postdrop)
        _directory(queue / "maildrop", 0o1730, postfix, postdrop)
        _directory(self.home / "data", 0o700, postfix, 0)
        _directory(self.mail, 0o755, MAIL_OWNER_ID, MAIL_OWNER_ID)


def check_postfix() -> None:
    """Raise ``ProcessError`` when a Postfix cannot run here: it is not installed, or we are not root."""
    for file in (MASTER, LDAP_TABLE):
        if not file.exists():
            raise ProcessError(f"{file} is missing; on Debian: apt-get install postfix postfix-ldap")
    if os.geteuid() != 0:
        raise ProcessError("Postfix's master(8) needs root")


def _directory(path: Path, mode: int, owner: int, group: int) -> None:
    path.mkdir(exist_ok=True)
    os.chown(path, owner, group)
    path.chmod(mode)


def _text(output: bytes) -> str:
    return output.decode(errors="replace")
