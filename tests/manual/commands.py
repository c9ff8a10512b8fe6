"""What the papers tell a reader to type, found by rule.

The papers are README, CONTRIBUTING, SECURITY, ARCHITECTURE, the benchmarks' README, the manual pages, and the comments
of snippets and units.

- A literal block that begins with a program is commands: a fence or indented lines of Markdown, indented lines of a
  comment, ``.Bd -literal`` and ``.Dl`` of mdoc. Others are configuration, by their form: TOML, main.cf, ...
- A literal in running text (backticks, ``Ql``) whose first word is a program, and which has a second, is a command.
- Each ``.It Ic`` of COMMANDS in vmaild(8) is two: with what it requires, and with all options.
- An address that begins with ``http://``, and each ``.It Pa /...`` of vmaild-metrics(7), is a page to get; what stands
  below WORTH AN ALERT there is an expression for Prometheus.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAMS = (
    *(
        "vmaild",
        "make",
        "python",
        "python3",
        "pip",
        "systemctl",
        "systemd-analyze",
        "journalctl",
        "postmap",
        "postconf",
    ),
    *("postfix", "apt-get", "ldapadd", "ldapmodify", "ldapsearch", "ldappasswd", "slapcat", "slaptest", "promtool"),
    *("chown", "chmod", "install", "cd", "cp", "export", "man", "ulimit"),
)
PAGES = [
    *(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "SECURITY", "ARCHITECTURE", "benchmarks/README")),
    *sorted((ROOT / "vmaild/manual").glob("*.[578]")),
    *sorted(path for path in (ROOT / "postfix-snippets").rglob("*") if path.is_file()),
    *sorted((ROOT / "systemd").glob("vmaild*.*")),
]


@dataclass(frozen=True)
class Told:
    """Something to type or to write: ``kind`` is command, page, promql, toml, main.cf, slapd.conf, ldif, or empty."""

    page: str
    line: int
    text: str
    kind: str = "command"


def told(path: Path) -> list[Told]:
    """What a page tells to type, in its order, each text once."""
    name, lines = str(path.relative_to(ROOT)), path.read_text().splitlines()
    if path.suffix[1:] in ("5", "7", "8"):
        found = _mdoc(name, lines)
    elif path.suffix in (".md", ".json"):
        found = _markdown(name, lines)
    else:
        inside = [re.sub(r"^# ?", "", line) if line.startswith("#") else "" for line in lines]
        descriptions = lines if path.suffix == ".yml" else []
        found = [*_markdown(name, inside, indent=2), *_spans(name, "\n".join(descriptions))]
    unique: dict[tuple[str, str], Told] = {}
    for one in sorted(found, key=lambda one: one.line):
        unique.setdefault((one.kind, one.text), one)
    return list(unique.values())


def _markdown(page: str, lines: list[str], indent: int = 4) -> list[Told]:
    found: list[Told] = []
    prose: list[str] = []
    block: list[str] = []
    fenced, began = False, 0
    for number, line in enumerate([*lines, ""], 1):
        fence = line.startswith("```")
        opens = block or indent < 4 or not (prose and prose[-1])
        if fence or fenced or (line.startswith(" " * indent) and opens):
            if not block:
                began = number
            fenced = fenced != fence
            block.append("" if fence else line if fenced else line[indent:])
        elif block:
            found += _block(page, began, block)
            block = []
        prose.append("" if block else line)
    return found + _spans(page, "\n".join(prose))


def _spans(page: str, text: str) -> list[Told]:
    """What stands in backticks, also over the end of a line."""
    found = []
    for match in re.finditer(r"`([^`]+)`", text):
        found += _span(page, text.count("\n", 0, match.start()) + 1, " ".join(match[1].split()))
    return found


def _span(page: str, line: int, text: str) -> list[Told]:
    if text.startswith("http://"):
        return [Told(page, line, text, "page")]
    return [Told(page, line, text)] if _program(text) and " " in text else []


def _program(text: str) -> bool:
    first = text.partition(" ")[0]
    return first in PROGRAMS or "/bin/" in f"/{first}"


def _block(page: str, line: int, lines: list[str]) -> list[Told]:
    text = "\n".join(lines).strip("\n")
    logical = re.sub(r"\s*\\\n\s*", " ", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE))
    if _program(logical):
        typed = (re.sub(r" {2,}#.*", "", one).rstrip() for one in logical.splitlines())
        return [Told(page, line, one) for one in typed if one]
    return [Told(page, line, text, _form(text))]


def _form(text: str) -> str:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        pass
    else:
        return "toml"
    if re.match(r"(dn|objectClass): ", text):
        return "ldif"
    if re.match(r"(overlay|syncrepl) ", text):
        return "slapd.conf"
    return "main.cf" if re.match(r"\w+ *= ", text) else ""


def _mdoc(page: str, lines: list[str]) -> list[Told]:
    found: list[Told] = []
    block: list[str] | None = None
    section, began = "", 0
    for number, raw in enumerate(lines, 1):
        line = raw.replace(r"\&", "").replace(r"\(dq", '"').replace(r"\e", "\\")
        if line.startswith(".Bd -literal"):
            block, began = [], number
        elif line.startswith(".Ed") and block is not None:
            found += _block(page, began, block)
            block = None
        elif block is not None:
            block += [] if line.startswith('.\\"') else [line]
        elif line.startswith(".Sh "):
            section = line[4:]
        elif section == "WORTH AN ALERT" and line.startswith((".It Li ", ".Dl ")):
            found.append(Told(page, number, line.removeprefix(".It Li ").removeprefix(".Dl "), "promql"))
        elif line.startswith(".Dl "):
            found += _span(page, number, line[4:])
        elif section == "COMMANDS" and line.startswith(".It Ic "):
            found += [Told(page, number, f"vmaild {form}") for form in forms(line[7:])]
        elif match := re.match(r"\.It Pa (/[a-z]*)$", line):
            found += [Told(page, number, f"http://127.0.0.1:9143{match[1]}", "page")] if "metrics" in page else []
        elif match := re.search(r"[. ]Ql (\"[^\"]*\"|.*?)(?: [.,;:)]| No .*)*$", line):
            found += _span(page, number, match[1].strip('"'))
    return found


def forms(synopsis: str) -> Iterator[str]:
    """A command with what it requires, and with all options; of two that exclude each other the latter."""
    words = re.sub(r"Fl \S+ \| ", "", re.sub(r"Ic | \| FILE.cf", "", synopsis)).split()
    required, everything, depth = [], [], 0
    for before, word in zip(["", *words], words, strict=False):
        depth += (word == "Oo") - (word == "Oc")
        if word in ("Oo", "Oc", "Fl", "Ar"):
            continue
        text = f"-{word}" if before == "Fl" else word
        everything.append(text)
        required += [] if depth else [text]
    yield " ".join(required)
    if everything != required:
        yield " ".join(everything)
