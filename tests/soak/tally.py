"""What a worker saw, as JSON lines on its standard output: one a second, each with what came since the last.

``temporary`` counts TEMP by the seconds, asked and read, of the system's monotonic clock, which all processes share, so
that the parent can tell whether something was down between them; ``cut`` counts connections of slow clients
that the daemon closed, by the second.
``old`` are values that were right once: when they were told, for how long they had not been right any more, which.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

MOST = 20
"""Wrong answers that are kept as text; all are counted."""


@dataclass
class Tally:
    """Counts, all since the last ``emit``."""

    answers: int = 0
    wrong: int = 0
    temporary: Counter[str] = field(default_factory=Counter)
    cut: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    old: list[tuple[float, float, str]] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def mistake(self, text: str) -> None:
        """Count a wrong answer."""
        self.wrong += 1
        if len(self.examples) < MOST:
            self.examples.append(f"{time.monotonic():.1f} {text}")

    def temporary_since(self, asked: float) -> None:
        """Count a TEMP that came just now."""
        self.temporary[f"{int(asked)} {int(time.monotonic())}"] += 1

    def emit(self) -> None:
        """Write what there is as one line, and begin again."""
        sys.stdout.write(json.dumps(vars(self)) + "\n")
        sys.stdout.flush()
        self.__dict__.update(Tally().__dict__)

    def add(self, line: dict[str, Any]) -> None:
        """Add what another process emitted."""
        self.answers += line["answers"]
        self.wrong += line["wrong"]
        self.temporary.update(line["temporary"])
        self.cut.update(line["cut"])
        self.counts.update(line["counts"])
        self.examples += line["examples"][: MOST - len(self.examples)]
        self.old += [tuple(one) for one in line["old"]]
