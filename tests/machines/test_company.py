"""The company's tree in both orders, and the addresses that mail is sent to."""

from __future__ import annotations

from tests.machines.company import BY_DOMAIN, BY_LEVEL, Addresses, ldif


def entries(order: str) -> list[str]:
    return [entry for entry in "".join(ldif(order)).split("\n\n") if "tenant" in entry]


def test_both_orders_hold_the_same_entries() -> None:
    assert sorted(entries(BY_DOMAIN)) == sorted(entries(BY_LEVEL))


def test_level_by_level_brings_every_domain_and_catch_all_before_any_account() -> None:
    kinds = ["courierMailAccount" in entry for entry in entries(BY_LEVEL)]

    assert kinds == sorted(kinds)


def test_what_nobody_has_asked_for_is_drawn_once() -> None:
    addresses = Addresses(1)
    drawn = [addresses.next() for _ in range(5000)]
    never_asked = [case.recipient for case in drawn if case.kind == "account never asked"]

    assert len(never_asked) > 500
    assert len(set(never_asked)) == len(never_asked)
    assert not set(never_asked) & {case.recipient for case in addresses.known}
    assert {case.kind for case in drawn if not case.folders} == {"unknown user", "unknown domain"}
