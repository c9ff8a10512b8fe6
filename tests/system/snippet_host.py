"""A machine of the HOWTO that is configured by the snippets alone: slapd, vmaild, Postfix, and who delivers.

``lookups`` is the snippet that names vmaild's tables (``main.cf``, ``main.cf.tcp``, ``main.cf.unix``), ``delivery`` how
mail is delivered (``virtual``, ``lmtp``, ``maildrop``). What no snippet knows is replaced: ports, paths, users.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.directory import mailbox_table
from tests.support.hosting_slapd import HostingSlapd
from tests.support.snippets import services, settings, snippet
from tests.system.mail_host import HOST, MailHost
from vmaild.demo.daemon import DaemonProcess, Listen
from vmaild.demo.postfix import Postfix
from vmaild.demo.postfix_conf import MAIL_OWNER_ID
from vmaild.demo.process import Process, free_port

MAILDROP_USER = "games"
"""A user of every Debian machine, in place of the one that owns all mailboxes."""

CHROOTED = ("smtpd", "cleanup", "trivial-rewrite", "qmgr")
"""What Debian's master.cf runs in a chroot, of the programs that ask vmaild."""


class ChrootedPostfix(Postfix):
    """One whose programs run in its queue directory, as on Debian. ``inside`` is a command to run it by."""

    def __init__(self, *arguments: object, inside: Sequence[str] = (), **options: str) -> None:
        super().__init__(*arguments, **options)
        if inside:
            self._process = Process([*inside, *self._process._command], self.home / "master.out")

    def configure(self) -> None:
        super().configure()
        master = self.config / "master.cf"
        lines = [
            re.sub(r"^(\S+\s+\S+\s+\S+\s+\S+\s+)n", r"\1y", line) if line.split()[-1] in CHROOTED else line
            for line in master.read_text().splitlines()
        ]
        master.write_text("\n".join([*lines, ""]))


@dataclass
class SnippetHost(MailHost):
    """The services below ``home``."""

    lookups: str = "main.cf"
    delivery: str = "virtual"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.slapd = HostingSlapd(self.home / "slapd", str(self.mail))
        self.inside: Sequence[str] = ()
        self.owner = MAIL_OWNER_ID

    def _start_daemon(self) -> None:
        # vmaild is there before Postfix, and so must the directory be that its socket is in.
        sockets = self.home / "postfix/queue/vmaild"
        sockets.mkdir(parents=True)
        tcp = [Listen(f"inet:127.0.0.1:{free_port()}", "tcp_table", name) for name in _tcp_maps()]
        listens = [
            Listen(f"inet:127.0.0.1:{free_port()}"),
            Listen(f"unix:{sockets / 'lookups'}", extra='mode = "0660"\ngroup = "postfix"'),
            *tcp,
        ]
        self.daemon = DaemonProcess(self.home, [self.slapd.uri], listens, tables=_closed())
        self.daemon.start()

    def _make_postfix(self) -> Postfix:
        main = snippet(self.lookups, {}, None if self.lookups == "main.cf.unix" else self.daemon)
        procmail = '/usr/bin/procmail -a "$EXTENSION"'
        local = {
            "$myhostname, localhost.$mydomain, localhost": HOST,
            "hash:/etc/aliases": "",
            # Rules of the test in place of the users' own.
            procmail: f"{procmail} {self.home / 'procmailrc'}",
        }
        chosen = {
            **settings(main),
            **settings(snippet("main.cf.local", local)),
            **settings(snippet("main.cf.access", {}, self.daemon)),
            **settings(snippet(f"main.cf.{self.delivery}", self._places())),
        }
        lmtp = f"lmtp unix - - n - - lmtp\n{self._submission('dovecot', 'private/auth')}"
        delivers = {"virtual": "", "lmtp": lmtp}.get(self.delivery)
        if delivers is None:
            delivers = services(snippet(f"master.cf.{self.delivery}", {"user=vmail": f"user={MAILDROP_USER}"}))
        return ChrootedPostfix(
            self.home / "postfix",
            chosen,
            mailbox_table=mailbox_table(self.home, self.slapd) if self.delivery == "virtual" else "static:none",
            services=f"local unix - n n - - local\n{delivers}",
            inside=self.inside,
        )

    def _places(self) -> dict[str, str]:
        if self.delivery != "virtual":
            return {}
        return {"/home/vmail/domains": str(self.mail), "101": str(MAIL_OWNER_ID)}


def _tcp_maps() -> list[str]:
    return re.findall(r"^(\w+) *= tcp:", Path(_file("main.cf.tcp")).read_text(), re.MULTILINE)


def _closed() -> str:
    """The map that main.cf.access describes in its comment."""
    text = Path(_file("main.cf.access")).read_text()
    return "\n".join(line.removeprefix("#   ") for line in text.splitlines() if line.startswith("#   ")) + "\n"


def _file(name: str) -> Path:
    return Path(__file__).parents[2] / "postfix-snippets" / name
