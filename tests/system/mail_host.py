"""One machine of the HOWTO: slapd, vmaild and Postfix, with virtual and local users, and ports for mail to others.

Virtual mail lies below ``postfix/mail`` under one account, as ``DOMAIN/USER/``; local users' mail goes through
procmail into ``local/USER/``. The submission port takes users who log in, each with an address of the own account.
"""

from __future__ import annotations

import pwd
import secrets
import shutil
import smtplib
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tests.support.directory import mailbox_table
from tests.support.environment import environment
from tests.support.snippets import services, snippet
from vmaild.demo.ask import ask
from vmaild.demo.daemon import DaemonProcess, Listen
from vmaild.demo.postfix import Postfix
from vmaild.demo.process import free_port
from vmaild.demo.slapd import Slapd
from vmaild.demo.tree import access_rules, tree
from vmaild.lookup import Status

CHANGE_SECONDS = 1.0
"""How long a change in the directory may take to show in mail flow. vmaild hears of it within 0.02 s."""

DELIVERY_SECONDS = 60.0
"""How long mail may take. It takes 0.1 s, but a process of Postfix remembers for 30 s that a lookup has failed."""

HOST = "mail.myhosting.example"
"""The machine's own name: mail for its local users."""

LOCAL_USER = "games"
"""A local user of every Debian machine, without a home that the test would write to."""

# What a program of this machine sends to others.
_OUTGOING = """\
127.0.0.1:{port} inet n - n - 20 smtpd
    -o mynetworks=127.0.0.0/8
    -o smtpd_relay_restrictions=permit_mynetworks,reject
"""

_SASL = """\
pwcheck_method: authdaemond
authdaemond_path: {socket}
mech_list: PLAIN LOGIN
"""

_PROCMAILRC = """\
MAILDIR={local}/$LOGNAME
DEFAULT=$MAILDIR/inbox/
:0
* ^Subject:.*for the lists
lists/
"""


@dataclass
class MailHost:
    """The three services of one machine below ``home``, a directory that every user can traverse."""

    home: Path

    def __post_init__(self) -> None:
        self.mail = self.home / "postfix/mail"
        self.local = self.home / "local"
        self.courier_home = self.home / "courier"
        self.submission_port = free_port()
        self.outgoing_port = free_port()
        mail_home = str(self.mail)
        self.slapd: Slapd = Slapd(
            self.home / "slapd",
            ldif=tree(mail_home=mail_home),
            access=access_rules(mail_home=mail_home),
            syncprov=True,
        )
        self.postfix: Postfix
        self.daemon: DaemonProcess

    def start(self) -> None:
        """Start slapd, vmaild and Postfix, in this order. Raises ``ProcessError`` when one does not start."""
        self.slapd.start()
        self._start_daemon()
        self._make_local()
        self.postfix = self._make_postfix()
        self.postfix.start()

    def close(self) -> None:
        """Stop them all; raises ``AssertionError`` when vmaild ended with a failure."""
        if hasattr(self, "postfix"):
            self.postfix.close()
        status = self.daemon.stop() if hasattr(self, "daemon") else 0
        self.slapd.close()
        assert status == 0, self.daemon.last_words()

    def reply(self, recipient: str) -> tuple[int, str]:
        """What a sender is told who tries again after a 451, as all do: Postfix itself remembers a failed lookup."""
        give_up = time.monotonic() + DELIVERY_SECONDS
        while (answer := self.postfix.rcpt(recipient))[0] == 451 and time.monotonic() < give_up:
            time.sleep(0.1)
        return answer

    def send(self, recipient: str, subject: str, sender: str = "sender@elsewhere.example") -> None:
        """Send a message, trying again after a 451; each of Postfix's processes has a memory of its own."""
        self._until_taken(lambda: self.postfix.send([recipient], subject, sender))

    def send_out(self, recipient: str, subject: str) -> None:
        """Send a message to another machine's user, as a program of this machine does; again after a 451."""
        text = f"From: <cron@{HOST}>\r\nTo: <{recipient}>\r\nSubject: {subject}\r\n\r\nA test message.\r\n"

        def send() -> None:
            with smtplib.SMTP("127.0.0.1", self.outgoing_port, local_hostname="client.example", timeout=60) as session:
                session.sendmail(f"cron@{HOST}", [recipient], text)

        self._until_taken(send)

    def _until_taken(self, send: Callable[[], None]) -> None:
        give_up = time.monotonic() + DELIVERY_SECONDS
        while True:
            try:
                return send()
            except smtplib.SMTPRecipientsRefused as refused:
                ((code, _),) = refused.recipients.values()
                if code != 451 or time.monotonic() > give_up:
                    raise
                time.sleep(0.1)

    def restart_vmaild(self) -> None:
        """Stop vmaild and start it again."""
        with self.without_vmaild():
            pass

    @contextmanager
    def without_slapd(self) -> Iterator[None]:
        """The directory is away, until vmaild has found it again."""
        self.slapd.stop()
        try:
            yield
        finally:
            self.slapd.start()
            assert eventually(self._asks_slapd, DELIVERY_SECONDS), self.daemon.last_words()

    @contextmanager
    def without_vmaild(self) -> Iterator[None]:
        """vmaild is away; it comes back with what it had on disk, which serves while the directory does not."""
        self.daemon.stop()
        try:
            yield
        finally:
            self.daemon.start()

    def _asks_slapd(self) -> bool:
        # An address that is in no cache.
        address = f"{secrets.token_hex(8)}@domain1.example"
        return ask(self.daemon.address, "virtual_mailbox_maps", address).status is Status.NOT_FOUND

    def text_of(self, subject: str) -> str:
        """The message with this subject, wherever it lies; "" when there is none."""
        texts = (path.read_text(errors="replace") for path in self.mail.glob("**/new/*"))
        return next((text for text in texts if f"Subject: {subject}\n" in text), "")

    def landed(self, subject: str) -> dict[str, int]:
        """How many copies of a message lie in each Maildir: ``DOMAIN/USER/``, or ``USER/FOLDER/`` of a local user."""
        copies = self.postfix.delivered(subject)
        for message in self.local.glob("*/*/new/*"):
            if f"Subject: {subject}\n" in message.read_text(errors="replace"):
                folder = f"{message.parent.parent.relative_to(self.local)}/"
                copies[folder] = copies.get(folder, 0) + 1
        return copies

    def expect(self, subject: str, *folders: str) -> None:
        """Wait until one copy of the message lies in each of ``folders`` and none is in transit, or fail."""
        wanted = dict.fromkeys(folders, 1)
        eventually(lambda: self.landed(subject) == wanted and not self.postfix.queued(), DELIVERY_SECONDS)
        assert self.landed(subject) == wanted, self.postfix.log_text()[-3000:]

    def logged(self, *words: str) -> bool:
        """Whether a line of the mail log holds all these words."""
        return any(all(word in line for word in words) for line in self.postfix.log_text().splitlines())

    def _start_daemon(self) -> None:
        listen = Listen(f"inet:127.0.0.1:{free_port()}")
        state = self.home / "state"
        state.mkdir(mode=0o700)
        with environment({"STATE_DIRECTORY": str(state)}):
            self.daemon = DaemonProcess(self.home, [self.slapd.uri], [listen])
        self.daemon.start()

    def _make_postfix(self) -> Postfix:
        vmaild = str(self.daemon.address)
        maps = ("virtual_mailbox_domains", "virtual_mailbox_maps", "virtual_alias_maps")
        # Debian's smtpd(8) looks below its own configuration, whatever cyrus_sasl_config_path says.
        sasl = self.home / "postfix/config/sasl"
        sasl.mkdir(parents=True)
        socket = self.courier_home / "run/authdaemon/socket"
        (sasl / "smtpd.conf").write_text(_SASL.format(socket=socket))
        settings = {name: f"socketmap:{vmaild}:{name}" for name in maps} | {
            "mydestination": HOST,
            "local_recipient_maps": "unix:passwd.byname",
            "mailbox_command": f"/usr/bin/procmail {self.home / 'procmailrc'}",
        }
        return Postfix(
            self.home / "postfix",
            settings,
            mailbox_table=mailbox_table(self.home, self.slapd),
            services="".join(
                [
                    self._submission("cyrus", "smtpd"),
                    _OUTGOING.format(port=self.outgoing_port),
                    "local unix - n n - - local\n",
                ]
            ),
        )

    def _submission(self, sasl_type: str, sasl_path: str) -> str:
        """The service of the snippet, without TLS, on a port of its own."""
        return services(
            snippet(
                "master.cf.submission",
                {
                    "submission inet n       -       y": f"127.0.0.1:{self.submission_port} inet n - n",
                    "security_level=encrypt": "security_level=none",
                    "sasl_type=dovecot": f"sasl_type={sasl_type}",
                    "sasl_path=private/auth": f"sasl_path={sasl_path}",
                    "inet:127.0.0.1:10143": str(self.daemon.address),
                },
            )
        )

    def _make_local(self) -> None:
        user = pwd.getpwnam(LOCAL_USER)
        folder = self.local / LOCAL_USER
        folder.mkdir(parents=True)
        shutil.chown(folder, user.pw_uid, user.pw_gid)
        (self.home / "procmailrc").write_text(_PROCMAILRC.format(local=self.local))


def eventually(happens: Callable[[], bool], seconds: float) -> bool:
    """Whether it happens within ``seconds``."""
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        if happens():
            return True
        time.sleep(0.05)
    return happens()


Host = TypeVar("Host", bound=MailHost)


@contextmanager
def running(make: Callable[[Path], Host]) -> Iterator[Host]:
    """A host in a directory of its own, which Postfix's users may enter."""
    home = Path(tempfile.mkdtemp(prefix="vmaild-system-"))
    home.chmod(0o755)
    host = make(home)
    try:
        host.start()
        yield host
    finally:
        try:
            host.close()
        finally:
            shutil.rmtree(home)
