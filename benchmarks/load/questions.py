"""What is asked in each protocol, and what the right answers are, read from an expectation file.

The file is text with one line for each key, its fields separated by tabs::

    virtual_mailbox_maps	user2@domain2.example	OK	domain2.example/user2/
    virtual_mailbox_maps	gone@domain2.example	NOTFOUND
    virtual_mailbox_maps	*	NOTFOUND

that is map, key, OK or NOTFOUND or TEMP or PERM, and the value of an OK (left out: any value is right). The key
``*`` stands for each key of the map that has no line; without it such keys are not checked. Empty lines and lines
that begin with ``#`` say nothing. Keys are compared without regard to case, as Postfix and vmaild do; values as bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from vmaild.lookup import Reply, Request, Status
from vmaild.wire import socketmap, tcp_table

ANY = b"*"

_KINDS = {status.value: status for status in Status}


class Expected(NamedTuple):
    """The right answer: its kind, and its value; ``None`` where every value is right."""

    status: Status
    value: bytes | None = None

    def met_by(self, reply: Reply) -> bool:
        """True when ``reply`` is right. The reason of a failure is never compared."""
        any_value = self.status is not Status.FOUND or self.value is None
        return reply.status is self.status and (any_value or reply.text == self.value)

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
        return self._by_key.get((map_name, key.lower())) or self._by_key.get((map_name, ANY))


def read_lines(path: Path) -> Iterator[Line]:
    """The lines of an expectation file. Raises ``ValueError`` that names file and line."""
    for number, text in _texts(path):
        try:
            yield _line(text)
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}") from None


def read_keys(path: Path, map_name: bytes) -> list[bytes]:
    """The keys of a file: of the map's lines of an expectation file, or a plain list with one key on each line."""
    lines = [text.split(b"\t") for _, text in _texts(path)]
    return [fields[-1] if len(fields) == 1 else fields[1] for fields in lines if _wanted(fields, map_name)]


def format_line(line: Line) -> bytes:
    """A line as ``read_lines`` takes it, with its newline."""
    value = () if line.expected.value is None else (line.expected.value,)
    return b"\t".join((line.map_name, line.key, line.expected.status.value, *value)) + b"\n"


def _texts(path: Path) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as file:
        texts = ((number, text.rstrip(b"\r\n")) for number, text in enumerate(file, 1))
        yield from ((number, text) for number, text in texts if text and not text.startswith(b"#"))


def _wanted(fields: list[bytes], map_name: bytes) -> bool:
    return len(fields) == 1 or (fields[0] == map_name and fields[1] != ANY)


def _line(text: bytes) -> Line:
    fields = text.split(b"\t", 3)
    if len(fields) < 3:
        raise ValueError("want map, key and kind of answer, separated by tabs")
    status = _KINDS.get(fields[2])
    if status is None:
        raise ValueError(f"{fields[2].decode(errors='backslashreplace')!r} is no kind of answer")
    value = fields[3] if len(fields) == 4 else None
    if status is Status.FOUND and value == b"":
        raise ValueError("an OK cannot have an empty value")
    return Line(fields[0], fields[1], Expected(status, value))


class Question(NamedTuple):
    """A request ready for the wire, and what is known about its answer: byte by byte, where only one is right."""

    wire: bytes
    key: bytes
    expected: Expected | None = None
    expected_wire: bytes | None = None


@dataclass(frozen=True, slots=True)
class Codec:
    """How requests are written, and replies are written and read."""

    encode_request: Callable[[Request], bytes]
    encode_reply: Callable[[Reply], bytes]
    replies: Callable[[], socketmap.SocketmapReplies | tcp_table.TcpTableReplies]
    echoes: bool = False

    def question(self, map_name: bytes, key: bytes, expected: Expected | None) -> Question:
        """The question for ``key``."""
        wire = self.encode_request(Request(map_name, key))
        if self.echoes:
            return Question(wire, key, Expected(Status.FOUND), wire)
        only = None
        if expected is not None and expected.status is Status.FOUND and expected.value:
            only = Reply(Status.FOUND, expected.value)
        elif expected is not None and expected.status is Status.NOT_FOUND:
            only = Reply(Status.NOT_FOUND)
        return Question(wire, key, expected, self.encode_reply(only) if only else None)


_SOCKETMAP = (socketmap.encode_request, socketmap.encode_reply, socketmap.SocketmapReplies)

CODECS = {
    "socketmap": Codec(*_SOCKETMAP),
    "tcp_table": Codec(tcp_table.encode_request, tcp_table.encode_reply, tcp_table.TcpTableReplies),
    # No protocol of Postfix's: the server sends the request back, which is the least that any can do.
    "echo": Codec(*_SOCKETMAP, echoes=True),
}
