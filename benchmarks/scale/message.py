"""What one message costs, with a real Postfix: lookups in vmaild, and CPU of Postfix. Needs root, postfix and its ldap.

Each message comes in a session of its own and goes to one account; nothing else happens meanwhile.
"""

from __future__ import annotations

import os
import smtplib
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from benchmarks.scale.process import cpu_seconds
from vmaild.demo.mail import postfix
from vmaild.demo.slapd import Slapd

DRAIN_SECONDS = 60.0

_TICK = 1.0 / os.sysconf("SC_CLK_TCK")

Figures = dict[str, float]


def measure(
    home: Path, slapd: Slapd, vmaild: tuple[int, int], recipients: Iterable[str], count: Callable[[], float]
) -> Figures:
    """``vmaild`` is its port and its process id; ``count`` tells how many lookups it has answered."""
    port, pid = vmaild
    mail = postfix(home, slapd, port)
    try:
        mail.start()
        master = int((mail.home / "queue/pid/master.pid").read_text())
        sent = 0
        before = count(), cpu_seconds(pid), cpu_seconds(slapd.pid), _family_cpu(master)
        for sent, recipient in enumerate(recipients, 1):
            mail.send([recipient], f"scale {sent}")
        give_up = time.monotonic() + DRAIN_SECONDS
        while mail.queued() and time.monotonic() < give_up:
            time.sleep(0.05)
        after = count(), cpu_seconds(pid), cpu_seconds(slapd.pid), _family_cpu(master)
    except smtplib.SMTPException as error:
        raise AssertionError(f"a message was refused: {error}\n{mail.last_words()}") from error
    finally:
        mail.close()
    lookups, cpu, ldap, postfix_cpu = (end - begin for begin, end in zip(before, after, strict=True))
    return {
        "message, lookups": lookups / sent,
        "message, vmaild CPU us": cpu / sent * 1e6,
        "message, slapd CPU us": ldap / sent * 1e6,
        "message, Postfix CPU us": postfix_cpu / sent * 1e6,
    }


def _family_cpu(pid: int) -> float:
    """CPU of a process and of all that it started, ended ones too."""
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    total = sum(int(field) for field in fields[11:15]) * _TICK
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        total += sum(_family_cpu(int(child)) for child in task.read_text().split())
    return total
