"""Mail comes in by SMTP and lands in the right Maildir, and what is not ours is refused."""

from __future__ import annotations

import itertools
import time

import pytest

from tests.e2e.conftest import Site

DELIVERY_SECONDS = 30.0

_subjects = (f"message {number}" for number in itertools.count())


def wait_for(site: Site, subject: str, maildirs: dict[str, int]) -> None:
    """Wait until the message lies where it should and the queue is empty, then compare."""
    give_up = time.monotonic() + DELIVERY_SECONDS
    while time.monotonic() < give_up:
        if site.postfix.delivered(subject) == maildirs and not site.postfix.queued():
            return
        time.sleep(0.05)
    assert site.postfix.delivered(subject) == maildirs, site.postfix.log_text()[-4000:]
    assert site.postfix.queued() == []


DELIVERIES = {
    "account": ("user2@domain2.example", ["domain2.example/user2/"]),
    "account in capitals": ("USER2@DOMAIN2.EXAMPLE", ["domain2.example/user2/"]),
    "second address of an account": ("John.Doe@domain1.example", ["domain1.example/user1/"]),
    "account with extension": ("user2+lists@domain2.example", ["domain2.example/user2/"]),
    "alias elsewhere": ("user1@domain3.example", ["foreign/"]),
    "many to many": ("sales@domain1.example", ["domain1.example/user1/", "domain1.example/user2/"]),
    "many to many, the other name": ("Info@Domain1.example", ["domain1.example/user1/", "domain1.example/user2/"]),
    "many to many across domains": (
        "team@domain2.example",
        ["domain2.example/user1/", "domain2.example/user2/", "domain3.example/user2/"],
    ),
    "many to many with extension": (
        "crew+lists@domain2.example",
        ["domain2.example/user1/", "domain2.example/user2/", "domain3.example/user2/"],
    ),
    "extension with an alias of its own": ("user1+orders@domain1.example", ["domain1.example/user2/"]),
    "another extension of the same user": ("user1+lists@domain1.example", ["domain1.example/user1/"]),
    "postmaster, one copy for an occupant of three addresses": (
        "postmaster@domain2.example",
        ["domain2.example/user1/", "domain2.example/user3/"],
    ),
    "postmaster of a domain with a catch-all": ("Postmaster@domain3.example", ["domain3.example/user2/"]),
    "abuse": ("abuse@domain2.example", ["domain1.example/sysadmin/"]),
    "abuse of a domain with a catch-all": ("abuse@domain3.example", ["domain1.example/sysadmin/"]),
    "catch-all": ("whoever@domain3.example", ["domain3.example/user3/"]),
    "catch-all with extension": ("whoever+lists@domain3.example", ["domain3.example/user3/"]),
    "account beside a catch-all": ("user2@domain3.example", ["domain3.example/user2/"]),
    "account with extension beside a catch-all": ("user2+lists@domain3.example", ["domain3.example/user2/"]),
}


@pytest.mark.parametrize(("recipient", "maildirs"), DELIVERIES.values(), ids=DELIVERIES.keys())
def test_delivery(site: Site, recipient: str, maildirs: list[str]) -> None:
    subject = next(_subjects)

    site.postfix.send([recipient], subject)

    wait_for(site, subject, dict.fromkeys(maildirs, 1))


def test_one_message_for_several_recipients(site: Site) -> None:
    subject = next(_subjects)

    site.postfix.send(["sales@domain1.example", "postmaster@domain3.example", "user3+x@domain2.example"], subject)

    expected = ["domain1.example/user1/", "domain1.example/user2/", "domain2.example/user3/", "domain3.example/user2/"]
    wait_for(site, subject, dict.fromkeys(expected, 1))


@pytest.mark.parametrize("recipient", ["nobody@domain1.example", "user9@domain2.example", "Nobody+x@Domain1.example"])
def test_an_unknown_user_is_refused_for_good(site: Site, recipient: str) -> None:
    code, text = site.postfix.rcpt(recipient)

    assert (code, text[:6]) == (550, "5.1.1 ")


@pytest.mark.parametrize("recipient", ["user1@domain4.example", "fred@otherdomain.example", "user1@hosting"])
def test_an_unknown_domain_is_not_relayed(site: Site, recipient: str) -> None:
    code, text = site.postfix.rcpt(recipient)

    assert code == 554
    assert "Relay access denied" in text


def test_a_hosted_domain_is_not_taken_for_an_alias_domain(site: Site) -> None:
    code, text = site.postfix.rcpt("nobody@domain2.example")

    assert code == 550
    assert "virtual mailbox table" in text
