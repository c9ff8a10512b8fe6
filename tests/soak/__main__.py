"""The command: see ``tests.soak``. Exit status: 0 good, 1 not, with each problem on a line of its own."""

from __future__ import annotations

import argparse
import contextlib
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.soak import report
from tests.soak.samples import Sampler
from tests.soak.schedule import Acts
from tests.soak.site import Site, running
from tests.soak.verdict import Outcome
from tests.soak.workers import Worker

CLIENTS = 60
"""Of the churn."""


def run(
    home: Path,
    *,
    seconds: float,
    pace: float,
    seed: int,
    only: list[str] | None = None,
    inside: bool = False,
    code: Path | None = None,
) -> Outcome:
    """One run of ``seconds``, with its files in ``home``; the others are as in ``running`` and ``Acts``."""
    with contextlib.ExitStack() as stack:
        site = stack.enter_context(running(home, inside=inside, code=code))
        workers = _workers(site, home, stack)
        began = time.monotonic()
        sampler = Sampler(site, min(5.0, max(0.5, seconds / 300)))
        acts = Acts(site, workers[-1], pace=pace, seed=seed, only=only)
        acts.run(began + seconds)
        sampler.stop()
        outcome = Outcome(began, seconds, sampler.samples, acts.windows, workers, acts.broken)
        outcome.broken += [f"{one.name} ended: {one.last_words()}" for one in workers if not one.running]
        if not site.daemon.running:
            outcome.broken.append("the daemon died")
        for worker in workers:
            worker.stop()
        if inside:
            _trim(home)
        outcome.exit_status = site.daemon.stop()
        site.log.close()
        outcome.daemon_log = site.log.collected.read_text(errors="replace")
    return outcome


def _workers(site: Site, home: Path, stack: contextlib.ExitStack) -> list[Worker]:
    port, slapd = str(site.port), site.slapd
    workers = []
    for name, arguments, first in (
        ("changes", [port], f"{slapd.uri} {slapd.root_dn} {slapd.root_pw}"),
        ("probe", [port], ""),
        ("churn", [port, str(CLIENTS)], ""),
        ("floods", [port], ""),
    ):
        worker = Worker(name, arguments, home, first=first)
        stack.callback(worker.stop)
        workers.append(worker)
    for worker in workers[:-1]:
        if not worker.wait_line(1, 30):
            raise RuntimeError(f"{worker.name} did not begin: {worker.last_words()}")
    return workers


def _trim(home: Path) -> None:
    (home / "trim").touch()
    give_up = time.monotonic() + 20
    while (home / "trim").exists() and time.monotonic() < give_up:
        time.sleep(0.2)
    time.sleep(1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--output", type=Path, default=Path("soak-results"), metavar="DIR")
    parser.add_argument("--pace", type=float, default=1.0, help="factor for the length of each act")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--only", nargs="*", metavar="ACT", help='acts by their names in the table, such as "slow"')
    parser.add_argument("--code", type=Path, metavar="DIR", help="run the daemon of another checkout")
    parser.add_argument("--inside", action="store_true", help="see tests/soak/inside/sitecustomize.py")
    given = parser.parse_args()
    # So that whatever was started is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    print(f"seed {given.seed}, {given.seconds:g} s", flush=True)
    with tempfile.TemporaryDirectory(prefix="vmaild-soak-") as home:
        options = {name: getattr(given, name) for name in ("seconds", "pace", "seed", "only", "inside", "code")}
        outcome = run(Path(home), **options)
        problems = outcome.problems()
        report.write(outcome, problems, given.output)
        if given.inside:
            shutil.copy(Path(home) / "inside.jsonl", given.output)
    print(report.text(outcome))
    for problem in problems:
        print(f"PROBLEM: {problem}")
    print(f"\nsoak.txt, soak.json, soak.png and vmaild.log are in {given.output}")
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
