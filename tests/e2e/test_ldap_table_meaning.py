"""A map means what the same lines mean in an ldap_table(5) file: Postfix's ldap: is asked the same keys."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.directory import ldap_table
from vmaild.demo.daemon import DaemonProcess, Listen
from vmaild.demo.postfix import Answer, Postfix
from vmaild.demo.slapd import Slapd, free_port
from vmaild.demo.tree import SEARCH_BASE, tree

LISTS = f"ou=lists,{SEARCH_BASE}"


def entry(name: str, **values: str | list[str]) -> str:
    lines = [
        f"dn: cn={name},{LISTS}",
        "objectClass: organizationalRole",
        "objectClass: extensibleObject",
        f"cn: {name}",
    ]
    for attribute, value in values.items():
        lines += [f"{attribute}: {one}" for one in ([value] if isinstance(value, str) else value)]
    return "\n".join([*lines, "", ""])


def of(name: str) -> str:
    return f"cn={name},{LISTS}"


ENTRIES = (
    f"dn: {LISTS}\nobjectClass: organizationalUnit\nou: lists\n\n"
    + entry("one", mail="one@list.example", maildrop="one@box.example", info="leaf-one")
    + entry("two", mail=["two@list.example", "zwei@list.example"], maildrop=["a@box.example", "b@box.example"])
    + entry("local", mail="local@list.example", maildrop=["plain", "@box.example", "user@box.example"])
    + entry("inner", mail="inner@list.example", maildrop="inner@box.example", member=[of("one"), of("two")])
    + entry("outer", mail="outer@list.example", member=[of("inner"), of("missing")], info="leaf-outer")
    + entry("ring", mail="ring@list.example", member=of("ring"), maildrop="ring@box.example")
    + entry("ends", mail="ends@list.example", member=of("one"), info="the-end", maildrop="ends@box.example")
    + entry("byurl", mail="byurl@list.example", labeledURI=f"ldap:///{LISTS}?maildrop?sub?(cn=two)")
    + entry("badurl", mail="badurl@list.example", labeledURI="ldap:///x?y?nonsense?(")
    + entry("same1", mail="same@list.example", maildrop="s1@box.example")
    + entry("same2", mail="same@list.example", maildrop="s2@box.example")
    + entry("star", mail="*@list.example", maildrop="star@box.example")
)

MEMBERS = {"special_result_attribute": "member"}
CASES: dict[str, dict[str, str | int]] = {
    "plain": {},
    "localpart": {"query_filter": "(mail=%u@list.example)"},
    "domain": {"query_filter": "(&(mail=%s)(mail=*@%d))"},
    "capitals": {"query_filter": "(mail=%U@%D)"},
    "labels": {"query_filter": "(mail=%u@%2.%1)"},
    "too_many_labels": {"query_filter": "(&(mail=%s)(!(cn=%3)))"},
    "percent": {"query_filter": "(&(mail=%s)(!(cn=%%)))"},
    "base_with_key": {"search_base": f"cn=%u,{LISTS}", "query_filter": "(mail=%s)"},
    "one_level": {"scope": "one"},
    "base_scope": {"scope": "base"},
    "format": {"result_format": "<%s>%u|%d|%S|%U|%D|%1%%"},
    "needs_value_domain": {"result_format": "%d"},
    "two_attributes": {"result_attribute": "maildrop, info"},
    "own_domains": {"domain": "list.example other.example"},
    "other_domains": {"domain": "other.example"},
    "members": {**MEMBERS},
    "members_leaf": {**MEMBERS, "result_attribute": "maildrop", "leaf_result_attribute": "info"},
    "members_terminal": {**MEMBERS, "terminal_result_attribute": "info"},
    "members_flat": {**MEMBERS, "recursion_limit": 2},
    "members_short": {**MEMBERS, "recursion_limit": 1},
    "few_values": {**MEMBERS, "expansion_limit": 2},
    "few_entries": {"size_limit": 1},
    "urls": {"special_result_attribute": "labeledURI"},
}  # fmt: skip
KEYS = (
    "one@list.example", "ONE@List.Example", "two@list.example", "zwei@list.example", "local@list.example",
    "inner@list.example", "outer@list.example", "ring@list.example", "ends@list.example", "byurl@list.example",
    "badurl@list.example", "same@list.example", "absent@list.example", "one@sub.list.example", "one@other.example",
    "one", "@list.example", "*@list.example", "*", "o*@list.example", "one@list.example)(cn=*", "\\2a",
    "o\\6ee@list.example", "one@", "a@b@list.example", "list.example",
)  # fmt: skip


@dataclass(frozen=True)
class Both:
    """Postfix, and each case's tables: its own and vmaild's."""

    postfix: Postfix
    tables: dict[str, tuple[str, str]]


@pytest.fixture(scope="module")
def both(service_home: Path) -> Iterator[Both]:
    home = service_home
    port = free_port()
    maps, tables = [], {}
    with Slapd(home / "slapd", ldif=f"{tree()}\n{ENTRIES}") as slapd:
        for name, keys in CASES.items():
            settings: dict[str, str | int] = {"search_base": LISTS, "query_filter": "(mail=%s)"}
            settings |= {"result_attribute": "maildrop", **keys}
            maps.append("\n".join([f"[maps.{name}]", 'keys = "exact"', *_toml(settings)]))
            lines = [
                f"{key} = {value}" for key, value in settings.items() if key not in ("query_filter", "result_attribute")
            ]
            file = home / f"{name}.cf"
            own = ldap_table(file, slapd, str(settings["query_filter"]), str(settings["result_attribute"]))
            text = file.read_text().replace(f"search_base = {SEARCH_BASE}\n", "")
            file.write_text(text + "\n".join([*lines, ""]))
            tables[name] = (own, f"socketmap:inet:127.0.0.1:{port}:{name}")
        daemon = DaemonProcess(home, [slapd.uri], [Listen(f"inet:127.0.0.1:{port}")], tables="\n".join(maps))
        postfix = Postfix(home / "postfix", {})
        postfix.configure()
        daemon.start()
        try:
            yield Both(postfix, tables)
        finally:
            daemon.stop()


def _toml(settings: dict[str, str | int]) -> list[str]:
    return [f"{key} = {json.dumps(value)}" for key, value in settings.items()]


def meaning(answer: Answer) -> str | list[str]:
    """The values in any order, each once, or what took their place."""
    if answer.not_found:
        return "not found"
    return sorted(set(answer.value.split(","))) if answer.status == 0 else "try again"


def answers(postfix: Postfix, table: str) -> dict[str, str | list[str]]:
    """The meaning of every key. postmap pauses after a failure, so all are asked side by side."""
    with ThreadPoolExecutor(len(KEYS)) as pool:
        return dict(zip(KEYS, pool.map(lambda key: meaning(postfix.lookup(table, key)), KEYS), strict=True))


@pytest.mark.parametrize("name", CASES)
def test_every_key_has_the_same_answer_from_both(both: Both, name: str) -> None:
    own, ours = both.tables[name]
    expected, found = answers(both.postfix, own), answers(both.postfix, ours)
    assert found == expected
    if name == "plain":
        assert expected["two@list.example"] == ["a@box.example", "b@box.example"]
        assert expected["absent@list.example"] == "not found"
