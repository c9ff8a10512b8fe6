"""Random directories and random table files: Postfix and vmaild answer the same, but for what is meant.

``VMAILD_COMPARISONS`` is how many answers are compared (3,000), ``VMAILD_SEED`` chooses others.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.oracle import vmaild_side
from tests.oracle.answer import Answer
from tests.oracle.conftest import write_table
from tests.oracle.differences import KNOWN, explain
from tests.oracle.model import Model
from tests.oracle.postfix_side import Postmap
from tests.oracle.searching import Searches
from tests.oracle.table_files import Settings, make_keys, make_settings
from tests.oracle.trees import BASE, make_tree
from vmaild.demo.slapd import Slapd

COMPARISONS = int(os.environ.get("VMAILD_COMPARISONS", "3000"))
SEED = int(os.environ.get("VMAILD_SEED", "1"))
KEYS_EACH = 50
TABLES_EACH = 20
"""Tables that ask one directory."""
AT_ONCE = 16
"""postmap sleeps for some seconds at every failure."""


@dataclass(frozen=True)
class Asked:
    """One table: the keys it was asked, and the answers of the model, of vmaild and of Postfix."""

    settings: Settings
    keys: list[str]
    model: Model
    predicted: list[Answer]
    ours: list[Answer]
    theirs: list[Answer]


def test_random_tables_answer_as_postfix_does(service_home: Path, postmap: Postmap) -> None:
    causes: Counter[str] = Counter()
    wrong_model, unexplained = [], []
    compared = 0
    for asked in _asked(service_home, postmap):
        for key, predicted, ours, theirs in zip(asked.keys, asked.predicted, asked.ours, asked.theirs, strict=True):
            compared += 1
            if predicted != theirs:
                wrong_model.append((asked.settings, key, predicted, theirs))
            elif ours != theirs:
                why = explain(asked.model, key, ours)
                causes.update(why or ())
                if why is None:
                    unexplained.append((asked.settings, key, theirs, ours))
    print(f"{compared} answers compared; differences by cause: {dict(causes)}")
    assert compared >= COMPARISONS
    assert wrong_model == [], "the model of dict_ldap.c is wrong"
    assert unexplained == []
    if SEED == 1:
        mended = [name for name in KNOWN if not causes[name]]
        assert mended == [], "these are no longer wrong: take them out of differences.KNOWN"


def _asked(home: Path, postmap: Postmap) -> Iterator[Asked]:
    random = Random(SEED)
    tables = -(-COMPARISONS // KEYS_EACH)
    for number in range(0, tables, TABLES_EACH):
        tree = make_tree(random)
        with ExitStack() as stack:
            slapd = stack.enter_context(Slapd(home / f"slapd{number}", base=BASE, ldif=tree.ldif(), access=""))
            searches = stack.enter_context(Searches(slapd.uri))
            pool = stack.enter_context(ThreadPoolExecutor(AT_ONCE))
            made = []
            for one in range(min(TABLES_EACH, tables - number)):
                settings, keys = make_settings(random), make_keys(random, tree, KEYS_EACH)
                file = write_table(home / f"table{number + one}.cf", slapd.uri, settings)
                model = Model(settings, searches.find)
                predicted = [model.answer(key) for key in keys]
                theirs = pool.submit(postmap.answers, file, keys, predicted)
                made.append((settings, keys, model, predicted, vmaild_side.answers(file, keys), theirs))
            for settings, keys, model, predicted, ours, future in made:
                yield Asked(settings, keys, model, predicted, ours, future.result())
