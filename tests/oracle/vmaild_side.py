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
from vmaild import daemon
from vmaild.cache import Cache
from vmaild.config import Config, load
from vmaild.errors import ConfigError
from vmaild.lookup import Reply, Request, Status
from vmaild.reload import serving

PATIENT = "[directory]\nconnect_timeout = 60.0\nlookup_timeout = 90.0\n"
"""On a busy machine a connection may take longer than by default, which would be a difference."""


class Refused(Exception):
    """vmaild does not take the file; the text holds every problem."""


def answers(table: Path, keys: Sequence[str]) -> list[Answer]:
    """vmaild's answer to each key. Raises ``Refused``."""
    config = configured(table)
    return asyncio.run(_ask(config, keys))


def searches(table: Path, keys: Sequence[str]) -> int:
    """How many searches it takes to answer the keys."""
    return asyncio.run(_count(configured(table), keys))


async def _count(config: Config, keys: Sequence[str]) -> int:
    own = serving(config, Cache(config.cache))
    await own.directory.start()
    try:
        for key in keys:
            await own.maps.find(Request(b"oracle", os.fsencode(key)))
        return own.directory.counters.searches
    finally:
        await own.close()


def configured(table: Path) -> Config:
    """A configuration with the one map ``oracle``. Raises ``Refused``."""
    file = table.with_suffix(".toml")
    file.write_text(f'{PATIENT}[maps.oracle]\nkeys = "exact"\ncf = [{json.dumps(str(table))}]\n')
    try:
        return load(file, {})
    except ConfigError as error:
        raise Refused("\n".join(error.problems)) from None


async def _ask(config: Config, keys: Sequence[str]) -> list[Answer]:
    async with daemon.opened(config) as maps:
        return [_value(await maps.find(Request(b"oracle", os.fsencode(key)))) for key in keys]


def _value(reply: Reply) -> Answer:
    if reply.status is Status.TEMPORARY:
        return TEMP
    return reply.text.decode(errors="surrogateescape") if reply.status is Status.FOUND else None
