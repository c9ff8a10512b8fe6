"""What is lost, and what goes on, while one part of the system is away. No mail is refused for good in that time."""

from __future__ import annotations

import imaplib

import pytest

from tests.system.courier import Courier
from tests.system.mail_host import DELIVERY_SECONDS, MailHost, eventually
from vmaild.demo.tree import ACCOUNT_PW

USER = "user2@domain2.example"
RECIPIENTS = {USER: 250, "nobody@domain1.example": 550, "sales@domain1.example": 250, "anything@domain3.example": 250}
"""Recipients with what Postfix answers for each when nothing is away."""


def test_without_vmaild_mail_is_put_off(host: MailHost) -> None:
    with host.without_vmaild():
        meanwhile = {recipient: host.postfix.rcpt(recipient)[0] for recipient in RECIPIENTS}
    afterwards = {recipient: host.reply(recipient)[0] for recipient in RECIPIENTS}

    assert meanwhile == dict.fromkeys(RECIPIENTS, 451)
    assert afterwards == RECIPIENTS


def test_mail_that_was_taken_is_delivered_when_vmaild_goes_away_behind_it(host: MailHost, subject: str) -> None:
    """qmgr(8) asks once more where the domain's mail goes: at once, or when vmaild is back."""
    host.send(USER, subject)

    with host.without_vmaild():
        pass

    # qmgr(8) remembers for 30 s that the last address which it asked for failed; another one makes it forget.
    host.send("user2@domain1.example", f"{subject}, the next")
    host.expect(subject, "domain2.example/user2/")
    assert not host.logged(f"to=<{USER}>", "status=bounced")


@pytest.mark.system
def test_without_vmaild_mail_is_read(host: MailHost, courier: Courier, subject: str) -> None:
    host.send(USER, subject)
    host.expect(subject, "domain2.example/user2/")

    with host.without_vmaild():
        assert subject in courier.subjects(USER, ACCOUNT_PW)


@pytest.mark.system
def test_without_authdaemond_mail_is_delivered_and_logins_are_put_off(
    host: MailHost, courier: Courier, subject: str
) -> None:
    courier.stop_logins()
    try:
        host.send(USER, subject)
        host.expect(subject, "domain2.example/user2/")
        with pytest.raises(imaplib.IMAP4.abort, match="Temporary problem"):
            courier.subjects(USER, ACCOUNT_PW)
    finally:
        courier.start_logins()

    assert subject in courier.subjects(USER, ACCOUNT_PW)


@pytest.mark.system
def test_without_a_directory_logins_come_back_with_it(host: MailHost, courier: Courier, subject: str) -> None:
    host.send(USER, subject)
    host.expect(subject, "domain2.example/user2/")
    with host.without_slapd(), pytest.raises(imaplib.IMAP4.error):
        courier.subjects(USER, ACCOUNT_PW)

    def let_in() -> bool:
        try:
            return subject in courier.subjects(USER, ACCOUNT_PW)
        except imaplib.IMAP4.error:
            return False

    assert eventually(let_in, DELIVERY_SECONDS)
    # Each of authdaemond's processes fails once more on its old connection: new ones for the tests that follow.
    courier.stop_logins()
    courier.start_logins()
