"""Delivery by pipe(8) to maildrop, which asks Courier's authdaemond, configured by the snippets alone."""

from __future__ import annotations

import functools
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.directory import BAD_MAILBOXES, alias
from tests.support.hosting_slapd import IMAP_DN, IMAP_PW
from tests.support.ldap_client import dn, removed, replaced
from tests.support.snippets import snippet
from tests.support.theft import new
from tests.system.courier import Courier
from tests.system.mail_host import DELIVERY_SECONDS, eventually, running
from tests.system.snippet_host import MAILDROP_USER, SnippetHost
from tests.system.test_snippets_deliver import ROWS
from vmaild.demo.postfix_conf import MAIL_OWNER_ID
from vmaild.demo.process import ProcessError
from vmaild.demo.tree import ACCOUNT_PW

pytestmark = pytest.mark.system

THIEF = "thief@domain2.example"


class MaildropHost(SnippetHost):
    """Postfix runs where Courier's files are, since maildrop has their place compiled in."""

    courier: Courier

    def _start_daemon(self) -> None:
        super()._start_daemon()
        self.courier_home.mkdir()
        self.courier = Courier(self.courier_home, self.slapd, bind=(IMAP_DN, IMAP_PW))
        self.owner = pwd.getpwnam(MAILDROP_USER).pw_uid
        self.mail.mkdir(parents=True)
        self.courier.own(self.mail, MAILDROP_USER)
        self.courier.start()
        self.inside = self.courier.inside

    def start(self) -> None:
        super().start()
        # Postfix has made it the other Unix account's, which delivers what is not ours.
        self.courier.own(self.mail, MAILDROP_USER)
        (self.mail / "foreign").mkdir()
        os.chown(self.mail / "foreign", MAIL_OWNER_ID, MAIL_OWNER_ID)

    def close(self) -> None:
        super().close()
        if hasattr(self, "courier"):
            self.courier.close()


@pytest.fixture(scope="module")
def host() -> Iterator[MaildropHost]:
    if shutil.which("maildrop") is None:
        raise ProcessError("maildrop is missing; on Debian: apt-get install maildrop")
    with running(functools.partial(MaildropHost, delivery="maildrop")) as host:
        yield host


@pytest.mark.parametrize(("recipient", "maildirs"), ROWS.values(), ids=ROWS.keys())
def test_mail_lands(host: MaildropHost, subject: str, recipient: str, maildirs: list[str]) -> None:
    host.send(recipient, subject)

    host.expect(subject, *maildirs)


def test_all_addresses_of_an_account_lead_to_one_mailbox_and_read_it(host: MaildropHost, subject: str) -> None:
    addresses = ("user3@domain2.example", "third.user@domain2.example", "u3@domain2.example")
    for address in addresses:
        host.send(address, f"{subject} to {address}")
        host.expect(f"{subject} to {address}", "domain2.example/user3/")

    for address in addresses:
        assert {f"{subject} to {one}" for one in addresses} <= set(host.courier.subjects(address, ACCOUNT_PW))


@pytest.mark.parametrize("mailbox", BAD_MAILBOXES.values(), ids=BAD_MAILBOXES)
def test_mail_for_a_mailbox_outside_the_domain_waits(host: MaildropHost, subject: str, mailbox: str) -> None:
    """Whatever is wrong with it, and until it is mended."""
    host.slapd.add(alias("way@domain3.example", THIEF))
    host.slapd.add(new("thief", str(host.mail), mailbox=mailbox))
    try:
        host.send("way@domain3.example", subject)
        put_off = (f"to=<{THIEF}>", "orig_to=<way@domain3.example>", "status=deferred")
        assert eventually(lambda: host.logged(*put_off), DELIVERY_SECONDS), host.postfix.log_text()[-3000:]
        assert host.landed(subject) == {}

        host.slapd.modify(replaced(dn(THIEF), "mailbox", "domain2.example/thief/"))
        host.expect(subject, "domain2.example/thief/")
    finally:
        for address in ("way@domain3.example", THIEF):
            host.slapd.modify(removed(dn(address)))


def test_without_authdaemond_mail_waits(host: MaildropHost, subject: str) -> None:
    host.courier.stop_logins()
    try:
        host.send("user2@domain2.example", subject)
        put_off = ("to=<user2@domain2.example>", "status=SOFTBOUNCE")
        assert eventually(lambda: host.logged(*put_off), DELIVERY_SECONDS), host.postfix.log_text()[-3000:]
    finally:
        host.courier.start_logins()
    host.expect(subject, "domain2.example/user2/")
    assert not host.logged("to=<user2@domain2.example>", "status=bounced")


@pytest.mark.parametrize(
    ("mailbox", "status"),
    [
        ("domain2.example/user1/", 0),
        ("domain1.example/user1/", 75),
        ("domain2.example.org/user1/", 75),
        ("domain2xexample/user1/", 75),
        ("domain2.example", 75),
        ("domain2.example/../domain1.example/user1/", 75),
        ("{home}/elsewhere/", 75),
        ("./Maildir", 75),
        ("domain2.example/$(touch taken)/", 75),
        ("domain2.example/`touch taken`/", 75),
        ("domain2.example/a; touch taken; /", 75),
        ("domain2.example/a&touch taken/", 75),
    ],
)
def test_maildrop_s_own_rules_keep_mail_in_the_domain_and_run_no_command(
    tmp_path: Path, mailbox: str, status: int
) -> None:
    """Also where slapd shows Courier another's mailbox."""
    mailbox = mailbox.replace("{home}", str(tmp_path / "home"))
    told = f"LOGNAME=\"user1@Domain2.example\"\nDEFAULT='{mailbox}'\n"
    (tmp_path / "rules").write_text(told + snippet("maildroprc", {}))
    (tmp_path / "rules").chmod(0o600)
    (tmp_path / "home").mkdir()
    done = subprocess.run(
        ["maildrop", "../rules"], input=b"Subject: x\n\nx\n", cwd=tmp_path / "home", capture_output=True, check=False
    )

    landed = [path.parent.parent for path in (tmp_path / "home").glob("**/new/*")]
    assert done.returncode == status, done.stderr
    assert landed == ([tmp_path / "home" / mailbox] if status == 0 else [])
    assert not list(tmp_path.rglob("taken"))
