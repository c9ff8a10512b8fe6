"""Run what the papers tell a reader to type, as written, and print a table: ``make papers``, as root on Debian 12.

What is for a checkout runs in a fresh clone, without a network once ``make`` has installed what it needs. What is for a
mail host runs in a container on a copy of the Debian of ``tests/nspawn/run``: Debian's slapd, set up by the snippets,
Debian's Postfix, and vmaild by pip, then by its package, as README says. What stands in the place of names, and
what is shortened or left, is in ``judged``. Ends with 1 when a command did not do what its page says.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import signal
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.manual.commands import PAGES, ROOT, Told, told
from tests.manual.judged import BASE, CHECKOUT, CONFIGURATION, HOST, SITUATIONS, Right, left, right, surrounded, typed
from tests.manual.machine import ON_PATH, Machine, run

TREE = Path(os.environ.get("TREE", "/var/tmp/vmaild-nspawn/bookworm"))
WHEELS = "/root/wheels"
SECONDS = 500.0
"""For one command."""

DIRECTORY = ["courier.ldif", "accounts.ldif", "access.ldif", "indexes.ldif"]
"""In this order, as postfix-snippets/README.md says."""

EDITOR = "/root/editor"
SLAPD_CONF = (
    r"include /etc/ldap/schema/core.schema\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\nmoduleload syncprov\n"
)
SLAPD_CONF += rf"database mdb\nsuffix {BASE}\nrootdn cn=admin,{BASE}\ndirectory /tmp\n"
GET = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).read().decode())"


@dataclass(frozen=True)
class Row:
    """One line of the table. ``status`` is -1 for what was left."""

    told: Told
    ran: str
    status: int
    output: str
    good: bool

    def __str__(self) -> str:
        lines = [line.strip() for line in self.output.splitlines() if line.strip()] or [""]
        mark = "left" if self.status < 0 else f"{self.status:>3}{' ' if self.good else ' FAILED'}"
        instead = f"  [{self.ran}]" if self.ran not in ("", self.told.text) else ""
        first = self.told.text.splitlines()[0] + (" ..." if "\n" in self.told.text else "")
        return f"{self.told.page}:{self.told.line or ''} | {first}{instead} | {mark} | {lines[0][:100]}"


class Papers:
    """Runs what is told, here or in the machine, and keeps the rows."""

    def __init__(self, machine: Machine, clone: Path) -> None:
        self.rows: list[Row] = []
        self._machine, self._clone = machine, clone
        self.environment = {
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": WHEELS,
            "SYSTEMD_PAGER": "",
            "SYSTEMD_EDITOR": EDITOR,
        }

    def run(self, found: Iterable[Told]) -> None:
        """Each in its place, in this order."""
        for one in found:
            if reason := left(one):
                self._add(Row(one, "", -1, reason, True))
            elif one.kind:
                command = typed(one.text) if one.kind == "command" else self._configured(one)
                status, output = self._here(command) if in_checkout(one) else self._there(command, _folder(one.page))
                ran = command if one.kind == "command" else one.kind
                self._add(Row(one, ran, status, output, right(one).fits(status, output)))

    def fail(self, before: str, after: str, commands: Mapping[str, Right]) -> None:
        """What the pages say of failures: commands between what makes them fail and what undoes that."""
        self._there(before or ":")
        for command, verdict in commands.items():
            status, output = self._machine.run(command, seconds=SECONDS, **self.environment)
            one = Told(f"after {before}" if before else "as it is", 0, command)
            self._add(Row(one, command, status, output, verdict.fits(status, output)))
        self.must(after or ":")

    def must(self, command: str) -> None:
        """A step that no page tells."""
        status, output = self._there(command)
        if status:
            raise SystemExit(f"{command} ended with {status}:\n{output[-3000:]}")

    def _add(self, row: Row) -> None:
        self.rows.append(row)
        print(row, flush=True)
        if not row.good:
            print("    " + "\n    ".join(row.output.splitlines()[-15:]), flush=True)

    def _here(self, command: str) -> tuple[int, str]:
        path = "" if "make " in command else f"PATH={self._clone}/.venv/bin:$PATH; "
        line = f"ip link set lo up; {path}{command}"
        return run(["unshare", "-n", "nice", "bash", "-c", line], seconds=SECONDS, cwd=self._clone)

    def _there(self, command: str, folder: str = "") -> tuple[int, str]:
        return self._machine.run(f"cd {CHECKOUT}/{folder}\n{surrounded(command)}", seconds=SECONDS, **self.environment)

    def _configured(self, one: Told) -> str:
        """A command that judges a piece of configuration."""
        if one.kind == "promql":
            rule = shlex.quote(f"groups: [{{name: a, rules: [{{record: a, expr: '{one.text}'}}]}}]")
            return f"promtool check rules <(echo {rule})"
        if one.kind == "page":
            return f"python3 -c {shlex.quote(GET)} {one.text}"
        text = typed(one.text)
        if one.kind == "toml":
            if one.page == "README.md":
                self._write(CONFIGURATION, text)
                return "vmaild check --offline"
            self._write("/etc/vmaild/piece.toml", merged(self._read(CONFIGURATION), text))
            return "vmaild check --offline -c /etc/vmaild/piece.toml"
        self._write("/root/piece", text)
        if one.kind == "main.cf":
            # README's is for this host, the others are for those that have more.
            folder = "/etc/postfix" if one.page == "README.md" else "/root/postfix"
            lines = re.sub(r"\n\s+", " ", text).splitlines()
            settings = " ".join(shlex.quote(re.sub(r" *= *", " = ", line, count=1)) for line in lines)
            warned = f"! postconf -c {folder} -n 2>&1 > /dev/null | grep ."
            return f"cp -rT /etc/postfix /root/postfix; postconf -c {folder} -e {settings}; {warned}"
        self._write("/root/piece", text)
        return f"(printf '{SLAPD_CONF}'; cat /root/piece) > /root/slapd.conf; slaptest -u -f /root/slapd.conf"

    def _write(self, path: str, text: str) -> None:
        (self._machine.root / path[1:]).write_text(text + "\n")

    def _read(self, path: str) -> str:
        return (self._machine.root / path[1:]).read_text()


def _folder(page: str) -> str:
    return str(Path(page).parent) if page.startswith("postfix-snippets/") else ""


def in_checkout(one: Told) -> bool:
    """Whether it is for somebody with a checkout, and not for a mail host."""
    if one.page in ("CONTRIBUTING.md", "ARCHITECTURE.md"):
        return not one.text.startswith("vmaild ")
    return one.kind == "promql" or re.match(r"make |\.venv/|man -l vmaild/", one.text) is not None


def merged(whole: str, piece: str) -> str:
    """A configuration in which a piece of one takes the place of what it names."""
    settings = tomllib.loads(whole)
    for name, value in tomllib.loads(piece).items():
        if isinstance(value, dict) and isinstance(settings.get(name), dict):
            settings[name].update(value)
        else:
            settings[name] = value
    return "\n".join(f"{name} = {_toml(value)}" for name, value in settings.items())


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f'"{name}" = {_toml(one)}' for name, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return f"'''{value}'''" if isinstance(value, str) else str(value).lower()


def prepared(clone: Path, machine: Machine) -> None:
    """A fresh clone with what ``make`` installs in it, and in the machine what pip and apt-get will want."""
    done(["git", "clone", "-q", ROOT, clone])
    done(["nice", "make", "-C", clone, ".venv/demo", ".venv/fuzz", ".venv/mutants", ".venv/test", "deb"])
    done(["cp", "-r", clone, machine.root / CHECKOUT[1:]])
    done(["rm", "-r", machine.root / CHECKOUT[1:] / ".venv"])
    # The machine's Python is that of Debian 12, as this one's /usr/bin/python3 is.
    builder = clone.parent / "builder"
    done(["/usr/bin/python3", "-m", "venv", builder])
    wheels = machine.root / WHEELS[1:]
    done(
        [
            builder / "bin/pip",
            "download",
            "-d",
            wheels,
            f"{clone}[bench]",
            "hatchling",
            "setuptools",
            "wheel",
            "editables",
        ]
    )
    installs = next(one.text for one in told(ROOT / "README.md") if one.text.startswith("apt-get install python3"))
    machine.prepare("sh", HOST, "packages", *installs.split()[2:])
    machine.boot()


def done(command: Sequence[str | Path]) -> None:
    """A step of the preparation."""
    status, output = run(command, seconds=2 * SECONDS)
    if status:
        raise SystemExit(f"{' '.join(map(str, command))} ended with {status}:\n{output[-3000:]}")


def everything(papers: Papers) -> None:
    """All pages, in an order that a reader could follow."""
    step = f"sh {HOST}"
    pages = {str(path.relative_to(ROOT)): told(path) for path in PAGES}
    readme = pages.pop("README.md")
    papers.must(f"{step} slapd")
    for name in DIRECTORY:
        papers.run(pages.pop(f"postfix-snippets/slapd/{name}"))
    papers.must(f"{step} tree {CHECKOUT}; {step} postfix {CHECKOUT}")
    papers.run(one for one in readme if in_checkout(one))
    mail_host = [one for one in readme if not in_checkout(one)]
    package = [one for one in mail_host if one.text.startswith("apt-get install ./")]
    by_pip = [one for one in mail_host if one not in package]
    built = next(one.line for one in by_pip if one.text.startswith("apt-get"))
    papers.environment["PATH"] = ON_PATH + ":/opt/vmaild/bin"
    papers.run(by_pip)
    papers.must(
        f"systemctl disable --now vmaild.socket vmaild.service; rm -r /etc/systemd/system/vmaild* {CONFIGURATION}"
    )
    del papers.environment["PATH"]
    papers.run([*package, *(one for one in by_pip if one.line != built)])
    for found in pages.values():
        papers.run(found)
    for before, after, commands in SITUATIONS:
        papers.fail(before, after, commands)


def main() -> int:
    """Run all, print the table, and count."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument(
        "--output", type=Path, default=Path("papers.txt"), metavar="FILE", help="the table (papers.txt)"
    )
    output = options.parse_args().output
    if not (TREE / ".complete").exists():
        raise SystemExit(f"{TREE} has no Debian: `make nspawn` makes it")
    # So that the machine is taken down.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    began = time.monotonic()
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="vmaild-papers-") as work:
        home = Path(work)
        with Machine(TREE, home / "machine") as machine:
            papers = Papers(machine, home / "vmaild")
            prepared(home / "vmaild", machine)
            everything(papers)
    count = Counter("left" if row.status < 0 else "right" if row.good else "FAILED" for row in papers.rows)
    counted = ", ".join(f"{number} {what}" for what, number in sorted(count.items()))
    end = f"{counted}; {time.monotonic() - began:.0f} seconds"
    output.write_text("".join(f"{row}\n" for row in papers.rows) + end + "\n")
    print(end)
    return 1 if count["FAILED"] else 0


if __name__ == "__main__":
    sys.exit(main())
