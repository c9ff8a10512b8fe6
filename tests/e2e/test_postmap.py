"""Postfix's own ``postmap -q`` gets the right answer for every entry of the tree, over every transport."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e.conftest import Site
from tests.e2e.expected import ABSENT, DOMAINS, EVERY_LINE, NOT_DOMAINS, PRESENT, mixed_case
from vmaild.demo.tree import tree

TRANSPORTS = ("inet", "unix", "tcp")

Case = Callable[[str], str]

every_transport = pytest.mark.parametrize("transport", TRANSPORTS)
every_case = pytest.mark.parametrize("case", [str, str.upper, str.lower, mixed_case], ids=lambda case: case.__name__)


def mail_values() -> set[str]:
    return {line.removeprefix("mail: ") for line in tree().splitlines() if line.startswith("mail: ")}


def test_every_address_of_the_tree_has_a_line() -> None:
    written = {line.address for line in PRESENT}

    assert mail_values() - {"@domain3.example"} <= written
    assert {f"postmaster@{domain}" for domain in DOMAINS} <= written
    assert not mail_values() & set(ABSENT)
    assert len(EVERY_LINE) == len({line.address.lower() for line in EVERY_LINE})


@every_transport
@every_case
def test_domains(site: Site, transport: str, case: Case) -> None:
    table = site.tables[transport]["virtual_mailbox_domains"]
    expected = {case(domain): domain for domain in DOMAINS}

    assert site.postfix.lookup_all(table, [case(key) for key in DOMAINS + NOT_DOMAINS]) == expected


@every_transport
@every_case
def test_mailboxes(site: Site, transport: str, case: Case) -> None:
    table = site.tables[transport]["virtual_mailbox_maps"]
    expected = {case(line.address): line.mailbox for line in EVERY_LINE if line.mailbox}

    assert site.postfix.lookup_all(table, [case(line.address) for line in EVERY_LINE]) == expected


@every_transport
@every_case
def test_aliases(site: Site, transport: str, case: Case) -> None:
    table = site.tables[transport]["virtual_alias_maps"]
    expected = {case(line.address): line.alias for line in EVERY_LINE if line.alias}

    assert site.postfix.lookup_all(table, [case(line.address) for line in EVERY_LINE]) == expected


@every_transport
@every_case
def test_sender_logins(site: Site, transport: str, case: Case) -> None:
    table = site.tables[transport]["smtpd_sender_login_maps"]
    expected = {case(line.address): line.login for line in EVERY_LINE if line.login}

    assert site.postfix.lookup_all(table, [case(line.address) for line in EVERY_LINE]) == expected


@every_transport
@pytest.mark.parametrize("table", ["virtual_uid_maps", "virtual_gid_maps"])
def test_owners_of_mailboxes(site: Site, transport: str, table: str) -> None:
    expected = {line.address: "101" for line in EVERY_LINE if line.mailbox}

    assert site.postfix.lookup_all(site.tables[transport][table], [line.address for line in EVERY_LINE]) == expected


@every_transport
def test_one_lookup_prints_the_value_and_succeeds(site: Site, transport: str) -> None:
    answer = site.postfix.lookup(site.tables[transport]["virtual_mailbox_maps"], "user2@domain2.example")

    assert (answer.status, answer.value, answer.errors) == (0, "domain2.example/user2/", "")


@every_transport
def test_one_lookup_of_an_absent_key_is_not_found_and_no_failure(site: Site, transport: str) -> None:
    assert site.postfix.lookup(site.tables[transport]["virtual_mailbox_maps"], "nobody@domain2.example").not_found


@every_transport
@pytest.mark.parametrize("key", [b"", b" ", b"\xff@domain1.example", b"a b@domain1.example", b"@", b"x" * 2000])
def test_an_odd_key_is_not_found_and_no_failure(site: Site, transport: str, key: bytes) -> None:
    for name in ("virtual_mailbox_domains", "virtual_mailbox_maps", "virtual_alias_maps"):
        answer = site.postfix.lookup(site.tables[transport][name], key)

        assert answer.status == 1, (name, answer)
        assert "domain1.example" not in answer.value


def test_an_unknown_map_is_a_failure_and_never_not_found(site: Site) -> None:
    table = site.tables["inet"]["virtual_mailbox_maps"].replace("virtual_mailbox_maps", "no_such_map")

    answer = site.postfix.lookup(table, "user2@domain2.example")

    assert answer.status != 0
    assert not answer.not_found
