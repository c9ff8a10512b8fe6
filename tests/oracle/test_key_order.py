"""Which keys Postfix asks, in which order: a real one with ``texthash:`` tables is asked 2,000 addresses.

transport_maps and relocated_maps (which is asked as alias, mailbox and sender tables are) are asked through
trivial-rewrite(8), access tables through smtpd(8).
"""

from __future__ import annotations

import itertools
import os
import re
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from tests.oracle.conftest import aged
from tests.oracle.key_order import access_keys, address_keys, client_keys, local_keys, transport_keys
from tests.oracle.trees import Node
from vmaild import daemon, lookup
from vmaild.config import load
from vmaild.demo.postfix import Postfix
from vmaild.demo.slapd import Slapd
from vmaild.lookup import NOT_FOUND, Request
from vmaild.tables import Group, Table, TableSettings
from vmaild.tables.address import quote

ADDRESSES = int(os.environ.get("VMAILD_ADDRESSES", "2000"))
SEED = int(os.environ.get("VMAILD_SEED", "1"))
LOCALPARTS = (
    "ann",
    "bob",
    "ann+tag",
    "ann+x+y",
    "a..b",
    "a..b+t",
    "-dash+t",
    "postmaster+x",
    "owner-l",
    "o'neil",
    "x=y+1",
)
LABELS = ("a", "b", "sub", "deep")
TLD = {"transport": "t.example", "address": "r.example", "access": "x.example"}
"""Each kind of table has domains of its own, so that one does not hide another's answer."""

NAMES = ("mx.c.example", "c.example", "deep.mx.c.example", "else.example", "unknown")
IPS = ("192.0.2.1", "192.0.2.77", "198.51.100.9", "10.1.2.3", "2001:db8:1:2:3:4:5:6", "2001:db8:2::9", "203.0.113.1")
CLIENTS = ("mx.c.example", "192.0.2.1", "192.0", "198.51.100", "10", "2001:db8:1", "2001:db8:2::9", "1", "2.1")

Keys = Callable[[str, str, str], list[str]]
KINDS: dict[str, Keys] = {"transport": transport_keys, "address": address_keys, "access": access_keys}
VALUES = {"transport": "tag:{}", "address": "{}", "access": "REJECT {}"}

BASE = "o=keys"
VMAILD = """\
recipient_delimiter = "+"
[directory]
uri = ["{uri}"]
search_base = "{base}"
[maps.own]
keys = "{kind}"
query_filter = "(uid=%s)"
result_attribute = "description"
"""


@dataclass(frozen=True)
class Asked:
    """The Postfix, and each kind's table."""

    postfix: Postfix
    tables: dict[str, dict[str, str]]


def make_address(random: Random, kind: str) -> tuple[str, str]:
    above = random.sample(LABELS, random.choice((0, 0, 1, 1, 2)))
    return random.choice(LOCALPARTS), ".".join([*above, TLD[kind]])


def make_table(random: Random, kind: str) -> dict[str, str]:
    """Some keys of some addresses, each with a value of its own."""
    keys: dict[str, str] = {}
    for _ in range(60):
        listed = KINDS[kind](*make_address(random, kind), "+")
        # "*" and keys without the kind's domain would answer the others too.
        usable = [key for key in listed if TLD[kind] in key or (kind == "access" and key.endswith("@"))]
        keys.setdefault(random.choice(usable), f"tag{len(keys)}")
    # A catch-all for every subdomain would leave little to see.
    for key in (f".{TLD[kind]}", TLD[kind], f"@{TLD[kind]}"):
        keys.pop(key, None)
    return keys


@pytest.fixture(scope="module")
def asked(service_home: Path) -> Iterator[Asked]:
    random = Random(SEED)
    tables = {kind: make_table(random, kind) for kind in KINDS}
    for kind, table in tables.items():
        lines = [f"{key} {VALUES[kind].format(value)}\n" for key, value in table.items()]
        aged(_written(service_home / kind, "".join(lines)))
    lines = [f"{key} REJECT {key}\n" for key in CLIENTS]
    aged(_written(service_home / "client", "".join(lines)))
    settings = {
        "transport_maps": f"texthash:{service_home}/transport",
        "relocated_maps": f"texthash:{service_home}/address",
        "smtpd_relay_restrictions": "permit",
        "smtpd_recipient_restrictions": f"check_client_access texthash:{service_home}/client,"
        f" check_recipient_access texthash:{service_home}/access, reject",
        "smtpd_authorized_xclient_hosts": "127.0.0.0/8",
        "inet_protocols": "all",
        "smtpd_recipient_limit": "100000",
        "smtpd_delay_reject": "yes",
        "allow_min_user": "yes",
    }
    postfix = Postfix(service_home / "postfix", settings)
    postfix.start()
    try:
        yield Asked(postfix, tables)
    finally:
        postfix.close()


def _written(file: Path, text: str) -> Path:
    file.write_text(text)
    return file


class TrivialRewrite:
    """A client of trivial-rewrite(8): its attributes are ``name NUL value NUL``, with a NUL behind the last."""

    def __init__(self, postfix: Postfix) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(30)
        self._socket.connect(str(postfix.home / "queue/private/rewrite"))
        self._unread = b""
        assert self._reply() == {"protocol": "trivial_rewrite_protocol"}

    def resolve(self, address: str) -> dict[str, str]:
        """transport, nexthop and recipient of an address in internal form."""
        fields = ("request", "resolve", "sender", "", "address", address)
        self._socket.sendall("".join(f"{field}\0" for field in fields).encode() + b"\0")
        return self._reply()

    def close(self) -> None:
        self._socket.close()

    def _reply(self) -> dict[str, str]:
        found: list[str] = []
        while (field := self._field()) or len(found) % 2:
            found.append(field)
        return dict(zip(found[::2], found[1::2], strict=True))

    def _field(self) -> str:
        while b"\0" not in self._unread:
            received = self._socket.recv(65536)
            assert received, "trivial-rewrite closed the connection"
            self._unread += received
        field, _, self._unread = self._unread.partition(b"\0")
        return field.decode()


def expected(asked: Asked, kind: str, localpart: str, domain: str) -> str | None:
    table = asked.tables[kind]
    return next((table[key] for key in KINDS[kind](localpart, domain, "+") if key in table), None)


@pytest.mark.parametrize("kind", ["transport", "address"])
def test_tables_of_trivial_rewrite(asked: Asked, kind: str) -> None:
    random = Random(SEED + 1)
    client = TrivialRewrite(asked.postfix)
    differing, found = [], 0
    for _ in range(ADDRESSES):
        localpart, domain = make_address(random, kind)
        resolved = client.resolve(f"{localpart}@{domain}")
        said = resolved["nexthop"].removeprefix("5.1.6 User has moved to ")
        answer = said if said.startswith("tag") else None
        wanted = expected(asked, kind, localpart, domain)
        found += wanted is not None
        if answer != wanted:
            differing.append((localpart, domain, answer, wanted))
    client.close()
    assert differing == []
    assert ADDRESSES // 10 < found < ADDRESSES


def test_access_tables(asked: Asked) -> None:
    random = Random(SEED + 2)
    differing, found = [], 0
    with asked.postfix.smtp() as session:
        session.ehlo()
        session.mail("sender@elsewhere.example")
        for _ in range(ADDRESSES):
            localpart, domain = make_address(random, "access")
            _, reply = session.docmd("RCPT", f"TO:<{quote(localpart)}@{domain}>")
            match = re.search(r"rejected: (tag\d+)", reply.decode())
            wanted = expected(asked, "access", localpart, domain)
            found += wanted is not None
            if (match[1] if match else None) != wanted:
                differing.append((localpart, domain, reply, wanted))
    assert differing == []
    assert found > ADDRESSES // 10


def rejected_client(postfix: Postfix, name: str, address: str) -> str | None:
    """What of a client's name or address the table rejects."""
    with postfix.smtp() as session:
        session.ehlo()
        code, text = session.docmd("XCLIENT", f"NAME={name} ADDR={'IPV6:' if ':' in address else ''}{address}")
        assert code == 220, text
        session.ehlo()
        session.mail("sender@elsewhere.example")
        _, reply = session.docmd("RCPT", "TO:<x@nowhere.example>")
    match = re.search(r"Client host rejected: (?!Access denied)(\S+)", reply.decode())
    return match[1] if match else None


def test_access_tables_of_clients(asked: Asked) -> None:
    """``XCLIENT`` says who the client is."""
    found = 0
    group = Group([Table("own", [], TableSettings("access"))])
    for name, address in itertools.product(NAMES, IPS):
        keys = client_keys(name, address)
        wanted = next((key for listed in keys for key in listed if key in CLIENTS), None)
        found += wanted is not None
        assert rejected_client(asked.postfix, name, address) == wanted, (name, address)
        assert [[key.text for key in group.search_keys(one)] for one in (name, address)] == keys
    assert 0 < found < len(NAMES) * len(IPS)


@pytest.mark.parametrize("kind", KINDS)
async def test_vmaild_looks_for_the_same_keys(service_home: Path, kind: str) -> None:
    """What Postfix finds in its own table (see above), vmaild finds with the same keys in LDAP."""
    random = Random(SEED)
    tables = {one: make_table(random, one) for one in KINDS}
    with Slapd(service_home / f"slapd-{kind}", base=BASE, ldif=as_ldif(tables[kind]), access="") as slapd:
        file = service_home / f"{kind}.toml"
        file.write_text(VMAILD.format(uri=slapd.uri, base=BASE, kind=kind))
        differing, found = [], 0
        async with daemon.opened(load(file, {})) as maps:
            for _ in range(ADDRESSES):
                localpart, domain = make_address(random, kind)
                key = f"{quote(localpart)}@{domain}"
                reply = await maps.find(Request(b"own", key.encode()))
                wanted = next((tables[kind][k] for k in KINDS[kind](localpart, domain, "+") if k in tables[kind]), None)
                found += wanted is not None
                if reply != (NOT_FOUND if wanted is None else lookup.found(wanted.encode())):
                    differing.append((key, reply, wanted))
    assert differing == []
    assert ADDRESSES // 10 < found < ADDRESSES


def as_ldif(table: dict[str, str]) -> str:
    nodes = [Node(BASE, [("objectClass", "organization"), ("o", "keys")])]
    for number, (key, value) in enumerate(table.items()):
        kinds = [("objectClass", "organizationalRole"), ("objectClass", "extensibleObject"), ("cn", f"k{number}")]
        nodes.append(Node(f"cn=k{number},{BASE}", [*kinds, ("uid", key), ("description", value)]))
    return "".join(node.ldif() for node in nodes)


@pytest.mark.parametrize("delimiters", ["+", ""])
@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        ("address", address_keys),
        ("transport", transport_keys),
        ("access", access_keys),
        ("local", local_keys),
    ],
)
def test_all_search_keys_are_those_in_their_order(kind: str, keys: Keys, delimiters: str) -> None:
    random = Random(SEED + 3)
    settings = TableSettings(kind, delimiters, local_domains=frozenset(f"{d}" for d in ("r.example", "a.r.example")))
    group = Group([Table("own", [], settings)])
    for _ in range(ADDRESSES):
        localpart, domain = make_address(random, "address")
        found = [key.text for key in group.search_keys(f"{quote(localpart)}@{domain}")]
        wanted = keys(localpart, domain, delimiters)
        if kind == "local" and domain not in settings.local_domains:
            wanted = address_keys(localpart, domain, delimiters)
        assert found == wanted, (localpart, domain)
