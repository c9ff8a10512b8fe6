"""What the configuration of the directory may say, and every problem of one that it may not."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from tests.directory.certificates import Authority
from vmaild.directory import DirectorySettings, problems
from vmaild.directory.uri import Endpoint, parse

GOOD = DirectorySettings(("ldap://127.0.0.1",), "o=hosting", bind_dn="cn=vmaild", bind_pw="secret")


@pytest.mark.parametrize(
    ("uri", "endpoint"),
    [
        ("ldap://ldap1.example", ("ldap", "ldap1.example", 389, "")),
        ("ldaps://LDAP1.example/", ("ldaps", "ldap1.example", 636, "")),
        ("ldap://[::1]:1389", ("ldap", "::1", 1389, "")),
        ("ldap://under_score:390", ("ldap", "under_score", 390, "")),
        ("ldapi://%2FRun%2Fslapd%2Fldapi", ("ldapi", "", 0, "/Run/slapd/ldapi")),
        ("ldapi:///", ("ldapi", "", 0, "/var/run/slapd/ldapi")),
    ],
)
def test_uris(uri: str, endpoint: tuple[str, str, int, str]) -> None:
    scheme, host, port, path = endpoint
    assert parse(uri) == Endpoint(uri, scheme, host, port, path)


@pytest.mark.parametrize(
    ("uri", "word"),
    [
        ("ldap1.example", "begin"),
        ("http://ldap1.example", "begin"),
        ("ldap://", "host"),
        ("ldap://h:0", "port"),
        ("ldap://h:x", "Port"),
        ("ldap://h/dc=example", "base DN"),
        ("ldap://h?x", "base DN"),
        ("ldap://me:pw@h", "bind_dn"),
        ("ldapi://run%2Fldapi", "absolute"),
        ("ldapi://%2F" + "x" * 107, "longer"),
        ("ldap://[::1", "IPv6"),
    ],
)
def test_uris_that_are_none(uri: str, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        parse(uri)
    assert [key for key, _ in problems(dataclasses.replace(GOOD, uri=(uri,)))] == ["uri"]


@pytest.mark.parametrize(
    ("uri", "local"),
    [
        ("ldap://127.0.0.1", True),
        ("ldap://127.8.8.8", True),
        ("ldap://[::1]", True),
        ("ldap://LocalHost", True),
        ("ldapi:///", True),
        ("ldap://localhost.example", False),
        ("ldap://10.0.0.1", False),
        ("ldap://127.0.0.1.example", False),
    ],
)
def test_what_is_local(uri: str, local: bool) -> None:
    assert parse(uri).is_local is local


REMOTE = {"uri": ("ldap://ldap1.example",)}


@pytest.mark.parametrize(
    ("changes", "keys"),
    [
        ({}, []),
        ({"bind_dn": "", "bind_pw": ""}, []),
        ({"uri": ("ldapi:///",), "bind": "sasl_external", "bind_dn": "", "bind_pw": ""}, []),
        (REMOTE, ["uri"]),
        (REMOTE | {"allow_cleartext_bind": True}, []),
        (REMOTE | {"start_tls": True}, []),
        (REMOTE | {"bind_dn": "", "bind_pw": ""}, []),
        ({"uri": ("ldaps://ldap1.example",)}, []),
        ({"uri": ("ldap://127.0.0.1", "ldap://ldap1.example")}, ["uri"]),
        ({"uri": ()}, ["uri"]),
        ({"uri": ("ldap://127.0.0.1", "ldap://127.0.0.1")}, ["uri"]),
        ({"search_base": " "}, ["search_base"]),
        ({"search_base": "o=a\0"}, ["search_base"]),
        ({"bind": "gssapi"}, ["bind"]),
        ({"bind": "simple", "bind_dn": ""}, ["bind_dn"]),
        ({"bind_pw": ""}, ["bind_pw"]),
        ({"bind": "none"}, ["bind_dn", "bind_pw"]),
        ({"bind": "sasl_external", "bind_dn": "", "bind_pw": ""}, ["bind"]),
        ({"uri": ("ldaps://127.0.0.1",), "start_tls": True}, ["start_tls"]),
        ({"tls_key": "/nonexistent"}, ["tls_key", "tls_key"]),
        ({"tls_cert": "/nonexistent"}, ["tls_cert"]),
        ({"tls_ca_cert_file": "/nonexistent"}, ["tls_ca_cert_file"]),
        ({"tls_ca_cert_dir": "/nonexistent"}, ["tls_ca_cert_dir"]),
        ({"timeout": 0}, ["timeout"]),
        ({"timeout": float("nan")}, ["timeout"]),
        ({"connect_timeout": -1}, ["connect_timeout"]),
        ({"check_interval": 3601}, ["check_interval"]),
        ({"max_lifetime": 0}, ["max_lifetime"]),
        ({"failback_after": -1}, ["failback_after"]),
        ({"pool_size": 0}, ["pool_size"]),
        ({"pool_size": 257}, ["pool_size"]),
        ({"max_waiting": 0}, ["max_waiting"]),
    ],
)
def test_problems(changes: dict[str, object], keys: list[str]) -> None:
    found = problems(dataclasses.replace(GOOD, **changes))
    assert [key for key, _ in found] == keys
    assert all("secret" not in text for _, text in found)


def test_certificates_are_looked_into(authority: Authority, tmp_path: Path) -> None:
    cert, key = authority.issue("/CN=vmaild")
    _, other = authority.issue("/CN=other")
    tls = {"uri": ("ldaps://ldap1.example",), "tls_ca_cert_file": str(authority.ca)}
    good = dataclasses.replace(GOOD, **tls, tls_cert=str(cert), tls_key=str(key))
    assert problems(good) == []
    assert [k for k, _ in problems(dataclasses.replace(good, tls_key=str(other)))] == ["tls_cert"]
    empty = tmp_path / "empty.pem"
    empty.touch()
    assert [k for k, _ in problems(dataclasses.replace(good, tls_ca_cert_file=str(empty)))] == ["tls_ca_cert_file"]


def test_the_password_is_never_shown() -> None:
    assert "secret" not in repr(GOOD)
