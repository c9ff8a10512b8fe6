"""An event loop whose time jumps to the next timer as soon as nothing else is left to do."""

from __future__ import annotations

import asyncio
import functools
import inspect
import selectors
from collections.abc import Callable, Coroutine
from typing import Any


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self, loop: FakeTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("every task waits, and no timer would wake one")
        self._loop.now += max(timeout, 0)
        return super().select(0)


class FakeTimeLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.now = 1000.0
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        return self.now


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run ``main`` in fake time; whatever reaches the loop's exception handler is an error."""
    stray: list[dict[str, Any]] = []
    with asyncio.Runner(loop_factory=FakeTimeLoop) as runner:
        runner.get_loop().set_exception_handler(lambda _, context: stray.append(context))
        runner.run(main)
    assert not stray


def in_fake_time(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Makes a coroutine function a test that runs in fake time."""

    @functools.wraps(test)
    def in_loop(*args: object, **kwargs: object) -> None:
        run(test(*args, **kwargs))

    del in_loop.__wrapped__
    in_loop.__signature__ = inspect.signature(test)  # type: ignore[attr-defined]
    return in_loop
