"""README, CONTRIBUTING, SECURITY and ARCHITECTURE: short enough, and naming only what there is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from vmaild.commands.texts import DESCRIPTIONS
from vmaild.manual import pages

ROOT = Path(__file__).parents[2]
PAPERS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "ARCHITECTURE.md")]
COMMANDS = {words.split()[0] for words in DESCRIPTIONS} | {"--version"}
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

ALL = pytest.mark.parametrize("paper", [*PAPERS, *pages()], ids=lambda paper: paper.name)


def words_after(name: str, text: str) -> Iterator[str]:
    """What follows ``name`` where it begins a command: in an indented line, a literal or a path."""
    return (match[1] for match in re.finditer(rf'(?:`|Ql "?|Dl |^    |/){name} (-?-?[a-z-]+)', text, re.MULTILINE))


@ALL
def test_a_command_that_is_named_is_there(paper: Path) -> None:
    assert set(words_after("vmaild", paper.read_text())) <= COMMANDS


@ALL
def test_a_target_of_make_that_is_named_is_there(paper: Path) -> None:
    assert set(words_after("make", paper.read_text())) <= TARGETS


@pytest.mark.parametrize("paper", PAPERS, ids=lambda paper: paper.name)
def test_a_file_that_is_named_is_there(paper: Path) -> None:
    named = re.findall(r"`((?:tests|vmaild|benchmarks|systemd|postfix-snippets)/[\w./@-]*)`", paper.read_text())
    named += [target for target in re.findall(r"\]\(([^)]+)\)", paper.read_text()) if "://" not in target]
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_the_readme_takes_five_minutes() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150
