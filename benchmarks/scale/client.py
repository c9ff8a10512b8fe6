"""Many connections that ask one key after the other, each as fast as it is answered, or at a rate for all together."""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from vmaild.lookup import Request
from vmaild.wire import socketmap

MAP = b"virtual_mailbox_maps"

Question = tuple[str, str]
"""An address, and the answer that is right."""


@dataclass(slots=True)
class Asked:
    """What came of it. ``latencies`` are seconds."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    wrong: int = 0
    example: str = ""

    @property
    def rate(self) -> float:
        """Lookups a second."""
        return len(self.latencies) / self.seconds if self.seconds else 0.0

    def percentile(self, share: float) -> float:
        """The latency that this share of the lookups did not exceed: milliseconds."""
        ordered = sorted(self.latencies)
        return 1e3 * ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


def ask(
    address: tuple[str, int], questions: Iterator[Question], connections: int, seconds: float, rate: float = 0.0
) -> Asked:
    """Ask for ``seconds``, or until no question is left. Late answers count from when a question was due."""
    asked = Asked()
    selector = selectors.DefaultSelector()
    began = time.perf_counter()
    for number in range(connections):
        connection = socket.create_connection(address)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        offset = number / rate if rate else 0.0
        selector.register(connection, selectors.EVENT_READ, _Line(connection, began + offset))
    lines: list[_Line] = [key.data for key in selector.get_map().values()]
    step = connections / rate if rate else 0.0
    waiting = lines
    while lines:
        now = time.perf_counter()
        for line in [line for line in waiting if line.due <= now]:
            question = next(questions, None) if now - began < seconds else None
            if question is None:
                lines.remove(line)
                selector.unregister(line.connection)
                line.connection.close()
            else:
                line.send(question, now if not rate else line.due)
        waiting = [line for line in lines if line.question is None]
        pause = max(0.0, min((line.due for line in waiting), default=now + 1.0) - now)
        for key, _ in selector.select(min(pause, 1.0)) if lines else ():
            line = key.data
            if line.receive(asked):
                line.due = line.due + step if rate else 0.0
                waiting.append(line)
    asked.seconds = time.perf_counter() - began
    return asked


class _Line:
    """One connection, with at most one question."""

    def __init__(self, connection: socket.socket, due: float) -> None:
        self.connection = connection
        self.due = due
        self.question: Question | None = None
        self._sent = 0.0
        self._replies = socketmap.SocketmapReplies()

    def send(self, question: Question, now: float) -> None:
        self.question, self._sent = question, now
        self.connection.sendall(socketmap.encode_request(Request(MAP, question[0].encode())))

    def receive(self, asked: Asked) -> bool:
        data = self.connection.recv(65536)
        if not data:
            raise ConnectionError("vmaild closed a connection")
        self._replies.feed(data)
        reply = self._replies.next()
        if reply is None or self.question is None:
            return False
        asked.latencies.append(time.perf_counter() - self._sent)
        if reply.text.decode() != self.question[1]:
            asked.wrong += 1
            asked.example = f"{self.question[0]}: {reply}"
        self.question = None
        return True
