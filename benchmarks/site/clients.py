"""Postfix's own clients as load: ``postmap -q -`` for single lookups, smtp-source(1) for recipients and messages."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.site.site import MeasurementFailed

BATCH = 50
"""Recipients of one transaction, as of a mailing list; smtpd(8) remembers some answers within a transaction."""

SENDER = "sender@elsewhere.example"

NO_DATA = {"smtpd_data_restrictions": "reject"}
"""main.cf for ``rcpt``: a transaction ends when its recipients were accepted, and no message is made."""


class Run(NamedTuple):
    """One run: what was asked, wall seconds, and CPU seconds of the clients."""

    asked: int
    seconds: float
    cpu: float = 0.0

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.asked / self.seconds


def postmap(config: Path, table: str, keys: Sequence[bytes], clients: int, expected: Mapping[bytes, bytes]) -> Run:
    """Ask for ``keys`` from so many processes at once; a key without a value in ``expected`` must not be found."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / str(number) for number in range(clients)]
        for number, file in enumerate(files):
            file.with_suffix(".in").write_bytes(b"".join(key + b"\n" for key in keys[number::clients]))
        began = time.monotonic()
        processes = [_start(["postmap", "-c", str(config), "-q", "-", table], file) for file in files]
        cpu = sum(_wait(process) for process in processes)
        seconds = time.monotonic() - began
        lines = [line for process, file in zip(processes, files, strict=True) for line in _output(process, file)]
    wrong = sum(expected.get(key) != value for key, _, value in (line.partition(b"\t") for line in lines))
    missing = sum(key in expected for key in keys) - (len(lines) - wrong)
    if wrong or missing:
        raise MeasurementFailed(f"{table}: of {len(keys)} answers {wrong} were wrong, and {missing} missing")
    return Run(len(keys), seconds, cpu)


def rcpt(port: int, sessions: int, transactions: int, recipient: str) -> Run:
    """RCPT TO with ``BATCH`` recipients in each transaction: ``recipient`` with 1, 2, 3 ... before it.

    Needs the settings ``NO_DATA``. Each session is one connection that stays, and occupies one smtpd(8) process.
    """
    options = ["-A", "-d", "-N", "-r", str(BATCH), "-s", str(sessions), "-m", str(transactions)]
    began = time.monotonic()
    complaints = _smtp_source(port, recipient, options)
    seconds = time.monotonic() - began
    others = [line for line in complaints if "data rejected" not in line]
    if others or len(complaints) != transactions:
        raise MeasurementFailed(f"smtp-source: {others[:3] or f'{len(complaints)} of {transactions} transactions'}")
    return Run(transactions * BATCH, seconds)


def send_message(port: int, recipient: str) -> None:
    """Send one short message. Raises ``MeasurementFailed`` when it is not accepted."""
    complaints = _smtp_source(port, recipient, [])
    if complaints:
        raise MeasurementFailed(f"{recipient}: {complaints[0]}")


def _smtp_source(port: int, recipient: str, options: Sequence[str]) -> list[str]:
    command = ["smtp-source", "-M", "client.example", "-f", SENDER, "-t", recipient, *options, f"inet:127.0.0.1:{port}"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stderr.splitlines()


def _start(command: Sequence[str], file: Path) -> subprocess.Popen[bytes]:
    # Files and not pipes: a pipe that nobody empties would stop the client.
    with (
        file.with_suffix(".in").open("rb") as stdin,
        file.with_suffix(".out").open("wb") as out,
        file.with_suffix(".err").open("wb") as err,
    ):
        return subprocess.Popen(command, stdin=stdin, stdout=out, stderr=err)


def _wait(process: subprocess.Popen[bytes]) -> float:
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime


def _output(process: subprocess.Popen[bytes], file: Path) -> list[bytes]:
    text = file.with_suffix(".err").read_text(errors="replace")[:1000].strip()
    # Status 1 means that nothing was found.
    if text or process.returncode not in (0, 1):
        raise MeasurementFailed(f"postmap ended with {process.returncode}: {text}")
    return file.with_suffix(".out").read_bytes().splitlines()
