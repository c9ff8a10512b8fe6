"""Whatever comes in whatever pieces, and whenever replies are there: each request is answered once, in its place."""

from __future__ import annotations

import asyncio
from collections import deque

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.server.conftest import FakeLookups, ask, ok
from tests.server.paper import PaperTransport
from vmaild.server.context import Context
from vmaild.server.dialect import SOCKETMAP
from vmaild.server.hot_path import HotConnection
from vmaild.server.recent import Recent
from vmaild.server.state import ENDING, READY, TIMED

keys = st.sampled_from([b"slow0", b"slow1", b"slow2", b"now", b"cached0", b"cached1", b"later"])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.lists(keys, min_size=1, max_size=80)),
        st.tuples(st.just("cut"), st.integers(1, 40)),
        st.tuples(st.just("open"), st.sampled_from([b"slow0", b"slow1", b"slow2"])),
        st.tuples(st.sampled_from(["turn", "pause", "resume", "time", "flush", "arrive"]), st.none()),
    ),
    max_size=40,
)


class Run:
    """One connection, and the bytes on their way to it."""

    def __init__(self, max_pipelined: int) -> None:
        self.lookups = FakeLookups()
        context = Context(self.lookups, self.lookups.cache.clock, max_connections=1, max_pipelined=max_pipelined)
        self.recent = Recent()
        self.connection, self.transport = HotConnection(context, SOCKETMAP, self.recent), PaperTransport()
        self.transport.protocol = self.connection
        self.connection.connection_made(self.transport)
        self.context = context
        self.on_its_way: deque[bytes] = deque()
        self.expected = b""
        self.paused = False

    def deliver(self) -> None:
        """What the kernel has, one segment at a time, as long as it is read."""
        while self.on_its_way and self.transport.reading and not self.transport.ended:
            self.connection.data_received(self.on_its_way.popleft())

    def step(self, what: str, value: object) -> None:
        connection = self.connection
        if what == "ask":
            assert isinstance(value, list)
            self.on_its_way.append(b"".join(map(ask, value)))
            self.expected += b"".join(ok(b"v:" + key) for key in value)
        elif what == "cut" and self.on_its_way:
            assert isinstance(value, int)
            last = self.on_its_way.pop()
            self.on_its_way.extend(piece for piece in (last[:value], last[value:]) if piece)
        elif what == "open":
            assert isinstance(value, bytes)
            self.lookups.gate(value).set()
            self.lookups.gates.pop(value)
        elif what == "pause" and not self.paused:
            self.paused = True
            connection.pause_writing()
        elif what == "resume" and self.paused:
            self.paused = False
            connection.resume_writing()
        elif what == "time":
            connection.time_next()
        elif what == "flush":
            self.recent.clear()
            self.lookups.cache.forget_all()
        elif what == "arrive":
            self.deliver()

    async def end(self) -> None:
        """Let all that is on its way arrive and be answered."""
        self.step("resume", None)
        for _ in range(1000):
            for key in list(self.lookups.gates):
                self.step("open", key)
            self.deliver()
            await asyncio.sleep(0)
            if not self.on_its_way and self.connection._state in (READY, TIMED):
                return
        raise AssertionError(f"it does not come to an end: {self.connection._state}")


@settings(max_examples=300, deadline=None)
@given(steps=steps, max_pipelined=st.sampled_from([1, 2, 4, 32]))
def test_each_request_is_answered_once_and_in_order(steps: list[tuple[str, object]], max_pipelined: int) -> None:
    async def run() -> None:
        one = Run(max_pipelined)
        for what, value in steps:
            one.step(what, value)
            if what == "turn":
                one.deliver()
                await asyncio.sleep(0)
            assert one.expected.startswith(one.transport.sent)
        await one.end()
        assert one.transport.sent == one.expected
        assert not one.connection.in_flight
        one.connection.eof_received()
        assert (one.connection._state, one.transport.ended) == (ENDING, "closed")
        one.connection.connection_lost(None)
        assert one.context.empty.is_set()

    asyncio.run(run())
