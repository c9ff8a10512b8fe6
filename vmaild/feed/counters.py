"""What the feed counts, and its state of the moment, read when someone asks for the metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Mode = Literal["sync", "poll", "none"]


@dataclass(slots=True)
class FeedCounters:
    """``mode`` is how changes arrive now, ``server`` of whom; ``why`` tells what keeps it from being better."""

    mode: Mode = "none"
    server: str = ""
    why: str = "not connected yet"
    connects: int = 0
    losses: int = 0
