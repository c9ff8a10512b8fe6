"""A file of ldap_table(5) becomes a query and a directory; what cannot be kept is named."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from vmaild.postfix import parameters
from vmaild.postfix.files import read_table, read_table_file, table_in
from vmaild.postfix.filters import canonical
from vmaild.postfix.ldap_cf import LdapTable, static_base
from vmaild.postfix.main_cf import MainCf
from vmaild.postfix.tables import TableName

LEAST = "server_host = ldap://127.0.0.1:1\nsearch_base = dc=example\nquery_filter = (mail=%s)\nbind = no\n"

GIVEN = """\
server_host = ldap1.example.com ldaps://ldap2.example.com, ldap3.example.com:3890
  ldapi://%2Frun%2Fldapi
server_port = 1389
timeout = 5
search_base = ou=people, ou=%d,
# a comment
  dc=example
scope = One
query_filter = (&(mail=%s)
  (| (a=b) (c=d) ))
result_attribute = mail maildrop,x
special_result_attribute = member
leaf_result_attribute = info
terminal_result_attribute = description
result_format = smtp:[%s]
domain = one.example, TWO.example
bind_dn = cn=postfix,dc=example
bind_pw = se cret
recursion_limit = 7
expansion_limit = 8
tls_require_cert = yes
tls_ca_cert_file = /etc/ssl/ca.pem
tls_cert = /c.pem
tls_key = /k.pem
version = 3
"""


def table(more: str, least: str = LEAST) -> LdapTable:
    return table_in("test.cf", least + more)


def named(notes: tuple[tuple[str, str], ...]) -> list[str]:
    return [parameter for parameter, _ in notes]


def read_by_postfix(file: Path) -> dict[str, str]:
    """What ``postmap -v`` says that it reads from a table file."""
    os.utime(file, (0, 0))
    config = file.parent / "postfix"
    config.mkdir()
    for name in ("main.cf", "master.cf"):
        (config / name).write_text("")
        os.utime(config / name, (0, 0))
    command = ["postmap", "-v", "-c", str(config), "-q", "a@nowhere.invalid", f"ldap:{file}"]
    said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).stderr
    return dict(re.findall(rf"cfg_get_\w+: {re.escape(str(file))}: (\w+) = (.*)", said))


def test_everything_postfix_reads_is_known(tmp_path: Path) -> None:
    file = tmp_path / "table.cf"
    file.write_text(LEAST + "domain = other.invalid\n")
    names = set(read_by_postfix(file))
    assert len(names) > 30
    assert names | set(parameters.SASL) == set(parameters.KNOWN)


def test_values_are_those_that_postfix_reads(tmp_path: Path) -> None:
    file = tmp_path / "table.cf"
    file.write_text(GIVEN)
    theirs = read_by_postfix(file)
    found = read_table_file(file)
    assert found.problems == ()
    assert found.query == {
        "search_base": theirs["search_base"],
        "scope": theirs["scope"].lower(),
        "query_filter": "(&(mail=%s)(|(a=b)(c=d)))",
        "result_format": theirs["result_format"],
        "result_attribute": ["mail", "maildrop", "x"],
        "special_result_attribute": [theirs["special_result_attribute"]],
        "leaf_result_attribute": [theirs["leaf_result_attribute"]],
        "terminal_result_attribute": [theirs["terminal_result_attribute"]],
        "domain": ["one.example", "two.example"],
        "recursion_limit": int(theirs["recursion_limit"]),
        "expansion_limit": int(theirs["expansion_limit"]),
        "size_limit": int(theirs["size_limit"]),
        "ignore_referrals": True,
    }
    assert found.directory == {
        "uri": [
            "ldap://ldap1.example.com:1389",
            "ldaps://ldap2.example.com",
            "ldap://ldap3.example.com:3890",
            "ldapi://%2Frun%2Fldapi",
        ],
        "search_base": "dc=example",
        "timeout": float(theirs["timeout"]),
        "bind": "simple",
        "bind_dn": theirs["bind_dn"],
        "bind_pw": theirs["bind_pw"],
        "allow_cleartext_bind": True,
        "tls_ca_cert_file": theirs["tls_ca_cert_file"],
        "tls_cert": theirs["tls_cert"],
        "tls_key": theirs["tls_key"],
        "tls_require_cert": True,
    }


def test_defaults_are_postfix_own() -> None:
    found = table("", "")
    assert found.query["query_filter"] == "(mailacceptinggeneralid=%s)"
    assert found.query["result_attribute"] == ["maildrop"]
    assert found.query["search_base"] == ""
    assert found.query["recursion_limit"] == 1000
    assert found.directory == {
        "uri": ["ldap://localhost:389"], "search_base": "", "timeout": 10.0, "bind": "none",
    }  # fmt: skip


def test_a_list_that_is_set_to_nothing_stays_empty() -> None:
    assert table("result_attribute =\nleaf_result_attribute = mail\n").query["result_attribute"] == []


def test_result_filter_is_the_old_name_of_result_format() -> None:
    assert table("result_filter = OK\n").query["result_format"] == "OK"
    assert table("result_filter = OK\nresult_format =\n").query["result_format"] == "OK"
    both = table("result_filter = OK\nresult_format = %u\n")
    assert both.query["result_format"] == "%u"
    assert named(both.warnings) == ["result_filter"]


PROBLEMS = [
    ("domain = $mydestination", "domain", "no $name"),
    ("domain = !ldap:/etc/postfix/domains.cf", "domain", "ldap:/etc/postfix/domains.cf"),
    ("domain = static:all", "domain", "every domain"),
    ("domain = hash:/etc/postfix/domains", "domain", "indexed"),
    ("domain = mysql:/etc/postfix/domains.cf", "domain", "mysql:"),
    ("domain = /etc/nowhere/domains", "domain", "No such file"),
    ("domain = !one.example", "domain", "no domain"),
    ("domain = !", "domain", "nothing follows"),
    ("query_filter = (&(mail=%s)(host=$myhostname))", "query_filter", "no $name"),
    ("dereference = 3", "dereference", "never dereferenced"),
    ("chase_referrals = yes", "chase_referrals", "not followed"),
    ("tls_cipher_suite = HIGH", "tls_cipher_suite", "not supported"),
    ("bind = sasl", "sasl_mechs", "EXTERNAL"),
    ("bind = sasl\nsasl_mechs = GSSAPI", "sasl_mechs", "GSSAPI"),
    ("bind = sasl\nsasl_mechs = EXTERNAL\nsasl_authz_id = dn:x", "sasl_authz_id", "not supported"),
    ("bind = sasl\nsasl_mechs = EXTERNAL\nsasl_minssf = 56", "sasl_minssf", "not supported"),
    ("bind = perhaps", "bind", "'perhaps' is not one of"),
    ("bind = yes\nbind_dn = cn=x", "bind_pw", "anonymous"),
    ("bind = yes\nbind_pw = x", "bind_pw", "without bind_dn"),
    ("start_tls = true", "start_tls", "neither yes nor no"),
    ("start_tls = yes\nserver_host = ldaps://x", "start_tls", "ldaps"),
    ("timeout = 5s", "timeout", "no number"),
    ("timeout = 0", "timeout", "every search fail"),
    ("recursion_limit = 0", "recursion_limit", "at least 1"),
    ("size_limit = -1", "size_limit", "at least 0"),
    ("server_host =", "server_host", "is empty"),
    ("result_filter =", "result_filter", "is empty"),
    ("no equals sign", "", "no '='"),
]  # fmt: skip


@pytest.mark.parametrize(("lines", "parameter", "said"), PROBLEMS, ids=[lines for lines, _, _ in PROBLEMS])
def test_what_cannot_be_kept_is_a_problem_by_name(lines: str, parameter: str, said: str) -> None:
    found = table(f"{lines}\n")
    assert named(found.problems) == [parameter]
    assert said in found.problems[0][1]


WARNINGS = [
    ("serch_base = dc=x", "serch_base", "did you mean 'search_base'"),
    ("exclude_internal = yes", "exclude_internal", "no effect"),
    ("search_timeout = 30", "search_timeout", "no effect"),
    ("scope = subtree", "scope", "take sub"),
    ("version = 2", "version", "LDAPv3 only"),
    ("cache = yes", "cache", "[cache]"),
    ("cache_expiry = 300", "cache_expiry", "[cache]"),
    ("debuglevel = 1", "debuglevel", "log_level"),
    ("dereference = 9", "dereference", "take 0"),
    ("tls_random_file = dev:/dev/urandom", "tls_random_file", "no effect"),
    ("tls_require_cert = yes", "tls_require_cert", "neither start_tls nor"),
    ("start_tls = yes", "tls_require_cert", "in between"),
    ("sasl_realm = X", "sasl_realm", "without bind = sasl"),
    ("bind = yes\nbind_dn = CORP\\postfix\nbind_pw = x", "bind_dn", "Active Directory"),
    ("bind = yes\nbind_dn = postfix@corp.example\nbind_pw = x", "bind_dn", "Active Directory"),
    ("server_host = ldap.example\nbind = yes\nbind_dn = cn=x\nbind_pw = x", "bind_pw", "clear text"),
    ("bind = none\nbind = no", "", "the last one counts"),
    ("domain = one.example # ours", "domain", "end of the list"),
]


@pytest.mark.parametrize(("lines", "parameter", "said"), WARNINGS, ids=[lines for lines, _, _ in WARNINGS])
def test_what_should_be_looked_at_is_a_warning_by_name(lines: str, parameter: str, said: str) -> None:
    # The last of two equal names counts, so that each line may replace one of LEAST.
    given = [line for line in LEAST.splitlines() if line.split()[0] not in re.findall(r"^\w+", lines, re.MULTILINE)]
    found = table(f"{lines}\n", "".join(f"{line}\n" for line in given))
    assert found.problems == ()
    assert parameter in named(found.warnings)
    assert said in dict(found.warnings)[parameter]


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        ("bind = no", {"bind": "none"}),
        ("bind = SIMPLE\nbind_dn = cn=x\nbind_pw = y", {"bind": "simple", "bind_dn": "cn=x", "bind_pw": "y"}),
        ("bind = yes", {"bind": "none"}),
        ("bind = sasl\nsasl_mechs = external", {"bind": "sasl_external"}),
        ("start_tls = yes", {"bind": "none", "start_tls": True, "tls_require_cert": False}),
        ("server_host = ldaps://127.0.0.1\ntls_require_cert = YES", {"bind": "none", "tls_require_cert": True}),
    ],
)
def test_binding_and_tls(lines: str, wanted: dict[str, Any]) -> None:
    found = table(f"{lines}\n")
    assert found.problems == ()
    assert {key: found.directory[key] for key in found.directory.keys() - {"uri", "search_base", "timeout"}} == wanted


def test_the_domain_list_of_files_and_exclusions(tmp_path: Path) -> None:
    (tmp_path / "domains").write_text("# ours\none.example two.example\n!three.example\n")
    (tmp_path / "thash").write_text("four.example anything\nFive.example x\n  continued\nsix.example y\n")
    more = f"domain = !two.example, {tmp_path}/domains texthash:{tmp_path}/thash three.example seven.example\n"
    found = table(more)
    assert found.problems == ()
    assert found.query["domain"] == ["one.example", "four.example", "six.example", "seven.example"]


def test_excluding_a_file_of_exclusions(tmp_path: Path) -> None:
    (tmp_path / "domains").write_text("!one.example\ntwo.example\n")
    assert table(f"domain = !{tmp_path}/domains\n").query["domain"] == ["one.example"]


def test_a_source_in_main_cf_has_its_names_expanded() -> None:
    main = MainCf.of(
        "mydomain = example.com\nusers_server_host = ldap.$mydomain\nusers_bind = no\nusers_search_base = dc=x\n"
        "users_domain = $mydomain\nusers_query_filter = (mail=%s)\nusers_serch = x\n"
    )
    found = read_table(TableName.of("ldap:users"), main)
    assert found.problems == ()
    assert found.query["domain"] == ["example.com"]
    assert found.directory["uri"] == ["ldap://ldap.example.com:389"]
    assert named(found.warnings) == ["serch"]
    assert named(read_table(TableName.of("ldap:other"), main).problems) == [""]


@pytest.mark.parametrize(
    ("base", "static"),
    [
        ("dc=example", "dc=example"),
        ("ou=%d,dc=example", "dc=example"),
        ("o=%2.%1,ou=a\\,b,dc=example", "ou=a\\,b,dc=example"),
        ("cn=100%%,dc=example", "cn=100%,dc=example"),
        ("%s", ""),
        ("", ""),
    ],
)
def test_the_static_part_of_a_search_base(base: str, static: str) -> None:
    assert static_base(base) == static


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("mail=%s", "(mail=%s)"),
        (" (mail=%s) ", "(mail=%s)"),
        ("( & (mail=%s)  (| (a=b) (c=d) ) )", "(&(mail=%s)(|(a=b)(c=d)))"),
        ("(cn=two  words )", "(cn=two  words )"),
        ("&(mail=%s)", "&(mail=%s)"),
        ("(& )", "(&)"),
    ],
)
def test_filters_as_libldap_reads_them(text: str, wanted: str) -> None:
    assert canonical(text) == wanted
