"""What is asked, in which order and protocol, and what is right: README.md has the form of expectation files. Pure."""

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate, cycle
from pathlib import Path
from typing import NamedTuple

from vmaild.lookup import Reply, Request, Status
from vmaild.wire import socketmap, tcp_table

ANY = b"*"
DRAWN = 1000
"""Keys that are drawn at a time, which is faster than one by one."""
CODECS = {"socketmap": socketmap, "tcp_table": tcp_table, "echo": socketmap}
"""``echo`` is no protocol of Postfix's: the server sends the request back, which is the least that any can do."""


class Line(NamedTuple):
    map_name: bytes
    key: bytes
    expected: Reply


def expectations(lines: Iterable[Line]) -> Callable[[bytes, bytes], Reply | None]:
    """A function of map and key that returns the right answer; ``None`` where the lines do not say."""
    by_key = {(line.map_name, line.key.lower()): line.expected for line in lines}
    return lambda map_name, key: by_key.get((map_name, key.lower())) or by_key.get((map_name, ANY))


def is_right(expected: Reply, reply: Reply) -> bool:
    """True when ``reply`` has the kind and, of an OK, the value that are expected, where one is."""
    any_text = expected.status is not Status.FOUND or not expected.text
    return reply.status is expected.status and (any_text or reply.text == expected.text)


def read_lines(path: Path) -> Iterator[Line]:
    """The lines of an expectation file. Raises ``ValueError`` that names file and line."""
    kinds = {status.value: status for status in Status}
    for number, fields in _fields(path):
        if len(fields) < 3 or fields[2] not in kinds or fields[2:] == [b"OK", b""]:
            want = "map, key, one of OK, NOTFOUND, TEMP and PERM, perhaps a value, not empty, separated by tabs"
            raise ValueError(f"{path}, line {number}: {b' '.join(fields)!r} is not {want}")
        yield Line(fields[0], fields[1], Reply(kinds[fields[2]], b"".join(fields[3:])))


def read_keys(path: Path, map_name: bytes) -> list[bytes]:
    """The keys of a file: of the map's lines of an expectation file, or a plain list with one key on each line."""
    lines = ([map_name, *fields] if len(fields) == 1 else fields for _, fields in _fields(path))
    return [key for name, key, *_ in lines if name == map_name and key != ANY]


def format_line(line: Line) -> bytes:
    """A line as ``read_lines`` takes it, with its newline."""
    text = filter(None, [line.expected.text])
    return b"\t".join((line.map_name, line.key, line.expected.status.value, *text)) + b"\n"


def _fields(path: Path) -> Iterator[tuple[int, list[bytes]]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if (text := line.rstrip(b"\r\n")) and not text.startswith(b"#"):
                yield number, text.split(b"\t", 3)


class Question(NamedTuple):
    """A request ready for the wire, and what is known about its answer: byte by byte, where only one is right."""

    wire: bytes
    key: bytes
    expected: Reply | None = None
    expected_wire: bytes = b""


def question(protocol: str, map_name: bytes, key: bytes, expected: Reply | None) -> Question:
    """The question for ``key`` in one of ``CODECS``."""
    wire = CODECS[protocol].encode_request(Request(map_name, key))
    if protocol == "echo":
        return Question(wire, key, Reply(Status.FOUND), wire)
    only_one = expected and (expected.text or expected.status is Status.NOT_FOUND)
    return Question(wire, key, expected, CODECS[protocol].encode_reply(expected) if only_one else b"")


class Questions:
    """An endless iterable of questions: ``unknown`` and ``cold`` are shares from 0 to 1, ``zipf`` is the exponent.

    ``hot`` is how many keys are hot, 0 for half of them, or all of the only kind that is asked for; then it is their
    questions. ``reused`` cold keys were asked again, and no misses. Raises ``ValueError`` for shares that cannot be.
    """

    def __init__(
        self, keys: Sequence[bytes], question: Callable[[bytes], Question], *, unknown: float = 0.0, cold: float = 0.0,
        zipf: float = 0.0, hot: int = 0, seed: int = 1,
    ) -> None:  # fmt: skip
        known = 1.0 - min(1.0, unknown + cold)
        if min(unknown, cold, zipf) < 0 or unknown + cold > 1:
            raise ValueError("shares of keys, and Zipf's exponent, are 0 or more; both shares together at most 1")
        hot = hot or (len(keys) if not cold else len(keys) // 2 if known else 0)
        if not keys[:hot] and known:
            raise ValueError("there are no keys to ask for")
        if cold and not keys[hot:]:
            raise ValueError("there are no cold keys: give more keys, or fewer hot ones")
        self.hot, self.reused = [question(key) for key in keys[:hot]], 0
        self._keys, self._cold, self._question = keys, keys[hot:], question
        self._shares, self._zipf, self._seed, self._random = (unknown, cold, known), zipf, seed, random.Random(seed)

    def __iter__(self) -> Iterator[Question]:
        kinds = (self._unknown_keys(), self._cold_keys(), self._hot_keys())
        while True:
            yield from map(next, self._random.choices(kinds, self._shares, k=DRAWN))

    def _hot_keys(self) -> Iterator[Question]:
        # In another order, or else the popular keys would be those of the file's first domain.
        questions = self._random.sample(self.hot, len(self.hot))
        weights = list(accumulate(rank**-self._zipf for rank in range(1, len(questions) + 1)))
        while True:
            yield from self._random.choices(questions, cum_weights=weights, k=DRAWN)

    def _cold_keys(self) -> Iterator[Question]:
        for number, key in enumerate(cycle(self._cold), 1):
            self.reused = max(0, number - len(self._cold))
            yield self._question(key)

    def _unknown_keys(self) -> Iterator[Question]:
        for number, key in enumerate(cycle(self._keys)):
            yield self._question(b"no-such-user-%x-%x@%s" % (self._seed, number, key.rpartition(b"@")[2]))
