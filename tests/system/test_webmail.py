"""Mail seen and answered in the webmail's page, in headless Chromium, with the sender login map behind it."""

from __future__ import annotations

import pytest

from tests.system.browser import Browser
from tests.system.mail_host import MailHost
from tests.system.webmail import Webmail
from vmaild.demo.tree import ACCOUNT_PW

pytestmark = pytest.mark.system

USER = "user2@domain2.example"
CORRESPONDENT = "user1@domain1.example"

_LINKS = "[...document.querySelectorAll('#messagelist td.subject a')]"
LINK = f"({_LINKS}.find(link => link.innerText.includes(arguments[0])) || {{}}).href"
"""The address of the page of the message with a subject, in the list of messages."""

NOTICE = "document.querySelector('#messagestack').innerText.includes(arguments[0])"
"""Whether the page tells the user these words."""

SENDER = "[...document.querySelector('[name=_from]').options].find(one => one.text.includes(arguments[0]))"
"""The sender with an address, in the form for a new message."""


def log_in(browser: Browser, webmail: Webmail, password: str = ACCOUNT_PW) -> None:
    browser.open(webmail.url)
    browser.type("#rcmloginuser", USER)
    browser.type("#rcmloginpwd", password)
    browser.click("#rcmloginsubmit")


def test_a_message_is_seen_and_answered(host: MailHost, webmail: Webmail, browser: Browser, subject: str) -> None:
    host.send(USER, subject, CORRESPONDENT)
    host.expect(subject, "domain2.example/user2/")

    log_in(browser, webmail)
    browser.open(browser.wait_for(LINK, subject))
    assert browser.text("#messagebody").strip() == "A test message."
    assert subject in browser.text("h2.subject")
    browser.click("a.reply")
    browser.type("#composebody", "An answer from the page.")
    browser.click("button.send, a.send")

    answer = f"Re: {subject}"
    host.expect(answer, "domain1.example/user1/")
    assert "An answer from the page." in host.text_of(answer)
    assert f"Return-Path: <{USER}>" in host.text_of(answer)


def test_another_s_address_is_refused_in_the_page(
    host: MailHost, webmail: Webmail, browser: Browser, subject: str
) -> None:
    # Courier lets nobody in whose mailbox is not there yet: the first message makes it.
    host.send(USER, f"{subject}, before")
    host.expect(f"{subject}, before", "domain2.example/user2/")
    log_in(browser, webmail)
    browser.wait_for("document.querySelector('#messagelist') !== null")
    browser.open(f"{webmail.url}?_task=settings&_action=add-identity")
    browser.type("[name=_name]", "Somebody else")
    browser.type("[name=_email]", CORRESPONDENT)
    browser.click("button.submit")
    # The page that follows the form has no such address; before it is there, the form would overtake the next page.
    browser.wait_for("location.search === '' && document.readyState === 'complete'")

    browser.open(f"{webmail.url}?_task=mail&_action=compose&_to={USER}")
    browser.wait_for(f"{SENDER} && ({SENDER}.selected = true)", CORRESPONDENT)
    browser.type("#compose-subject", subject)
    browser.type("#composebody", "Not from whom it says.")
    browser.click("button.send, a.send")

    browser.wait_for(NOTICE, "not owned by user")
    assert host.landed(subject) == {}


def test_a_wrong_password_is_refused(webmail: Webmail, browser: Browser) -> None:
    log_in(browser, webmail, "wrong")

    browser.wait_for(NOTICE, "Login failed")
