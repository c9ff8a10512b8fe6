"""What the right answer to a key is, read from a file.

The file is text with one line for each key, its fields separated by tabs::

    virtual_mailbox_maps	user2@domain2.example	OK	domain2.example/user2/
    virtual_mailbox_maps	gone@domain2.example	NOTFOUND
    virtual_mailbox_maps	*	NOTFOUND

that is map, key, OK or NOTFOUND or TEMP or PERM, and the value of an OK (left out: any value is right). The key
``*`` stands for each key of the map that has no line; without it such keys are not checked. Empty lines and lines
that begin with ``#`` say nothing. Keys are compared without regard to case, as Postfix and vmaild do; values as bytes.

The same file serves as list of keys (``--keys``) and as the table of the dict server (``benchmarks.site.references``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from vmaild.lookup import Reply, Status

ANY = b"*"

_KINDS = {status.value: status for status in Status}


class Expected(NamedTuple):
    """The right answer: its kind, and its value; ``None`` where every value is right."""

    status: Status
    value: bytes | None = None

    def met_by(self, reply: Reply) -> bool:
        """True when ``reply`` is right. The reason of a failure is never compared."""
        if reply.status is not self.status:
            return False
        return self.status is not Status.FOUND or self.value is None or reply.text == self.value

    def __str__(self) -> str:
        value = b"" if self.value is None else b" " + self.value
        return (self.status.value + value).decode(errors="backslashreplace")


class Line(NamedTuple):
    """One line of the file."""

    map_name: bytes
    key: bytes
    expected: Expected


class Expectations:
    """The right answers by map and key."""

    def __init__(self, lines: Iterable[Line] = ()) -> None:
        self._by_key = {(line.map_name, line.key.lower()): line.expected for line in lines}

    def of(self, map_name: bytes, key: bytes) -> Expected | None:
        """The right answer to ``key``; ``None`` where the file does not say."""
        expected = self._by_key.get((map_name, key.lower()))
        return self._by_key.get((map_name, ANY)) if expected is None else expected


def read_lines(path: Path) -> Iterator[Line]:
    """The lines of an expectation file. Raises ``ValueError`` that names file and line."""
    with path.open("rb") as file:
        for number, text in enumerate(file, 1):
            text = text.rstrip(b"\r\n")
            if text and not text.startswith(b"#"):
                yield _line(text, f"{path}, line {number}")


def read_keys(path: Path, map_name: bytes) -> list[bytes]:
    """The keys of a file: of the map's lines of an expectation file, or a plain list with one key on each line."""
    keys = []
    with path.open("rb") as file:
        for text in file:
            text = text.rstrip(b"\r\n")
            if not text or text.startswith(b"#"):
                continue
            fields = text.split(b"\t")
            if len(fields) == 1:
                keys.append(text)
            elif fields[0] == map_name and fields[1] != ANY:
                keys.append(fields[1])
    return keys


def format_line(line: Line) -> bytes:
    """A line as ``read_lines`` takes it, with its newline."""
    fields = [line.map_name, line.key, line.expected.status.value]
    if line.expected.value is not None:
        fields.append(line.expected.value)
    return b"\t".join(fields) + b"\n"


def _line(text: bytes, where: str) -> Line:
    fields = text.split(b"\t", 3)
    if len(fields) < 3:
        raise ValueError(f"{where}: want map, key and kind of answer, separated by tabs")
    status = _KINDS.get(fields[2])
    if status is None:
        raise ValueError(f"{where}: {fields[2].decode(errors='backslashreplace')!r} is no kind of answer")
    value = fields[3] if len(fields) == 4 else None
    if status is Status.FOUND and value == b"":
        raise ValueError(f"{where}: an OK cannot have an empty value")
    return Line(fields[0], fields[1], Expected(status, value))
