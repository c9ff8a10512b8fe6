"""The snippets for Postfix, read by Postfix's own tools, and the ldap: table in a real delivery."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.directory import BAD_MAILBOXES, account
from vmaild.demo.postfix import Postfix
from vmaild.demo.slapd import Slapd
from vmaild.demo.tree import BASE, READER_DN, READER_PW, SEARCH_BASE, tree
from vmaild.listening import parse_address
from vmaild.tables.presets import courier

SNIPPETS = Path(__file__).parents[2] / "postfix-snippets"
DELIVERY_SECONDS = 30
# Else postconf looks the machine's own name up, which takes seconds where DNS is slow.
HOST_NAME = "myhostname = mail.myhosting.example\n"


def postconf(directory: Any, *arguments: Any) -> Any:
    """The settings that ``postconf`` shows. It must not warn, as it does about an unknown parameter."""
    result = subprocess.run(
        ["postconf", "-c", str(directory), *arguments], capture_output=True, check=True, text=True, timeout=60
    )
    assert result.stderr == ""
    settings = dict(re.split(r"\s*=\s*", line, maxsplit=1) for line in result.stdout.splitlines())
    return {name: value for name, value in settings.items() if name not in ("config_directory", "myhostname")}


@pytest.fixture
def configuration(tmp_path: Path) -> Any:
    """Makes a configuration directory of main.cf snippets, with master.cf where one is named."""

    def write(*names: Any, master: str = "") -> Any:
        snippets = [(SNIPPETS / name).read_text() for name in names]
        (tmp_path / "main.cf").write_text("".join([HOST_NAME, *snippets]))
        (tmp_path / "master.cf").write_text((SNIPPETS / master).read_text() if master else "")
        return tmp_path

    return write


def test_socketmap_snippet_sets_the_three_tables_and_no_alias_domains(configuration: Any) -> None:
    at = "socketmap:inet:127.0.0.1:10143"
    assert postconf(configuration("main.cf"), "-n") == {
        "virtual_mailbox_domains": f"{at}:virtual_mailbox_domains",
        "virtual_mailbox_maps": f"{at}:virtual_mailbox_maps",
        "virtual_alias_maps": f"{at}:virtual_alias_maps",
        "virtual_alias_domains": "",
        "recipient_delimiter": "+",
    }


def test_postconf_does_warn_about_a_mistake(configuration: Any) -> None:
    directory = configuration("main.cf")
    (directory / "main.cf").write_text(f"{HOST_NAME}virtual_mailbox_map = static:x\n")
    with pytest.raises(AssertionError, match="unused parameter"):
        postconf(directory, "-n")


def test_each_socketmap_names_a_map_of_the_preset() -> None:
    found = re.findall(r"^#?\w+\s*= socketmap:(.*):(\w+)$", (SNIPPETS / "main.cf").read_text(), re.MULTILINE)
    assert {str(parse_address(address)) for address, _ in found} == {"inet:127.0.0.1:10143"}
    assert {name for _, name in found} <= set(courier(SEARCH_BASE))
    assert len(found) == 4


def test_tcp_snippet_sets_the_same_parameters_and_explains_each_listener(configuration: Any) -> None:
    over_tcp = postconf(configuration("main.cf.tcp"), "-n")
    assert set(over_tcp) == set(postconf(configuration("main.cf"), "-n"))
    text = (SNIPPETS / "main.cf.tcp").read_text()
    ports = set()
    for name in ("virtual_alias_maps", "virtual_mailbox_domains", "virtual_mailbox_maps"):
        address = f"inet:{over_tcp[name].removeprefix('tcp:')}"
        ports.add(address)
        assert f"{address} for {name}" in text or (f'address = "{address}"' in text and f'map = "{name}"' in text)
    assert len(ports) == 3


@pytest.mark.parametrize("names", [("main.cf", "main.cf.lmtp"), ("main.cf", "main.cf.virtual")])
def test_a_table_snippet_and_a_delivery_snippet_go_together(configuration: Any, names: Any) -> None:
    settings = postconf(configuration(*names), "-n")
    assert settings["virtual_transport"] in ("virtual", "lmtp:unix:private/dovecot-lmtp")
    assert settings["virtual_alias_domains"] == ""


def test_master_snippet_gives_virtual_its_own_table(configuration: Any) -> None:
    directory = configuration("main.cf", "main.cf.virtual", master="master.cf.virtual")
    tables = [directory / "ldap-mailbox.cf", directory / "ldap-mailbox-wait.cf"]
    for table in tables:
        table.write_text((SNIPPETS / table.name).read_text())
    master = directory / "master.cf"
    # postconf opens the table and warns about what it does not know in there.
    master.write_text(master.read_text().replace("/etc/postfix", str(directory)))
    assert postconf(directory, "-P") == {
        "virtual/unix/virtual_mailbox_maps": ",".join(f"ldap:{table}" for table in tables)
    }


def test_every_table_type_is_one_that_this_postfix_has(configuration: Any) -> None:
    directory = configuration("main.cf")
    command = ["postconf", "-c", str(directory), "-m"]
    kinds = subprocess.run(command, capture_output=True, check=True, text=True).stdout.split()
    assert {"socketmap", "tcp", "ldap", "static"} <= set(kinds)


def test_the_readme_names_every_snippet() -> None:
    readme = (SNIPPETS / "README.md").read_text()
    files = [path.relative_to(SNIPPETS) for path in SNIPPETS.rglob("*") if path.is_file()]
    assert [str(path) for path in files if f"`{path}`" not in readme] == ["README.md"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A directory that the users postfix and openldap may traverse, which pytest's own are not."""
    path = Path(tempfile.mkdtemp(prefix="vmaild-snippets-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def slapd(home: Any) -> Iterator[Any]:
    server = Slapd(home / "slapd", ldif=tree())
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def mailbox_table(slapd: Any, home: Any) -> Any:
    """virtual(8)'s tables as the snippets have them, with this server and its password."""
    return ",".join(f"ldap:{filled_in(slapd, home, name)}" for name in ("ldap-mailbox.cf", "ldap-mailbox-wait.cf"))


def filled_in(slapd: Any, home: Any, name: Any) -> Any:
    text = (SNIPPETS / name).read_text()
    assert READER_DN in text
    assert SEARCH_BASE in text
    assert SEARCH_BASE.endswith(BASE)
    path = home / name
    path.write_text(text.replace("ldap://127.0.0.1:389", slapd.uri).replace("CHANGE-ME", READER_PW))
    # As the snippet says: virtual(8) has given up root when it reads the table.
    shutil.chown(path, "root", "postfix")
    path.chmod(0o640)
    return path


def test_the_mailbox_table_finds_accounts_and_nothing_else(mailbox_table: Any, home: Any) -> None:
    postfix = Postfix(home / "lookup", {})
    postfix.configure()
    first, wait = mailbox_table.split(",")
    assert postfix.lookup(first, "user1@domain1.example").value == "domain1.example/user1/"
    for absent in ("sales@domain1.example", "nobody@domain1.example", "user1@elsewhere.example", "user1"):
        assert postfix.lookup(first, absent).not_found
        assert postfix.lookup(wait, absent).not_found


@pytest.mark.parametrize("mailbox", BAD_MAILBOXES.values(), ids=BAD_MAILBOXES)
def test_an_account_whose_mailbox_leaves_its_domain_is_put_off_and_never_found(
    slapd: Any, mailbox_table: Any, home: Any, mailbox: Any
) -> None:
    """The first table does not show where it points, and the second makes virtual(8) try again later."""
    postfix = Postfix(home / "lookup", {})
    postfix.configure()
    first, wait = mailbox_table.split(",")
    slapd.add(account("thief@domain2.example", mailbox=mailbox))
    try:
        assert postfix.lookup(first, "thief@domain2.example").not_found
        answer = postfix.lookup(wait, "thief@domain2.example")
        assert (answer.status, answer.value, answer.not_found) == (1, "", False), answer
    finally:
        slapd.modify(f"dn: mail=thief@domain2.example,o=domain2.example,{SEARCH_BASE}\nchangetype: delete\n")


def test_mail_for_an_account_that_the_server_lacks_waits_with_the_last_table(mailbox_table: Any, home: Any) -> None:
    """A server that is not loaded yet, or behind, lacks it; without the table the mail is returned."""
    settings = {"virtual_mailbox_domains": "domain1.example", "virtual_mailbox_maps": "static:exists"}
    table = f"{mailbox_table},regexp:{SNIPPETS / 'mailbox-nobody.regexp'}"
    postfix = Postfix(home / "lacking", settings, mailbox_table=table)
    postfix.start()
    try:
        postfix.send(["user9@domain1.example", "user2+tag@domain1.example"], "not everywhere yet")
        end = time.monotonic() + DELIVERY_SECONDS
        while time.monotonic() < end and not re.search(r"to=<user9@.*status=", postfix.log_text()):
            time.sleep(0.05)
        assert re.search(r"to=<user9@.*dsn=4\..*status=deferred", postfix.log_text()), postfix.log_text()
        while time.monotonic() < end and not postfix.delivered("not everywhere yet"):
            time.sleep(0.05)
        assert postfix.delivered("not everywhere yet") == {"domain1.example/user2/": 1}
    finally:
        postfix.close()


def test_virtual_delivers_into_the_maildir_that_the_table_names(mailbox_table: Any, home: Any) -> None:
    settings = {"virtual_mailbox_domains": "domain1.example", "virtual_mailbox_maps": "static:exists"}
    postfix = Postfix(home / "postfix", settings, mailbox_table=mailbox_table)
    postfix.start()
    try:
        postfix.send(["user1@domain1.example", "user1+tag@domain1.example"], "by the snippet")
        end = time.monotonic() + DELIVERY_SECONDS
        while postfix.queued() and time.monotonic() < end:
            time.sleep(0.05)
        assert postfix.delivered("by the snippet") == {"domain1.example/user1/": 2}, postfix.log_text()
    finally:
        postfix.close()
