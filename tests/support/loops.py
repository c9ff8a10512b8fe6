"""Tests that must hold under asyncio's own event loop and under uvloop."""

from __future__ import annotations

import asyncio
import functools
import inspect
from typing import Any

import pytest
import uvloop

# No test of this kind lasts a second; a hung one must not hang the run.
SECONDS = 30


def on_each_loop(test: Any) -> Any:
    """Runs the coroutine function ``test`` under both loops, each time in a new one."""

    @pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
    @functools.wraps(test)
    def run(loop_factory: Any, **arguments: Any) -> None:
        async def bounded() -> None:
            await asyncio.wait_for(test(**arguments), SECONDS)

        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(bounded())

    signature = inspect.signature(test)
    extra = inspect.Parameter("loop_factory", inspect.Parameter.KEYWORD_ONLY)
    run.__signature__ = signature.replace(parameters=[*signature.parameters.values(), extra])
    return run
