"""``python -m tests.machines [WORD ...]``: the table of the faults, or of those whose name has one of the words.

Exit status: 0 all is as it should be; 1 mail was lost, bounced or delivered to a wrong mailbox, or a change took too
long to show.
"""

from __future__ import annotations

import signal
import sys

from tests.machines.rows import FAULTS
from tests.machines.trials import run_all
from tests.machines.verdict import report


def main(words: list[str]) -> int:
    """Run them and print the table, and below it what is wrong."""
    faults = [fault for fault in FAULTS if not words or any(word in fault.name for word in words)]
    rows = []
    for row in run_all(faults, lambda text: print(text, file=sys.stderr, flush=True)):
        rows.append(row)
        print(report([row]).splitlines()[1], file=sys.stderr, flush=True)
        for failure in row.failures[:20]:
            print(f"    {failure}", file=sys.stderr, flush=True)
        for what, seconds in row.late:
            print(f"    late: {what}: a change showed after {seconds:.2f} s", file=sys.stderr, flush=True)
    print(report(rows))
    return int(any(row.failures or row.late for row in rows))


if __name__ == "__main__":
    # The machines are taken down on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main(sys.argv[1:]))
