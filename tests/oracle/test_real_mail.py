"""Real mail: one Postfix with ``texthash:`` tables, one that asks vmaild for the same data in LDAP; 2,000 addresses.

Each kind of keys has domains of its own, and both Postfixes do the same with every address: the reply to ``RCPT TO``,
and for what they accept, the address it is rewritten to, the transport and its nexthop.

=============  ===================================================================
``address``    ``relay_recipient_maps``; and ``virtual_alias_maps``, which looks for
               localparts of ``mydestination`` too, so that it is of kind ``local``
``transport``  ``transport_maps``, with ``*``
``access``     ``check_recipient_access``
``local``      ``local_recipient_maps``, with localparts for ``mydestination``
=============  ===================================================================
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from random import Random

import pytest

from tests.oracle.conftest import aged
from tests.oracle.key_order import access_keys, address_keys, local_keys, transport_keys
from tests.oracle.trees import Node
from vmaild.demo.ask import ask
from vmaild.demo.postfix import Postfix
from vmaild.demo.process import Process, free_port
from vmaild.demo.slapd import Slapd
from vmaild.errors import ProtocolError
from vmaild.listening import parse_address
from vmaild.lookup import Status
from vmaild.tables.address import quote

ADDRESSES = int(os.environ.get("VMAILD_ADDRESSES", "2000"))
SEED = int(os.environ.get("VMAILD_SEED", "1"))
BASE = "o=mail"
SECONDS = 120.0
AT_ONCE = 100
"""Recipients of one message."""

BASES = ("ann", "bob", "eve", "o'neil", "a..b", "x=y", "-dash", "two words", "Mixed", "dot.dot", "per%cent")
ALONE = ("postmaster+x", "owner-list", "mailer-daemon+y", "double-bounce")
EXTENSIONS = ("", "", "+tag", "+x+y", "+")
LABELS = ("a", "b", "sub", "deep")
TOP = {"address": "r.example", "transport": "t.example", "access": "x.example", "local": "l.example"}
KINDS = {"address": address_keys, "transport": transport_keys, "access": access_keys, "local": local_keys}
VALUES = {"address": "{}@out.example", "transport": "discard:{}", "access": "REJECT {}", "local": "{}"}
LOCAL = ("l.example", "a.l.example", "sub.l.example")

_SENT = re.compile(r" to=<(.*?)>,(?: orig_to=<(.*?)>,)? relay=\S+, .* status=(\w+) \((.*)\)")

Address = tuple[str, str]


def make_address(random: Random, kind: str) -> Address:
    localpart = f"{random.choice(BASES)}{random.randrange(6)}{random.choice(EXTENSIONS)}"
    if random.random() < 0.05:
        localpart = random.choice(ALONE)
    above = random.sample(LABELS, random.choice((0, 0, 1, 1, 2)))
    return localpart, ".".join([*above, TOP[kind]])


def make_table(random: Random, kind: str) -> dict[str, str]:
    """Some keys of some addresses, folded, each with a value of its own."""
    keys: dict[str, str] = {}
    for _ in range(150):
        listed = KINDS[kind](*make_address(random, kind), "+")
        # texthash: wants a key with blanks in quotes of its own; what is quoted has another form that is.
        usable = [key for key in listed if " " not in key]
        keys.setdefault(random.choice(usable).lower(), f"tag{len(keys)}")
    # What answers every address would leave little to see.
    for key in (".example", "example", f".{TOP[kind]}", TOP[kind], f"@{TOP[kind]}", "*"):
        keys.pop(key, None)
    if kind == "transport":
        keys["*"] = "rest"
    if kind == "address":
        users = [key for _ in range(25) for key in local_keys(*make_address(random, "local"), "+") if "@l." not in key]
        keys |= {key.lower(): f"user{number}" for number, key in enumerate(users) if key[0] != "@" and " " not in key}
    return {key: VALUES[kind].format(value) for key, value in keys.items()}


def settings(tables: dict[str, str]) -> dict[str, str]:
    """main.cf with a table for each kind."""
    return {
        "virtual_alias_maps": tables["address"],
        "relay_domains": TOP["address"],
        "relay_recipient_maps": tables["address"],
        "parent_domain_matches_subdomains": "relay_domains, smtpd_access_maps",
        "transport_maps": tables["transport"],
        "mydestination": ", ".join(LOCAL),
        "local_recipient_maps": tables["local"],
        "local_transport": "discard:local",
        "relay_transport": "discard:relay",
        "default_transport": "discard:other",
        "smtpd_restriction_classes": "asked",
        "asked": f"check_recipient_access {tables['access']}",
        "smtpd_recipient_restrictions": "check_recipient_access inline:{ " + f"{TOP['access']}=asked" + " }, permit",
        "mynetworks": "127.0.0.0/8",
        "smtpd_relay_restrictions": "permit_mynetworks, reject_unauth_destination",
        "smtpd_recipient_limit": "100000",
        "allow_min_user": "yes",
        "default_destination_recipient_limit": "1",
    }


def write_texthash(home: Path, tables: dict[str, dict[str, str]]) -> dict[str, str]:
    for kind, table in tables.items():
        file = home / f"{kind}.texthash"
        file.write_text("".join(f"{key} {value}\n" for key, value in table.items()))
        aged(file)
    return {kind: f"texthash:{home}/{kind}.texthash" for kind in tables}


def as_ldif(tables: dict[str, dict[str, str]]) -> str:
    nodes = [Node(BASE, [("objectClass", "organization"), ("o", "mail")])]
    for kind, table in tables.items():
        nodes.append(Node(f"ou={kind},{BASE}", [("objectClass", "organizationalUnit"), ("ou", kind)]))
        for number, (key, value) in enumerate(table.items()):
            classes = [("objectClass", "organizationalRole"), ("objectClass", "extensibleObject")]
            pairs = [("cn", f"k{number}"), ("uid", key), ("description", value)]
            nodes.append(Node(f"cn=k{number},ou={kind},{BASE}", [*classes, *pairs]))
    return "".join(node.ldif() for node in nodes)


def configuration(uri: str, endpoint: str, home: Path) -> str:
    top = f"""\
recipient_delimiter = "+"
[directory]
uri = [{json.dumps(uri)}]
search_base = "{BASE}"
[[listen]]
address = "{endpoint}"
[control]
address = "unix:{home}/control.sock"
[postfix]
mydestination = {json.dumps(LOCAL)}
"""
    maps = [
        f'[maps.{kind}]\nkeys = "{kind}"\nsearch_base = "ou={kind},{BASE}"\nquery_filter = "(uid=%s)"\n'
        'result_attribute = "description"\n'
        for kind in KINDS
    ]
    alias = "propagate_extension = true\nquoted_only = true\n"
    aliases = maps[0].replace("[maps.address]", "[maps.alias]").replace('keys = "address"', 'keys = "local"')
    return top + "".join(maps) + aliases + alias


def start_vmaild(stack: ExitStack, home: Path, uri: str) -> str:
    """The daemon, as main.cf takes it."""
    endpoint = f"inet:127.0.0.1:{free_port()}"
    file = home / "vmaild.toml"
    file.write_text(configuration(uri, endpoint, home))
    daemon = Process([sys.executable, "-m", "vmaild", "serve", "-c", str(file)], home / "vmaild.log")

    def answers() -> bool:
        try:
            return ask(parse_address(endpoint), "transport", "*").status is Status.FOUND
        except (OSError, ProtocolError):
            return False

    daemon.start(answers, 30.0)
    stack.callback(daemon.stop)
    return f"socketmap:{endpoint}"


@pytest.fixture(scope="module")
def both(service_home: Path) -> Iterator[tuple[Postfix, Postfix]]:
    """The Postfix with tables of its own, and the one that asks vmaild."""
    random = Random(SEED)
    tables = {kind: make_table(random, kind) for kind in KINDS}
    with ExitStack() as stack:
        slapd = stack.enter_context(Slapd(service_home / "slapd", base=BASE, ldif=as_ldif(tables), access=""))
        own = settings(write_texthash(service_home, tables))
        endpoint = start_vmaild(stack, service_home, slapd.uri)
        asking = settings({kind: f"{endpoint}:{kind}" for kind in KINDS})
        asking["virtual_alias_maps"] = f"{endpoint}:alias"
        made = []
        for name, values in (("own", own), ("asking", asking)):
            made.append(Postfix(service_home / name, values))
            made[-1].start()
            stack.callback(made[-1].close)
        yield made[0], made[1]


def send(postfix: Postfix, addresses: list[Address]) -> dict[Address, tuple[int, str]]:
    """One message for all of them: the reply to each RCPT."""
    replies = {}
    with postfix.smtp() as session:
        session.ehlo()
        session.mail("sender@elsewhere.example")
        for localpart, domain in addresses:
            code, text = session.docmd("RCPT", f"TO:<{quote(localpart)}@{domain}>")
            replies[localpart, domain] = code, text.decode()
        if any(code == 250 for code, _ in replies.values()):
            code, text = session.data(b"Subject: x\r\n\r\nx\r\n")
            assert code == 250, text
        else:
            session.rset()
    return replies


def done(postfix: Postfix) -> dict[str, list[tuple[str, str, str]]]:
    """For each address that was accepted: what it was rewritten to, the status and what was done."""
    end = time.monotonic() + SECONDS
    while postfix.queued() and time.monotonic() < end:
        time.sleep(0.1)
    assert postfix.queued() == [], postfix.log_text()[-3000:]
    found: dict[str, list[tuple[str, str, str]]] = {}
    for line in postfix.log_text().splitlines():
        if match := _SENT.search(line):
            to, original, status, what = match.groups()
            found.setdefault(original or to, []).append((to, status, what))
    return {address: sorted(results) for address, results in found.items()}


def test_two_thousand_addresses_are_treated_alike(both: tuple[Postfix, Postfix]) -> None:
    random = Random(SEED + 1)
    wanted: dict[Address, str] = {}
    while len(wanted) < ADDRESSES:
        kind = list(KINDS)[len(wanted) % len(KINDS)]
        wanted.setdefault(make_address(random, kind), kind)
    addresses = list(wanted)
    replies: list[dict[Address, tuple[int, str]]] = [{}, {}]
    for start in range(0, len(addresses), AT_ONCE):
        for postfix, told in zip(both, replies, strict=True):
            told.update(send(postfix, addresses[start : start + AT_ONCE]))
    differing = {address: (replies[0][address], replies[1][address]) for address in addresses}
    assert {address: pair for address, pair in differing.items() if pair[0] != pair[1]} == {}
    theirs, ours = (done(postfix) for postfix in both)
    assert {key: (theirs.get(key), ours.get(key)) for key in theirs | ours if theirs.get(key) != ours.get(key)} == {}
    accepted = [address for address, (code, _) in replies[0].items() if code == 250]
    assert len(theirs) == len(accepted)
    _each_kind_has_both(wanted, replies[0], theirs)


def _each_kind_has_both(
    wanted: dict[Address, str], replies: dict[Address, tuple[int, str]], results: dict[str, list[tuple[str, str, str]]]
) -> None:
    """Each kind of table was found something in, and not always."""
    marks = {"address": "tag", "transport": "tag", "access": "rejected: tag", "local": "@out.example"}
    found: Counter[str] = Counter()
    for (localpart, domain), kind in wanted.items():
        said = replies[localpart, domain][1]
        done = results.get(f"{localpart}@{domain}") or results.get(f"{quote(localpart)}@{domain}") or ""
        found[kind] += marks[kind] in f"{said} {done}"
    for kind, number in Counter(wanted.values()).items():
        assert number // 10 < found[kind] < number, found
