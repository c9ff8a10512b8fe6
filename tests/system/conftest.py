"""The services of the whole system, each started once for all tests. Where a package is missing, tests fail."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator

import pytest

from tests.system.browser import Browser
from tests.system.courier import Courier
from tests.system.mail_host import LOCAL_USER, MailHost, running
from tests.system.webmail import Webmail
from vmaild.demo.process import ProcessError

_subjects = (f"message {number} through the system" for number in itertools.count(1))


@pytest.fixture
def subject() -> str:
    """A subject that no other test uses."""
    return next(_subjects)


@pytest.fixture(scope="session")
def host() -> Iterator[MailHost]:
    with running(MailHost) as host:
        yield host


@pytest.fixture(scope="session")
def local_user() -> str:
    """The name of a local user whose mail goes through procmail."""
    if shutil.which("procmail") is None:
        raise ProcessError("procmail is missing; on Debian: apt-get install procmail")
    return LOCAL_USER


@pytest.fixture(scope="session")
def courier(host: MailHost) -> Iterator[Courier]:
    host.courier_home.mkdir()
    courier = Courier(host.courier_home, host.slapd)
    try:
        courier.start()
        yield courier
    finally:
        courier.close()


@pytest.fixture(scope="session")
def webmail(host: MailHost, courier: Courier) -> Iterator[Webmail]:
    webmail = Webmail(host.home / "webmail", courier.imap_port, host.submission_port)
    try:
        webmail.start()
        yield webmail
    finally:
        webmail.close()


@pytest.fixture
def browser(host: MailHost) -> Iterator[Browser]:
    browser = Browser(host.home / "browser")
    try:
        browser.start()
        yield browser
    finally:
        browser.close()
