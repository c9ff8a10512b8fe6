"""snippets: every file is listed without code, and filled in from a configuration; the wheel has them all."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from vmaild.commands.snippet_files import FOLDER, UNITS, Snippet, filled, named, snippets
from vmaild.commands.snippet_values import common_suffix, normal_pattern, values
from vmaild.config import load

ROOT = Path(__file__).parents[2]

Run = Callable[..., tuple[int, str, str]]

OTHER = """
recipient_delimiter = "-"
preset = "courier"

[directory]
uri = ["ldaps://ldap1.other.test", "ldaps://ldap2.other.test"]
search_base = "OU=Mail (new), O=Other+L=There"
bind_dn = "cn=reader,O=Other+L=There"
bind_pw = "a-secret-of-the-site"
tls_ca_cert_file = "{ca}"

[[listen]]
address = "inet:127.0.0.1:2001"

[[listen]]
address = "inet:[::1]:2002"
protocol = "tcp_table"
map = "virtual_alias_maps"

[[listen]]
address = "inet:127.0.0.1:2003"
protocol = "tcp_table"
map = "virtual_mailbox_domains"

[[listen]]
address = "unix:/var/spool/postfix/private/vmaild"

[http]
address = "inet:127.0.0.1:2009"
"""


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A configuration in which nothing is as in the HOWTO."""
    path = tmp_path / "other.toml"
    ca = tmp_path / "ca.pem"
    key = tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    subprocess.run([*command, "-subj", "/CN=ca", "-keyout", str(key), "-out", str(ca)], check=True, capture_output=True)
    path.write_text(OTHER.replace("{ca}", str(ca)))
    path.chmod(0o600)
    return path


@pytest.fixture
def printed(other: Path, vmaild: Run) -> Callable[[str], str]:
    """What ``vmaild snippets NAME`` prints for that configuration."""

    def run(name: str) -> str:
        status, out, err = vmaild("-c", str(other), "snippets", name)
        assert (status, err) == (0, "")
        return out

    return run


def test_every_file_is_listed_with_what_it_is_for(vmaild: Run) -> None:
    status, out, _ = vmaild("snippets")
    listed = {tuple(line.split()[:2]) for line in out.splitlines()}
    files = [path.relative_to(ROOT / FOLDER) for path in (ROOT / FOLDER).rglob("*") if path.is_file()]
    wanted = {
        (path.parts[0] if len(path.parts) > 1 else "postfix", path.name) for path in files if path.name != "README.md"
    }
    wanted |= {(UNITS, path.name) for path in (ROOT / UNITS).iterdir() if path.is_file()}

    assert status == 0
    assert listed == wanted
    assert all(len(line.split()) > 4 for line in out.splitlines())


def test_a_new_file_is_a_snippet_without_code(tmp_path: Path) -> None:
    for folder in (FOLDER, f"{FOLDER}/grafana", UNITS):
        (tmp_path / folder).mkdir()
    (tmp_path / FOLDER / "main.cf.new").write_text("# What is new. And more.\nx = y\n")
    (tmp_path / FOLDER / "grafana/vmaild.json").write_text('{"title": "vmaild"}\n')
    (tmp_path / FOLDER / "grafana/README.md").write_text("# not one\n")
    (tmp_path / UNITS / "vmaild.timer").write_text("[Timer]\n")

    found = [(one.kind, one.name, one.title) for one in snippets(tmp_path)]

    assert found == [
        ("grafana", "vmaild.json", ""), ("postfix", "main.cf.new", "What is new"), ("systemd", "vmaild.timer", ""),
    ]  # fmt: skip


def test_one_is_named_by_its_name_or_with_its_kind() -> None:
    known = [Snippet("a", "x", "1"), Snippet("b", "x", "2"), Snippet("b", "y", "3")]

    assert [one.text for one in named("y", known)] == ["3"]
    assert [one.text for one in named("a/x", known)] == ["1"]
    assert [one.text for one in named("x", known)] == ["1", "2"]


@pytest.mark.parametrize(("name", "word"), [("main.cg", "did you mean 'main.cf'"), ("", "lists them")])
def test_an_unknown_one_is_refused(vmaild: Run, name: str, word: str) -> None:
    status, out, err = vmaild("snippets", name or "no-such")

    assert (status, out) == (64, "")
    assert word in err


def test_postfix_is_told_the_listener_and_the_delimiter(printed: Callable[[str], str]) -> None:
    text = printed("main.cf")

    assert "\nvirtual_alias_maps      = socketmap:inet:127.0.0.1:2001:virtual_alias_maps\n" in text
    assert "\nrecipient_delimiter = -\n" in text
    assert "10143" not in text


def test_a_unix_socket_is_named_from_postfix_s_queue_directory(printed: Callable[[str], str]) -> None:
    text = printed("main.cf.unix")

    assert "= socketmap:unix:private/vmaild:virtual_alias_maps" in text
    assert 'address = "unix:/var/spool/postfix/private/vmaild"' in text


def test_each_tcp_table_has_its_port_where_there_is_one(printed: Callable[[str], str]) -> None:
    text = printed("main.cf.tcp")

    assert "virtual_alias_maps      = tcp:[::1]:2002" in text
    assert "virtual_mailbox_domains = tcp:127.0.0.1:2003" in text
    assert "virtual_mailbox_maps    = tcp:127.0.0.1:10146" in text


def test_ldap_tables_get_servers_base_account_and_certificate_but_no_password(
    printed: Callable[[str], str], other: Path
) -> None:
    text = printed("ldap-mailbox.cf")

    assert "server_host      = ldaps://ldap1.other.test ldaps://ldap2.other.test\n" in text
    assert "search_base      = o=%d,OU=Mail (new), O=Other+L=There\n" in text
    assert "bind_dn          = cn=reader,O=Other+L=There\n" in text
    assert f"\ntls_ca_cert_file = {other.parent / 'ca.pem'}\n" in text
    assert "bind_pw          = CHANGE-ME\n" in text


def test_slapd_s_rules_get_the_base_also_as_a_pattern(printed: Callable[[str], str]) -> None:
    text = printed("slapd/access.ldif")

    assert 'dn.subtree="OU=Mail (new), O=Other+L=There"' in text
    assert r',ou=mail \(new\),o=other\+l=there$"' in text
    assert 'by dn.exact="cn=reader,O=Other+L=There" read' in text
    assert 'by dn.exact="cn=imap,O=Other+L=There"' in text


def test_the_socket_unit_has_a_line_for_each_listener(printed: Callable[[str], str]) -> None:
    text = printed("vmaild.socket")

    assert re.findall(r"^ListenStream=(.*)", text, re.MULTILINE) == [
        "127.0.0.1:2001", "[::1]:2002", "127.0.0.1:2003", "/var/spool/postfix/private/vmaild",
    ]  # fmt: skip


def test_nothing_of_the_example_is_left_and_no_secret_is_told(printed: Callable[[str], str]) -> None:
    for one in snippets():
        text = printed(f"{one.kind}/{one.name}")
        left = re.findall(r"dc=myhosting|ldap://127\.0\.0\.1:389|127\.0\.0\.1:1014[345]\b|127\.0\.0\.1:9143", text)
        # What listens beside the first is an example in comments of the unit.
        assert left == [] or one.name == "vmaild.socket", one
        assert "a-secret-of-the-site" not in text


def test_where_the_directory_is_asked_with_starttls_all_programs_do_so(other: Path, vmaild: Run) -> None:
    text = other.read_text().replace("ldaps://", "ldap://").replace("bind_pw = ", "start_tls = true\nbind_pw = ")
    other.write_text(text)

    def lines(name: str) -> list[str]:
        return vmaild("-c", str(other), "snippets", name)[1].splitlines()

    assert "start_tls        = yes" in lines("ldap-mailbox.cf")
    assert not any(line.split() == ["start_tls", "=", "no"] for line in lines("ldap-mailbox.cf"))


def test_what_the_configuration_does_not_have_stays_as_in_the_example(tmp_path: Path) -> None:
    path = tmp_path / "vmaild.toml"
    path.write_text(
        'preset = "courier"\n[directory]\nuri = "ldapi://"\nsearch_base = "o=x"\n'
        '[[listen]]\naddress = "unix:/var/spool/postfix/private/vmaild"\n'
    )
    found = values(load(path, {}))

    assert found["socketmap:inet:127.0.0.1:10143:"] == "socketmap:unix:private/vmaild:", "Postfix finds it all the same"
    for absent in ("inet:127.0.0.1:10143", "127.0.0.1:9143", "127.0.0.1:10144", "start_tls        = no"):
        assert absent not in found
    assert not any(name.startswith("cn=vmaild") for name in found)


def test_every_example_value_is_in_some_snippet(other: Path) -> None:
    texts = [one.text for one in snippets()]
    monitors = "127.0.0.1:9143"

    assert [key for key in values(load(other)) if key != monitors and not any(key in text for text in texts)] == []


def test_without_a_configuration_the_examples_stay(
    vmaild: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("vmaild.commands.snippets.DEFAULT_PATH", tmp_path / "none.toml")
    status, out, err = vmaild("-c", str(tmp_path / "none.toml"), "snippets", "main.cf")

    assert (status, out) == (0, (ROOT / FOLDER / "main.cf").read_text())
    assert "the values are examples" in err


def test_with_a_broken_configuration_every_problem_is_told(vmaild: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text('preset = "nothing"\n')
    status, out, err = vmaild("-c", str(tmp_path / "bad.toml"), "snippets", "main.cf")

    assert (status, out) == (78, "")
    assert "preset" in err


def test_programs_get_json(vmaild: Run, other: Path) -> None:
    _, listed, _ = vmaild("snippets", "--json")
    _, one, _ = vmaild("-c", str(other), "snippets", "--json", "main.cf.lmtp")

    assert ("postfix", "main.cf") in [(entry["kind"], entry["name"]) for entry in json.loads(listed)]
    assert json.loads(one)["text"] == (ROOT / FOLDER / "main.cf.lmtp").read_text()


def test_the_longer_example_is_replaced_and_nothing_twice() -> None:
    assert filled("ab a abc", {"a": "ab", "ab": "a", "abc": "X"}) == "a ab X"
    assert filled("text", {}) == "text"


@pytest.mark.parametrize(
    ("names", "suffix"),
    [
        (("o=hosting,dc=a,dc=b", "cn=reader,dc=a,dc=b"), "dc=a,dc=b"),
        (("o=hosting,dc=a,dc=b", "cn=reader,ou=x,DC=A, dc=b"), "dc=a,dc=b"),
        (("o=hosting,dc=a", "cn=reader,dc=b"), ""),
        (("o=hosting,dc=a,dc=b", ""), "dc=a,dc=b"),
        (("", ""), ""),
        (("o=hosting,dc=a", "no dn"), ""),
    ],
)
def test_the_suffix_is_what_base_and_account_have_in_common(names: tuple[str, str], suffix: str) -> None:
    assert common_suffix(*names) == suffix


def test_a_pattern_matches_the_dn_as_slapd_has_it_and_nothing_else() -> None:
    pattern = normal_pattern("O=Hosting , DC=a.b , dc=c")

    assert re.fullmatch(pattern, "o=hosting,dc=a.b,dc=c")
    assert not re.fullmatch(pattern, "o=hosting,dc=axb,dc=c")


def test_the_wheel_has_every_snippet_and_the_benchmark(tmp_path: Path) -> None:
    """Built for real; and the list in pyproject.toml, which names the units one by one, is complete."""
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    units = {f"{UNITS}/{path.name}" for path in (ROOT / UNITS).iterdir() if path.is_file()}
    assert {name for name in listed["force-include"] if name.startswith(UNITS)} == units

    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        wheel.extractall(tmp_path / "site")
    at = tmp_path / "site/vmaild/data"
    assert snippets(at) == snippets(ROOT)
    assert (at / "benchmarks/__main__.py").exists()
    assert not list(at.rglob("debian"))


def test_the_installed_package_lists_and_runs_them(tmp_path: Path) -> None:
    """Away from the checkout, as pip installs it."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        wheel.extractall(tmp_path / "site")

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "vmaild", *arguments],
            check=True, capture_output=True, text=True, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path / "site")},
        )  # fmt: skip
        return done.stdout

    assert "dovecot.conf" in run("snippets")
    assert "python -m benchmarks load" in run("benchmark", "load", "--help")
    # Was: "unrecognized arguments: --help".
    assert "PROGRAM" in run("benchmark", "--help")
