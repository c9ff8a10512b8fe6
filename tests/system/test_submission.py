"""Who logs in at the submission port sends under the own addresses, and under no one else's."""

from __future__ import annotations

import smtplib
from collections.abc import Callable
from email.message import EmailMessage

import pytest

from tests.system.courier import Courier
from tests.system.mail_host import MailHost
from vmaild.demo.tree import ACCOUNT_PW

pytestmark = pytest.mark.system

LOGIN = "user3@domain2.example"

Submit = Callable[[str, str], None]


@pytest.fixture
def submit(host: MailHost, courier: Courier) -> Submit:
    """Sends a message to user1@domain1.example as a sender, logged in as ``LOGIN``."""

    def send(sender: str, subject: str) -> None:
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = sender, "user1@domain1.example", subject
        message.set_content("A test message.\n")
        with smtplib.SMTP("127.0.0.1", host.submission_port, local_hostname="client.example", timeout=60) as session:
            session.login(LOGIN, ACCOUNT_PW)
            session.send_message(message, sender)

    return send


@pytest.mark.parametrize("sender", [LOGIN, "third.user@domain2.example", "U3@Domain2.example"])
def test_every_own_address_is_allowed(host: MailHost, submit: Submit, subject: str, sender: str) -> None:
    submit(sender, subject)

    host.expect(subject, "domain1.example/user1/")


@pytest.mark.parametrize(
    "sender",
    ["user2@domain2.example", "user1@domain1.example", "abuse@domain2.example", "user2@domain3.example"],
    ids=["of the own domain", "of another domain", "an alias to another", "beside a catch-all"],
)
def test_another_s_address_is_refused(host: MailHost, submit: Submit, subject: str, sender: str) -> None:
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        submit(sender, subject)

    ((code, text),) = refused.value.recipients.values()
    assert (code, b"not owned by user" in text) == (553, True)
    assert host.landed(subject) == {}


def test_an_occupant_may_send_as_postmaster(host: MailHost, submit: Submit, subject: str) -> None:
    submit("postmaster@domain2.example", subject)

    host.expect(subject, "domain1.example/user1/")


def test_without_a_login_nothing_is_taken(host: MailHost) -> None:
    with smtplib.SMTP("127.0.0.1", host.submission_port, timeout=60) as session:
        session.ehlo()
        session.mail("stranger@elsewhere.example")
        code, _ = session.rcpt("user1@domain1.example")

    assert code == 554


def test_a_wrong_password_is_refused(host: MailHost, courier: Courier) -> None:
    with (
        smtplib.SMTP("127.0.0.1", host.submission_port, timeout=60) as session,
        pytest.raises(smtplib.SMTPAuthenticationError),
    ):
        session.login(LOGIN, "wrong")
