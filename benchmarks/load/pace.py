"""When the next question is asked: as soon as an answer is in, or when the schedule says so. Pure.

A closed loop measures how much a server can do. Its latencies flatter a server that stalls: while it does, nobody
asks. An open loop asks at a fixed rate whatever comes back, and counts each latency from the time at which the
question was due, so that a stall is charged to every question that it delayed. A closed loop in lockstep compares the
CPU of servers: each finds as many requests waiting at a time, whichever is faster. Times are nanoseconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from benchmarks.load.questions import Question
from benchmarks.load.tally import Tally


class Askable(Protocol):
    """What a pace needs of a connection."""

    def ask(self, question: Question, since: int, now: int) -> None:
        """Send the question; its latency counts from ``since``."""


class ClosedLoop:
    """Every connection asks again as soon as it is ready, until ``stopped``: from outside, or when questions end.

    In lockstep ``together`` connections ask at the same time, and again when all have their answers. ``idle`` are
    those that have nothing in flight.
    """

    def __init__(self, questions: Iterator[Question], together: int = 1) -> None:
        self._questions, self._together = questions, together
        self.idle: list[Askable] = []
        self.stopped = False

    def ready(self, connection: Askable, now: int) -> None:
        """``connection`` has nothing in flight."""
        self.idle.append(connection)
        self.tick(now)

    def gone(self, connection: Askable) -> None:
        """``connection`` is closed; another may be ready in its place."""
        if connection in self.idle:
            self.idle.remove(connection)

    def tick(self, now: int) -> int:
        """Ask what is to be asked; returns how many more connections there would be work for."""
        while len(self.idle) >= self._together and not self.stopped:
            asking, self.idle = self.idle, []
            for connection in asking:
                if (question := next(self._questions, None)) is None:
                    self.stopped = True
                    break
                connection.ask(question, now, now)
        return 0

    def stop(self, tally: Tally, now: int) -> None:
        """Ask no more, and count in ``tally`` what was due and never asked."""
        self.stopped = True


class OpenLoop(ClosedLoop):
    """Asks ``rate`` questions a second, evenly, the first at ``start``, as far as there are idle connections.

    The one that was used last comes first, so that idle ones stay idle, as in Postfix.
    """

    def __init__(self, questions: Iterator[Question], rate: float, start: int) -> None:
        super().__init__(questions)
        self._rate, self._start, self._asked = rate, start, 0

    def due(self) -> int:
        """When the next question is due."""
        return self._start + int(self._asked * 1e9 / self._rate)

    def tick(self, now: int) -> int:
        while self.idle and not self.stopped and (since := self.due()) <= now:
            self._asked += 1
            self.idle.pop().ask(next(self._questions), since, now)
        late = now - self.due()
        return 0 if self.stopped or late < 0 else 1 + int(late * self._rate / 1e9)

    def stop(self, tally: Tally, now: int) -> None:
        self.tick(now)
        self.stopped = True
        while (since := self.due()) <= now:
            tally.error("unasked-in-time", since, now)
            self._asked += 1
