"""Postfix's own clients as load: ``postmap -q -`` for single lookups, smtp-source(1) for recipients and messages."""

import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.report.rows import Figures
from benchmarks.site.site import MeasurementFailed, wait_until
from benchmarks.site.use import children_cpu
from vmaild.demo.postfix import Postfix

BATCH = 50
"""Recipients of one transaction, as of a mailing list; smtpd(8) remembers some answers within a transaction."""
NO_DATA = {"smtpd_data_restrictions": "reject"}
"""main.cf for ``rcpt``: a transaction ends when its recipients were accepted, and no message is made."""
# Files and not pipes: a pipe that nobody empties would stop the client.
_POSTMAP = 'exec postmap -c "$0" -q - "$1" <"$2.in" >"$2.out" 2>"$2.err"'


def postmap(config: Path, table: str, keys: Sequence[bytes], clients: int, expected: Mapping[bytes, bytes]) -> Figures:
    """Ask for ``keys`` from so many processes at once; one that has no value in ``expected`` must not be found."""
    with tempfile.TemporaryDirectory() as folder:
        files = [f"{folder}/{number}" for number in range(clients)]
        for number, file in enumerate(files):
            Path(f"{file}.in").write_bytes(b"".join(key + b"\n" for key in keys[number::clients]))
        began, cpu = time.monotonic(), children_cpu()
        processes = [subprocess.Popen(["sh", "-c", _POSTMAP, str(config), table, file]) for file in files]
        # Status 1 means that nothing was found.
        failed = [status for status in (process.wait() for process in processes) if status not in (0, 1)]
        seconds, cpu = time.monotonic() - began, children_cpu() - cpu
        said = "".join(Path(f"{file}.err").read_text(errors="replace") for file in files).splitlines()
        lines = [line for file in files for line in Path(f"{file}.out").read_bytes().splitlines()]
    # Newer Postfixes advise against hash: in two lines.
    complaints = [line for line in said if "is deprecated" not in line and "NON_BERKELEYDB_README" not in line][:10]
    if failed or complaints:
        raise MeasurementFailed(f"postmap ended with {failed or 'complaints'}: {complaints}")
    wrong = sum(expected.get(key) != value for key, _, value in (line.partition(b"\t") for line in lines))
    missing = sum(key in expected for key in keys) - (len(lines) - wrong)
    if wrong or missing:
        raise MeasurementFailed(f"{table}: of {len(keys)} answers {wrong} were wrong, and {missing} missing")
    return {"rate": len(keys) / seconds, "client_cpu": 1e3 * cpu / len(keys)}


def rcpt(port: int, sessions: int, transactions: int, recipient: str) -> float:
    """Recipients a second of RCPT TO under ``NO_DATA``, by sessions that stay: ``recipient`` with numbers."""
    options, began = f"-A -d -N -r {BATCH} -s {sessions} -m {transactions}", time.monotonic()
    complaints, seconds = _smtp_source(port, recipient, options), time.monotonic() - began
    others = [line for line in complaints if "data rejected" not in line]
    if others or len(complaints) != transactions:
        raise MeasurementFailed(f"smtp-source: {others[:3] or f'{len(complaints)} of {transactions} transactions'}")
    return transactions * BATCH / seconds


def send_messages(postfix: Postfix, recipient: str, count: int = 0) -> None:
    """Deliver a message to ``recipient``, or ``count``, each in a session of its own, to ``recipient`` with numbers."""
    removed = _removed(postfix) + (count or 1)
    complaints = _smtp_source(postfix.port, recipient, f"-N -m {count}" if count else "")
    if complaints:
        raise MeasurementFailed(f"{recipient}: {complaints[0]}")
    # By the log and not by the queue: a message that moves between directories can be in none of them for a moment.
    wait_until(lambda: _removed(postfix) >= removed, f"delivery to {recipient}", 0.05)


def _removed(postfix: Postfix) -> int:
    return postfix.log_text().count(": removed\n")


def _smtp_source(port: int, recipient: str, options: str) -> list[str]:
    stranger = "smtp-source -M client.example -f sender@elsewhere.example"
    command = f"{stranger} -t {recipient} {options} inet:127.0.0.1:{port}".split()
    return subprocess.run(command, capture_output=True, text=True, check=False).stderr.splitlines()
