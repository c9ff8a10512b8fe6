"""Server, bind and TLS settings of table files: Postfix and vmaild reach the same server, or neither does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.directory.certificates import Authority
from tests.oracle import vmaild_side
from tests.oracle.answer import TEMP, Answer
from tests.oracle.conftest import write_table
from tests.oracle.postfix_side import Postmap
from tests.oracle.trees import Node
from vmaild.demo.slapd import Slapd, Tls, free_port

BASE = "o=reached"
READER = f"cn=reader,{BASE}"
PEERCRED = "gidNumber=0+uidNumber=0,cn=peercred,cn=external,cn=auth"
WHO = f"""\
access to attrs=userPassword by anonymous auth
access to dn.base="cn=open,{BASE}" by * read
access to dn.base="cn=reader-only,{BASE}" by dn.exact="{READER}" read by * none
access to dn.base="cn=peer-only,{BASE}" by dn.exact="{PEERCRED}" read by * none
access to dn.base="cn=owner-only,{BASE}" by dn.exact="cn=owner" read by * none
access to * by * read"""
KEYS = ["open@x", "reader-only@x", "peer-only@x", "owner-only@x", "absent@x"]
EVERYBODY: list[Answer] = ["open@box", None, None, None, None]
READS: list[Answer] = ["open@box", "reader-only@box", None, None, None]
PEER: list[Answer] = ["open@box", None, "peer-only@box", None, None]
OWNER: list[Answer] = ["open@box", None, None, "owner-only@box", None]
NOBODY: list[Answer] = [TEMP] * len(KEYS)


@dataclass(frozen=True)
class Server:
    """A slapd with TLS, and the files of its authority."""

    slapd: Slapd
    authority: Authority
    own: tuple[Path, Path]
    """Certificate and key of a client."""


@pytest.fixture(scope="module")
def server(service_home: Path) -> Iterator[Server]:
    authority = Authority(service_home)
    cert, key = authority.issue("/CN=localhost", "DNS:localhost,IP:127.0.0.1")
    own = authority.issue("/CN=owner")
    classes = [("objectClass", "organizationalRole"), ("objectClass", "extensibleObject")]
    nodes = [
        Node(BASE, [("objectClass", "organization"), ("o", "reached")]),
        Node(READER, [*classes, ("cn", "reader"), ("userPassword", "secret")]),
    ]
    for address in KEYS[:-1]:
        name = address.partition("@")[0]
        nodes.append(
            Node(f"cn={name},{BASE}", [*classes, ("cn", name), ("mail", address), ("maildrop", f"{name}@box")])
        )
    ldif = "".join(node.ldif() for node in nodes)
    tls = Tls(cert, key, authority.ca, "try")
    with Slapd(service_home / "slapd", base=BASE, ldif=ldif, access=WHO, tls=tls, ldapi=True) as slapd:
        yield Server(slapd, authority, own)


CASES: dict[str, tuple[str, list[Answer]]] = {
    "anonymous": ("server_host=@LDAP@ bind=no", EVERYBODY),
    "host and port": ("server_host=127.0.0.1 server_port=@PORT@ bind=none", EVERYBODY),
    "host:port": ("server_host=127.0.0.1:@PORT@ bind=no", EVERYBODY),
    "simple": ("server_host=@LDAP@ bind=yes bind_dn=@READER@ bind_pw=secret", READS),
    "simple by its name": ("server_host=@LDAP@ bind=simple bind_dn=@READER@ bind_pw=secret", READS),
    "a wrong password": ("server_host=@LDAP@ bind=yes bind_dn=@READER@ bind_pw=wrong", NOBODY),
    "the second server": ("server_host=@NOBODY@,@LDAP@ bind=no", EVERYBODY),
    "no server": ("server_host=@NOBODY@ bind=no", NOBODY),
    "ldapi": ("server_host=@LDAPI@ bind=no", EVERYBODY),
    "ldapi, EXTERNAL": ("server_host=@LDAPI@ bind=sasl sasl_mechs=EXTERNAL", PEER),
    "start_tls": ("server_host=@LDAP@ start_tls=yes tls_require_cert=yes tls_ca_cert_file=@CA@ bind=no", EVERYBODY),
    "start_tls with a bind": (
        "server_host=@LDAP@ start_tls=yes tls_require_cert=yes tls_ca_cert_file=@CA@ bind=yes bind_dn=@READER@"
        " bind_pw=secret",
        READS,
    ),
    "start_tls, not checked": ("server_host=@LDAP@ start_tls=yes bind=no", EVERYBODY),
    "start_tls, another authority": (
        "server_host=@LDAP@ start_tls=yes tls_require_cert=yes tls_ca_cert_file=@OTHER@ bind=no",
        NOBODY,
    ),
    "ldaps": ("server_host=@LDAPS@ tls_require_cert=yes tls_ca_cert_file=@CA@ bind=no", EVERYBODY),
    "ldaps, another authority": ("server_host=@LDAPS@ tls_require_cert=yes tls_ca_cert_file=@OTHER@ bind=no", NOBODY),
    "ldaps with a certificate, EXTERNAL": (
        "server_host=@LDAPS@ tls_require_cert=yes tls_ca_cert_file=@CA@ tls_cert=@CERT@ tls_key=@KEY@ bind=sasl"
        " sasl_mechs=EXTERNAL",
        OWNER,
    ),
}


@pytest.mark.parametrize("name", CASES, ids=lambda name: name.replace(" ", "-"))
def test_the_server_is_reached_as_by_postfix(service_home: Path, server: Server, postmap: Postmap, name: str) -> None:
    settings, wanted = CASES[name]
    other = service_home / "other"
    if not other.exists():
        other.mkdir()
        Authority(other)
    slapd = server.slapd
    named = {
        "LDAP": slapd.uri,
        "LDAPS": slapd.ldaps_uri,
        "LDAPI": slapd.ldapi_uri,
        "PORT": str(slapd.port),
        "READER": READER,
        "CA": str(server.authority.ca),
        "OTHER": str(other / "ca.pem"),
        "CERT": str(server.own[0]),
        "KEY": str(server.own[1]),
        "NOBODY": f"ldap://127.0.0.1:{free_port()}",
    }
    for word, value in named.items():
        settings = settings.replace(f"@{word}@", value)
    values = dict(part.split("=", 1) for part in settings.split(" "))
    file = write_table(service_home / "case.cf", "", {"search_base": BASE, "query_filter": "(mail=%s)", **values})
    expected = postmap.answers(file, KEYS, wanted)
    assert expected == wanted
    assert vmaild_side.answers(file, KEYS) == expected
