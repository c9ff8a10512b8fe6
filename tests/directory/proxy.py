"""A TCP proxy that can be broken in the ways a network can, and a listener that nobody can connect to.

The proxy runs in threads of its own, so that a stalled event loop shows as such and not as a stalled proxy.
"""

from __future__ import annotations

import contextlib
import enum
import socket
import struct
import threading
import time
from collections.abc import Iterator

RESET_ON_CLOSE = struct.pack("ii", 1, 0)
PUMP_TIMEOUT = 0.02

SLOW_SECONDS = 0.4


class Mode(enum.Enum):
    """What happens to the server's bytes on their way to the client."""

    PASS = "pass"
    HOLD = "hold"  # nothing arrives; a later PASS lets it through
    HALF = "half"  # half of the next chunk arrives (or its first ``part`` bytes), then HOLD
    DRIP = "drip"  # one byte a second
    SLOW = "slow"  # each chunk arrives ``SLOW_SECONDS`` later


class Proxy:
    """Forwards 127.0.0.1:``port`` to ``target``; break it by ``mode``, ``refuse`` and ``reset``."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self.mode = Mode.PASS
        self.part = 0
        self.accepted = 0
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._closing = False
        self._listener: socket.socket | None = None
        self.port = 0
        self.listen()

    @property
    def listening(self) -> bool:
        return self._listener is not None

    @property
    def uri(self) -> str:
        return f"ldap://127.0.0.1:{self.port}"

    def listen(self) -> None:
        """Accept connections, on the same port as before."""
        listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
        self.port = listener.getsockname()[1]
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def refuse(self) -> None:
        """Refuse new connections and reset the old ones."""
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        self.reset()

    def reset(self) -> None:
        """RST on every connection there is, and wait until it was sent: call it in a thread."""
        pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for sock in pair:
                with contextlib.suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
                sock.close()
        if pairs and not self._closing:
            # The kernel closes a socket when no thread polls it any more.
            time.sleep(3 * PUMP_TIMEOUT)

    def close(self) -> None:
        self._closing = True
        self.refuse()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            self.accepted += 1
            try:
                server = socket.create_connection(self.target, timeout=5)
            except OSError:
                client.close()
                continue
            client.settimeout(PUMP_TIMEOUT)
            server.settimeout(PUMP_TIMEOUT)
            self._pairs.append((client, server))
            for source, sink, faulty in ((client, server, False), (server, client, True)):
                threading.Thread(target=self._pump, args=(source, sink, faulty), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, faulty: bool) -> None:
        held = b""
        with contextlib.suppress(OSError):
            while not self._closing:
                mode = self.mode if faulty else Mode.PASS
                if held and mode is not Mode.HOLD:
                    held = self._forward(sink, held, mode)
                    continue
                try:
                    data = source.recv(65536)
                except TimeoutError:
                    continue
                if not data:
                    break
                held += data
        for sock in (source, sink):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def _forward(self, sink: socket.socket, data: bytes, mode: Mode) -> bytes:
        """Send what ``mode`` lets through; returns the rest."""
        if mode is Mode.DRIP:
            sink.sendall(data[:1])
            time.sleep(1.0)
            return data[1:]
        if mode is Mode.HALF:
            self.mode = Mode.HOLD
            middle = self.part or len(data) // 2
            sink.sendall(data[:middle])
            return data[middle:]
        if mode is Mode.SLOW:
            time.sleep(SLOW_SECONDS)
        sink.sendall(data)
        return b""


@contextlib.contextmanager
def proxied(port: int) -> Iterator[Proxy]:
    """A proxy to 127.0.0.1:``port`` for the length of the block."""
    proxy = Proxy(("127.0.0.1", port))
    try:
        yield proxy
    finally:
        proxy.close()


@contextlib.contextmanager
def blackhole() -> Iterator[int]:
    """A port whose SYNs are not answered: a listener with a full backlog."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        port = listener.getsockname()[1]
        for _ in range(8):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect(("127.0.0.1", port))
            time.sleep(0.01)
        yield port


@contextlib.contextmanager
def silent() -> Iterator[int]:
    """A port that accepts connections, reads, and never says anything."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=64))
        accepted: list[socket.socket] = []

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    accepted.append(listener.accept()[0])

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        for sock in accepted:
            sock.close()
