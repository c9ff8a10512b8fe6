"""The keys of vmaild.toml: from the fields of the settings' classes, and from ``vmaild.config.keys``."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from vmaild.cache import CacheSettings
from vmaild.config import DaemonSettings
from vmaild.config import keys as tables
from vmaild.config.ranges import RANGES, Range
from vmaild.directory import DirectorySettings
from vmaild.manual.mdoc import literal, prose

# Name of a made part: the settings' class, and the table of the file.
_CLASSES: Mapping[str, tuple[type[Any], str]] = {
    "daemon": (DaemonSettings, ""),
    "directory": (DirectorySettings, "directory"),
    "cache": (CacheSettings, "cache"),
}
_TABLES: Mapping[str, tables.Keys] = {
    "listen": tables.LISTEN,
    "http": tables.HTTP,
    "control": tables.CONTROL,
    "postfix": tables.POSTFIX,
    "map": tables.MAP,
    "query": tables.QUERY,
}


def settings(name: str) -> Iterator[str]:
    """The list items for the fields of one settings class, with default and range."""
    kind, table = _CLASSES[name]
    texts = described(kind)
    for field in dataclasses.fields(kind):
        default = "" if field.default is dataclasses.MISSING else _as_toml(field.default)
        text = texts[field.name]
        if field.default is dataclasses.MISSING:
            text += " Required."
        yield from _item(field.name, default, text, RANGES[table].get(field.name))


def keys(name: str) -> Iterator[str]:
    """The list items for a table of ``vmaild.config.keys``."""
    for key, (default, text) in _TABLES[name].items():
        yield from _item(key, default, text, None)


def described(kind: type[Any]) -> dict[str, str]:
    """The string below each field of a class; a field without one raises ValueError."""
    body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    assert isinstance(body, ast.ClassDef)
    texts = {}
    for statement, below in zip(body.body, [*body.body[1:], None], strict=True):
        if not (isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)):
            continue
        if not (isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)):
            raise ValueError(f"{kind.__name__}.{statement.target.id} has no text below it")
        texts[statement.target.id] = str(below.value.value)
    return texts


def _item(key: str, default: str, text: str, allowed: Range | None) -> Iterator[str]:
    yield f".It Ic {key}" + (f" Pq Li {literal(default)}" if default else "")
    yield from prose(text)
    if allowed is not None:
        yield from prose(f"Allowed: {allowed.words}.")


def _as_toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"' if value else ""
    return f"{value:g}" if isinstance(value, float) and value == int(value) else str(value)
