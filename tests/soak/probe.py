"""``python -m tests.soak.probe PORT``: one honest client and how long it waits, until it is ended.

It asks for fifty mailboxes in turn, a hundred a second, as blocking code in a process of its own, so that what it
waits for is the daemon and not its own loop.
"""

from __future__ import annotations

import itertools
import socket
import sys
import time

from benchmarks.site.population import MAILBOXES, address, mailbox
from tests.soak.client import PATIENCE, judge
from tests.soak.oracle import Question
from tests.soak.tally import Tally
from vmaild.lookup import Status
from vmaild.wire.socketmap import SocketmapReplies

INTERVAL = 0.01
KEYS = 50


def main(port: int) -> None:
    tally = Tally()
    questions = [
        Question(MAILBOXES, address(number).encode(), Status.FOUND, mailbox(number).encode()) for number in range(KEYS)
    ]
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as sock:
        replies = SocketmapReplies()
        emit_at = time.monotonic() + 1.0
        for question in itertools.cycle(questions):
            began = time.monotonic()
            sock.sendall(question.wire)
            while (reply := replies.next()) is None:
                data = sock.recv(65536)
                if not data:
                    raise ConnectionError("closed by the daemon")
                replies.feed(data)
            ended = time.monotonic()
            tally.latencies.append(ended - began)
            judge(tally, question, reply, began)
            if ended >= emit_at:
                tally.emit()
                emit_at = ended + 1.0
            time.sleep(INTERVAL)


if __name__ == "__main__":
    main(int(sys.argv[1]))
