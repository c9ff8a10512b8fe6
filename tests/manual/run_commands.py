"""Run what the papers tell a reader to type, as written, and print a table: ``make papers``, as root on Debian 12.

What is for a checkout runs in a fresh clone, in a network namespace of its own once ``make`` has installed what it needs.
What is for a mail host runs in a container on a copy of the Debian of ``tests/nspawn/run``: Debian's slapd set up by the
snippets' own LDIF, Debian's Postfix, and vmaild by pip, then by its package, both as README says. What stands in the place
of names, and what is shortened or left, is in ``judged``. Ends with 1 when a command did not do what its page says.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.manual.commands import PAGES, ROOT, Told, told
from tests.manual.judged import LEFT, SITUATIONS, Right, right, surrounded, typed
from tests.manual.machine import ON_PATH, Machine, run

TREE = Path(os.environ.get("TREE", "/var/tmp/vmaild-nspawn/bookworm"))
CHECKOUT = "/root/vmaild"
WHEELS = "/root/wheels"
CONFIGURATION = "/etc/vmaild/vmaild.toml"
SECONDS = 500.0
"""For one command."""

DIRECTORY = ["courier.ldif", "accounts.ldif", "access.ldif", "indexes.ldif"]
"""In this order, as postfix-snippets/README.md says."""

EDITOR = "printf '[Service]\\nBindReadOnlyPaths=/srv\\n' >"
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
        return f"{self.told.page}:{self.told.line} | {first}{instead} | {mark} | {lines[0][:100]}"


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
            if one.text in LEFT or one.kind in ("", "ldif"):
                reason = LEFT.get(one.text, "")
                if one.kind == "command":
                    self._add(Row(one, "", -1, reason, True))
                continue
            command = typed(one.text) if one.kind == "command" else self._configured(one)
            here = one.kind in ("command", "promql") and in_checkout(one)
            status, output = self._here(command) if here else self._there(command, _folder(one.page))
            wanted = right(one)
            good = status in wanted.status and re.search(wanted.prints, output, re.MULTILINE) is not None
            self._add(Row(one, command if one.kind == "command" else one.kind, status, output, good))

    def situation(self, before: str, command: str, verdict: Right, after: str) -> None:
        """One command after something has been done, which is undone afterwards."""
        if before:
            self._there(before)
        status, output = self._there(command)
        good = status in verdict.status and re.search(verdict.prints, output, re.MULTILINE) is not None
        self._add(Row(Told(f"({before})" if before else "(so)", 0, command), command, status, output, good))
        if after:
            self.must(after)

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
            folder = "" if "virtual_mailbox_domains" in text and "relay" not in text else "-c /root/postfix"
            return (
                "cp -rT /etc/postfix /root/postfix; sed -i 's/ *= */=/' /root/piece;"
                f' postconf {folder} -e "$(cat /root/piece)" && postconf {folder} -n 2>&1 > /dev/null | grep . && exit 1; exit 0'
            )
        prelude = "include /etc/ldap/schema/core.schema\\nmodulepath /usr/lib/ldap\\nmoduleload back_mdb\\nmoduleload syncprov\\n"
        database = "database mdb\\nsuffix dc=myhosting,dc=example\\nrootdn cn=admin,dc=myhosting,dc=example\\ndirectory /tmp\\n"
        return f"(printf '{prelude}{database}'; cat /root/piece) > /root/slapd.conf; slaptest -u -f /root/slapd.conf"

    def _write(self, path: str, text: str) -> None:
        (self._machine.root / path[1:]).write_text(text + "\n")

    def _read(self, path: str) -> str:
        return (self._machine.root / path[1:]).read_text()


def _folder(page: str) -> str:
    return str(Path(page).parent) if page.startswith("postfix-snippets/") else ""


def in_checkout(one: Told) -> bool:
    """Whether it is for somebody with a checkout, and not for a mail host."""
    return (
        one.kind == "promql"
        or one.page in ("CONTRIBUTING.md", "ARCHITECTURE.md")
        or (re.match(r"make |\.venv/", one.text) is not None or one.text.startswith("man -l vmaild/"))
    )


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
    """A fresh clone and what ``make`` needs in it, and in the machine what pip and apt-get will want."""
    subprocess.run(["git", "clone", "-q", ROOT, clone], check=True)
    for environment in (".venv/demo", ".venv/test", ".venv/fuzz", ".venv/mutants", "deb"):
        subprocess.run(["nice", "make", "-s", environment], cwd=clone, check=True)
    wheels = machine.root / WHEELS[1:]
    builder = clone.parent / "builder"
    subprocess.run(["/usr/bin/python3", "-m", "venv", builder], check=True)
    download = [
        builder / "bin/pip",
        "download",
        "-q",
        "-d",
        wheels,
        f"{clone}[bench]",
        "hatchling",
        "setuptools",
        "wheel",
        "editables",
    ]
    subprocess.run(download, check=True)
    subprocess.run(["cp", "-r", clone, machine.root / CHECKOUT[1:]], check=True)
    subprocess.run(["rm", "-rf", machine.root / CHECKOUT[1:] / ".venv"], check=True)
    wanted = [
        one.text.split()[2:] for one in told(ROOT / "README.md") if one.text.startswith("apt-get install python3")
    ]
    machine.prepare("sh", f"{CHECKOUT}/tests/manual/mail_host.sh", "packages", *wanted[0])
    machine.boot()


def everything(papers: Papers) -> None:
    """All pages, in an order that a reader could follow."""
    step = f"sh {CHECKOUT}/tests/manual/mail_host.sh"
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
        "systemctl disable --now vmaild.socket vmaild.service; rm -r /etc/systemd/system/vmaild*; systemctl daemon-reload"
    )
    del papers.environment["PATH"]
    papers.run([*package, *(one for one in by_pip if one.line != built)])
    for found in pages.values():
        papers.run(found)
    for before, command, verdict, after in SITUATIONS:
        papers.situation(before, command, verdict, after)


def main() -> int:
    """Run all, print the table, and count."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument(
        "--output", type=Path, default=Path("papers.txt"), metavar="FILE", help="the table (papers.txt)"
    )
    output = options.parse_args().output
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
