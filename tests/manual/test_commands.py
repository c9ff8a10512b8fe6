"""What ``make papers`` runs: found by rule in every paper, and each exception to the rule is still needed."""

from __future__ import annotations

import re

import pytest

from tests.manual.commands import PAGES, forms, told
from tests.manual.judged import AROUND, JUDGED, LEFT, SHORT, TERMINAL, VALUES, WHOLE, typed
from tests.manual.run_commands import merged

ALL = [one for page in PAGES for one in told(page)]
COMMANDS = {one.text for one in ALL if one.kind == "command"}


@pytest.mark.parametrize(
    "command",
    [
        "make demo",
        "/opt/vmaild/bin/pip install .",
        "postmap -q user2@domain2.example socketmap:inet:127.0.0.1:10143:virtual_mailbox_maps",
        "systemctl reset-failed vmaild.service vmaild.socket; systemctl restart vmaild.socket vmaild.service",
        ".venv/bin/python -m pytest -k canary",
        "vmaild audit --json --bind-dn DN --bind-pw-file FILE --as DN --as-pw-file FILE",
        "vmaild compare -c vmaild.toml virtual_alias_maps /var/log/mail.log",
        "vmaild flush MAP KEY",
        "ldapadd -Y EXTERNAL -H ldapi:/// -f courier.ldif",
        "install -d -o root -g root -m 0755 /var/spool/postfix/vmaild",
    ],
)
def test_a_command_is_found(command: str) -> None:
    assert command in COMMANDS


def test_a_literal_block_has_a_form_that_is_known() -> None:
    assert [one.page for one in ALL if not one.kind] == ["README.md", "ARCHITECTURE.md"]


@pytest.mark.parametrize(
    ("synopsis", "commands"),
    [
        ("status", ["status"]),
        ("status Oo Fl -json Oc", ["status", "status --json"]),
        ("top Oo Fl d | Fl -delay Ar SECONDS Oc", ["top", "top --delay SECONDS"]),
        ("cache show Oo Fl -json Oc Ar KEY", ["cache show KEY", "cache show --json KEY"]),
        ("check Oo Fl -postfix Oo Ar DIR Oc Oc", ["check", "check --postfix DIR"]),
        ("compare Ar MAP | FILE.cf Ar KEYS", ["compare MAP KEYS"]),
    ],
)
def test_a_synopsis_is_what_is_required_and_everything(synopsis: str, commands: list[str]) -> None:
    assert list(forms(synopsis)) == commands


@pytest.mark.parametrize("text", [*LEFT, *SHORT])
def test_what_is_left_or_shortened_is_told(text: str) -> None:
    assert [command for command in COMMANDS if command == text or (text.startswith("--") and text in command)]


@pytest.mark.parametrize("start", [*JUDGED, *TERMINAL])
def test_what_is_judged_is_told(start: str) -> None:
    assert [command for command in COMMANDS if start in command]


@pytest.mark.parametrize("pattern", [*WHOLE, *VALUES, *AROUND])
def test_what_is_replaced_is_told(pattern: str) -> None:
    assert [one for one in ALL if re.search(pattern, one.text)]


@pytest.mark.parametrize(
    ("told", "command"),
    [
        ("vmaild query MAP KEY", "vmaild query virtual_mailbox_maps user2@domain2.example"),
        (
            "vmaild import-postfix DIR --listen ADDRESS",
            "vmaild import-postfix /etc/postfix --listen inet:127.0.0.1:10149",
        ),
        ("systemctl enable --now vmaild@NAME.socket", "systemctl enable --now vmaild@second.socket"),
        ("vmaild check -c /etc/vmaild/%i.toml", "vmaild check -c /etc/vmaild/second.toml"),
        ("make fuzz", "make fuzz SECONDS=1"),
    ],
)
def test_names_that_stand_for_something_are_replaced(told: str, command: str) -> None:
    assert typed(told) == command


def test_a_piece_of_configuration_takes_the_place_of_what_it_names() -> None:
    whole = 'preset = "courier"\n[directory]\nuri = ["ldap://a"]\nsearch_base = "o=b"\n'
    piece = '[directory]\nuri = ["ldap://c"]\n[maps.x]\nkeys = "exact"\n'
    assert merged(whole, piece).splitlines() == [
        "preset = '''courier'''",
        "directory = {\"uri\" = ['''ldap://c'''], \"search_base\" = '''o=b'''}",
        "maps = {\"x\" = {\"keys\" = '''exact'''}}",
    ]
