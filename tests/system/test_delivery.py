"""A message comes in by SMTP and lands where the HOWTO says, by way of vmaild; what is not ours is refused."""

from __future__ import annotations

import pytest

from tests.support.directory import alias
from tests.support.ldap_client import dn, removed
from tests.system.mail_host import DELIVERY_SECONDS, HOST, MailHost, eventually
from vmaild.demo.postfix_conf import MAIL_OWNER_ID

ROWS = {
    "account": ("user2@domain2.example", ["domain2.example/user2/"]),
    "second address of an account": ("john.doe@domain1.example", ["domain1.example/user1/"]),
    "extension": ("user2+lists@domain2.example", ["domain2.example/user2/"]),
    "alias": ("user1+orders@domain1.example", ["domain1.example/user2/"]),
    "alias elsewhere": ("user1@domain3.example", ["foreign/"]),
    "many to many": ("sales@domain1.example", ["domain1.example/user1/", "domain1.example/user2/"]),
    "many to many, the other address": ("info@domain1.example", ["domain1.example/user1/", "domain1.example/user2/"]),
    "postmaster, two occupants": ("postmaster@domain2.example", ["domain2.example/user1/", "domain2.example/user3/"]),
    "abuse": ("abuse@domain3.example", ["domain1.example/sysadmin/"]),
    "catch-all": ("anything@domain3.example", ["domain3.example/user3/"]),
    "account beside a catch-all": ("user2@domain3.example", ["domain3.example/user2/"]),
}

local_users = pytest.mark.system
"""procmail is not among the packages that every other test needs."""


@pytest.mark.parametrize(("recipient", "maildirs"), ROWS.values(), ids=ROWS.keys())
def test_mail_for_virtual_users(host: MailHost, subject: str, recipient: str, maildirs: list[str]) -> None:
    host.send(recipient, subject)

    host.expect(subject, *maildirs)


def test_every_mailbox_belongs_to_one_account(host: MailHost, subject: str) -> None:
    host.postfix.send(["user1@domain1.example", "user3@domain2.example"], subject)
    host.expect(subject, "domain1.example/user1/", "domain2.example/user3/")

    files = [path for path in host.mail.rglob("*") if path.is_file()]

    assert {path.stat().st_uid for path in files} == {MAIL_OWNER_ID}
    assert {path.stat().st_mode & 0o077 for path in files} == {0}


@local_users
def test_mail_for_a_local_user_goes_through_procmail(host: MailHost, local_user: str, subject: str) -> None:
    host.send(f"{local_user}@{HOST}", subject)

    host.expect(subject, f"{local_user}/inbox/")


@local_users
def test_procmail_sorts_a_local_user_s_mail(host: MailHost, local_user: str, subject: str) -> None:
    listed = f"{subject} for the lists"
    host.send(f"{local_user}+anything@{HOST}", listed)

    host.expect(listed, f"{local_user}/lists/")


@local_users
def test_an_alias_may_lead_to_a_local_user(host: MailHost, local_user: str, subject: str) -> None:
    host.slapd.add(alias("shell@domain2.example", f"{local_user}@{HOST}"))
    try:
        host.send("shell@domain2.example", subject)
        host.expect(subject, f"{local_user}/inbox/")
    finally:
        host.slapd.modify(removed(dn("shell@domain2.example")))


@pytest.mark.parametrize("recipient", ["nobody@domain1.example", "user9@domain2.example", f"no-such-user@{HOST}"])
def test_an_unknown_user_is_refused_for_good(host: MailHost, recipient: str) -> None:
    code, text = host.reply(recipient)

    assert (code, text[:6]) == (550, "5.1.1 ")


def test_an_unknown_domain_is_not_relayed(host: MailHost) -> None:
    code, text = host.reply("user1@domain4.example")

    assert code == 554
    assert "Relay access denied" in text


def test_without_a_directory_what_was_never_asked_is_put_off(host: MailHost) -> None:
    with host.without_slapd():
        account, _ = host.postfix.rcpt("user3+never-asked@domain2.example")
        nobody, _ = host.postfix.rcpt("never-asked@domain1.example")

    assert (account, nobody) == (451, 451)
    assert host.reply("user3+never-asked@domain2.example")[0] == 250
    assert host.reply("never-asked@domain1.example")[0] == 550


def test_without_a_directory_mail_to_a_known_alias_elsewhere_is_delivered(host: MailHost, subject: str) -> None:
    """Known is what a message has gone to: cleanup(8) asks for where an alias leads only when it has one."""
    recipient = "user1@domain3.example"
    host.send(recipient, f"{subject}, the first")
    host.expect(f"{subject}, the first", "foreign/")
    with host.without_slapd():
        host.postfix.send([recipient], subject)
        host.expect(subject, "foreign/")


def test_without_a_directory_mail_to_a_known_account_is_taken_and_delivered_when_it_is_back(
    host: MailHost, subject: str
) -> None:
    """virtual(8)'s own last lookup waits for the directory; everything before it is answered from the cache."""
    recipient = "sysadmin@domain1.example"
    assert host.reply(recipient)[0] == 250
    with host.without_slapd():
        host.postfix.send([recipient], subject)
        assert eventually(lambda: host.logged(f"to=<{recipient}>", "status=deferred"), DELIVERY_SECONDS)
        assert host.landed(subject) == {}

    host.expect(subject, "domain1.example/sysadmin/")
    assert not host.logged(f"to=<{recipient}>", "status=bounced")


def test_mail_for_other_machines_goes_out(host: MailHost, subject: str) -> None:
    host.send_out("someone@elsewhere.example", subject)

    host.expect(subject, "foreign/")


@local_users
@pytest.mark.parametrize("restarted", [False, True], ids=["", "vmaild restarted meanwhile"])
def test_without_a_directory_mail_for_virtual_users_local_users_and_other_machines_is_taken(
    host: MailHost, local_user: str, subject: str, restarted: bool
) -> None:
    """What vmaild knows of hosted domains and known users outlives the directory, and vmaild's own restart. (For the
    first second after a restart it looks for a server that answers, and puts off what is not in its cache.)"""
    known = "user3@domain2.example"
    assert host.reply(known)[0] == 250
    with host.without_slapd():
        if restarted:
            host.restart_vmaild()
        assert host.reply(known)[0] == 250
        host.send(f"{local_user}+{subject.replace(' ', '-')}@{HOST}", f"{subject}, local")
        host.expect(f"{subject}, local", f"{local_user}/inbox/")
        host.send_out("someone@elsewhere.example", f"{subject}, out")
        host.expect(f"{subject}, out", "foreign/")
