"""The snapshot's file: a header, one line for each record, and a checksum. It blocks, so it is for a thread.

::

    {"vmaild": 1, "configuration": "...", "identity": "...", "written": 1790000000.0, "domains": [...], ...}
    ["0 user@d.example", "d.example/user/", 0, null]
    blake2b 5f1c...

A record's line has its key, which begins with the place of its group of maps among those of the configuration, and what
each map knows: a value; 0 for "the entry has nothing for this map"; null for what
is not kept. Bytes are written as Latin-1 text. ``FORMAT`` changes when the meaning of any of this does.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from vmaild.cache import Known
from vmaild.lookup import NODATA

FORMAT = 1

MAX_BYTES = 2 << 30
"""A file larger than this is not one of ours: a million records take 100 MB."""

BLOCK = 12 * 1024
"""Bytes of lines that are taken together: some 150 records, which is half a millisecond of work."""

_CHECKSUM = b"blake2b "


def line_of(key: bytes, known: Sequence[Known]) -> bytes | None:
    """The line of a record; None for one of which there is nothing to keep: a "not found" never is."""
    kept = [one.decode("latin-1") if type(one) is bytes else (0 if one is NODATA else None) for one in known]
    if not any(kept):
        return None
    return json.dumps([key.decode("latin-1"), *kept]).encode() + b"\n"


def records_of(lines: bytes) -> list[tuple[bytes, list[Known]]]:
    """Keys and knowledge of whole lines. Raises ValueError.

    All of them are parsed as one, which takes a fifth of the time of one after the other.
    """
    try:
        read = json.loads(b"[" + lines.rstrip(b"\n").replace(b"\n", b",") + b"]")
        return [_record(*one) for one in read]
    except (RecursionError, TypeError):
        raise ValueError("not a record") from None


def _record(key: object, *kept: object) -> tuple[bytes, list[Known]]:
    if type(key) is not str:
        raise ValueError("not a record")
    known: list[Known] = []
    for one in kept:
        if type(one) is str:
            known.append(one.encode("latin-1"))
        elif one is None:
            known.append(None)
        elif type(one) is int and one == 0:
            known.append(NODATA)
        else:
            raise ValueError("not a value")
    return key.encode("latin-1"), known


_writing = threading.Lock()
"""A thread goes on when nobody waits for it any more: the last snapshot must not meet another that is on its way."""


def write(path: Path, header: dict[str, Any], chunks: Iterable[bytes]) -> None:
    """Write the file in place of the one that is there, or leave that. Raises OSError."""
    with _writing:
        _write(path, header, chunks)


def _write(path: Path, header: dict[str, Any], chunks: Iterable[bytes]) -> None:
    temporary = path.with_name(f"{path.name}.new")
    checksum = hashlib.blake2b(digest_size=32)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            for chunk in (json.dumps({"vmaild": FORMAT, **header}).encode() + b"\n", *chunks):
                file.write(chunk)
                checksum.update(chunk)
            file.write(_CHECKSUM + checksum.hexdigest().encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def read(path: Path) -> tuple[dict[str, Any], list[bytes]]:
    """The header, and the lines in pieces of some ``BLOCK`` bytes: no step of it holds up the loop's thread.

    Raises OSError, and ValueError for a file that is damaged or of another format.
    """
    if path.stat().st_size > MAX_BYTES:
        raise ValueError("it is too large")
    checksum = hashlib.blake2b(digest_size=32)
    pieces: list[bytes] = []
    last = b""
    for piece in _pieces(path):
        pieces.append(last)
        checksum.update(last)
        last = piece
    before, _, end = last.rstrip(b"\n").rpartition(b"\n")
    if not end.startswith(_CHECKSUM) or not last.endswith(b"\n"):
        raise ValueError("its end is missing")
    body = before + b"\n" if before else b""
    checksum.update(body)
    if checksum.hexdigest().encode() != end.removeprefix(_CHECKSUM):
        raise ValueError("its checksum is wrong")
    first, *others = filter(None, (*pieces, body))
    line, _, rest = first.partition(b"\n")
    return _header(line), [piece for piece in (rest, *others) if piece]


def _header(line: bytes) -> dict[str, Any]:
    try:
        header = json.loads(line)
    except RecursionError:
        raise ValueError("its beginning is no header") from None
    if not isinstance(header, dict) or header.get("vmaild") != FORMAT:
        raise ValueError("it is of another version")
    return header


def _pieces(path: Path) -> Iterator[bytes]:
    """The file's whole lines, some ``BLOCK`` bytes at a time, and what stands after the last of them."""
    rest = b""
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            whole, newline, after = block.rpartition(b"\n")
            if newline:
                yield rest + whole + newline
                rest = after
            else:
                rest += block
    if rest:
        yield rest
