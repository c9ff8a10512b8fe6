"""slapd goes away and comes back: mail waits in between, and none is lost or bounced."""

from __future__ import annotations

import smtplib
import time
from collections.abc import Callable

from tests.e2e.conftest import Site

RECOVERY_SECONDS = 30.0


def eventually(happens: Callable[[], bool]) -> bool:
    give_up = time.monotonic() + RECOVERY_SECONDS
    while time.monotonic() < give_up:
        if happens():
            return True
        time.sleep(0.1)
    return False


def test_mail_is_put_off_while_slapd_is_stopped_and_goes_through_after(site: Site) -> None:
    # A key that is in no cache yet: what was looked up before would be answered from there. smtpd(8) itself
    # remembers for ten seconds that this address could not be resolved, so the recovery takes that long.
    recipient = "user1+outage@domain2.example"
    site.slapd.stop()
    try:
        for _ in range(3):
            code, text = site.postfix.rcpt(recipient)
            assert code == 451, text
            assert text.startswith("4.3.")
        answer = site.postfix.lookup(site.tables["inet"]["virtual_mailbox_maps"], "user3+outage@domain2.example")
        assert answer.status != 0
        assert not answer.not_found
    finally:
        site.slapd.start()

    def accepted() -> bool:
        try:
            site.postfix.send([recipient], "after the outage")
        except smtplib.SMTPRecipientsRefused as refused:
            (reply,) = refused.recipients.values()
            assert reply[0] == 451
            return False
        return True

    assert eventually(accepted)
    assert eventually(lambda: site.postfix.delivered("after the outage") == {"domain2.example/user1/": 1})


def test_mail_accepted_from_the_cache_waits_in_the_queue_for_the_delivery_agent(site: Site) -> None:
    recipient = "user2@domain1.example"
    assert site.postfix.rcpt(recipient)[0] == 250
    site.slapd.stop()
    try:
        site.postfix.send([recipient], "during the outage")
        assert eventually(lambda: "status=deferred" in site.postfix.log_text())
        assert site.postfix.delivered("during the outage") == {}
    finally:
        site.slapd.start()

    assert eventually(lambda: site.postfix.delivered("during the outage") == {"domain1.example/user2/": 1})
    assert "status=bounced" not in site.postfix.log_text()


def test_an_unknown_user_is_put_off_and_not_refused_while_slapd_is_stopped(site: Site) -> None:
    site.slapd.stop()
    try:
        code, _ = site.postfix.rcpt("never-asked@domain1.example")
    finally:
        site.slapd.start()

    assert code == 451
    assert eventually(lambda: site.postfix.rcpt("never-asked@domain1.example")[0] == 550)
