"""vmaild is stopped and started again while LDAP is down: what was known is answered as before."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from vmaild import admin
from vmaild.demo.ask import ask
from vmaild.demo.daemon import DaemonProcess, Listen
from vmaild.demo.slapd import Slapd, free_port
from vmaild.demo.tree import tree
from vmaild.lookup import NOT_FOUND, Status

KNOWN = (
    ("virtual_mailbox_domains", "domain1.example"),
    ("virtual_mailbox_maps", "user2@domain2.example"),
    ("virtual_alias_maps", "user2@domain2.example"),
    ("virtual_alias_maps", "user1@domain3.example"),
)
FOREIGN = (
    ("virtual_alias_maps", "root@mail.example.org"),
    ("virtual_mailbox_domains", "elsewhere.example"),
    ("virtual_mailbox_maps", "somebody@elsewhere.example"),
)


def test_what_was_known_and_who_is_not_hosted_is_answered_without_ldap(
    service_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = service_home / "state"
    state.mkdir()
    monkeypatch.setenv("STATE_DIRECTORY", str(state))
    listen = f"inet:127.0.0.1:{free_port()}"
    with Slapd(service_home / "slapd-restart", ldif=tree(), syncprov=True) as slapd:
        daemon = DaemonProcess(service_home, [slapd.uri], [Listen(listen)])
        daemon.start()
        try:
            before = [ask(daemon.address, *one) for one in KNOWN]
            assert all(reply.authoritative for reply in before)
            end = time.monotonic() + 10
            while "hosted_domains" not in admin.stats(str(daemon.home / "control.sock"))["changes"]:
                assert time.monotonic() < end
                time.sleep(0.02)
            slapd.stop()
            assert [ask(daemon.address, *one) for one in FOREIGN] == [NOT_FOUND] * len(FOREIGN)
            assert daemon.stop() == 0
            daemon.start()
            assert [ask(daemon.address, *one) for one in KNOWN] == before
            assert [ask(daemon.address, *one) for one in FOREIGN] == [NOT_FOUND] * len(FOREIGN)
            never_asked = ask(daemon.address, "virtual_mailbox_maps", "user1@domain1.example")
            assert never_asked.status is Status.TEMPORARY
            slapd.start()
        finally:
            assert daemon.stop() == 0, daemon.last_words()
    assert "Traceback" not in (service_home / "vmaild.log").read_text()
