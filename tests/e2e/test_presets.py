"""The presets behind a real Postfix, set up as their manual pages say: who gets mail, who does not, and who may send.

``XCLIENT LOGIN`` stands for a client that has logged in.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.maps.test_presets import BASE, base, ldif, schema
from vmaild.demo.ask import ask
from vmaild.demo.postfix import Postfix
from vmaild.demo.process import Process, free_port
from vmaild.demo.slapd import Slapd
from vmaild.demo.slapd_conf import SCHEMAS
from vmaild.errors import ProtocolError
from vmaild.listening import parse_address
from vmaild.lookup import Status

SETTINGS = {
    "virtual_mailbox_domains": "{}:virtual_mailbox_domains",
    "virtual_mailbox_maps": "{}:virtual_mailbox_maps",
    "virtual_alias_maps": "{}:virtual_alias_maps",
    "virtual_alias_domains": "",
    "virtual_transport": "discard:kept",
    "default_transport": "discard:sent",
    "smtpd_sender_login_maps": "{}:smtpd_sender_login_maps",
    "smtpd_sender_restrictions": "reject_sender_login_mismatch",
    "smtpd_relay_restrictions": "permit_sasl_authenticated, reject_unauth_destination",
    "smtpd_recipient_restrictions": "check_recipient_access {}:disabled_accounts, permit",
    "smtpd_sasl_auth_enable": "yes",
    "smtpd_authorized_xclient_hosts": "127.0.0.0/8",
}


@dataclass(frozen=True)
class Case:
    """What a preset does: the reply to each recipient, code and beginning; and whether a login may use a sender."""

    present: str
    recipients: dict[str, tuple[int, str]]
    senders: dict[tuple[str, str], bool]


TAKEN, UNKNOWN, DISABLED = (250, "2.1.5"), (550, "5.1.1"), (550, "5.2.1")
CASES = {
    "qmail-ldap": Case(
        "ann@q.example",
        {
            "ann@q.example": TAKEN,
            "ann+x@alias.example": TAKEN,
            "team@q.example": TAKEN,
            "ida@xn--mller-kva.example": TAKEN,
            "bob@q.example": DISABLED,
            "bob+x@q.example": DISABLED,
            "bob@alias.example": UNKNOWN,
            "nobody@q.example": UNKNOWN,
            "ann@else.example": (554, "5.7.1"),
        },
        {
            ("ann", "ann@q.example"): True,
            ("ann", "a@q.example"): True,
            ("ann", "team@q.example"): True,
            ("eve", "team@q.example"): False,
            ("bob", "ann@q.example"): False,
        },
    ),
    "active-directory": Case(
        "ann@ad.example",
        {
            "ann@ad.example": TAKEN,
            "a@alias.example": TAKEN,
            "all@ad.example": TAKEN,
            "bob@ad.example": DISABLED,
            "bob@alias.example": UNKNOWN,
            "nobody@ad.example": UNKNOWN,
        },
        {
            ("ann@corp.example", "ann@ad.example"): True,
            ("bob@corp.example", "ann@ad.example"): True,
            ("bob@corp.example", "inner@ad.example"): True,
            ("ann@corp.example", "inner@ad.example"): False,
            ("ann@corp.example", "all@ad.example"): True,
            ("bob@corp.example", "all@ad.example"): True,
        },
    ),
    "iredmail": Case(
        "ann@r.example",
        {
            "ann@r.example": TAKEN,
            "ann@alias.example": TAKEN,
            "info@r.example": TAKEN,
            "team@r.example": TAKEN,
            "off@r.example": DISABLED,
            "bob@alias.example": UNKNOWN,
            "nobody@r.example": UNKNOWN,
        },
        {
            ("ann@r.example", "ann@r.example"): True,
            ("ann@r.example", "ann@alias.example"): True,
            ("ann@r.example", "team@r.example"): True,
            ("bob@r.example", "team@r.example"): False,
            ("ann@r.example", "info@r.example"): True,
            ("bob@r.example", "info@r.example"): False,
        },
    ),
}


@pytest.fixture(scope="module")
def slapd(service_home: Path) -> Iterator[Slapd]:
    file = service_home / "presets.schema"
    file.write_text(schema())
    config = (f"include {SCHEMAS / 'misc.schema'}", f"include {file}")
    with Slapd(service_home / "slapd", base=BASE, ldif=ldif(), access="", config=config) as running:
        yield running


@pytest.fixture(scope="module", params=CASES)
def served(request: pytest.FixtureRequest, service_home: Path, slapd: Slapd) -> Iterator[tuple[Case, Postfix]]:
    """A vmaild with the preset, and a Postfix that asks it."""
    name: str = request.param
    home = service_home / name
    home.mkdir()
    endpoint = f"inet:127.0.0.1:{free_port()}"
    file = home / "vmaild.toml"
    file.write_text(
        f'preset = "{name}"\nrecipient_delimiter = "+"\n[directory]\nuri = [{json.dumps(slapd.uri)}]\n'
        f'search_base = "{base(name)}"\n[[listen]]\naddress = "{endpoint}"\n[control]\naddress = ""\n'
    )
    daemon = Process([sys.executable, "-m", "vmaild", "serve", "-c", str(file)], home / "vmaild.log")

    def answers() -> bool:
        try:
            return (
                ask(parse_address(endpoint), "virtual_alias_maps", CASES[name].present).status is not Status.TEMPORARY
            )
        except (OSError, ProtocolError):
            return False

    with ExitStack() as stack:
        daemon.start(answers, 30.0)
        stack.callback(daemon.stop)
        asked = {key: value.format(f"socketmap:{endpoint}") for key, value in SETTINGS.items()}
        postfix = Postfix(home / "postfix", asked)
        postfix.start()
        stack.callback(postfix.close)
        yield CASES[name], postfix


def test_who_gets_mail(served: tuple[Case, Postfix]) -> None:
    """An alias domain accepts nobody who is not there: nothing is accepted that would bounce later."""
    case, postfix = served
    replies = {recipient: postfix.rcpt(recipient) for recipient in case.recipients}
    assert {recipient: (code, text[:5]) for recipient, (code, text) in replies.items()} == case.recipients
    for recipient, wanted in case.recipients.items():
        assert ("Account disabled" in replies[recipient][1]) == (wanted is DISABLED)


def test_who_may_send(served: tuple[Case, Postfix]) -> None:
    case, postfix = served
    assert {pair: may_send(postfix, *pair) for pair in case.senders} == case.senders


def may_send(postfix: Postfix, login: str, sender: str) -> bool:
    """Whether the account may use the sender's address."""
    with postfix.smtp() as session:
        session.ehlo()
        code, text = session.docmd("XCLIENT", f"LOGIN={login.replace('@', '+40')}")
        assert code == 220, text
        session.ehlo()
        session.mail(sender)
        code, text = session.rcpt("friend@far.example")
        assert code == 250 or b"not owned by user" in text, text
        return code == 250
