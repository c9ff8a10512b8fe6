"""audit --as: what a tenant may write and should not, tried on real servers, which are as before afterwards."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.hosting_slapd import HostingSlapd
from tests.support.ldap_client import dn, search
from tests.support.theft import POSTMASTERS
from vmaild.commands.audit_trials import Samples, judged, trials
from vmaild.demo.slapd import Slapd
from vmaild.demo.tree import ACCOUNT_PW, BASE, READER_DN, READER_PW, SEARCH_BASE, tree
from vmaild.directory.examine import Level
from vmaild.directory.trial_requests import NO_OPERATION, REPLACE, Add, Delete, Modify, Rename, result, trial
from vmaild.lookup import Entry

Run = Callable[..., tuple[int, str, str]]

LOOSE = f"""\
access to attrs=userPassword by self write by anonymous auth by * none
access to dn.regex="^(.+,)?o=([^,]+),{SEARCH_BASE}$"
    by group/organizationalRole/roleOccupant.expand="cn=postmaster,o=$2,{SEARCH_BASE}" write
    by * read
access to * by * read"""
"""Rules as a beginner writes them: an occupant writes all below the domain, and everybody reads everything."""

OPEN = LOOSE.replace("by anonymous auth by * none", "by anonymous auth by * read")
"""The same, with the passwords among what everybody reads."""


@pytest.fixture(scope="module")
def servers(service_home: Path) -> Iterator[dict[str, Slapd]]:
    found = {
        "loose": Slapd(service_home / "loose", ldif=tree(), access=LOOSE, syncprov=True),
        "open": Slapd(service_home / "open", ldif=tree(), access=OPEN, syncprov=True),
        "demo": Slapd(service_home / "demo", ldif=tree(), syncprov=True),
        "snippets": HostingSlapd(service_home / "snippets"),
    }
    try:
        for one in found.values():
            one.start()
        yield found
    finally:
        for one in found.values():
            one.close()


@pytest.fixture
def audit(servers: dict[str, Slapd], tmp_path: Path, vmaild: Run) -> Callable[..., tuple[int, str, str]]:
    """Runs ``audit --as`` on one of the servers."""

    def run(name: str, who: str = POSTMASTERS[1], *more: str, password: str = ACCOUNT_PW) -> tuple[int, str, str]:
        text = f"""
preset = "courier"
[directory]
uri = ["{servers[name].uri}"]
search_base = "{SEARCH_BASE}"
bind_dn = "{READER_DN}"
bind_pw = "{READER_PW}"
"""
        path, file = tmp_path / "vmaild.toml", tmp_path / "tenant"
        path.write_text(text)
        path.chmod(0o600)
        file.write_text(f"{password}\n")
        return vmaild("-c", str(path), "audit", "--as", who, "--as-pw-file", str(file), *more)

    return run


def findings(out: str) -> list[str]:
    return [line for line in out.splitlines() if " access " in line]


def everything(slapd: Slapd) -> str:
    return search(slapd, slapd.root_dn, slapd.root_pw, BASE, "(objectClass=*)", "*", "+")


def test_rules_that_let_an_occupant_write_all_below_the_domain_are_found(
    audit: Callable[..., tuple[int, str, str]],
) -> None:
    status, out, err = audit("loose")
    found = "\n".join(findings(out))

    assert (status, err) == (1, "")
    for wrong in (
        r"adds an account with mailbox domain1\.example/\w+/: reads and gets mail there",
        r"adds an account with mailbox domain2\.example/\.\./domain1\.example/\w+/",
        r"adds an account with homeDirectory /",
        r"adds an account with uidNumber 0",
        r"adds an account with the address \S+@domain1\.example",
        r"adds an object of class referral",
        r"sets mailbox to domain1\.example/\w+/, of domain1\.example: reads and gets its mail",
        r"sets homeDirectory to /",
        r"renames an entry to \S+@domain1\.example",
        r"makes administrators of domain2\.example",
        r"reads entries of domain1\.example",
    ):
        assert re.search(wrong, found), (wrong, found)
    for right in ("removes an account of", "sets a password of domain1", "adds a domain", "moves an entry", "told"):
        assert right not in found


def test_passwords_that_an_occupant_reads_are_found_his_own_domain_s_too(
    audit: Callable[..., tuple[int, str, str]],
) -> None:
    _, out, _ = audit("open")
    found = "\n".join(findings(out))
    for domain in ("domain1.example", "domain2.example"):
        assert f"this account reads passwords of {domain}" in found
    assert "reads passwords" not in audit("loose")[1]


def test_the_demo_s_rules_leave_the_rename_only(audit: Callable[..., tuple[int, str, str]]) -> None:
    status, out, err = audit("demo")
    (one,) = findings(out)
    assert (status, err) == (1, "")

    assert "renames an entry to" in one
    assert "olcRestrict: rename" in one


@pytest.mark.parametrize("who", POSTMASTERS, ids=["user1", "user3"])
def test_the_snippets_rules_leave_nothing(audit: Callable[..., tuple[int, str, str]], who: str) -> None:
    status, out, err = audit("snippets", who)

    # Of what is wrong in the tree itself there is something.
    assert (status, err) == (1, "")
    assert "tried as" in out
    assert findings(out) == []


def test_a_user_without_a_role_may_nothing(audit: Callable[..., tuple[int, str, str]]) -> None:
    status, out, _ = audit("demo", dn("user2@domain2.example"))

    assert status == 1
    assert "tried as" in out
    assert findings(out) == []


@pytest.mark.parametrize("name", ["loose", "demo", "snippets"])
def test_the_directory_is_as_before(
    servers: dict[str, Slapd], audit: Callable[..., tuple[int, str, str]], name: str
) -> None:
    """To the last operational attribute, and to the context of all changes."""
    before = everything(servers[name])
    assert "entryCSN" in before
    assert "contextCSN" in before or name == "snippets"

    assert audit(name)[0] == 1

    assert everything(servers[name]) == before


def test_the_daemon_s_findings_and_these_are_one_list_for_a_program(
    audit: Callable[..., tuple[int, str, str]],
) -> None:
    _, out, _ = audit("loose", POSTMASTERS[1], "--json")
    rules = {one["rule"] for one in json.loads(out)["problems"]}

    assert {"access", "role"} <= rules


def test_a_wrong_password_is_told_and_no_finding_is_claimed(audit: Callable[..., tuple[int, str, str]]) -> None:
    status, out, err = audit("demo", password="wrong")

    assert (status, out) == (75, "")
    assert "the server refused the bind" in err


def test_a_dn_of_no_domain_is_told(audit: Callable[..., tuple[int, str, str]]) -> None:
    status, _, err = audit("demo", READER_DN, password=READER_PW)

    assert status == 75
    assert "nothing to try" in err


def test_what_is_no_dn_is_told(audit: Callable[..., tuple[int, str, str]]) -> None:
    status, out, err = audit("demo", "postmaster@domain1.example")

    assert (status, out) == (75, "")
    assert "'postmaster@domain1.example' is no DN" in err


def test_without_a_password_file_it_is_told(vmaild: Run, audit: Callable[..., object], tmp_path: Path) -> None:
    audit("demo")
    status, _, err = vmaild("-c", str(tmp_path / "vmaild.toml"), "audit", "--as", POSTMASTERS[0])

    assert status == 78
    assert "--as-pw-file" in err


# --- the trials by themselves ---------------------------------------------------------------------------------------


def person(address: str) -> Entry:
    domain = address.partition("@")[2]
    values = {"objectclass": "courierMailAccount", "mail": address, "mailbox": f"{domain}/x/"}
    return Entry(f"mail={address},o={domain},o=h", {name: (value.encode(),) for name, value in values.items()})


def role(domain: str, *occupants: str) -> Entry:
    values = {"objectclass": (b"organizationalRole",), "cn": (b"postmaster",)}
    return Entry(f"cn=postmaster,o={domain},o=h", {**values, "roleoccupant": tuple(map(str.encode, occupants))})


def samples(*entries: Entry) -> Samples:
    made = Samples("o=h")
    for one in entries:
        made.add(one)
    return made


WHO = "mail=boss@one.example, O=One.example, o=h"


def test_the_domain_is_that_of_the_role_and_the_victim_another() -> None:
    made = samples(
        person("a@zero.example"), role("two.example", WHO), person("b@two.example"), person("boss@one.example")
    )

    tried = trials(made, WHO)

    assert tried[0].change == Modify("mail=b@two.example,o=two.example,o=h", REPLACE, "mailbox", ["two.example/x/"])
    assert any("zero.example" in one.meaning for one in tried[1:])


def test_with_one_domain_there_is_nothing_to_try() -> None:
    assert trials(samples(person("boss@one.example"), role("one.example", WHO)), WHO) == []


def test_results_are_judged() -> None:
    tried = trials(samples(person("boss@one.example"), person("a@two.example")), WHO)
    codes = [50, NO_OPERATION, 65, *[53] * (len(tried) - 3)]

    first, second = judged(tried, codes)

    assert (first.level, first.rule) == (Level.ERROR, "access")
    assert (second.level, "schema" in second.text) == (Level.WARNING, True)


@pytest.mark.parametrize(
    "change",
    [
        Add("mail=x,o=h", {"mail": ["x", "y"]}),
        Modify("o=h", REPLACE, "o", ["h" * 300]),
        Rename("o=h", "o=i"),
        Rename("o=h", "o=i", "o=j"),
        Delete("o=h"),
    ],
)
def test_every_request_has_the_critical_no_op_control(change: Add | Modify | Rename | Delete) -> None:
    control = b"\xa0\x1f\x30\x1d\x04\x18" + b"1.3.6.1.4.1.4203.666.5.2" + b"\x01\x01\xff"

    assert trial(7, change).endswith(control)


def test_a_result_of_two_bytes_is_read() -> None:
    message = bytes.fromhex("300d020107" + "6708" + "0a02410e" + "0400" + "0400")

    assert result(message, 2, 7) == NO_OPERATION
    assert result(message, 2, 8) is None
