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
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from vmaild.cache import Known
from vmaild.lookup import NODATA

FORMAT = 1

MAX_BYTES = 2 << 30
"""A file larger than this is not one of ours: a million records take 100 MB."""

_CHECKSUM = b"blake2b "


def line_of(key: bytes, known: Sequence[Known]) -> bytes | None:
    """The line of a record; None for one of which there is nothing to keep: a "not found" never is."""
    kept = [one.decode("latin-1") if type(one) is bytes else (0 if one is NODATA else None) for one in known]
    if not any(kept):
        return None
    return json.dumps([key.decode("latin-1"), *kept]).encode() + b"\n"


def record_of(line: bytes) -> tuple[bytes, list[Known]]:
    """Key and knowledge of a line. Raises ValueError."""
    try:
        read = json.loads(line)
    except RecursionError:
        raise ValueError("not a record") from None
    if not (isinstance(read, list) and read and isinstance(read[0], str)):
        raise ValueError("not a record")
    key, *kept = read
    known: list[Known] = []
    for one in kept:
        if not (one is None or isinstance(one, str) or (type(one) is int and one == 0)):
            raise ValueError("not a value")
        known.append(one.encode("latin-1") if isinstance(one, str) else (None if one is None else NODATA))
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
    """Header and lines. Raises OSError, and ValueError for a file that is damaged or of another format."""
    if path.stat().st_size > MAX_BYTES:
        raise ValueError("it is too large")
    checksum = hashlib.blake2b(digest_size=32)
    lines: list[bytes] = []
    last = b""
    with path.open("rb") as content:
        # Line by line: work on all of it at once would hold the interpreter, and the loop with it.
        for line in content:
            if last:
                checksum.update(last)
                lines.append(last)
            last = line
    if not last.startswith(_CHECKSUM):
        raise ValueError("its end is missing")
    if checksum.hexdigest().encode() != last.removeprefix(_CHECKSUM).rstrip(b"\n"):
        raise ValueError("its checksum is wrong")
    header = _header(lines[0] if lines else b"")
    return header, lines[1:]


def _header(line: bytes) -> dict[str, Any]:
    try:
        header = json.loads(line)
    except RecursionError:
        raise ValueError("its beginning is no header") from None
    if not isinstance(header, dict) or header.get("vmaild") != FORMAT:
        raise ValueError("it is of another version")
    return header
