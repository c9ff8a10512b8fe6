"""Mail through each way that the snippets describe: how Postfix asks vmaild, and who delivers; by a real Postfix.

Every way is tried with the theft that was seen: an alias of domain3 leads to an account of domain2 whose mailbox is one
of domain1. Its mail must not land there.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import pytest

from tests.support.directory import alias
from tests.support.ldap_client import dn, removed, replaced
from tests.support.theft import VICTIM_MAILBOX, new
from tests.system.mail_host import DELIVERY_SECONDS, HOST, MailHost, eventually, running
from tests.system.snippet_host import SnippetHost

ROWS = {
    "account": ("user2@domain2.example", ["domain2.example/user2/"]),
    "second address of an account": ("john.doe@domain1.example", ["domain1.example/user1/"]),
    "in capitals": ("USER2@DOMAIN2.EXAMPLE", ["domain2.example/user2/"]),
    "extension": ("user2+lists@domain2.example", ["domain2.example/user2/"]),
    "alias": ("user1+orders@domain1.example", ["domain1.example/user2/"]),
    "alias elsewhere": ("user1@domain3.example", ["foreign/"]),
    "postmaster, two occupants": ("postmaster@domain2.example", ["domain2.example/user1/", "domain2.example/user3/"]),
    "catch-all": ("anything@domain3.example", ["domain3.example/user3/"]),
}

WAYS = {
    "socketmap, virtual": ("main.cf", "virtual"),
    "tcp_table, virtual": ("main.cf.tcp", "virtual"),
    "unix socket in the chroot, virtual": ("main.cf.unix", "virtual"),
}


@pytest.fixture(scope="module", params=WAYS.values(), ids=WAYS)  # type: ignore[call-overload, untyped-decorator]
def host(request: pytest.FixtureRequest) -> Iterator[SnippetHost]:
    lookups, delivery = request.param
    with running(functools.partial(SnippetHost, lookups=lookups, delivery=delivery)) as host:
        yield host


@pytest.mark.parametrize(("recipient", "maildirs"), ROWS.values(), ids=ROWS.keys())
def test_mail_lands(host: MailHost, subject: str, recipient: str, maildirs: list[str]) -> None:
    host.send(recipient, subject)

    host.expect(subject, *maildirs)


def test_an_unknown_user_is_refused_for_good(host: MailHost) -> None:
    code, text = host.reply("nobody@domain1.example")

    assert (code, text[:6]) == (550, "5.1.1 ")


def test_a_closed_account_is_refused_with_the_access_map_s_reason(host: MailHost) -> None:
    closed = dn("user2@domain1.example")
    host.slapd.modify(replaced(closed, "description", "closed"))
    try:
        assert eventually(lambda: host.reply("user2@domain1.example")[0] == 550, DELIVERY_SECONDS)
        assert host.reply("user2+lists@domain1.example")[1] == (
            "5.2.1 <user2+lists@domain1.example>: Recipient address rejected: Mailbox closed"
        )
        assert host.reply("user1@domain1.example")[0] == 250
    finally:
        host.slapd.modify(f"dn: {closed}\nchangetype: modify\ndelete: description\n")
    assert eventually(lambda: host.reply("user2@domain1.example")[0] == 250, DELIVERY_SECONDS)


@pytest.mark.system
def test_a_local_user_s_mail_goes_through_procmail(host: MailHost, local_user: str, subject: str) -> None:
    host.send(f"{local_user}+anything@{HOST}", f"{subject} for the lists")
    host.send(f"{local_user}@{HOST}", subject)

    host.expect(subject, f"{local_user}/inbox/")
    host.expect(f"{subject} for the lists", f"{local_user}/lists/")


def test_an_unknown_local_user_is_refused_for_good(host: MailHost) -> None:
    assert host.reply(f"no-such-user@{HOST}")[0] == 550


def test_an_alias_to_an_account_with_another_s_mailbox_delivers_nothing_there(host: MailHost, subject: str) -> None:
    """It waits until the entry is mended."""
    host.slapd.add(new("thief", str(host.mail), mailbox=VICTIM_MAILBOX))
    host.slapd.add(alias("way@domain3.example", "thief@domain2.example"))
    try:
        host.send("way@domain3.example", subject)
        put_off = ("to=<thief@domain2.example>", "orig_to=<way@domain3.example>", "status=deferred")
        assert eventually(lambda: host.logged(*put_off), DELIVERY_SECONDS), host.postfix.log_text()[-3000:]
        assert host.landed(subject) == {}

        host.slapd.modify(replaced(dn("thief@domain2.example"), "mailbox", "domain2.example/thief/"))
        host.expect(subject, "domain2.example/thief/")
    finally:
        for address in ("way@domain3.example", "thief@domain2.example"):
            host.slapd.modify(removed(dn(address)))
