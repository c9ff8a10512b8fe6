"""Mail through a real Postfix while LDAP is down: ``python -m tests.e2e.outage [--seconds 600] [--no-syncprov]``.

The README's lines of main.cf, local users (``user@$myhostname``) and outgoing mail beside them; the delivery agent
needs no LDAP, as with LMTP. Mail of each kind flows, then slapd is stopped. It must flow all the time and at the end,
and again after vmaild was restarted, still without LDAP. What cannot be told is put off (451), never refused.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from vmaild.demo.ask import ask
from vmaild.demo.daemon import DaemonProcess, Listen
from vmaild.demo.postfix import Postfix
from vmaild.demo.slapd import Slapd, free_port
from vmaild.demo.tree import tree

HOST = "mail.myhosting.example"
MAPS = ("virtual_mailbox_domains", "virtual_mailbox_maps", "virtual_alias_maps")

MAIL = {
    "account": "user2@domain1.example",
    "alias": "user1@domain3.example",
    "role": "postmaster@domain1.example",
    "local user": f"root@{HOST}",
    "outgoing": "somebody@elsewhere.example",
}
"""A recipient of each kind that must get mail at any time."""

WAIT = 30.0
"""Seconds that Postfix may take to deliver."""

PACE = 10.0
"""Seconds between two checks during the outage."""


@dataclass
class Site:
    """The three services."""

    slapd: Slapd
    daemon: DaemonProcess
    postfix: Postfix

    def refused(self) -> dict[str, tuple[int, str]]:
        """The replies to RCPT TO that are not 250, by kind of mail."""
        replies = {kind: self.postfix.rcpt(address) for kind, address in MAIL.items()}
        replies["outgoing, never asked"] = self.postfix.rcpt(f"{time.monotonic_ns()}@elsewhere.example")
        wrong = {kind: reply for kind, reply in replies.items() if reply[0] != 250}
        code, text = self.postfix.rcpt(f"{time.monotonic_ns()}@domain1.example")
        if code != (550 if self.slapd.running else 451):
            wrong["nobody, never asked"] = (code, text)
        return wrong

    def lost(self, when: str) -> list[str]:
        """Send a message of each kind: those that were not delivered."""
        for kind, address in MAIL.items():
            self.postfix.send([address], f"{kind} {when}")
        end = time.monotonic() + WAIT
        missing = list(MAIL)
        while missing and time.monotonic() < end:
            missing = [kind for kind in missing if not self.postfix.delivered(f"{kind} {when}")]
            time.sleep(0.1)
        return missing


@contextlib.contextmanager
def running(home: Path, *, syncprov: bool = True, tables: str = "") -> Iterator[Site]:
    """The site for the length of the block; ``tables`` is more TOML for vmaild."""
    state = home / "state"
    state.mkdir()
    listen = f"inet:127.0.0.1:{free_port()}"
    settings = {
        **{name: f"socketmap:{listen}:{name}" for name in MAPS},
        "mydestination": "$myhostname",
        "mynetworks": "127.0.0.0/8",
        "smtpd_relay_restrictions": "permit_mynetworks, reject_unauth_destination",
        "local_transport": "foreign",
        "virtual_transport": "foreign",
    }
    with mock.patch.dict(os.environ, {"STATE_DIRECTORY": str(state)}), contextlib.ExitStack() as stack:
        slapd = stack.enter_context(Slapd(home / "slapd", ldif=tree(), syncprov=syncprov))
        daemon = DaemonProcess(home, [slapd.uri], [Listen(listen)], tables=tables)
        postfix = Postfix(home / "postfix", settings)
        stack.callback(postfix.close)
        stack.callback(daemon.stop)
        daemon.start()
        postfix.start()
        yield Site(slapd, daemon, postfix)


def run(site: Site, seconds: float, report: Callable[[str], object], pace: float = PACE) -> list[str]:
    """The whole of it; returns what went wrong."""
    wrong = [f"before: {kind} {reply}" for kind, reply in site.refused().items()]
    wrong += [f"before: {kind} not delivered" for kind in site.lost("before")]
    site.slapd.stop()
    began = time.monotonic()
    looks = 0
    while (since := time.monotonic() - began) < seconds:
        wrong += [f"{since:.0f} s: {kind} {reply}" for kind, reply in site.refused().items()]
        looks += 1
        time.sleep(min(pace, max(0.0, began + seconds - time.monotonic())))
    report(f"{looks} looks in {seconds:g} s without LDAP, {len(wrong)} wrong")
    wrong += _all_flows(site, "in the outage")
    report(f"after {time.monotonic() - began:.0f} s mail of each kind was sent, {len(wrong)} wrong")
    if site.daemon.stop():
        wrong.append(f"vmaild ended badly: {site.daemon.last_words()}")
    site.daemon.start()
    for name, key in (("virtual_mailbox_maps", MAIL["account"]), ("virtual_alias_maps", MAIL["local user"])):
        report(f"vmaild started again: {name} {key}: {ask(site.daemon.address, name, key)}")
    wrong += _all_flows(site, "after the restart")
    report(f"after the restart, still without LDAP, mail of each kind was sent, {len(wrong)} wrong")
    site.slapd.start()
    return wrong


def _all_flows(site: Site, when: str) -> list[str]:
    wrong = [f"{when}: {kind} {reply}" for kind, reply in site.refused().items()]
    return wrong + [f"{when}: {kind} not delivered" for kind in site.lost(when)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--no-syncprov", action="store_true", help="a slapd that does not tell of changes")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vmaild-outage-") as name:
        home = Path(name)
        home.chmod(0o755)
        with running(home, syncprov=not given.no_syncprov) as site:
            wrong = run(site, given.seconds, lambda text: print(text, flush=True))
            log = (home / "vmaild.log").read_text()
    print("\n".join(wrong) or "nothing went wrong")
    if "Traceback" in log:
        print(log)
    return 1 if wrong or "Traceback" in log else 0


if __name__ == "__main__":
    sys.exit(main())
