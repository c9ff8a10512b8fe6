"""Why vmaild's answer differs from Postfix's: on purpose, or because vmaild is wrong still.

Each name is a switch of ``model.Model``; an answer is explained when the model gives it with a few of them set.
``KNOWN`` is to become empty: a name there that explains nothing any more makes the test fail until it is taken out.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from tests.oracle.answer import Answer
from tests.oracle.model import Model

MEANT = {
    "each entry by itself": "Postfix never resets its leaf and terminal state between the entries of one answer; the"
    " manual, and vmaild, judge each entry by itself (item 7)",
    "each value once": "a value that comes twice is one recipient, and one login, all the same",
    "unsafe values fail": "a control character in a value must not reach a log or a delivery agent",
}
"""Differences on purpose, each with its reason."""

KNOWN: dict[str, str] = {}
"""Where vmaild is wrong, by the issue's items."""

MOST_KNOWN = 3


def explain(model: Model, key: str, wanted: Answer) -> tuple[str, ...] | None:
    """The fewest switches that make the model answer ``wanted``, as few known ones as possible; None when none do."""
    for chosen in _choices():
        if model.answer(key, frozenset(chosen)) == wanted:
            return chosen
    return None


def _choices() -> Iterator[tuple[str, ...]]:
    for wrong in range(MOST_KNOWN + 1):
        for known in combinations(KNOWN, wrong):
            for number in range(len(MEANT) + 1):
                for meant in combinations(MEANT, number):
                    yield (*known, *meant)
