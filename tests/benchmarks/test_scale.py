"""The large tree, and the model of what a site of any size costs."""

from __future__ import annotations

import pytest

from benchmarks.experiments.model import Load, hosts_for, needs, page, ranks
from benchmarks.site.population import address, domain_of, ldif, mailbox

TERMS = {
    "lookups": 5.0,
    "hit": 10e-6,
    "miss": 200e-6,
    "search": 100e-6,
    "postfix": 3e-3,
    "own search": 200e-6,
    "change": 150e-6,
    "start": 30e6,
    "domain": 200.0,
    "record": 600.0,
    "entry": 1500.0,
}
LOAD = Load(mailboxes=1e6, per_domain=20.0, messages=1000.0, changes=10.0, hosts=4, records=1e6)


def test_each_account_stands_in_its_domain_which_comes_first() -> None:
    entries = "".join(ldif(45, size=20)).split("\n\n")
    domains = [entry for entry in entries if entry.startswith("dn: o=host") and "o: hosting" not in entry]
    last = next(index for index, entry in enumerate(entries) if f"mail: {address(44, 20)}\n" in entry)

    assert len(domains) == 3
    assert entries[last].startswith(f"dn: mail={address(44, 20)},o={domain_of(44, 20)},")
    assert mailbox(44, 20) in entries[last]
    assert entries.index(domains[-1]) < last


@pytest.mark.parametrize("skew", [0.0, 0.8, 1.0])
def test_the_shares_of_all_mailboxes_are_all_mail(skew: float) -> None:
    counts, shares = ranks(1e6, skew)

    assert counts.sum() == pytest.approx(1e6)
    assert counts @ shares == pytest.approx(1.0)
    assert shares[0] / shares[-1] == pytest.approx(1e6**skew, rel=0.02)


def test_more_room_means_fewer_searches_and_more_memory() -> None:
    large, small = needs(TERMS, LOAD), needs(TERMS, LOAD._replace(records=1e4))

    assert small["kept"] == pytest.approx(1e4, rel=0.01)
    assert small["searches"] > large["searches"] > 0.0
    assert small["age"] < large["age"]
    assert small["memory"] < large["memory"]


def test_a_message_is_paid_for_once_whatever_the_hosts() -> None:
    one, many = needs(TERMS, LOAD._replace(hosts=1)), needs(TERMS, LOAD)

    assert one["lookups"] == pytest.approx(4 * many["lookups"])
    assert one["postfix"] == pytest.approx(4 * many["postfix"])
    assert one["vmaild"] < 4 * many["vmaild"]


def test_the_least_number_of_hosts_is_enough_and_one_less_is_not() -> None:
    hosts = hosts_for(TERMS, LOAD._replace(messages=10_000.0))
    enough, few = (needs(TERMS, LOAD._replace(messages=10_000.0, hosts=count)) for count in (hosts, hosts - 1))

    assert enough["cores"] <= 4.0 < few["cores"]


def test_the_page_shows_the_sums() -> None:
    assert "mail hosts of 8 cores" in page(TERMS, LOAD)
