"""Debian's slapd with everything that the snippets of ``postfix-snippets/slapd`` say, and the demo's tree in it."""

from __future__ import annotations

from pathlib import Path

from tests.support.debian_slapd import DebianSlapd
from tests.support.snippets import snippet
from vmaild.demo.tree import BASE, MAIL_HOME, tree

IMAP_DN = f"cn=imap,{BASE}"
"""The account of the IMAP server, Courier's or Dovecot's."""

IMAP_PW = "imap-demo"


class HostingSlapd(DebianSlapd):
    """Mailboxes are below ``mail_home``."""

    def __init__(self, home: Path, mail_home: str = MAIL_HOME) -> None:
        super().__init__(home)
        self._mail_home = mail_home

    def start(self) -> None:
        """Start it; the first time, apply the snippets and add the tree."""
        fresh = not (self.home / "slapd.d").exists()
        super().start()
        if not fresh:
            return
        self.configure(snippet("courier.ldif", {}), tool="ldapadd")
        self.configure(snippet("access.ldif", {MAIL_HOME: self._mail_home}))
        self.configure(snippet("overlays.ldif", {}))
        self.configure(snippet("indexes.ldif", {}), go_on=True)
        self.add(tree(mail_home=self._mail_home))
        # The demo's tree has vmaild's account already.
        self.add(snippet("accounts.ldif", {"{CRYPT}!": IMAP_PW}).split("\n\n")[-1])
