"""Where a result goes: the options that every program has, progress, and NAME.json, NAME.md and NAME.png."""

import argparse
import datetime
import importlib.util
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console

from benchmarks.report.rows import Result, Rows, Section, report

Say = Callable[[str], None]
"""Is told of each step that begins."""
DEFAULT = Path("benchmark-results")
ROOT = Path(__file__).resolve().parent.parent.parent
"""The source checkout."""
PACKAGES = ("uvloop", "bonsai", "cachetools", "postfix-mta-sts-resolver")
SERVERS = {
    "postfix": (r"(.+)", "postconf -d -h mail_version"),
    "openldap": (r"slapd ([0-9.]+)", "/usr/sbin/slapd -VV"),
    "memcached": (r"memcached ([0-9.]+)", "memcached -V"),
    "commit": (r"(?m)^(?!fatal)(.+)", f"git -C '{ROOT}' describe --always --dirty"),
}
"""What a result depends on, with where its version stands in the output of a command."""


def new_parser(name: str) -> argparse.ArgumentParser:
    """A program's parser, which says of it what README.md says under its name, and what it needs."""
    readme = (ROOT / "benchmarks/README.md").read_text()
    about = re.split(r"\n##+ ", readme.partition(f"\n### {name}\n")[2])[0].strip()
    about += "\n\nNeeds: " + "".join(re.findall(rf"\| `{name}` \| .+? \| (.+?) \|", readme))
    formatter = argparse.RawDescriptionHelpFormatter
    return argparse.ArgumentParser(prog=f"python -m benchmarks {name}", description=about, formatter_class=formatter)


def parse(parser: argparse.ArgumentParser, argv: Sequence[str]) -> argparse.Namespace:
    """The arguments, with the options of all that measure; ends now, not afterwards, when nothing could be written."""
    add = parser.add_argument_group("result").add_argument
    add("--output", type=Path, metavar="DIR", help=f"for JSON, tables and picture (default: {DEFAULT}; --json: none)")
    add("--json", action="store_true", help="JSON on standard output in place of the tables")
    add("--no-picture", action="store_true", help="no PNG, and so no need of matplotlib")
    add("--no-progress", action="store_true", help="nothing on standard error while it runs")
    arguments = parser.parse_args(argv)
    arguments.output = arguments.output or (None if arguments.json else DEFAULT)
    if arguments.output is not None:
        if not arguments.no_picture and importlib.util.find_spec("matplotlib") is None:
            parser.error("matplotlib is missing: install vmaild[bench], or give --no-picture")
        try:
            arguments.output.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            parser.error(f"--output: {error}")
    return arguments


def typed(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """``parse`` for argparse, which shows what a ``ValueError`` says only in this way."""

    def convert(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return convert


def write(
    arguments: argparse.Namespace, name: str, sections: Iterable[Section], rows: Rows, *, settings: Iterable[str],
    **more: Any,
) -> None:  # fmt: skip
    """Print what was measured with these ``settings``, and write its files. JSON has ``more``, as ``Result`` says."""
    given = {option: getattr(arguments, option) for option in settings}
    shown: Result = {"sections": [section._asdict() for section in sections], "rows": rows.as_json(), "ratios": []}
    result = {"experiment": name, "machine": machine(), "settings": given, **shown, **more}
    text = json.dumps(result, indent=1)
    print(text if arguments.json else report(result))
    if arguments.output is not None:
        (arguments.output / f"{name}.json").write_text(text + "\n")
        _show(result, arguments.output / name, not arguments.no_picture)


def _show(result: Result, path: Path, picture: bool = True) -> None:
    path.with_suffix(".md").write_text(report(result))
    if picture:
        # Only here, since the picture's library takes a second to load and is no need of the rest.
        from benchmarks.report.pictures import draw

        draw(result, path.with_suffix(".png"))


def main(argv: Sequence[str]) -> int:
    """Make the tables and pictures again from the JSON files of a directory."""
    parser = new_parser("figures")
    parser.add_argument("directory", type=Path, nargs="?", default=DEFAULT, help="(default: %(default)s)")
    arguments = parser.parse_args(argv)
    files = sorted(arguments.directory.glob("*.json"))
    if not files:
        parser.error(f"{arguments.directory} has no JSON files")
    for file in files:
        # What another program has written there stays as it is.
        if "sections" in (result := json.loads(file.read_text())):
            _show(result, file.with_suffix(""))
            print(file.with_suffix(""))
    return 0


@contextmanager
def progress(arguments: argparse.Namespace) -> Iterator[Say]:
    """Says what happens now on standard error: one line that changes on a terminal, a line for each step elsewhere."""
    console = Console(stderr=True, quiet=arguments.no_progress, highlight=False)
    # The line has a thread of its own, which must not disturb the loads of an experiment.
    with console.status("") if console.is_terminal and not arguments.no_progress else nullcontext() as status:
        show = status.update if status else console.print
        yield lambda text: show(f"{time.strftime('%H:%M:%S')} {text}")


def machine() -> dict[str, str]:
    """What a result was measured on: hardware and versions; "none" for what is not installed."""
    installed = {each.metadata["Name"].lower().replace("_", "-"): each.version for each in metadata.distributions()}
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": _version(r"model name\s*: (.+)", ["cat", "/proc/cpuinfo"], platform.machine()),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{psutil.virtual_memory().total / 2**30:.1f} GiB",
        "load average": f"{os.getloadavg()[0]:.2f}",
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", platform.system()),
        "kernel": platform.release(),
        "python": platform.python_version(),
        **{name: installed.get(name, "none") for name in PACKAGES},
        **{name: _version(pattern, shlex.split(command)) for name, (pattern, command) in SERVERS.items()},
    }


def _version(pattern: str, command: Sequence[str], otherwise: str = "unknown") -> str:
    if shutil.which(command[0]) is None:
        return "none"
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return next(iter(re.findall(pattern, done.stdout + done.stderr)), otherwise)
