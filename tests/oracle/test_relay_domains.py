"""``relay_domains`` as a table: Postfix looks for parents of a domain too, and asks a socketmap for the whole one only.

The same data are asked through ``texthash:`` and through vmaild, as ``import-postfix`` writes it.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.oracle.conftest import aged
from tests.oracle.trees import Node
from vmaild import cli
from vmaild.demo.ask import ask
from vmaild.demo.postfix import Postfix
from vmaild.demo.process import Process, free_port
from vmaild.demo.slapd import Slapd
from vmaild.errors import ProtocolError
from vmaild.listening import parse_address
from vmaild.lookup import Status

BASE = "o=relay"
LISTED = ("r.example", "b.s.example", ".dot.example")
ASKED = ("r.example", "a.r.example", "c.a.r.example", "s.example", "b.s.example", "x.b.s.example", "dot.example",
         "x.dot.example", "example", "else.example")  # fmt: skip
BOTH = ("relay_domains, smtpd_access_maps", "smtpd_access_maps")


def ldif() -> str:
    nodes = [Node(BASE, [("objectClass", "organization"), ("o", "relay")])]
    for number, name in enumerate(LISTED):
        classes = [("objectClass", "organizationalRole"), ("objectClass", "extensibleObject")]
        nodes.append(Node(f"cn=d{number},{BASE}", [*classes, ("cn", f"d{number}"), ("uid", name)]))
    return "".join(node.ldif() for node in nodes)


@pytest.mark.parametrize("matches_parents", BOTH)
def test_the_same_domains_are_relayed(service_home: Path, matches_parents: str) -> None:
    home = service_home / f"relay{BOTH.index(matches_parents)}"
    home.mkdir()
    with ExitStack() as stack:
        slapd = stack.enter_context(Slapd(home / "slapd", base=BASE, ldif=ldif(), access=""))
        table = home / "relay.cf"
        table.write_text(
            f"server_host = {slapd.uri}\nbind = no\nsearch_base = {BASE}\nquery_filter = (uid=%s)\n"
            "result_attribute = uid\n"
        )
        imported = home / "imported"
        imported.mkdir()
        common = f"compatibility_level = 3.7\nparent_domain_matches_subdomains = {matches_parents}\n"
        (imported / "main.cf").write_text(f"{common}relay_domains = ldap:{table}\n")
        endpoint = f"inet:127.0.0.1:{free_port()}"
        toml = home / "vmaild.toml"
        options = ["--listen", endpoint, "--output", str(toml), "--diff", str(home / "diff")]
        assert cli.main(["import-postfix", str(imported), *options]) == 0
        toml.write_text(toml.read_text().replace("[[listen]]", '[control]\naddress = ""\n[[listen]]'))
        daemon = Process([sys.executable, "-m", "vmaild", "serve", "-c", str(toml)], home / "vmaild.log")

        def answers() -> bool:
            try:
                return ask(parse_address(endpoint), "relay_domains", "r.example").status is Status.FOUND
            except (OSError, ProtocolError):
                return False

        daemon.start(answers, 30.0)
        stack.callback(daemon.stop)
        (home / "texthash").write_text("".join(f"{name} x\n" for name in LISTED))
        aged(home / "texthash")
        told = []
        for name, listed in (("own", f"texthash:{home}/texthash"), ("asking", f"socketmap:{endpoint}:relay_domains")):
            postfix = Postfix(
                home / name, {"relay_domains": listed, "parent_domain_matches_subdomains": matches_parents}
            )
            postfix.start()
            stack.callback(postfix.close)
            told.append({domain: postfix.rcpt(f"x@{domain}")[0] for domain in ASKED})
    assert told[0] == told[1]
    assert set(told[0].values()) == {250, 554}
