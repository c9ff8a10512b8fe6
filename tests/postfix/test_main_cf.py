"""main.cf and master.cf are read as Postfix reads them; its own postconf is asked the same."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from vmaild.postfix import macros, master_cf
from vmaild.postfix.files import postconf_defaults, read_site
from vmaild.postfix.lines import logical_lines, settings
from vmaild.postfix.main_cf import DEFAULTS, MainCf
from vmaild.postfix.tables import table_names, words

MAIN = """\
# A comment
compatibility_level = 3.6
myhostname = mail.example.com
mydomain=example.com

  # a comment that is indented
one = first
   second
# in between

\tthird
two   =   $one and ${one}, $(one)
dollars = a$$b
if_set = ${one?yes $mydomain}
if_not = ${one:no}
empty =
if_empty = ${empty?yes}${empty:no}
both = ${one?{set}:{not set}} ${empty?{set}:{not set}} ${ one ? { $mydomain } : { x } }
colons = ${one?a:b:c}
same = ${{$one} == {first   second third}?{same}:{different}}
numbers = ${{9} < {10}?less} ${{9} < {1x}?text} ${{10} >= {10}} ${{a} != {a}:equal}
level = ${{$compatibility_level} <level {3.10} ? {older} : {newer}} ${{$compatibility_level} >=level {3.6} ? {at least}}
nested = ${one?{${empty?{a}:{b ${mydomain}}}}:{c}}
undefined = <$nothing_of_the_kind>
equals = a = b == c
again = 1
again = 2
hash = value # not a comment
"""


def expanded_by_postconf(directory: Path, names: list[str]) -> dict[str, str]:
    command = ["postconf", "-c", str(directory), "-x", *names]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return settings(done.stdout).values


@pytest.fixture
def site(tmp_path: Path) -> Path:
    # postconf shows parameters of one's own only where something names them.
    names = " ".join(settings(MAIN).values)
    (tmp_path / "main.cf").write_text(f"{MAIN}smtpd_restriction_classes = {names}\n")
    (tmp_path / "master.cf").touch()
    for file in tmp_path.iterdir():
        os.utime(file, (0, 0))
    return tmp_path


def test_values_are_expanded_as_postconf_does(site: Path) -> None:
    main = read_site(site).main
    names = list(main.settings.values)
    theirs = expanded_by_postconf(site, names)
    # postconf prints each run of blanks as one.
    assert {name: " ".join(main.value(name).split()) for name in names} == {
        name: " ".join(value.split()) for name, value in theirs.items()
    }
    assert main.value("both") == "set not set  example.com "
    assert main.value("one") == "first   second\tthird"


def test_defaults_come_from_postconf(site: Path) -> None:
    main = read_site(site).main
    asked = ["virtual_alias_domains", "mydestination", "relay_domains", "virtual_transport", "local_recipient_maps"]
    assert {name: main.value(name) for name in asked} == expanded_by_postconf(site, asked)
    assert "virtual_alias_maps" not in main
    assert len(postconf_defaults(site)) > 800


def test_defaults_are_known_where_there_is_no_postconf(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = postconf_defaults(site)
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    assert postconf_defaults(site) is DEFAULTS
    differing = {name: (text, installed.get(name)) for name, text in DEFAULTS.items() if installed.get(name) != text}
    assert set(differing) <= {"alias_maps", "config_directory", "compatibility_level"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("${unclosed", "'}' is missing"),
        ("$", "without a name"),
        ("$-x", "without a name"),
        ("${bad name}", "no parameter name"),
        ("${a?{b}c}", "':' is expected"),
        ("${a:{b}c}", "unexpected text"),
        ("${{a} =~ {b}}", "a comparison is expected"),
        ("${{a} == {b} c}", "'?' or ':' is expected"),
        ("$loop", "name each other"),
    ],
)
def test_what_stops_postfix_is_an_error(text: str, said: str) -> None:
    values = {"a": "x", "loop": "$pool", "pool": "$loop"}
    with pytest.raises(ValueError, match=said.replace("?", r"\?")):
        macros.expand(text, values.get)


def test_the_names_in_a_value_are_found() -> None:
    assert macros.names("$virtual_maps, ${other}:x") == ["virtual_maps", "other"]
    assert macros.names("${") == []


def test_lines_know_where_they_stand() -> None:
    lines = logical_lines("\n# c\na = 1\n\n  2\n# c\nb = 3")
    assert [(line.first, line.last, line.text) for line in lines] == [(3, 5, "a = 1  2"), (7, 7, "b = 3")]


def test_odd_lines_are_named() -> None:
    found = settings("  stray\nno equals\n= 3\nx = 1\nx = 2\ntwo words = 3\n")
    assert found.values == {"x": "2"}
    assert [text.partition(":")[0] for text in found.problems] == ["line 2", "line 3", "line 6"]
    assert [text.partition(":")[0] for text in found.warnings] == ["line 1", "line 5"]


def test_a_source_in_main_cf_is_expanded() -> None:
    main = MainCf.of("mydomain = d.example\nldapusers_domain = $mydomain\nldapusers_bind = no\nldapusersx_bind = yes\n")
    assert main.source("ldapusers") == {"domain": "d.example", "bind": "no"}


def test_table_lists_are_split_as_postfix_does() -> None:
    tables = table_names("hash:/etc/aliases,proxy:ldap:/etc/postfix/a.cf\n ldap:users inline:{ a=b, c=d } example.com")
    assert [(table.type, table.name, table.proxied) for table in tables] == [
        ("hash", "/etc/aliases", False),
        ("ldap", "/etc/postfix/a.cf", True),
        ("ldap", "users", False),
        ("inline", "{ a=b, c=d }", False),
        ("", "example.com", False),
    ]
    assert tables[1].is_ldap
    assert tables[1].is_file
    assert not tables[2].is_file
    assert words(" , a ,, b ") == ["a", "b"]


MASTER = """\
# service type private unpriv chroot wakeup maxproc command
smtp      inet  n       -       y       -       -       smtpd
submission inet n - n - - smtpd
  -o syslog_name=postfix/submission
  -o { smtpd_sender_restrictions = check_sender_access ldap:/etc/postfix/access.cf, permit }
  -osmtpd_tls_security_level=encrypt -v
virtual   unix  -       n       n       -       -       virtual
    -o virtual_mailbox_maps=ldap:/etc/postfix/mailboxes.cf
cleanup   unix  n       -       -       -       0       cleanup
too few columns
"""


def test_master_cf_tells_overrides_and_chroot(site: Path) -> None:
    found = master_cf.services(MASTER)
    assert [(service.title, service.chroot) for service in found] == [
        ("smtp/inet", True),
        ("submission/inet", False),
        ("virtual/unix", False),
        ("cleanup/unix", False),
    ]
    (site / "master.cf").write_text(MASTER.replace("too few columns\n", ""))
    command = ["postconf", "-c", str(site), "-P"]
    theirs = settings(subprocess.run(command, capture_output=True, text=True, check=True).stdout).values
    ours = {f"{service.title}/{name}": value for service in found for name, value in service.overrides.items()}
    assert ours == theirs


def test_only_files_opens_files() -> None:
    package = Path(master_cf.__file__).parent
    doing = re.compile(r"^(?:import|from) (?:os|pathlib|subprocess|shutil|socket|asyncio)\b", re.MULTILINE)
    assert [path.name for path in sorted(package.glob("*.py")) if doing.search(path.read_text())] == ["files.py"]
