"""The manual pages: what the program makes them, well-formed, and complete."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import vmaild
from tests.directory.certificates import Authority
from vmaild import errors
from vmaild.cli import main
from vmaild.commands.texts import DESCRIPTIONS
from vmaild.config import load
from vmaild.manual import EXAMPLE, FOLDER, filled, pages
from vmaild.manual import __main__ as manual_program
from vmaild.manual.mdoc import prose
from vmaild.tables.presets import PRESETS

ALL = pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)


def shown(name: str) -> str:
    """A page as a reader sees it, on one line."""
    run = subprocess.run(["mandoc", "-T", "utf8", FOLDER / name], capture_output=True, text=True, check=True)
    return " ".join(re.sub(r".\x08", "", run.stdout).split())


def test_there_are_five_pages() -> None:
    names = ["vmaild-maps.5", "vmaild-metrics.7", "vmaild-operations.7", "vmaild.8", "vmaild.toml.5"]
    assert [page.name for page in pages()] == names


@ALL
def test_a_page_is_what_the_program_makes_it(page: Path) -> None:
    text = page.read_text()
    assert filled(text) == text, "run: python -m vmaild.manual"
    assert '.\\" made: ' in text or page.name == "vmaild-operations.7"


@ALL
def test_mandoc_has_nothing_to_say(page: Path) -> None:
    found = subprocess.run(["mandoc", "-T", "lint", page], capture_output=True, text=True, check=False).stdout
    # Other packages' pages, and these before they are installed, are not on the path here.
    assert [line for line in found.splitlines() if "referenced manual not found" not in line] == []


@ALL
def test_man_shows_a_page_without_a_warning(page: Path) -> None:
    run = subprocess.run(["man", "--warnings", "-l", page], capture_output=True, text=True, check=True)
    assert run.stderr == ""
    assert run.stdout


@ALL
def test_a_page_refers_to_pages_that_there_are(page: Path) -> None:
    ours = {f"{other.stem} {other.suffix[1:]}" for other in pages()}
    named = set(re.findall(r"^\.Xr \(? ?(vmaild\S*) (\d)", page.read_text(), re.MULTILINE))
    assert {f"{name} {section}" for name, section in named} <= ours


def test_a_different_page_is_noticed() -> None:
    page = (FOLDER / "vmaild.toml.5").read_text()
    changed = page.replace(".It Ic negative_ttl Pq Li 30", ".It Ic negative_ttl Pq Li 31")
    assert changed != page
    assert filled(changed) == page


def reasons() -> Iterator[str]:
    """What Postfix may read behind TEMP or PERM: the exceptions' reasons, and those written where they are used."""
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, errors.LookupFailure):
            yield kind.reason
    for path in Path(vmaild.__file__).parent.rglob("*.py"):
        if "migration" not in path.parts:
            yield from re.findall(r"\b(?:temporary|permanent)\(\"([^\"]+)\"\)", path.read_text())


@pytest.mark.parametrize("reason", sorted(set(reasons())))
def test_every_reason_that_postfix_may_log_is_explained(reason: str) -> None:
    assert reason in shown("vmaild-operations.7")


def test_every_command_has_its_description() -> None:
    page = (FOLDER / "vmaild.8").read_text()
    listed = re.findall(r"^\.It Ic ([a-z -]+?)(?: Oo.*| Ar.*)?$", page, re.MULTILINE)
    assert sorted(listed) == sorted(DESCRIPTIONS)


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_has_its_place(preset: str) -> None:
    assert f"\n.Ss {preset}\n" in (FOLDER / "vmaild-maps.5").read_text()


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("One. Two.", ["One.", "Two."]),
        ("As ``ttl``, or ``a b``.", ["As", ".Ic ttl ,", "or", '.Ql "a b" .']),
        ("See cleanup(8).", ["See", ".Xr cleanup 8 ."]),
        ("With ``--json`` (``No``).", ["With", ".Fl -json", r".Ql ( \&No ) ."]),
        (r"'quoted' and \ too", [r"\&'quoted' and \e too"]),
        ("word " * 30, [("word " * 15).strip(), ("word " * 15).strip()]),
    ],
)
def test_plain_text_becomes_mdoc(text: str, lines: list[str]) -> None:
    assert list(prose(text)) == lines


@pytest.fixture
def password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The password, as systemd hands it to the service."""
    (tmp_path / "bind_pw").write_text("secret\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    return tmp_path


def test_the_example_is_accepted(password: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--offline", "-c", str(EXAMPLE)]) == 0
    assert capsys.readouterr().err == ""


def test_what_the_example_comments_out_is_accepted_too(password: Path) -> None:
    certificates = Authority(password).ca
    text = re.sub(r"^#(?=[a-z\[])", "", EXAMPLE.read_text(), flags=re.MULTILINE)
    file = password / "vmaild.toml"
    file.write_text(text.replace("/etc/ssl/certs/ca-certificates.crt", str(certificates)))
    config = load(file)
    assert len(config.listen) == 3
    assert "transport" in config.maps.tables


def test_the_program_writes_what_differs_and_with_check_only_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    old, right = tmp_path / "old.5", tmp_path / "right.5"
    right.write_text((FOLDER / "vmaild.toml.5").read_text())
    old.write_text(right.read_text().replace("negative_ttl Pq Li 30", "negative_ttl Pq Li 31"))
    monkeypatch.setattr(manual_program, "pages", lambda: [old, right])

    monkeypatch.setattr("sys.argv", ["manual", "--check"])
    assert (manual_program.main(), capsys.readouterr().out) == (1, "old.5: differs\n")
    assert old.read_text() != right.read_text()
    monkeypatch.setattr("sys.argv", ["manual"])
    assert (manual_program.main(), capsys.readouterr().out) == (0, "old.5: written\n")
    assert old.read_text() == right.read_text()
    monkeypatch.setattr("sys.argv", ["manual", "--check"])
    assert (manual_program.main(), capsys.readouterr().out) == (0, "")
