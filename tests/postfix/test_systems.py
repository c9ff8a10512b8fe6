"""The LDAP tables of well-known mail systems are imported, and every key has Postfix's answer from vmaild."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.oracle import vmaild_side
from tests.oracle.conftest import aged
from tests.oracle.differences import MEANT, explain
from tests.oracle.model import Model
from tests.oracle.postfix_side import Postmap
from tests.oracle.searching import Searches
from tests.oracle.trees import Node
from tests.postfix import more_systems
from tests.postfix.systems import SUFFIX, System
from tests.support.patching import patched
from vmaild import cli
from vmaild.demo.slapd import Slapd
from vmaild.demo.slapd_conf import SCHEMAS
from vmaild.demo.tree import SCHEMA_FILE
from vmaild.postfix.lines import settings

SYSTEMS = more_systems.SYSTEMS
STRUCTURAL = {
    "person": {"sn": "x"},
    "posixGroup": {"gidNumber": "1"},
    "domain": {},
    "dNSDomain": {},
    "courierMailAlias": {},
    "groupOfUniqueNames": {},
    "account": {},
}
"""Structural classes of slapd's own schemas, with what they must have."""


NEVER_FOUND = {("zentyal", "useraliases")}
"""``otherMailbox`` of OpenLDAP's cosine.schema has no equality rule, as that of Zentyal's Samba has."""


def base(name: str) -> str:
    return f"ou={name},{SUFFIX}"


def ldif() -> str:
    """The trees of all systems."""
    nodes = [Node(SUFFIX, [("objectClass", "domain"), ("dc", "example")])]
    for name, system in SYSTEMS.items():
        nodes.append(Node(base(name), [("objectClass", "organizationalUnit"), ("ou", name)]))
        nodes += [node(f"{rdn},{base(name)}", kinds, values, base(name)) for rdn, kinds, values in system.entries]
    return "".join(node.ldif() for node in nodes)


def node(dn: str, kinds: str, values: dict[str, str | list[str]], under: str) -> Node:
    attribute, _, value = dn.partition(",")[0].partition("=")
    classes = [*kinds.split(), "extensibleObject"]
    structural = [kind for kind in classes if kind in STRUCTURAL]
    needed = dict(STRUCTURAL[structural[0]]) if structural else {"cn": value}
    given = {attribute: value, "cn": value, **needed, **values}
    classes += [] if structural else ["organizationalRole"]
    pairs = [("objectClass", kind) for kind in classes]
    for key, listed in given.items():
        pairs += [(key, one.replace("@BASE@", under)) for one in ([listed] if isinstance(listed, str) else listed)]
    return Node(dn, list(dict.fromkeys(pairs)))


def schema() -> str:
    """Attributes and classes of the systems that slapd's own schemas lack, all of the simplest kind."""
    files = [*(SCHEMAS / f"{name}.schema" for name in ("core", "cosine", "nis")), SCHEMA_FILE]
    text = "".join(file.read_text() for file in files)
    named = re.findall(r"attributetype\s*\(\s*\S+\s+NAME\s+(\([^)]*\)|'[^']*')", text, re.IGNORECASE)
    known = {one.lower() for names in named for one in re.findall(r"'([^']+)'", names)}
    known |= {"cn", "objectclass", "userpassword", "extensibleobject", "organizationalrole"}
    attributes, classes = set(), set()
    for system in SYSTEMS.values():
        for rdn, kinds, values in system.entries:
            attributes |= {rdn.partition("=")[0], *values}
            classes |= set(kinds.split())
        for text in system.tables.values():
            attributes |= set(re.findall(r"\(([A-Za-z]+)=", text))
    attributes = set({name.lower(): name for name in sorted(attributes)}.values())
    classes = set({name.lower(): name for name in sorted(classes)}.values())
    lines = [
        f"attributetype ( 2.999.1.{n} NAME '{name}' EQUALITY caseIgnoreMatch SUBSTR caseIgnoreSubstringsMatch"
        " SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )"
        for n, name in enumerate(sorted(attributes), 1)
        if name.lower() not in known
    ]
    lines += [
        f"objectclass ( 2.999.2.{n} NAME '{name}' SUP top AUXILIARY )"
        for n, name in enumerate(sorted(classes), 1)
        if name not in STRUCTURAL
    ]
    return "\n".join([*lines, ""])


@pytest.fixture(scope="module")
def slapd(service_home: Path) -> Iterator[Slapd]:
    file = service_home / "systems.schema"
    file.write_text(schema())
    config = (f"include {file}", f"defaultsearchbase {SUFFIX}")
    with Slapd(service_home / "slapd", base=SUFFIX, ldif=ldif(), access="", config=config) as running:
        yield running


def write_site(home: Path, name: str, uri: str) -> Path:
    """The system's Postfix directory."""
    system, directory = SYSTEMS[name], home / name
    directory.mkdir(exist_ok=True)
    texts = {"main.cf": "compatibility_level = 3.7\n" + system.main, "master.cf": ""}
    texts |= {file_name(table): system.server + text for table, text in system.tables.items()}
    for file, text in texts.items():
        filled = text.replace("@DIR@", str(directory)).replace("@URI@", uri).replace("@BASE@", base(name))
        (directory / file).write_text(filled)
        aged(directory / file)
    return directory


def file_name(table: str) -> str:
    return table if "." in table else f"{table}.cf"


def tables() -> Iterator[object]:
    for name, system in SYSTEMS.items():
        for table in system.tables:
            yield pytest.param(name, table, id=f"{name}-{table}")


@pytest.mark.parametrize(("name", "table"), list(tables()))
def test_every_key_has_the_same_answer(service_home: Path, slapd: Slapd, name: str, table: str) -> None:
    directory = write_site(service_home, name, slapd.uri)
    file = directory / file_name(table)
    keys = [*SYSTEMS[name].keys, *(key.upper() for key in SYSTEMS[name].keys)]
    theirs = Postmap(directory).answers(file, keys, [None] * len(keys))
    ours = vmaild_side.answers(file, keys)
    with Searches(slapd.uri) as searches:
        model = Model(settings(file.read_text()).values, searches.find)
        unexplained = {
            key: (their, our)
            for key, their, our in zip(keys, theirs, ours, strict=True)
            if our != their and not set(explain(model, key, our) or ["?"]) <= set(MEANT)
        }
    assert unexplained == {}
    found = any(isinstance(answer, str) for answer in theirs)
    assert found == ((name, table) not in NEVER_FOUND), "no key is found at all"


@pytest.mark.parametrize("name", SYSTEMS)
def test_each_imported_map_finds_what_postfix_finds_in_its_tables(
    service_home: Path, slapd: Slapd, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    directory = write_site(service_home, name, slapd.uri)
    toml, keys = tmp_path / "vmaild.toml", tmp_path / "keys"
    cli.main(["import-postfix", str(directory), "--output", str(toml), "--diff", str(tmp_path / "diff")])
    listed = dict.fromkeys([*SYSTEMS[name].keys, *(key.replace("@", "+ext@") for key in SYSTEMS[name].keys)])
    keys.write_text("".join(f"{key}\n" for key in listed))
    capsys.readouterr()
    maps = [found[1] for found in re.finditer(r"^\[maps\.(\S+)\]$", toml.read_text(), re.MULTILINE)]
    assert maps
    for one in maps:
        status = cli.main(["compare", "--postfix-config", str(directory), "-c", str(toml), one, str(keys)])
        said = capsys.readouterr().out
        assert status in (0, 1)
        assert said.count("cause:") == len(re.findall("cause: +(?!not known)", said)), f"{one}\n{said}"
        assert f"{len(listed)} keys" in said


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_site_is_imported(
    service_home: Path, slapd: Slapd, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    system: System = SYSTEMS[name]
    directory = write_site(service_home, name, slapd.uri)
    toml, diff = tmp_path / "vmaild.toml", tmp_path / "main.diff"
    status = cli.main(["import-postfix", str(directory), "--output", str(toml), "--diff", str(diff)])
    said = capsys.readouterr().err
    for text in (*system.stays, system.warned):
        assert text in said
    assert status == (1 if system.stays else 0), said
    main = directory / "main.cf"
    main.write_text(patched(main.read_text(), diff.read_text()))
    aged(main)
    command = ["postconf", "-c", str(directory), "-x", "-h", "virtual_mailbox_domains", "virtual_alias_maps"]
    changed = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "socketmap:inet:127.0.0.1:10143:" in changed.stdout
    assert "ldap:" not in changed.stdout
    if status == 0:
        assert cli.main(["check", "--offline", "-c", str(toml)]) == 0
