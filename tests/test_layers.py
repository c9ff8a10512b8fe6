"""Imports point one way: each part imports only parts before it, and only the directory knows bonsai."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import vmaild

ROOT = Path(vmaild.__file__).parent

# Values first, the edge last. Parts on one line may not import each other.
LAYERS = (
    ("lookup", "errors"),
    ("wire",),
    ("tables",),
    ("directory",),
    ("cache", "canaries", "turnstile"),
    ("maps",),
    ("listening",),
    ("server",),
    ("systemd", "exchange", "watchdog", "collector"),
    ("metrics", "http", "control", "postfix"),
    ("config",),
    ("app", "demo"),
    ("migration",),
    ("cli",),
    ("__main__",),
)
SANS_IO = ("lookup", "errors", "wire", "tables")
FOR_SANS_IO = {"socket", "asyncio", "time", "select", "selectors", "ssl", "threading", "subprocess"}


def part_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def modules() -> Iterator[tuple[str, Path, ast.Module]]:
    for path in sorted(ROOT.rglob("*.py")):
        yield part_of(path), path, ast.parse(path.read_text())


def imported(tree: ast.Module) -> Iterator[str]:
    """Dotted names of everything a module imports, inside functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_every_part_has_its_place() -> None:
    placed = {name for layer in LAYERS for name in layer}
    assert {part for part, _, _ in modules()} - {"__init__"} == placed


def test_each_part_imports_only_parts_before_it() -> None:
    rank = {name: number for number, layer in enumerate(LAYERS) for name in layer}
    wrong = []
    for part, path, tree in modules():
        for name in imported(tree):
            top, _, rest = name.partition(".")
            other = rest.partition(".")[0]
            if top == "vmaild" and other != part and other in rank and rank[other] >= rank.get(part, -1):
                wrong.append(f"{path.relative_to(ROOT)} imports {other}")
    assert wrong == []


def test_only_the_directory_knows_bonsai() -> None:
    users = {part for part, _, tree in modules() for name in imported(tree) if name.split(".")[0] == "bonsai"}
    assert users == {"directory"}


def test_values_codecs_and_tables_touch_no_socket_and_no_clock_and_never_wait() -> None:
    wrong = []
    for part, path, tree in modules():
        if part not in SANS_IO:
            continue
        wrong += [f"{path.name}: {name}" for name in imported(tree) if name.split(".")[0] in FOR_SANS_IO]
        wrong += [
            f"{path.name}: async" for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef | ast.Await)
        ]
    assert wrong == []
