"""What vmaild answers when it reads the same table file: the one place to re-point when its tables change.

The file is read through the configuration (``[maps.oracle] cf = [...]``), so that a problem named there is seen as such
(``Refused``); keys are taken as they are (``keys = "exact"``), as ``postmap -q`` takes them.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from pathlib import Path

from tests.oracle.answer import TEMP, Answer
from vmaild.config import Config, load
from vmaild.directory import Directory
from vmaild.errors import ConfigError, LookupFailure
from vmaild.lookup import Reply, Status
from vmaild.tables import address
from vmaild.tables.ldap_table import Table


class Refused(Exception):
    """vmaild does not take the file; the text holds every problem."""


def answers(table: Path, keys: Sequence[str]) -> list[Answer]:
    """vmaild's answer to each key. Raises ``Refused``."""
    config = _configured(table)
    return asyncio.run(_ask(config, keys))


def _configured(table: Path) -> Config:
    file = table.with_suffix(".toml")
    file.write_text(f'[maps.oracle]\nkeys = "exact"\ncf = [{json.dumps(str(table))}]\n')
    try:
        return load(file, {})
    except ConfigError as error:
        raise Refused("\n".join(error.problems)) from None


async def _ask(config: Config, keys: Sequence[str]) -> list[Answer]:
    directory = Directory(config.directory)
    await directory.start()
    try:
        return [await _answer(config.maps.tables["oracle"], directory, key) for key in keys]
    finally:
        await directory.close()


async def _answer(table: Table, directory: Directory, key: str) -> Answer:
    folded = address.fold(os.fsencode(key))
    if folded is None:
        return None
    steps = table.lookup(folded)
    try:
        search = next(steps)
        while True:
            search = steps.send(await directory.search(search))
    except StopIteration as stop:
        return _value(stop.value.reply)
    except LookupFailure:
        return TEMP


def _value(reply: Reply) -> Answer:
    return reply.text.decode(errors="surrogateescape") if reply.status is Status.FOUND else None
