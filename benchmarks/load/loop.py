"""uvloop's event loop for one coroutine; ``uvloop.run`` does the same, and Debian 12's uvloop has none yet."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import uvloop

T = TypeVar("T")


def run_in_uvloop(main: Coroutine[Any, Any, T]) -> T:
    """Run ``main`` to its end; returns what it returns."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)
