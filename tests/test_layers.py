"""Imports point one way: each part imports only parts before it, no modules import each other in a circle, and only
the directory knows bonsai."""

from __future__ import annotations

import ast
import functools
from collections.abc import Mapping
from pathlib import Path

import pytest

import vmaild

ROOT = Path(vmaild.__file__).parent

# Values first, the edge last. Parts on one line may not import each other.
LAYERS = (
    ("lookup", "errors"),
    ("process",),
    ("wire",),
    ("tables",),
    ("directory",),
    ("cache",),
    ("maps",),
    ("feed",),
    ("snapshot",),
    ("listening",),
    ("server",),
    ("admin", "postfix"),
    ("config",),
    ("hearing", "watching"),
    ("reload",),
    ("daemon", "demo"),
    ("migration",),
    ("commands",),
    ("cli",),
    ("manual",),
    ("__main__",),
)
SANS_IO = ("lookup", "errors", "wire", "tables")
FOR_SANS_IO = {"socket", "asyncio", "time", "select", "selectors", "ssl", "threading", "subprocess"}


def part_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


@functools.cache
def modules() -> list[tuple[str, Path, ast.Module]]:
    return [(part_of(path), path, ast.parse(path.read_text())) for path in sorted(ROOT.rglob("*.py"))]


@functools.cache
def imported(tree: ast.Module) -> list[str]:
    """Dotted names of everything a module imports, inside functions too."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def imports(trees: Mapping[str, ast.Module]) -> dict[str, set[str]]:
    """What each module imports of ``trees``, by dotted names. A part of a package runs the whole package first."""
    graph: dict[str, set[str]] = {}
    for module, tree in trees.items():
        found = graph[module] = set()
        for name in imported(tree):
            target = name if name in trees else name.rpartition(".")[0]
            found.update({target} & trees.keys())
            while (target := target.rpartition(".")[0]) and not f"{module}.".startswith(f"{target}."):
                found.update({target} & trees.keys())
    return graph


def circle(graph: Mapping[str, set[str]]) -> list[str]:
    """The modules of one circle, the first of them again at the end; empty when there is none."""
    done: set[str] = set()
    path: list[str] = []

    def visit(module: str) -> list[str]:
        if module in path:
            return [*path[path.index(module) :], module]
        if module in done:
            return []
        path.append(module)
        for other in sorted(graph[module]):
            if found := visit(other):
                return found
        done.add(path.pop())
        return []

    return next(filter(None, map(visit, sorted(graph))), [])


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


def test_no_modules_import_each_other_in_a_circle() -> None:
    trees = {}
    for _, path, tree in modules():
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        trees[".".join(parts).removesuffix(".__init__")] = tree
    assert " -> ".join(circle(imports(trees))) == ""


@pytest.mark.parametrize(
    "back",
    [
        "from p.a import x",
        "from p import a",
        "import p.a",
        "def late():\n    from p.a import x",
        "if TYPE_CHECKING:\n    from p.a import x",
    ],
)
def test_a_circle_is_found_wherever_its_import_stands(back: str) -> None:
    sources = {"p": "", "p.a": "from p.b import y", "p.b": "import p.c", "p.c": back, "q": "import p.a"}
    graph = imports({name: ast.parse(source) for name, source in sources.items()})
    assert circle(graph) == ["p.a", "p.b", "p.c", "p.a"]


def test_a_module_that_imports_its_own_package_is_a_circle() -> None:
    sources = {"p": "from p.a import x", "p.a": "from p import y"}
    assert circle(imports({name: ast.parse(source) for name, source in sources.items()})) == ["p", "p.a", "p"]


def test_a_package_and_its_parts_are_no_circle_by_themselves() -> None:
    sources = {"p": "from p.a import x", "p.a": "from p import b", "p.b": "import os", "q": "from p.a import x"}
    assert circle(imports({name: ast.parse(source) for name, source in sources.items()})) == []


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
