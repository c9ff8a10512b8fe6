"""What a domain's postmaster writes must not reach another domain's mail, and unusable data must not bounce mail."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import Site
from tests.support.directory import BAD_MAILBOXES, account, alias
from vmaild.demo.tree import SEARCH_BASE


@pytest.fixture(scope="module")
def hostile(site: Site) -> Site:
    """The site with entries that no tree should hold."""
    entries = [
        account("user2@domain3.example", domain="domain2.example", mailbox="domain2.example/user2/"),
        alias("user3@domain3.example", "user2@domain2.example", domain="domain2.example"),
        alias("new@domain3.example", "user2@domain2.example", domain="domain2.example"),
        alias("@domain1.example", "user2@domain2.example", domain="domain2.example"),
        *(account(f"{name}@domain2.example", mailbox=mailbox) for name, mailbox in BAD_MAILBOXES.items()),
        account("first@domain2.example", mail=("first@domain2.example", "both@domain2.example")),
        account("second@domain2.example", mail=("second@domain2.example", "both@domain2.example")),
        alias("postmaster@domain1.example", "sysadmin@domain1.example"),
        f"dn: o=nested.example,o=domain2.example,{SEARCH_BASE}\nobjectClass: organization\no: nested.example\n\n",
        account("user@nested.example", domain="nested.example,o=domain2.example"),
    ]
    site.slapd.add("".join(entries))
    return site


def lookup(site: Site, table: str, key: str) -> str | None:
    """The value, or None when it is properly not found; a failed lookup fails the test."""
    answer = site.postfix.lookup(site.tables["inet"][table], key)
    if answer.not_found:
        return None
    assert (answer.status, answer.errors) == (0, "")
    return answer.value


def test_an_account_below_another_domain_takes_no_mail(hostile: Site) -> None:
    assert lookup(hostile, "virtual_mailbox_maps", "user2@domain3.example") == "domain3.example/user2/"


def test_an_alias_below_another_domain_takes_no_mail(hostile: Site) -> None:
    assert lookup(hostile, "virtual_alias_maps", "user3@domain3.example") is None
    assert lookup(hostile, "virtual_alias_maps", "new@domain3.example") == "user3@domain3.example"


def test_a_catch_all_below_another_domain_catches_nothing(hostile: Site) -> None:
    assert lookup(hostile, "virtual_alias_maps", "nobody@domain1.example") is None
    assert hostile.postfix.rcpt("nobody@domain1.example")[0] == 550


def test_an_organization_inside_a_domain_is_no_domain(hostile: Site) -> None:
    assert lookup(hostile, "virtual_mailbox_domains", "nested.example") is None
    assert hostile.postfix.rcpt("user@nested.example")[0] == 554


def test_a_postmaster_alias_goes_before_the_role(hostile: Site) -> None:
    assert lookup(hostile, "virtual_alias_maps", "postmaster@domain1.example") == "sysadmin@domain1.example"
    assert lookup(hostile, "virtual_alias_maps", "postmaster@domain2.example") is not None


@pytest.mark.parametrize("name", BAD_MAILBOXES)
def test_an_account_with_an_unusable_mailbox_is_put_off(hostile: Site, name: str) -> None:
    address = f"{name}@domain2.example"

    answer = hostile.postfix.lookup(hostile.tables["inet"]["virtual_mailbox_maps"], address)

    assert answer.status != 0
    assert not answer.value
    assert not answer.not_found
    assert hostile.postfix.rcpt(address)[0] == 451
    log = (hostile.daemon.home / "vmaild.log").read_text()
    assert f"mail={address},o=domain2.example" in log


def test_two_accounts_with_one_address_are_put_off_and_both_named(hostile: Site) -> None:
    answer = hostile.postfix.lookup(hostile.tables["inet"]["virtual_mailbox_maps"], "both@domain2.example")

    assert answer.status != 0
    assert not answer.not_found
    assert hostile.postfix.rcpt("both@domain2.example")[0] == 451
    assert lookup(hostile, "virtual_mailbox_maps", "first@domain2.example") == "domain2.example/first/"
    (line,) = {
        line.split("Z ", 1)[1]
        for line in (hostile.daemon.home / "vmaild.log").read_text().splitlines()
        if "mail=first@domain2.example" in line
    }
    assert "mail=second@domain2.example" in line
