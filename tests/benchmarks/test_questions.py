"""Expectation files."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.load.questions import Line, expectations, format_line, is_right, read_keys, read_lines
from vmaild.lookup import NOT_FOUND, Reply, Status, found, temporary

MAP = b"virtual_mailbox_maps"

TEXT = b"""\
# accounts
virtual_mailbox_maps\tUser@One.example\tOK\tone.example/user/

virtual_mailbox_maps\tany value@one.example\tOK
virtual_mailbox_maps\tgone@one.example\tNOTFOUND
virtual_alias_maps\tabuse@one.example\tOK\ta@x.example,b@y.example
virtual_alias_maps\t*\tNOTFOUND
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "expected.tsv"
    path.write_bytes(TEXT)
    return path


def test_an_answer_is_looked_up_by_map_and_folded_key(file: Path) -> None:
    right = expectations(read_lines(file))
    assert right(MAP, b"uSER@one.EXAMPLE") == found(b"one.example/user/")
    assert right(b"virtual_alias_maps", b"user@one.example") == NOT_FOUND


def test_a_key_without_a_line_is_not_checked(file: Path) -> None:
    assert expectations(read_lines(file))(MAP, b"other@one.example") is None


@pytest.mark.parametrize(
    ("expected", "reply", "right"),
    [
        (found(b"a/"), found(b"a/"), True),
        (found(b"a/"), found(b"b/"), False),
        (found(b"a/"), NOT_FOUND, False),
        (Reply(Status.FOUND), found(b"b/"), True),
        (NOT_FOUND, NOT_FOUND, True),
        (NOT_FOUND, temporary("down"), False),
        (NOT_FOUND, found(b"a/"), False),
        (Reply(Status.TEMPORARY), temporary("whatever"), True),
    ],
)
def test_a_reply_is_right_or_wrong(expected: Reply, reply: Reply, right: bool) -> None:
    assert is_right(expected, reply) is right


def test_lines_survive_being_written_and_read(file: Path) -> None:
    lines = list(read_lines(file))
    file.write_bytes(b"".join(format_line(line) for line in lines))
    assert list(read_lines(file)) == lines


def test_the_keys_of_an_expectation_file_are_those_of_the_map(file: Path) -> None:
    assert read_keys(file, MAP) == [b"User@One.example", b"any value@one.example", b"gone@one.example"]
    assert read_keys(file, b"virtual_alias_maps") == [b"abuse@one.example"]


def test_a_plain_list_of_keys_is_taken_whole(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_bytes(b"a@one.example\r\n\n# no key\nb b@one.example\n")
    assert read_keys(path, MAP) == [b"a@one.example", b"b b@one.example"]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [(b"map\tkey\n", "separated by tabs"), (b"map\tkey\tMAYBE\n", "MAYBE"), (b"map\tkey\tOK\t\n", "empty")],
)
def test_a_line_that_cannot_be_read_is_named(tmp_path: Path, line: bytes, complaint: str) -> None:
    path = tmp_path / "expected.tsv"
    path.write_bytes(b"# first\n" + line)
    with pytest.raises(ValueError, match=rf"expected.tsv, line 2: .*{complaint}"):
        list(read_lines(path))


def test_a_line_says_what_it_is() -> None:
    assert format_line(Line(MAP, b"k", NOT_FOUND)) == b"virtual_mailbox_maps\tk\tNOTFOUND\n"
    assert format_line(Line(MAP, b"k", found(b"v"))) == b"virtual_mailbox_maps\tk\tOK\tv\n"
