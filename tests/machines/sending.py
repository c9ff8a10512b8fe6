"""The internet: a mail server that sends one message after the other, and keeps what was put off until it is taken.

Each message goes to one of the mail hosts; after a 4xx, or when nobody answers, to the other one, as a domain's two MX
records tell. Threads do it, each of which is in the sender's namespace.
"""

from __future__ import annotations

import heapq
import itertools
import smtplib
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.machines.company import Addresses, Case
from tests.machines.network import Machine

THREADS = 12
RETRY_SECONDS = 1.0
"""How long a message rests before it is tried again."""

SMTP_SECONDS = 8.0
"""How long one reply may take. Postfix itself waits longer; a message is then tried again, and may arrive twice."""

SENDER = "sender@elsewhere.example"
ID_DOMAIN = "machines.elsewhere.example"


@dataclass(slots=True)
class Message:
    """One message and what became of it. Times are of ``time.time``, as those of files are."""

    number: int
    case: Case
    sent_at: float = 0.0
    taken_at: float = 0.0
    put_off: list[str] = field(default_factory=list)
    """What was said each time that it was not taken, yet."""
    refused: str = ""
    """What was said when it was refused for good."""

    @property
    def subject(self) -> str:
        """By which it is found."""
        return f"machines {self.number}"

    def text(self) -> str:
        """What is sent. Its Message-ID is in Postfix's log."""
        headers = (f"From: <{SENDER}>", f"Subject: {self.subject}", f"Message-ID: <{self.number}@{ID_DOMAIN}>")
        return "\r\n".join([*headers, "", "A test message.", ""])


class Sender:
    """Sends to ``hosts``, addresses on the internet, from ``machine``."""

    def __init__(self, machine: Machine, hosts: Sequence[str], addresses: Addresses) -> None:
        self._machine = machine
        self._hosts = hosts
        self._addresses = addresses
        self._numbers = itertools.count()
        self._due: list[tuple[float, int, int, Message]] = []
        self._changed = threading.Condition()
        self._sending = 0

    def send_all(self, cases: Sequence[Case], seconds: float) -> list[Message]:
        """One message for each case, to each host in turn, and wait until all are taken or refused."""
        with self._running() as messages:
            for case in cases:
                self.submit(case, messages)
            self.wait(seconds)
        return messages

    @contextmanager
    def load(self, per_second: float) -> Iterator[list[Message]]:
        """Messages at random at this rate, until the body ends; then the list is complete, but not all are taken."""
        end = threading.Event()
        with self._running() as messages:
            source = threading.Thread(target=self._produce, args=(per_second, end, messages))
            source.start()
            try:
                yield messages
            finally:
                end.set()
                source.join()

    def wait(self, seconds: float) -> bool:
        """Whether every message has been taken or refused within this time."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._due and not self._sending, seconds)

    @contextmanager
    def _running(self) -> Iterator[list[Message]]:
        messages: list[Message] = []
        end = threading.Event()
        threads = [threading.Thread(target=self._work, args=(end,)) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        try:
            yield messages
            self.wait(120.0)
        finally:
            end.set()
            for thread in threads:
                thread.join()
            self._due.clear()

    def _produce(self, per_second: float, end: threading.Event, messages: list[Message]) -> None:
        due = time.monotonic()
        while not end.wait(max(0.0, due - time.monotonic())):
            self.submit(self._addresses.next(), messages)
            due += 1.0 / per_second

    def submit(self, case: Case, messages: list[Message]) -> None:
        """One message more, at once, while ``load`` runs."""
        message = Message(next(self._numbers), case)
        messages.append(message)
        self._put(time.monotonic(), 0, message)

    def _put(self, when: float, tries: int, message: Message) -> None:
        with self._changed:
            heapq.heappush(self._due, (when, message.number, tries, message))
            self._changed.notify_all()

    def _work(self, end: threading.Event) -> None:
        self._machine.enter()
        while not end.is_set():
            with self._changed:
                now = time.monotonic()
                if not self._due or self._due[0][0] > now:
                    self._changed.wait(min(0.2, self._due[0][0] - now) if self._due else 0.2)
                    continue
                _, _, tries, message = heapq.heappop(self._due)
                self._sending += 1
            self._attempt(message, self._hosts[(message.number + tries) % len(self._hosts)])
            if not (message.taken_at or message.refused):
                self._put(time.monotonic() + RETRY_SECONDS, tries + 1, message)
            with self._changed:
                self._sending -= 1
                self._changed.notify_all()

    def _attempt(self, message: Message, host: str) -> None:
        message.sent_at = message.sent_at or time.time()
        try:
            code, text = _transaction(host, message)
        except (OSError, smtplib.SMTPException) as error:
            message.put_off.append(f"{host}: {error}")
            return
        said = f"{host}: {code} {text}"
        if code < 300:
            message.taken_at = time.time()
        elif code < 500:
            message.put_off.append(said)
        else:
            message.refused = said


def _transaction(host: str, message: Message) -> tuple[int, str]:
    """The last reply. Unlike smtplib's own, a refused recipient is no exception."""
    with smtplib.SMTP(host, 25, local_hostname="client.example", timeout=SMTP_SECONDS) as session:
        session.ehlo()
        session.mail(SENDER)
        code, text = session.rcpt(message.case.recipient)
        if code < 300:
            code, text = session.data(message.text())
        return code, text.decode(errors="replace")
