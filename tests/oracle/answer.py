"""An answer of either side: the value found, None for not found, ``TEMP`` for a failure."""

from __future__ import annotations

import enum


class Failure(enum.Enum):
    """What is no answer of the directory."""

    TEMP = "TEMP"

    def __repr__(self) -> str:
        return self.name


TEMP = Failure.TEMP

Answer = str | None | Failure
