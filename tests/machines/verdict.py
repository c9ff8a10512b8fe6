"""What became of each message: a row of the table, and what is wrong with it, in words.

*Bounced* is what was refused for good, or returned, though its address exists; *wrong* is a copy in a folder that is
not its recipient's, or mail taken for nobody; *lost* is what was taken and is neither in a folder nor in a queue.
A message that is delivered twice is no failure of a mail system (a host may die between the delivery and the note of
it) and is counted by itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.machines.sending import ID_DOMAIN, Message

Copies = Mapping[str, Sequence[tuple[str, float]]]
"""Of each subject, the folder and the time of each copy."""

HEADINGS = ("fault", "sent", "delivered", "deferred", "bounced", "wrong", "lost", "twice", "refused", "longest wait")


SEEN_SECONDS = 1.0
"""How long a change may take to show: the promise. It takes 0.1 s, which leaves room for a busy machine."""

NOT_FOLLOWING_SECONDS = 4.0
"""The same on a host whose consumer no longer reaches its provider, which is to be noticed first."""

MADE_UP_SECONDS = 15.0
"""The same for what was changed while a host or a provider could not be reached, from when it can be."""


def seen_within(what: str) -> float:
    """Seconds within which a change shows, by what was the matter then."""
    if "made up for" in what:
        return MADE_UP_SECONDS
    return NOT_FOLLOWING_SECONDS if what == "not following" else SEEN_SECONDS


@dataclass(slots=True)
class Row:
    """One fault. ``sent`` is mail to addresses that exist; ``refused`` mail to those that do not, refused rightly."""

    fault: str
    sent: int = 0
    delivered: int = 0
    deferred: int = 0
    """Delivered, but later: put off at least once."""
    bounced: int = 0
    wrong: int = 0
    lost: int = 0
    twice: int = 0
    refused: int = 0
    longest: float = 0.0
    """Seconds from the first attempt until the last copy was in its folder."""
    failures: list[str] = field(default_factory=list)
    changes: list[tuple[str, float]] = field(default_factory=list)
    """How long changes took to show on the hosts, by what was the matter then: seconds."""

    @property
    def late(self) -> list[tuple[str, float]]:
        """The changes that took longer to show than they may."""
        return [(what, seconds) for what, seconds in self.changes if seconds > seen_within(what)]

    def changes_text(self) -> str:
        """The changes in words."""
        return ", ".join(f"{what} {seconds:.2f} s" for what, seconds in self.changes)

    def cells(self) -> tuple[str, ...]:
        """As ``HEADINGS`` name them."""
        counts = (self.sent, self.delivered, self.deferred, self.bounced, self.wrong, self.lost, self.twice)
        return (self.fault, *map(str, counts), str(self.refused), f"{self.longest:.1f} s")


def judge(fault: str, messages: Iterable[Message], copies: Copies, returned: Mapping[str, str]) -> Row:
    """The row of a fault. ``returned``: what Postfix logged of messages that it bounced or put off, by its number."""
    row = Row(fault)
    for message in messages:
        found = copies.get(message.subject, ())
        said = returned.get(str(message.number), "")
        if message.case.folders:
            row.sent += 1
            _judge_mail(row, message, found, said)
        else:
            _judge_nobody(row, message, found)
    return row


def _judge_mail(row: Row, message: Message, found: Sequence[tuple[str, float]], said: str) -> None:
    folders = [folder for folder, _ in found]
    right = set(message.case.folders)
    if message.refused or said.startswith("bounced"):
        row.bounced += 1
        row.failures.append(_words("bounced", message, message.refused or said))
    elif set(folders) - right:
        row.wrong += 1
        row.failures.append(_words("wrong", message, f"landed in {folders}"))
    elif set(folders) != right:
        row.lost += 1
        row.failures.append(_words("lost", message, f"taken at {message.taken_at}, found in {folders}; {said}"))
    else:
        row.twice += len(folders) != len(right)
        late = bool(message.put_off or said)
        row.deferred += late
        row.delivered += not late
        row.longest = max(row.longest, max(time for _, time in found) - message.sent_at)


def _judge_nobody(row: Row, message: Message, found: Sequence[tuple[str, float]]) -> None:
    if message.refused and not found:
        row.refused += 1
    else:
        row.wrong += 1
        row.failures.append(_words("taken", message, f"{message.put_off[-1:]} {[folder for folder, _ in found]}"))


def _words(what: str, message: Message, more: str) -> str:
    return f"{what}: {message.sent_at:.2f} {message.case.kind} {message.case.recipient}: {more}"


def copies_below(mails: Iterable[Path]) -> dict[str, list[tuple[str, float]]]:
    """Every message in every Maildir below these directories."""
    copies: dict[str, list[tuple[str, float]]] = {}
    for mail in mails:
        for file in mail.glob("**/new/*"):
            subject = next((line for line in _lines(file) if line.startswith("Subject: ")), "")
            where = (f"{file.parent.parent.relative_to(mail)}/", file.stat().st_mtime)
            copies.setdefault(subject.removeprefix("Subject: "), []).append(where)
    return copies


_ID = re.compile(rf" ([0-9A-Za-z]+): message-id=<([0-9]+)@{re.escape(ID_DOMAIN)}>")
_STATUS = re.compile(r" ([0-9A-Za-z]+): to=<.*status=(bounced|deferred) (.*)")


def put_off_or_returned(logs: Iterable[str]) -> dict[str, str]:
    """Of each number of a message that Postfix bounced or put off after it had taken it: what the log says."""
    said: dict[str, str] = {}
    for log in logs:
        numbers: dict[str, str] = {}
        for line in log.splitlines():
            if found := _ID.search(line):
                numbers[found[1]] = found[2]
            elif (found := _STATUS.search(line)) and found[1] in numbers:
                number = numbers[found[1]]
                if not said.get(number, "").startswith("bounced"):
                    said[number] = f"{found[2]} {found[3]}"
    return said


def _lines(file: Path) -> list[str]:
    return file.read_text(errors="replace").splitlines()


def report(rows: Iterable[Row]) -> str:
    """The rows in aligned columns, each with how long changes took to show."""
    rows = list(rows)
    lines = [HEADINGS, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    texts = [_line(line, widths) for line in lines]
    notes = ["changes seen after", *(row.changes_text() for row in rows)]
    return "\n".join(f"{text}  {note}" for text, note in zip(texts, notes, strict=True))


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *rest = (cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
    return "  ".join([first.strip().ljust(widths[0]), *rest])
