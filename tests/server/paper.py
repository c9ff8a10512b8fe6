"""A transport of paper: what a connection asks of it is written down."""

from __future__ import annotations

import asyncio

from vmaild.server.hot_path import HotConnection


class PaperTransport(asyncio.Transport):
    """``full_after``: bytes after which it has the connection pause, once."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.reading = True
        self.ended = ""
        self.full_after: int | None = None
        self.protocol: HotConnection | None = None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += data
        if self.full_after is not None and len(self.sent) > self.full_after:
            self.full_after = None
            assert self.protocol is not None
            self.protocol.pause_writing()

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def close(self) -> None:
        self.ended = self.ended or "closed"

    def abort(self) -> None:
        self.ended = "aborted"
