"""Table files that name different servers: each is asked in its own directory; a failure of one is no "not found"."""

from __future__ import annotations

import json
from pathlib import Path

from tests.oracle.trees import Node
from vmaild import daemon
from vmaild.config import load
from vmaild.demo.slapd import Slapd, free_port
from vmaild.lookup import Reply, Request, Status, found

BASE = "o=site"


def ldif(name: str) -> str:
    entry = [
        ("objectClass", "organizationalRole"),
        ("objectClass", "extensibleObject"),
        ("cn", name),
        ("mail", f"{name}@d.example"),
        ("maildrop", f"{name}@box.example"),
    ]
    top = Node(BASE, [("objectClass", "organization"), ("o", "site")])
    return top.ldif() + Node(f"cn={name},{BASE}", entry).ldif()


def write(home: Path, name: str, uri: str) -> str:
    file = home / f"{name}.cf"
    file.write_text(f"server_host = {uri}\nbind = no\nversion = 3\nsearch_base = {BASE}\nquery_filter = (mail=%s)\n")
    return str(file)


async def ask(home: Path, files: list[str], *keys: str) -> list[Reply]:
    file = home / "vmaild.toml"
    file.write_text(f'[maps.both]\nkeys = "exact"\ncf = {json.dumps(files)}\n')
    async with daemon.opened(load(file, {})) as maps:
        return [await maps.find(Request(b"both", key.encode())) for key in keys]


async def test_one_map_of_two_directories(service_home: Path) -> None:
    with (
        Slapd(service_home / "one", base=BASE, ldif=ldif("ann"), access="") as one,
        Slapd(service_home / "two", base=BASE, ldif=ldif("bob"), access="") as two,
    ):
        files = [write(service_home, "one", one.uri), write(service_home, "two", two.uri)]
        replies = await ask(service_home, files, "ann@d.example", "bob@d.example", "eve@d.example")
    assert replies == [found(b"ann@box.example"), found(b"bob@box.example"), Reply(Status.NOT_FOUND)]


async def test_what_the_second_cannot_say_is_no_not_found(service_home: Path) -> None:
    with Slapd(service_home / "three", base=BASE, ldif=ldif("ann"), access="") as one:
        files = [
            write(service_home, "three", one.uri),
            write(service_home, "down", f"ldap://127.0.0.1:{free_port()}"),
        ]
        replies = await ask(service_home, files, "ann@d.example", "bob@d.example")
    assert [reply.status for reply in replies] == [Status.FOUND, Status.TEMPORARY]
