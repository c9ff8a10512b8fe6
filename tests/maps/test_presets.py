"""The presets on trees of their own: what each map answers, and one search for an address that is not cached."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.oracle.trees import Node
from vmaild.cache import Cache
from vmaild.config.maps import Common, read_maps
from vmaild.config.section import Problems
from vmaild.demo.slapd import Slapd
from vmaild.demo.slapd_conf import SCHEMAS
from vmaild.directory import DirectorySettings, Pool
from vmaild.lookup import Request, Status
from vmaild.maps import Maps

BASE = "o=presets"
DISABLED = "550 5.2.1 Account disabled"
CLASSES = ("qmailUser", "qmailGroup", "user", "group", "mailUser", "mailAlias", "mailDomain", "mailList")
ATTRIBUTES = (
    "mailAlternateAddress", "mailForwardingAddress", "mailMessageStore", "accountStatus", "deliveryMode",
    "proxyAddresses", "userPrincipalName", "publicDelegates", "shadowAddress", "memberOfGroup", "enabledService",
    "domainName", "domainAliasName", "dnmember", "rfc822member",
)  # fmt: skip

Values = dict[str, str | list[str]]


@dataclass(frozen=True)
class Site:
    """A preset's entries (RDN, class, values) below ``ou=NAME``, and the answers: map, key, value."""

    entries: list[tuple[str, str, Values]]
    answers: list[tuple[str, str, str | None]]


ACTIVE: Values = {"accountStatus": "active", "enabledService": ["mail", "deliver"]}

SITES = {
    "qmail-ldap": Site(
        [
            ("cn=ann", "qmailUser", {"uid": "ann", "mail": "ann@q.example", "mailMessageStore": "/var/ann/",
                                     "mailAlternateAddress": ["a@q.example", "ann@alias.example"]}),
            ("cn=bob", "qmailUser", {"uid": "bob", "mail": "bob@q.example", "mailMessageStore": "/var/bob/",
                                     "mailForwardingAddress": "bob@far.example", "accountStatus": "disabled"}),
            ("cn=team", "qmailUser qmailGroup", {"mail": "team@q.example", "mailMessageStore": "/var/team/",
                                                 "dnmember": ["cn=ann,@BASE@", "cn=bob,@BASE@", "cn=gone,@BASE@"],
                                                 "rfc822member": "guest@far.example"}),
            ("cn=none", "qmailUser qmailGroup", {"mail": "none@q.example", "mailMessageStore": "/var/none/"}),
            ("cn=ida", "qmailUser", {"mail": "ida@xn--mller-kva.example", "mailMessageStore": "/var/ida/"}),
        ],
        [
            ("virtual_mailbox_domains", "q.example", "q.example"),
            ("virtual_mailbox_domains", "alias.example", "alias.example"),
            ("virtual_mailbox_domains", "other.example", None),
            ("virtual_mailbox_maps", "ann@q.example", "/var/ann/"),
            ("virtual_mailbox_maps", "ann+x@alias.example", "/var/ann/"),
            ("virtual_mailbox_maps", "bob@alias.example", None),
            ("virtual_alias_maps", "a@q.example", "ann@q.example"),
            ("virtual_alias_maps", "bob@q.example", "bob@q.example,bob@far.example"),
            ("virtual_alias_maps", "nobody@q.example", None),
            ("virtual_alias_maps", "team@q.example", "ann@q.example,bob@q.example,guest@far.example"),
            ("virtual_alias_maps", "none@q.example", "none@q.example"),
            ("virtual_mailbox_maps", "ida@müller.example", "/var/ida/"),
            ("virtual_mailbox_maps", "ida+x@xn--mller-kva.example", "/var/ida/"),
            ("virtual_mailbox_domains", "müller.example", "müller.example"),
            ("virtual_mailbox_domains", "MÜLLER.example", "müller.example"),
            ("smtpd_sender_login_maps", "a@q.example", "ann,ann@q.example"),
            ("smtpd_sender_login_maps", "team@q.example", "ann,ann@q.example,bob,bob@q.example,guest@far.example"),
            ("disabled_accounts", "bob@q.example", DISABLED),
            ("disabled_accounts", "ann@q.example", None),
        ],
    ),
    "inetlocalmailrecipient": Site(
        [
            ("cn=ann", "inetLocalMailRecipient", {"uid": "ann", "mailLocalAddress": ["ann@i.example", "a@i.example"],
                                                  "mailRoutingAddress": "ann@inner.example"}),
            ("cn=bob", "inetLocalMailRecipient", {"uid": "bob", "mailLocalAddress": "bob@i.example",
                                                  "mailHost": "mx2.i.example"}),
            ("cn=team", "inetLocalMailRecipient", {"mailLocalAddress": "team@i.example",
                                                   "member": ["cn=ann,@BASE@", "cn=bob,@BASE@"]}),
        ],
        [
            ("relay_recipient_maps", "bob@i.example", "bob@i.example"),
            ("relay_recipient_maps", "eve@i.example", None),
            ("virtual_alias_maps", "a+tag@i.example", "ann+tag@inner.example"),
            ("virtual_alias_maps", "bob@i.example", None),
            ("transport_maps", "bob@i.example", "smtp:[mx2.i.example]"),
            ("smtpd_sender_login_maps", "ann@i.example", "ann"),
            ("smtpd_sender_login_maps", "team@i.example", "ann,bob"),
        ],
    ),
    "active-directory": Site(
        [
            ("cn=ann", "user", {"mail": "ann@ad.example", "userPrincipalName": "ann@corp.example",
                                "userAccountControl": "512", "publicDelegates": "cn=bob,@BASE@",
                                "proxyAddresses": ["SMTP:ann@ad.example", "smtp:a@alias.example"]}),
            ("cn=bob", "user", {"mail": "bob@ad.example", "userPrincipalName": "bob@corp.example",
                                "userAccountControl": "514", "proxyAddresses": "SMTP:bob@ad.example"}),
            ("cn=inner", "group", {"mail": "inner@ad.example", "member": "cn=bob,@BASE@"}),
            ("cn=all", "group", {"mail": "all@ad.example", "member": ["cn=ann,@BASE@", "cn=inner,@BASE@"]}),
        ],
        [
            ("virtual_mailbox_domains", "alias.example", "alias.example"),
            ("virtual_mailbox_domains", "x.example", None),
            ("virtual_mailbox_maps", "a@alias.example", "ann@ad.example"),
            ("virtual_mailbox_maps", "bob@alias.example", None),
            ("virtual_alias_maps", "a@alias.example", "ann@ad.example"),
            ("virtual_alias_maps", "all@ad.example", "ann@ad.example,bob@ad.example"),
            ("smtpd_sender_login_maps", "ann@ad.example", "ann@corp.example,bob@corp.example"),
            ("smtpd_sender_login_maps", "inner@ad.example", "bob@corp.example"),
            ("disabled_accounts", "bob@ad.example", DISABLED),
            ("disabled_accounts", "ann@ad.example", None),
        ],
    ),
    "iredmail": Site(
        [
            ("domainName=r.example", "mailDomain", {**ACTIVE, "domainAliasName": "alias.example"}),
            ("mail=ann@r.example", "mailUser", {**ACTIVE, "mailMessageStore": "r/ann/",
                                                "shadowAddress": "ann@alias.example",
                                                "memberOfGroup": "team@r.example"}),
            ("mail=bob@r.example", "mailUser", {**ACTIVE, "mailMessageStore": "r/bob/",
                                                "mailForwardingAddress": ["bob@far.example"]}),
            ("mail=off@r.example", "mailUser", {**ACTIVE, "accountStatus": "disabled", "mailMessageStore": "r/off/"}),
            ("mail=info@r.example", "mailAlias", {**ACTIVE, "mailForwardingAddress": "ann@r.example"}),
            ("mail=team@r.example", "mailList", ACTIVE),
        ],
        [
            ("virtual_mailbox_domains", "r.example", "r.example"),
            ("virtual_mailbox_domains", "alias.example", "alias.example"),
            ("virtual_mailbox_domains", "x.example", None),
            ("virtual_mailbox_maps", "ann@alias.example", "r/ann/"),
            ("virtual_mailbox_maps", "bob@alias.example", None),
            ("virtual_mailbox_maps", "off@r.example", None),
            ("virtual_alias_maps", "ann@alias.example", "ann@r.example"),
            ("virtual_alias_maps", "bob@r.example", "bob@far.example"),
            ("virtual_alias_maps", "info@r.example", "ann@r.example"),
            ("virtual_alias_maps", "team@r.example", "ann@r.example"),
            ("smtpd_sender_login_maps", "team@r.example", "ann@r.example"),
            ("smtpd_sender_login_maps", "info@r.example", "ann@r.example"),
            ("disabled_accounts", "off@r.example", DISABLED),
            ("disabled_accounts", "bob@r.example", None),
        ],
    ),
}  # fmt: skip


def base(name: str) -> str:
    return f"ou={name},{BASE}"


def ldif() -> str:
    nodes = [Node(BASE, [("objectClass", "organization"), ("o", "presets")])]
    for name, site in SITES.items():
        nodes.append(Node(base(name), [("objectClass", "organizationalUnit"), ("ou", name)]))
        for rdn, kind, values in site.entries:
            attribute, _, value = rdn.partition("=")
            pairs = [("objectClass", one) for one in ("organizationalRole", "extensibleObject", *kind.split())]
            for key, listed in {attribute: value, "cn": value, **values}.items():
                many = [listed] if isinstance(listed, str) else listed
                pairs += [(key, one.replace("@BASE@", base(name))) for one in many]
            nodes.append(Node(f"{rdn},{base(name)}", pairs))
    return "".join(node.ldif() for node in nodes)


def schema() -> str:
    lines = [
        f"attributetype ( 2.999.3.{n} NAME '{name}' EQUALITY caseIgnoreMatch SUBSTR caseIgnoreSubstringsMatch"
        " SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )"
        for n, name in enumerate(ATTRIBUTES, 1)
    ]
    lines.append(
        "attributetype ( 2.999.4.1 NAME 'userAccountControl' EQUALITY integerMatch"
        " SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 )"
    )
    lines += [f"objectclass ( 2.999.5.{n} NAME '{name}' SUP top AUXILIARY )" for n, name in enumerate(CLASSES, 1)]
    return "\n".join([*lines, ""])


@pytest.fixture(scope="module")
def slapd(service_home: Path) -> Iterator[Slapd]:
    file = service_home / "presets.schema"
    file.write_text(schema())
    config = (f"include {SCHEMAS / 'misc.schema'}", f"include {file}")
    with Slapd(service_home / "slapd", base=BASE, ldif=ldif(), access="", config=config) as running:
        yield running


@asynccontextmanager
async def opened(slapd: Slapd, name: str) -> AsyncIterator[tuple[Maps, Pool]]:
    problems = Problems("test")
    read = read_maps(name, {}, Common(base(name), "+"), problems)
    assert problems.found == []
    pool = Pool(DirectorySettings(uri=(slapd.uri,), search_base=base(name)))
    await pool.start()
    maps = Maps(read.groups, Cache(), pool, timeout=10.0)
    try:
        await maps.find(Request(b"virtual_alias_maps", b"warm@up.example"))  # waits for the first connection
        yield maps, pool
    finally:
        await maps.close()
        await pool.close()


@pytest.mark.parametrize(
    ("name", "map_name", "key", "value"), [(name, *answer) for name, site in SITES.items() for answer in site.answers]
)
async def test_answers_of_a_preset(slapd: Slapd, name: str, map_name: str, key: str, value: str | None) -> None:
    async with opened(slapd, name) as (maps, _):
        reply = await maps.find(Request(map_name.encode(), key.encode()))
    assert reply.status is (Status.NOT_FOUND if value is None else Status.FOUND)
    assert reply.text.decode() == (value or "")


@pytest.mark.parametrize("name", SITES)
async def test_one_search_for_a_cold_address(slapd: Slapd, name: str) -> None:
    """All maps of its record are answered by it then, whether the address is there or not."""
    present = next(key for _, key, value in SITES[name].answers if "@" in key and value)
    async with opened(slapd, name) as (maps, pool):
        # What was found is asked for again before "not found" is trusted: see test_samples.
        for key in ("nobody+x@x.example", present):
            before = pool.counters.searches
            await maps.find(Request(b"virtual_alias_maps", key.encode()))
            assert pool.counters.searches == before + 1, key
            if "x.example" in key:
                await maps.find(Request(b"smtpd_sender_login_maps", key.encode()))
                assert pool.counters.searches == before + 1
