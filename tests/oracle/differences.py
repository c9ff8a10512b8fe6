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
    " manual, and vmaild, look at each entry by itself (item 7)",
    "each value once": "a value that comes twice is one recipient, and one login, all the same",
    "unsafe values fail": "a control character in a value must not reach a log or a delivery agent",
    "any order": "the order of values means nothing to Postfix; vmaild's is the same for the same entries (item 10)",
}
"""Differences on purpose, each with its reason."""

KNOWN = {
    "an attribute in two lists counts in each": "item 1: the first of terminal, leaf, result, special decides",
    "limits of members": "item 5: size_limit holds for each search, expansion_limit counts every value",
    "no attribute options": "item 6: maildrop;lang-de is maildrop",
    "@domain within domain": "item 8: a key without a localpart is not looked up where domain is set",
    "few URLs": "item 9: <ldap:...>, URL:ldap:..., ldapi:, scopes subtree and onelevel",
    "empty labels count": "item 10: %1 skips empty labels",
}
"""Where vmaild is wrong, by the issue's items."""

MOST_KNOWN = 3


def explain(model: Model, key: str, wanted: Answer) -> tuple[str, ...] | None:
    """The fewest switches that make the model answer ``wanted``, as few known ones as possible; None when none do."""
    for chosen in _choices():
        if same(model.answer(key, frozenset(chosen)), wanted, any_order="any order" in chosen):
            return chosen
    return None


def same(one: Answer, other: Answer, *, any_order: bool = False) -> bool:
    """Whether two answers are the same, with values in any order when that is meant."""
    if any_order and isinstance(one, str) and isinstance(other, str):
        return sorted(one.split(",")) == sorted(other.split(","))
    return one == other


def _choices() -> Iterator[tuple[str, ...]]:
    for wrong in range(MOST_KNOWN + 1):
        for known in combinations(KNOWN, wrong):
            for number in range(len(MEANT) + 1):
                for meant in combinations(MEANT, number):
                    yield (*known, *meant)
