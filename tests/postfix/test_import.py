"""``vmaild import-postfix``: the configuration, the changed main.cf, and a warning for each trap."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.oracle.conftest import aged
from tests.support.patching import patched
from vmaild import cli
from vmaild.migration.edit import changed_text
from vmaild.postfix.main_cf import MainCf

TABLE = "server_host = ldap://127.0.0.1:3890\nsearch_base = dc=example\nquery_filter = (mail=%s)\nbind = no\n"


@dataclass
class Imported:
    """What one run did."""

    status: int
    config: dict[str, Any]
    main: str
    said: str


@pytest.fixture
def site(tmp_path: Path) -> Path:
    for name in ("a", "b", "c"):
        aged_file(tmp_path / f"{name}.cf", TABLE)
    aged_file(tmp_path / "master.cf", "virtual unix - n n - - virtual\n")
    return tmp_path


def aged_file(file: Path, text: str) -> None:
    file.write_text(text)
    aged(file)


def run(site: Path, main: str, capsys: pytest.CaptureFixture[str], *options: str) -> Imported:
    """Import ``main`` with @ for the directory, and apply the diff."""
    aged_file(site / "main.cf", f"compatibility_level = 3.7\n{main}".replace("@", str(site)))
    toml, diff = site / "out.toml", site / "out.diff"
    status = cli.main(["import-postfix", str(site), "--output", str(toml), "--diff", str(diff), *options])
    captured = capsys.readouterr()
    assert captured.out == ""
    changed = patched((site / "main.cf").read_text(), diff.read_text())
    return Imported(status, tomllib.loads(toml.read_text()), changed, captured.err)


def test_tables_become_maps(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = run(
        site,
        "mydestination = here.example\nmyorigin = here.example\n"
        "recipient_delimiter = +\nvirtual_alias_domains =\nvirtual_transport = lmtp:unix:x\n"
        "virtual_mailbox_domains = ldap:@/a.cf\nvirtual_mailbox_maps = proxy:ldap:${config_directory}/b.cf\n"
        "virtual_alias_maps = ldap:@/a.cf, ldap:@/b.cf\n",
        capsys,
    )
    assert done.status == 0
    assert done.config == {
        "recipient_delimiter": "+",
        "listen": [{"address": "inet:127.0.0.1:10143"}],
        "postfix": {"mydestination": ["here.example"]},
        "maps": {
            "virtual_mailbox_domains": {"cf": [f"{site}/a.cf"], "keys": "domain"},
            "virtual_mailbox_maps": {"cf": [f"{site}/b.cf"], "keys": "local"},
            "virtual_alias_maps": {
                "cf": [f"{site}/a.cf", f"{site}/b.cf"], "keys": "local", "propagate_extension": True,
                "quoted_only": True,
            },
        },
    }  # fmt: skip
    assert done.main.splitlines()[-3:] == [
        "virtual_mailbox_domains = socketmap:inet:127.0.0.1:10143:virtual_mailbox_domains",
        "virtual_mailbox_maps = socketmap:inet:127.0.0.1:10143:virtual_mailbox_maps",
        "virtual_alias_maps = socketmap:inet:127.0.0.1:10143:virtual_alias_maps",
    ]
    assert done.said == ""
    assert cli.main(["check", "--offline", "-c", str(site / "out.toml")]) == 0


def test_without_files_all_goes_to_stdout(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    aged_file(site / "main.cf", f"relay_domains = ldap:{site}/a.cf\n")
    assert cli.main(["import-postfix", str(site), "--listen", "unix:/run/x"]) == 0
    shown = capsys.readouterr().out
    assert tomllib.loads(shown)["listen"] == [{"address": "unix:/run/x"}]
    assert "# +relay_domains = socketmap:unix:/run/x:relay_domains\n" in shown


def test_parameters_of_ones_own_are_followed(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = run(
        site, "virtual_maps = hash:/etc/virtual ldap:@/a.cf\nown = ldap:@/b.cf\nrelay_recipient_maps = $own\n", capsys
    )
    assert done.config["maps"]["virtual_maps"]["propagate_extension"] is True
    assert done.config["maps"]["own"]["keys"] == "local"
    assert "virtual_maps = hash:/etc/virtual socketmap:inet:127.0.0.1:10143:virtual_maps\n" in done.main
    assert "relay_recipient_maps = $own\n" in done.main


def test_parameters_in_main_cf_are_named(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = "".join(f"users_{line}\n" for line in TABLE.splitlines())
    done = run(site, f"relay_recipient_maps = ldap:users\n{lines}users_serch_base = x\n", capsys)
    assert done.status == 0
    assert done.config["maps"]["relay_recipient_maps"]["cf"] == ["ldap:users"]
    assert "users: serch_base: is no parameter of ldap_table(5)" in done.said
    assert f"MAIL_CONFIG={site}" in done.said


ALIASES = "virtual_alias_domains =\nvirtual_alias_maps = "
TRAPS = [
    ("virtual_alias_maps = ldap:@/a.cf\n", "virtual_alias_domains: is $virtual_alias_maps by default"),
    ("virtual_mailbox_maps = ldap:@/a.cf\n", "virtual_mailbox_domains: is $virtual_mailbox_maps by default"),
    (
        "virtual_mailbox_maps = ldap:@/a.cf\n",
        "virtual_mailbox_maps: virtual(8) delivers (virtual_transport) and refuses socketmap tables",
    ),
    (f"{ALIASES}ldap:@/a.cf hash:/etc/aliases ldap:@/b.cf\n", "virtual_alias_maps: has 3 tables"),
    (f"{ALIASES}$alias_maps, ldap:@/b.cf\n", "virtual_alias_maps: has 2 tables"),
]


@pytest.mark.parametrize(("main", "warning"), TRAPS)
def test_traps_of_main_cf_are_warned_of(
    site: Path, capsys: pytest.CaptureFixture[str], main: str, warning: str
) -> None:
    assert f"vmaild: warning: {warning}" in run(site, main, capsys).said


def test_the_default_of_virtual_alias_domains_is_taken_out(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(site, "virtual_alias_maps = ldap:@/a.cf\n", capsys).main.endswith("\nvirtual_alias_domains =\n")


def test_virtual_with_a_table_of_its_own_is_no_trap(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = f"virtual unix - n n - - virtual\n  -o virtual_mailbox_maps=ldap:{site}/a.cf\n"
    aged_file(site / "master.cf", own)
    done = run(site, "virtual_mailbox_domains = x.example\nvirtual_mailbox_maps = ldap:@/a.cf\n", capsys)
    assert "refuses socketmap" not in done.said
    assert "master.cf: virtual/unix has -o virtual_mailbox_maps with an ldap: table of its own" in done.said


TABLE_TRAPS = [
    ("version = 2", "version: 2: vmaild speaks LDAPv3 only"),
    ("bind = yes\nbind_dn = CORP\\\\postfix\nbind_pw = x", "bind_dn: "),
    ("start_tls = yes", "tls_require_cert: is no, as by default"),
    ("search_timeout = 5", "search_timeout: is no parameter of ldap_table(5) and has no effect"),
    ("cache = yes", "cache: has no effect"),
]


@pytest.mark.parametrize(("line", "warning"), TABLE_TRAPS)
def test_traps_of_a_table_are_warned_of(
    site: Path, capsys: pytest.CaptureFixture[str], line: str, warning: str
) -> None:
    aged_file(site / "a.cf", TABLE.replace("bind = no", "") + line + "\n")
    done = run(site, "relay_domains = ldap:@/a.cf\n", capsys)
    assert f"warning: {site}/a.cf: {warning}" in done.said


STAYING = [
    ("alias_maps = ldap:@/a.cf\n", "alias_maps: ldap:@/a.cf stays: local(8) opens it itself"),
    ("virtual_uid_maps = ldap:@/a.cf\n", "virtual(8) opens it itself"),
    ("header_checks = ldap:@/a.cf\n", "header_checks: ldap:@/a.cf stays: vmaild does not know"),
    ("smtpd_sender_login_maps = unionmap:{ldap:@/a.cf,hash:/x}\n", "it is a table within another"),
    ("relay_domains = ldap:@/absent.cf\n", "ldap:@/absent.cf stays: No such file"),
]


@pytest.mark.parametrize(("main", "reason"), STAYING)
def test_what_stays_with_postfix_is_named(
    site: Path, capsys: pytest.CaptureFixture[str], main: str, reason: str
) -> None:
    done = run(site, main, capsys)
    assert done.status == 1
    assert reason.replace("@", str(site)) in done.said
    assert "socketmap" not in done.main


def test_a_table_that_cannot_be_kept_stays_between_those_that_can(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    aged_file(site / "b.cf", TABLE + "chase_referrals = yes\n")
    done = run(site, "virtual_alias_domains =\nvirtual_alias_maps = ldap:@/a.cf ldap:@/b.cf ldap:@/c.cf\n", capsys)
    assert done.status == 1
    assert "b.cf stays: chase_referrals: referrals are not followed" in done.said
    assert list(done.config["maps"]) == ["virtual_alias_maps", "virtual_alias_maps_2"]
    assert "virtual_alias_maps: has 3 tables" in done.said


def test_without_a_main_cf_the_service_is_unavailable(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["import-postfix", str(tmp_path)]) == 69
    assert "No such file" in capsys.readouterr().err


def test_without_ldap_tables_there_is_nothing_to_do(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = run(site, "relay_domains = example.com\n", capsys)
    assert "names no ldap: table" in done.said


def test_comments_and_other_lines_stay() -> None:
    text = "# one\na = 1,\n# two\n  2\n\nb = 3\n"
    main = MainCf.of(text)
    assert changed_text(main, {"a": ["x", "y"], "c": ["z"]}) == "# one\n# two\na = x, y\n\nb = 3\nc = z\n"
    long = [f"check_sender_access t{n}:{'x' * 30}" for n in range(3)]
    listed = changed_text(main, {"b": [word for item in long for word in item.split()]})
    assert listed.endswith("b =\n" + "\n".join(f"    {item}" for item in long) + "\n")


@pytest.mark.parametrize(
    ("listen", "master", "warned"),
    [
        ("unix:/run/vmaild/x", "smtp inet n - y - - smtpd\n", True),
        ("unix:/run/vmaild/x", "smtp inet n - n - - smtpd\n", False),
        ("unix:/run/vmaild/x", "pickup unix n - y 60 1 pickup\n", False),
        ("unix:/var/spool/postfix/vmaild/x", "smtp inet n - y - - smtpd\n", False),
        ("inet:127.0.0.1:10143", "smtp inet n - y - - smtpd\n", False),
    ],
)
def test_a_socket_outside_of_the_chroot_is_a_trap(
    site: Path, capsys: pytest.CaptureFixture[str], listen: str, master: str, warned: bool
) -> None:
    aged_file(site / "master.cf", master)
    done = run(site, "queue_directory = /var/spool/postfix\nrelay_domains = ldap:@/a.cf\n", capsys, "--listen", listen)
    assert ("smtp/inet is chrooted" in done.said) == warned


def test_users_without_a_domain_need_a_plain_mydestination(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main = "local_recipient_maps = ldap:@/a.cf\nvirtual_alias_domains =\n"
    aged_file(site / "mailname", "origin.example\n")
    done = run(site, f"{main}mydestination = one.example, localhost\nmyorigin = @/mailname\n", capsys)
    assert done.config["postfix"] == {"mydestination": ["one.example", "localhost", "origin.example"]}
    assert done.config["maps"]["local_recipient_maps"]["keys"] == "local"
    assert done.status == 0
    assert cli.main(["check", "--offline", "-c", str(site / "out.toml")]) == 0
    capsys.readouterr()
    kept = run(site, f"{main}mydestination = hash:@/domains\n", capsys)
    assert "mydestination is no plain list of domains" in kept.said
    assert kept.status == 1


def test_transport_and_access_tables_become_maps(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = run(
        site,
        "transport_maps = ldap:@/a.cf\nsmtpd_recipient_restrictions = check_recipient_access ldap:@/b.cf, reject\n",
        capsys,
    )
    assert done.config["maps"]["transport_maps"]["keys"] == "transport"
    assert done.config["maps"]["b"]["keys"] == "access"


def test_localparts_are_looked_for_where_a_table_can_find_them(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    aged_file(site / "needs.cf", TABLE.replace("dc=example", "o=%d,dc=example"))
    aged_file(site / "listed.cf", f"{TABLE}domain = one.example\n")
    main = "mydestination = here.example\nvirtual_alias_domains =\nvirtual_alias_maps = "
    for listed, keys in (("needs listed", "address"), ("listed a", "local"), ("a needs", "local")):
        named = " ".join(f"ldap:@/{name}.cf" for name in listed.split())
        done = run(site, f"{main}{named}\n", capsys)
        assert done.config["maps"]["virtual_alias_maps"]["keys"] == keys
        assert len(done.config["maps"]) == 1
        assert ("postfix" in done.config) == (keys == "local")
    done = run(site, f"{main.replace('here.example', 'hash:/x')}ldap:@/a.cf\n", capsys)
    assert done.config["maps"]["virtual_alias_maps"]["keys"] == "address"
    assert "virtual_alias_maps: for a domain of mydestination Postfix looks for the localpart alone too" in done.said


def test_a_table_of_local_recipients_that_has_domains_needs_no_mydestination(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    aged_file(site / "listed.cf", f"{TABLE}domain = one.example\n")
    done = run(site, "local_recipient_maps = ldap:@/listed.cf\nmydestination = ldap:@/a.cf\n", capsys)
    assert done.status == 0
    assert done.config["maps"]["local_recipient_maps"]["keys"] == "address"
    assert done.config["maps"]["mydestination"]["keys"] == "domain"


def test_parents_are_looked_for_as_postfix_does(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main = "relay_domains = ldap:@/a.cf\ntransport_maps = ldap:@/b.cf\nasked = check_client_access ldap:@/c.cf\n"
    done = run(site, f"{main}smtpd_client_restrictions = check_helo_access ldap:@/c.cf\n", capsys)
    assert done.config["maps"]["relay_domains"]["keys"] == "access"
    assert "parent_domain_matches_subdomains" not in done.said
    main += "smtpd_client_restrictions = check_helo_access ldap:@/c.cf\n"
    done = run(site, f"{main}parent_domain_matches_subdomains = transport_maps\n", capsys)
    assert done.config["maps"]["relay_domains"]["keys"] == "transport"
    assert "has no smtpd_access_maps" in done.said
    assert "has transport_maps" in done.said


def test_logins_and_certificates_are_looked_for_as_they_are(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main = "smtpd_sender_restrictions = check_sasl_access ldap:@/a.cf, check_sender_access ldap:@/b.cf\n"
    done = run(site, main, capsys)
    assert {name: made["keys"] for name, made in done.config["maps"].items()} == {"a": "exact", "b": "access"}
