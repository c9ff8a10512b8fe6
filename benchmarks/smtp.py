"""RCPT TO commands against a real Postfix: what a table's speed is worth where it is used.

Each session is one connection that stays: EHLO, then MAIL FROM and a batch of RCPT TO, one at a time, each waiting
for its reply, then RSET, over and over. No message is sent. One connection occupies one smtpd(8) process.
"""

from __future__ import annotations

import asyncio
import smtplib
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.histogram import Histogram

BATCH = 50
"""Recipients of one transaction, as of a mailing list; smtpd(8) remembers some answers within a transaction."""

REPLY_SECONDS = 120.0
"""Past this a session is given up: longer than Postfix waits for its own services."""

SENDER = "sender@elsewhere.example"


@dataclass(slots=True)
class RcptResult:
    """What all sessions of one run saw. ``latency`` is that of RCPT TO alone."""

    seconds: float = 0.0
    accepted: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    latency: Histogram = field(default_factory=Histogram)


class _Session:
    """One SMTP session."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int) -> _Session:
        session = cls(*await asyncio.open_connection("127.0.0.1", port))
        await session.reply()
        await session.command("EHLO client.example")
        return session

    async def command(self, line: str) -> str:
        self._writer.write(line.encode() + b"\r\n")
        return await self.reply()

    async def reply(self) -> str:
        while True:
            line = await asyncio.wait_for(self._reader.readline(), REPLY_SECONDS)
            if not line:
                raise ConnectionError("Postfix closed the session")
            if line[3:4] != b"-":
                return line.decode(errors="replace").rstrip()

    def close(self) -> None:
        self._writer.close()


async def rcpt_load(
    port: int, sessions: int, warm_up: float, seconds: float, recipient: Callable[[], str], started: Callable[[], None]
) -> RcptResult:
    """Run ``sessions`` sessions; ``started`` is called when the measurement begins, after the warm-up."""
    result = RcptResult()
    open_sessions = await asyncio.gather(*(_Session.open(port) for _ in range(sessions)))
    try:
        await asyncio.gather(*(_recipients(one, time.monotonic() + warm_up, recipient, None) for one in open_sessions))
        started()
        began = time.monotonic()
        await asyncio.gather(*(_recipients(one, began + seconds, recipient, result) for one in open_sessions))
        result.seconds = time.monotonic() - began
    finally:
        for one in open_sessions:
            one.close()
    return result


async def _recipients(session: _Session, end: float, recipient: Callable[[], str], result: RcptResult | None) -> None:
    while time.monotonic() < end:
        await session.command(f"MAIL FROM:<{SENDER}>")
        for _ in range(BATCH):
            began = time.monotonic_ns()
            if began > end * 1e9:
                break
            reply = await session.command(f"RCPT TO:<{recipient()}>")
            if result is not None:
                _count(result, reply, time.monotonic_ns() - began)
        await session.command("RSET")


def _count(result: RcptResult, reply: str, nanoseconds: int) -> None:
    result.latency.record(nanoseconds)
    if reply.startswith("250"):
        result.accepted += 1
    else:
        result.refused[reply[:3]] = result.refused.get(reply[:3], 0) + 1


def send_message(port: int, recipient: str, sender: str = SENDER) -> None:
    """Send one short message. Raises what ``smtplib`` raises when it is not accepted."""
    with smtplib.SMTP("127.0.0.1", port, local_hostname="client.example", timeout=REPLY_SECONDS) as session:
        session.sendmail(sender, [recipient], f"From: {sender}\nTo: {recipient}\nSubject: benchmark\n\nText.\n")
