"""The demo's mail: a private Postfix that asks the demo's vmaild, and a message along each row of the lookups.

Each message goes in by SMTP as from a stranger on the internet, and the table shows what Postfix answered and where
the message landed: a mailbox, or an address of another machine, whose mail the demo keeps.
"""

from __future__ import annotations

import shutil
import smtplib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vmaild.demo.lookups import LOOKUPS, aligned
from vmaild.demo.postfix import Postfix
from vmaild.demo.slapd import Slapd
from vmaild.demo.tree import READER_DN, READER_PW, SEARCH_BASE

DELIVERY_SECONDS = 30.0
"""How long all messages together may take from the queue to the mailboxes: seconds. They take 0.2 s."""

MAPS = ("virtual_mailbox_domains", "virtual_mailbox_maps", "virtual_alias_maps")
"""The parameters of main.cf that name vmaild, each with the map of its own name."""

_POLL_SECONDS = 0.05

_ELSEWHERE = "foreign/"
"""Where the private Postfix keeps the mail for other machines."""

_TABLES = {
    "ldap-mailbox.cf": (
        "query_filter = (&(mail=%s)(objectClass=courierMailAccount)(mailbox=%d/*/)(!(mailbox=*..*)))",
        "result_attribute = mailbox",
    ),
    "ldap-mailbox-wait.cf": (
        "query_filter = (&(mail=%s)(objectClass=courierMailAccount))",
        "result_attribute = mail, homeDirectory",
        "expansion_limit = 1",
    ),
}
"""virtual(8) asks LDAP itself: in the first table an account whose mailbox stays in its domain; in the second, which
always fails, any account, so that mail for one with another mailbox waits. As in postfix-snippets/."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One message: whom it was for, what Postfix answered, where it landed, and what it is an example of."""

    recipient: str
    reply: str
    landed: tuple[str, ...]
    example: str


def postfix(home: Path, slapd: Slapd, port: int) -> Postfix:
    """A Postfix below ``home``, not started, that asks the vmaild on ``port``. ``slapd`` must run."""
    # Postfix's programs give up root and come through here.
    home.chmod(0o755)
    tables = ",".join(_table(home / name, slapd, lines) for name, lines in _TABLES.items())
    settings = {name: f"socketmap:inet:127.0.0.1:{port}:{name}" for name in MAPS}
    return Postfix(home / "postfix", settings, mailbox_table=tables)


def send_all(postfix: Postfix) -> list[Sent]:
    """Send a message along each row of the lookups, and wait until each has landed. Raises ``OSError``."""
    replies = [(recipient, _send(postfix, recipient, number), example) for number, recipient, example in _rows()]
    give_up = time.monotonic() + DELIVERY_SECONDS
    while postfix.queued() and time.monotonic() < give_up:
        time.sleep(_POLL_SECONDS)
    return [
        Sent(recipient, reply, _landed(postfix, number), example)
        for number, (recipient, reply, example) in enumerate(replies)
    ]


def table(messages: list[Sent]) -> str:
    """The messages in aligned columns, under a heading."""
    lines = [("message to", "Postfix", "landed in", "")]
    lines += [(one.recipient, one.reply, ", ".join(one.landed) or "-", one.example) for one in messages]
    return aligned(lines)


def failures(messages: list[Sent]) -> int:
    """How many messages were put off, or taken and not delivered."""
    return sum(one.reply.startswith("4") or (one.reply.startswith("2") and not one.landed) for one in messages)


def _rows() -> Iterator[tuple[int, str, str]]:
    for number, (_, key, example) in enumerate(LOOKUPS):
        yield number, key if "@" in key else f"postmaster@{key}", example


def _send(postfix: Postfix, recipient: str, number: int) -> str:
    try:
        postfix.send([recipient], _subject(number))
    except smtplib.SMTPRecipientsRefused as refused:
        ((code, text),) = refused.recipients.values()
        return f"{code} {text.split(b' ', 1)[0].decode()}"
    return "250 2.1.5"


def _landed(postfix: Postfix, number: int) -> tuple[str, ...]:
    places = dict.fromkeys(postfix.delivered(_subject(number)))
    elsewhere = [f"{address} (elsewhere)" for address in _sent_on(postfix, number)] if _ELSEWHERE in places else []
    return tuple(sorted(set(places) - {_ELSEWHERE})) + tuple(elsewhere)


def _sent_on(postfix: Postfix, number: int) -> Iterator[str]:
    for message in (postfix.mail / _ELSEWHERE).glob("new/*"):
        lines = message.read_text(errors="replace").splitlines()
        if f"Subject: {_subject(number)}" in lines:
            yield from (line.removeprefix("Delivered-To: ") for line in lines if line.startswith("Delivered-To: "))


def _subject(number: int) -> str:
    return f"demo {number}"


def _table(file: Path, slapd: Slapd, lines: tuple[str, ...]) -> str:
    file.touch(mode=0o640)
    shutil.chown(file, group="postfix")
    common = (
        f"server_host = {slapd.uri}",
        "version = 3",
        "bind = yes",
        f"bind_dn = {READER_DN}",
        f"bind_pw = {READER_PW}",
        f"search_base = o=%d,{SEARCH_BASE}",
    )
    file.write_text("".join(f"{line}\n" for line in (*common, *lines)))
    return f"ldap:{file}"
