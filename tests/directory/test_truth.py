"""When an empty answer is trusted, what becomes of referrals and limits, and that values arrive as they are.

All against real slapd: what it answers is the measure.
"""

from __future__ import annotations

import asyncio
import base64
import subprocess
from typing import Any

import pytest

from tests.directory.rig import ABSENT, ADDRESS, ask, ask_until_right, by_mail, is_right, running, until
from tests.support.loops import on_each_loop
from vmaild.demo.slapd import Slapd
from vmaild.demo.tree import BASE, SEARCH_BASE, tree
from vmaild.directory.shared_probe import TRUST
from vmaild.lookup import Scope, Search
from vmaild.tables import dn, filter
from vmaild.tables.plan import _format
from vmaild.tables.template import Parts, Template

EMPTY = f"dn: {BASE}\nobjectClass: dcObject\nobjectClass: organization\ndc: myhosting\no: My Hosting\n\n"
READER = (
    f"dn: cn=vmaild,{BASE}\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\n"
    "cn: vmaild\nuserPassword: vmaild-demo\n\n"
)
REFERRAL = (
    f"dn: o=elsewhere.example,{SEARCH_BASE}\nobjectClass: referral\nobjectClass: extensibleObject\n"
    "o: elsewhere.example\nref: ldap://127.0.0.1:1/o=elsewhere.example,o=hosting,dc=myhosting,dc=example\n\n"
)


def entry(rdn: str, *lines: str) -> str:
    return "\n".join([f"dn: {rdn},o=domain1.example,{SEARCH_BASE}", *lines, "", ""])


@on_each_loop
async def test_nothing_found_and_no_such_base_are_both_trusted_from_a_server_that_holds_the_search_base(
    slapd: Slapd,
) -> None:
    async with running(slapd.uri) as directory:
        assert (await ask(directory, by_mail(ABSENT))).entries == []
        unknown_domain = by_mail("x@unknown.example", base=f"o=unknown.example,{SEARCH_BASE}")
        assert (await ask(directory, unknown_domain)).entries == []
        assert directory.counters.empty == 2


@on_each_loop
async def test_a_wrong_search_base_takes_the_server_down(slapd: Slapd) -> None:
    base = f"o=hostings,{BASE}"
    async with running(slapd.uri, ready=False, search_base=base) as directory:
        assert (await ask(directory, by_mail(ABSENT, base=base))).kind == "unavailable"
        assert directory.counters.connect_failures["suffix"] >= 1
        assert directory.status().servers[0].last_failure == "suffix"


@on_each_loop
async def test_a_missing_base_that_must_exist_fails_its_own_search_and_no_other(slapd: Slapd) -> None:
    async with running(slapd.uri) as directory:
        lists = by_mail(ABSENT, base=f"o=lists,{BASE}")
        assert (await ask(directory, lists._replace(base_exists=True))).kind == "no_base"
        assert (await ask(directory, lists)).entries == []
        assert is_right(await ask(directory))
        assert directory.status().servers[0].up


@on_each_loop
async def test_a_replica_that_is_not_loaded_yet_does_not_serve(make_slapd: Any, slapd: Slapd) -> None:
    replica = make_slapd(ldif=EMPTY + READER)
    async with running(replica.uri, slapd.uri, ready=False) as directory:
        for _ in range(10):
            assert is_right(await ask(directory))
            assert (await ask(directory, by_mail(ABSENT))).entries == []
        assert not directory.status().servers[0].up


@on_each_loop
async def test_an_emptied_directory_is_noticed_before_an_empty_answer_is_trusted(make_slapd: Any) -> None:
    server = make_slapd()
    async with running(server.uri, check_interval=60.0) as directory:
        assert is_right(await ask(directory))
        await asyncio.sleep(TRUST + 0.1)
        dns = [line[4:] for line in reversed(tree().splitlines()) if line.startswith("dn: ")]
        gone = "".join(f"dn: {name}\nchangetype: delete\n\n" for name in dns if name.endswith(SEARCH_BASE))
        await asyncio.to_thread(server.modify, gone)
        answers = await asyncio.gather(*(ask(directory) for _ in range(10)))
        assert {answer.entries is None for answer in answers} == {True}
        assert "suffix" in {answer.kind for answer in answers}
        assert not directory.ready
        loaded = tree()[tree().index(f"dn: {SEARCH_BASE}") :]
        await asyncio.to_thread(server.add, loaded)
        assert set(await ask_until_right(directory)) <= {"unavailable"}


@on_each_loop
async def test_lost_read_rights_are_noticed_on_the_timer_too(make_slapd: Any) -> None:
    server = make_slapd()
    async with running(server.uri, check_interval=0.2) as directory:
        rename = f"dn: {SEARCH_BASE}\nchangetype: modrdn\nnewrdn: o=parked\ndeleteoldrdn: 1\n"
        await asyncio.to_thread(server.modify, rename)
        await until(lambda: not directory.ready)
        assert (await ask(directory)).kind == "unavailable"
        back = f"dn: o=parked,{BASE}\nchangetype: modrdn\nnewrdn: o=hosting\ndeleteoldrdn: 1\n"
        await asyncio.to_thread(server.modify, back)
        await ask_until_right(directory)


@on_each_loop
async def test_a_stream_of_empty_answers_costs_about_one_check_a_second(slapd: Slapd) -> None:
    async with running(slapd.uri, check_interval=60.0) as directory:
        before = directory.counters.checks
        loop = asyncio.get_running_loop()
        began = loop.time()
        while loop.time() - began < 2.5 * TRUST:
            answers = await asyncio.gather(*(ask(directory, by_mail(ABSENT)) for _ in range(8)))
            assert all(answer.entries == [] for answer in answers)
        assert 2 <= directory.counters.checks - before <= 4


@on_each_loop
async def test_a_base_at_or_below_a_referral_is_a_failure(make_slapd: Any) -> None:
    server = make_slapd(ldif=tree() + "\n" + REFERRAL)
    async with running(server.uri) as directory:
        for below in ("", "o=deeper,"):
            base = f"{below}o=elsewhere.example,{SEARCH_BASE}"
            assert (await ask(directory, by_mail("a@elsewhere.example", base=base))).kind == "referral"
        assert directory.ready


@on_each_loop
async def test_an_answer_with_a_continuation_reference_is_a_failure_even_with_entries(make_slapd: Any) -> None:
    server = make_slapd(ldif=tree() + "\n" + REFERRAL)
    async with running(server.uri) as directory:
        assert (await ask(directory, by_mail(ABSENT))).kind == "referral"
        assert (await ask(directory)).kind == "referral"
        inside = by_mail(ADDRESS, base=f"o=domain1.example,{SEARCH_BASE}")
        assert is_right(await ask(directory, inside))


@on_each_loop
async def test_a_server_that_refers_for_the_search_base_is_down(make_slapd: Any) -> None:
    server = make_slapd(config=["referral ldap://127.0.0.1:1"])
    async with running(server.uri, ready=False, search_base="o=hosting,dc=other,dc=example") as directory:
        assert (await ask(directory)).kind == "unavailable"
        assert directory.counters.connect_failures["referral"] >= 1


VALUES = [
    b"a\0b",
    b"two\nlines",
    b"\xff\xfe not UTF-8",
    b"0x10",
    b"1_000",
    b"TRUE",
    b"FALSE",
    b" 007 ",
    b"\0",
    b"9" * 5000,
    b"m" * 1_000_000,
]


@on_each_loop
async def test_values_arrive_byte_for_byte(make_slapd: Any) -> None:
    server = make_slapd(config=["include /etc/ldap/schema/inetorgperson.schema"])
    # jpegPhoto has a syntax that takes any bytes.
    lines = [f"jpegPhoto:: {base64.b64encode(value).decode()}" for value in VALUES]
    classes = ["objectClass: inetOrgPerson", "cn: values", "sn: values"]
    await asyncio.to_thread(server.add, entry("cn=values", *classes, *lines))
    async with running(server.uri, timeout=5.0) as directory:
        search = Search(SEARCH_BASE, Scope.SUB, "(cn=values)", ("jpegPhoto", "objectClass"))
        answer = await ask(directory, search, timeout=3.0)
        assert answer.entries is not None
        (found,) = answer.entries
        assert sorted(found.values("JPEGPHOTO")) == sorted(VALUES)
        assert found.values("objectclass") == (b"inetOrgPerson",)
        assert set(found.attributes) == {"jpegphoto", "objectclass"}


@on_each_loop
async def test_only_what_was_asked_for_comes_back(slapd: Slapd) -> None:
    async with running(slapd.uri) as directory:
        (found,) = (await ask(directory, by_mail(ADDRESS, "uidNumber"))).entries  # type: ignore[misc]
        assert dict(found.attributes) == {"uidnumber": found.values("uidNumber")}
        (found,) = (await ask(directory, Search(SEARCH_BASE, Scope.BASE, "(objectClass=*)", ()))).entries  # type: ignore[misc]
        assert (found.dn, dict(found.attributes)) == (SEARCH_BASE, {})


DNS = [
    "cn=Team \\231",
    "cn=a\\2Cb",
    "cn=back\\5C2Cslash",
    'cn=quo\\"te',
    "cn=plus\\2Bplus",
    "cn=sp\\20",
    "cn=m\\C3\\BCller",
]


def dns_by_ldapsearch(server: Slapd, search_filter: str) -> set[str]:
    """The DNs that OpenLDAP's own client shows."""
    bind = ("-x", "-H", server.uri, "-D", server.root_dn, "-w", server.root_pw)
    command = ["ldapsearch", "-LLL", "-o", "ldif-wrap=no", *bind, "-b", SEARCH_BASE, search_filter, "1.1"]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    values = [line.removeprefix("dn:") for line in told.splitlines() if line.startswith("dn:")]
    return {base64.b64decode(value[1:]).decode() if value.startswith(":") else value.strip() for value in values}


@on_each_loop
async def test_any_dn_comes_back_as_the_server_wrote_it(make_slapd: Any) -> None:
    server = make_slapd()
    for rdn in DNS:
        await asyncio.to_thread(server.add, entry(rdn, "objectClass: organizationalRole"))
    async with running(server.uri) as directory:
        search = Search(SEARCH_BASE, Scope.SUB, "(objectClass=organizationalRole)", ("cn",))
        answer = await ask(directory, search)
        assert answer.entries is not None
        expected = await asyncio.to_thread(dns_by_ldapsearch, server, search.filter)
        assert {found.dn for found in answer.entries} == expected
        assert len(expected) >= len(DNS)
        # Each can be searched for again under the DN that came back.
        for found in answer.entries:
            again = await ask(directory, Search(found.dn, Scope.BASE, "(objectClass=*)", ("cn",)))
            assert again.entries is not None
            assert [one.dn for one in again.entries] == [found.dn]


INJECTIONS = [
    *("*", "user*", ")(objectClass=*", "*)(objectClass=*)", "\\2a", "\\", "|(mail=*)", "&", "(", "#", ""),
    *("user1@domain1.example)\0)(x", "user1@domain1.example\0", "user1@domain1.example ", "ü@domain1.example"),
]


@on_each_loop
async def test_quoted_keys_match_what_slapd_holds_and_nothing_else(make_slapd: Any) -> None:
    server = make_slapd()
    holders = {}
    for number, key in enumerate(INJECTIONS):
        if not key or "\0" in key or not key.isascii():
            continue
        encoded = base64.b64encode(key.encode()).decode()
        lines = ["objectClass: courierMailAlias", f"mail: holder{number}@domain1.example", f"mail:: {encoded}"]
        added = entry(f"mail=holder{number}@domain1.example", *lines, "maildrop: x@y.example")
        await asyncio.to_thread(server.add, added)
        holders[key.strip()] = f"holder{number}@domain1.example".encode()
    async with running(server.uri) as directory:
        for key in INJECTIONS:
            search = Search(SEARCH_BASE, Scope.SUB, f"(mail={filter.quote(key)})", ("mail",))
            answer = await ask(directory, search)
            assert answer.entries is not None, key
            found = {entry.values("mail")[0] for entry in answer.entries}
            # slapd compares mail without regard to outer spaces, and ends an IA5 string at a NUL: who asks
            # for a key with a NUL in it must not get here.
            compared = key.partition("\0")[0].strip()
            expected = {holders[compared]} if compared in holders else set()
            if compared == ADDRESS:
                expected.add(ADDRESS.encode())
            assert found == expected, key


@on_each_loop
async def test_an_unquoted_nul_is_refused_and_not_cut(slapd: Slapd) -> None:
    async with running(slapd.uri) as directory:
        search = Search(SEARCH_BASE, Scope.SUB, f"(mail={ADDRESS})\0)(x", ("mail",))
        assert (await ask(directory, search)).kind == "invalid"
        search = Search(f"{SEARCH_BASE}\0", Scope.SUB, f"(mail={ADDRESS})", ("mail",))
        assert (await ask(directory, search)).kind == "invalid"
        assert is_right(await ask(directory))


@on_each_loop
async def test_what_is_no_filter_or_no_dn_is_a_failure(slapd: Slapd) -> None:
    async with running(slapd.uri) as directory:
        for wrong in ("(mail=", "mail=*)", "(&(a=b)"):
            assert (await ask(directory, Search(SEARCH_BASE, Scope.SUB, wrong, ("mail",)))).entries is None
        for wrong in ("o=a,b", "=", "\ud800"):
            assert (await ask(directory, by_mail(ADDRESS, base=wrong))).entries is None
        assert is_right(await ask(directory))


DOMAINS = [
    *("domain1.example", "x,o=domain1.example", "domain1.example,o=hosting", "domain1.example+cn=a"),
    *(" domain1.example", "domain1.example ", "domain1.example\0", "\0", "\\2c", '"', "#"),
    *("a=b", "<>", ";", "ü.example", "*"),
]


@on_each_loop
async def test_quoted_domains_name_their_own_subtree_and_no_other(make_slapd: Any) -> None:
    server = make_slapd()
    held = {}
    for domain in DOMAINS[1:]:
        if "\0" in domain or domain.strip() == "domain1.example":
            continue
        encoded = base64.b64encode(f"o={dn.quote(domain)},{SEARCH_BASE}".encode()).decode()
        value = base64.b64encode(domain.encode()).decode()
        await asyncio.to_thread(server.add, f"dn:: {encoded}\nobjectClass: organization\no:: {value}\n")
        held[domain] = domain.encode()
    base = _format([(Template("o=%d," + SEARCH_BASE), 0)], dn.quote)
    async with running(server.uri) as directory:
        for domain in DOMAINS:
            search_base = base.fill([Parts.of(f"a@{domain}")])
            answer = await ask(directory, Search(search_base, Scope.BASE, "(objectClass=*)", ("o",)))
            found = [entry.values("o") for entry in answer.entries or []]
            if domain in held:
                assert found == [(held[domain],)], domain
            elif domain.strip() == "domain1.example":
                # Outer spaces do not count when o is compared.
                assert found == [(b"domain1.example",)], domain
            else:
                assert found == [], domain


@pytest.mark.parametrize("attribute", ["jpegPhoto;x-a", "mail;lang-en"])
async def test_an_attribute_with_options_is_not_taken_for_the_plain_one(slapd: Slapd, attribute: str) -> None:
    async with running(slapd.uri) as directory:
        answer = await ask(directory, by_mail(ADDRESS, attribute))
        assert answer.entries is not None
        assert [dict(found.attributes) for found in answer.entries] == [{}]
