"""The snapshot's file: a header, one line for each record, and a checksum. It blocks, so it is for a thread.

::

    {"vmaild": 1, "configuration": "...", "identity": "...", "written": 1790000000.0, "domains": [...], ...}
    ["0 user@d.example", "d.example/user/", 0, null]
    blake2b 5f1c...

A record's line has its key and what each map knows: a value; 0 for "the entry has nothing for this map"; null for what
is not kept. Bytes are written as Latin-1 text. ``FORMAT`` changes when the meaning of any of this does.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
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
    key, *kept = json.loads(line)
    known: list[Known] = []
    for one in kept:
        if one is not None and one != 0 and not isinstance(one, str):
            raise ValueError("not a value")
        known.append(one.encode("latin-1") if isinstance(one, str) else (None if one is None else NODATA))
    return key.encode("latin-1"), known


def write(path: Path, header: dict[str, Any], chunks: Iterable[bytes]) -> None:
    """Write the file in place of the one that is there, or leave that. Raises OSError."""
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
    content = path.read_bytes()
    body, _, last = content.rstrip(b"\n").rpartition(b"\n")
    body += b"\n"
    if not last.startswith(_CHECKSUM):
        raise ValueError("its end is missing")
    if hashlib.blake2b(body, digest_size=32).hexdigest().encode() != last.removeprefix(_CHECKSUM):
        raise ValueError("its checksum is wrong")
    first, *lines = body.split(b"\n")[:-1]
    header = json.loads(first)
    if not isinstance(header, dict) or header.get("vmaild") != FORMAT:
        raise ValueError("it is of another version")
    return header, lines
