"""When the next question is asked: as soon as an answer is in, or when the schedule says so. Pure.

A closed loop measures how much a server can do. Its latencies flatter a server that stalls: while it does, nobody
asks. An open loop asks at a fixed rate whatever comes back, and counts each latency from the time at which the
question was due, so that a stall is charged to every question that it delayed. A closed loop in lockstep compares the
CPU of servers: each finds as many requests waiting at a time, whichever is faster.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from benchmarks.load.questions import Question
from benchmarks.load.tally import Tally


class Askable(Protocol):
    """What a pace needs of a connection."""

    def ask(self, question: Question, since: int, now: int) -> None:
        """Send the question; its latency counts from ``since``."""


class ClosedLoop:
    """Every connection asks again as soon as it is ready, until ``stopped``: by ``stop``, or when questions end."""

    def __init__(self, questions: Callable[[], Question | None]) -> None:
        self._questions = questions
        self.stopped = False

    def ready(self, connection: Askable, now: int) -> None:
        """``connection`` has nothing in flight."""
        question = None if self.stopped else self._questions()
        if question is None:
            self.stopped = True
        else:
            connection.ask(question, now, now)

    def gone(self, connection: Askable) -> None:
        """``connection`` is closed; another may be ready in its place."""

    def stop(self, tally: Tally, now: int) -> None:
        """Ask no more, and count in ``tally`` what was due and never asked."""
        self.stopped = True


class Lockstep(ClosedLoop):
    """All ``size`` connections ask at the same time, and again when all have their answers."""

    def __init__(self, questions: Callable[[], Question | None], size: int) -> None:
        super().__init__(questions)
        self._size = size
        self._idle: list[Askable] = []

    def ready(self, connection: Askable, now: int) -> None:
        self._idle.append(connection)
        if len(self._idle) == self._size:
            idle, self._idle = self._idle, []
            for each in idle:
                super().ready(each, now)

    def gone(self, connection: Askable) -> None:
        if connection in self._idle:
            self._idle.remove(connection)


class Schedule:
    """The times at which questions are due: ``rate`` a second, evenly, the first at ``start`` (nanoseconds)."""

    def __init__(self, rate: float, start: int) -> None:
        self._rate, self._start = rate, start

    def time_of(self, number: int) -> int:
        """When question ``number`` (from 0) is due."""
        return self._start + int(number * 1e9 / self._rate)

    def due(self, now: int) -> int:
        """How many questions are due at ``now``."""
        count = max(0, int((now - self._start) * self._rate / 1e9))
        # The division above may round to the other side of a due time.
        return count + sum(self.time_of(number) <= now for number in range(count, count + 2))


class OpenLoop(ClosedLoop):
    """Asks what is due on idle connections, the last used one first, so that idle ones stay idle, as in Postfix.

    ``wanted`` is how many more connections there would be work for.
    """

    def __init__(self, questions: Callable[[], Question], schedule: Schedule) -> None:
        super().__init__(questions)
        self._following = questions
        self._schedule = schedule
        self._asked = 0
        self.idle: list[Askable] = []
        self.wanted = 0

    def ready(self, connection: Askable, now: int) -> None:
        self.idle.append(connection)
        self.tick(now)

    def gone(self, connection: Askable) -> None:
        if connection in self.idle:
            self.idle.remove(connection)

    def tick(self, now: int) -> None:
        """Ask whatever is due, as far as there are idle connections."""
        if self.stopped:
            return
        due = self._schedule.due(now)
        while self._asked < due and self.idle:
            since = self._schedule.time_of(self._asked)
            self._asked += 1
            self.idle.pop().ask(self._following(), since, now)
        self.wanted = due - self._asked

    def stop(self, tally: Tally, now: int) -> None:
        self.tick(now)
        self.stopped = True
        for number in range(self._asked, self._schedule.due(now)):
            tally.error("unasked-in-time", self._schedule.time_of(number), now)
        self.wanted = 0
