"""The control socket: ``vmaild flush``, ``vmaild stats`` and ``vmaild reload`` on the running daemon.

One connection carries one command and one answer. A command is a line of words with one space between them,
each word %XX-encoded (RFC 3986), since a key may hold any byte:

    flush              forget every cached answer
    flush MAP          forget the answers of one map
    flush MAP KEY      forget one answer
    stats              tell what the daemon knows of itself
    reload             read the configuration again, and take it over

The answer is one JSON object on a line: ``{"flushed": 3}``, ``{"stats": {...}}``, ``{"reloaded": "..."}``,
``{"refused": ["problem", ...]}`` or ``{"error": "why"}``.

The socket file has mode 0600: who may connect may empty the cache and read the keys' numbers, so it is for the
daemon's own user and root. ``ControlServer`` runs in the daemon; ``flush``, ``stats`` and ``reload`` are its
synchronous client, and raise ``ControlError``.
"""

from __future__ import annotations

import json
import socket
import time
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote_from_bytes, unquote_to_bytes

from vmaild.admin.request_server import DEADLINE, LATER_DEADLINE, MAX_CONNECTIONS, RequestServer
from vmaild.errors import ConfigError, VmaildError
from vmaild.listening import bind_unix, remove_unix

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable

# Mode of the socket file: its owner, and root.
MODE = 0o600

# A key of 10,000 bytes and a map's name, each byte as %XX.
MAX_COMMAND = 32_768

# What the client takes: stats of some hundred maps stay far below.
MAX_ANSWER = 1_048_576

# Seconds that the client gives the daemon, from connecting to the end of the answer.
TIMEOUT = 5.0

# The same for a reload, which connects to the directory first.
RELOAD_TIMEOUT = LATER_DEADLINE


class ControlError(VmaildError):
    """The daemon could not be asked, or refused the command. The text is for the administrator."""


class Commands(Protocol):
    """What the daemon does when told to. None may block."""

    def flush(self, map_name: bytes | None, key: bytes | None) -> int:
        """Forget the answers of all maps, of one map, or of one key of it; returns how many."""

    def stats(self) -> dict[str, Any]:
        """What the daemon knows of itself, as JSON can carry it."""

    async def reload(self) -> str:
        """Take over what the configuration says now; returns what that changed. Raises ConfigError when refused."""


class ControlServer:
    """Listens at ``path`` for commands. Bounds: one command of ``MAX_COMMAND`` bytes per connection,
    ``deadline`` seconds for it, ``max_connections`` at once.
    """

    def __init__(
        self,
        path: str,
        commands: Commands,
        *,
        deadline: float = DEADLINE,
        max_connections: int = MAX_CONNECTIONS,
    ) -> None:
        self.path = path
        self._server = RequestServer(ControlProtocol(commands), deadline=deadline, max_connections=max_connections)

    async def start(self) -> None:
        """Bind and listen. A dead process's socket file is replaced; OSError when a live one listens."""
        await self._server.start([bind_unix(self.path, MODE)])

    async def close(self) -> None:
        """Stop listening and remove the socket file."""
        await self._server.close()
        remove_unix(self.path)


class ControlProtocol:
    """The line protocol, as functions of bytes."""

    end = b"\n"
    limit = MAX_COMMAND

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    def answer(self, request: bytes) -> bytes | Coroutine[Any, Any, bytes]:
        """The JSON line that answers the command line ``request``, or what makes it."""
        verb, *words = (unquote_to_bytes(word) for word in request.rstrip(b"\r").split(b" "))
        if verb == b"flush" and len(words) <= 2:
            map_name, key = (*words, None, None)[:2]
            return _line({"flushed": self._commands.flush(map_name, key)})
        if verb == b"stats" and not words:
            return _line({"stats": self._commands.stats()})
        if verb == b"reload" and not words:
            return self._reload()
        return _line({"error": "unknown command: expected flush [MAP [KEY]], stats or reload"})

    async def _reload(self) -> bytes:
        try:
            return _line({"reloaded": await self._commands.reload()})
        except ConfigError as error:
            return _line({"refused": error.problems})

    def too_long(self) -> bytes:
        """Said to a command over ``limit`` bytes."""
        return _line({"error": f"a command has at most {self.limit} bytes"})

    def busy(self) -> bytes:
        """Said when there are too many connections."""
        return _line({"error": "too many control connections"})

    def failed(self) -> bytes:
        """Said when a command raised."""
        return _line({"error": "the command failed; see the daemon's log"})


def _line(answer: dict[str, Any]) -> bytes:
    return json.dumps(answer, separators=(",", ":")).encode() + b"\n"


def flush(path: str, map_name: bytes | None = None, key: bytes | None = None, *, timeout: float = TIMEOUT) -> int:
    """Make the daemon at ``path`` forget answers; returns how many it forgot. Raises ControlError."""
    if map_name is None and key is not None:
        raise ValueError("a key belongs to a map")
    words = [b"flush", *(word for word in (map_name, key) if word is not None)]
    flushed = _ask(path, words, timeout).get("flushed")
    if not isinstance(flushed, int):
        raise ControlError(f"{path}: the answer holds no count")
    return flushed


def stats(path: str, *, timeout: float = TIMEOUT) -> dict[str, Any]:
    """What the daemon at ``path`` knows of itself. Raises ControlError."""
    told = _ask(path, [b"stats"], timeout).get("stats")
    if not isinstance(told, dict):
        raise ControlError(f"{path}: the answer holds no stats")
    return told


def reload(path: str, *, timeout: float = RELOAD_TIMEOUT) -> str:
    """Make the daemon at ``path`` read its configuration again; returns what that changed.

    Raises ConfigError with every problem when the daemon refuses it and goes on with the old one, else ControlError.
    """
    answer = _ask(path, [b"reload"], timeout)
    if "refused" in answer:
        raise ConfigError([str(problem) for problem in answer["refused"]])
    return str(answer.get("reloaded", ""))


def _ask(path: str, words: Iterable[bytes], timeout: float) -> dict[str, Any]:
    line = b" ".join(quote_from_bytes(word, safe="").encode("ascii") for word in words) + b"\n"
    try:
        answer = json.loads(_round_trip(path, line, time.monotonic() + timeout))
    except FileNotFoundError:
        raise ControlError(f"{path} does not exist: is vmaild running?") from None
    except ConnectionRefusedError:
        raise ControlError(f"nobody listens at {path}: is vmaild running?") from None
    except TimeoutError:
        raise ControlError(f"no answer at {path} within {timeout:g} seconds") from None
    except OSError as exc:
        raise ControlError(f"{path}: {exc.strerror or exc}") from exc
    except ValueError:
        raise ControlError(f"{path}: the answer is not JSON") from None
    if not isinstance(answer, dict):
        raise ControlError(f"{path}: the answer is no JSON object")
    if "error" in answer:
        raise ControlError(f"{path}: {answer['error']}")
    return answer


def _round_trip(path: str, line: bytes, deadline: float) -> bytes:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(_left(deadline))
        sock.connect(path)
        sock.sendall(line)
        received = bytearray()
        while not received.endswith(b"\n"):
            sock.settimeout(_left(deadline))
            chunk = sock.recv(65_536)
            if not chunk or len(received) + len(chunk) > MAX_ANSWER:
                break
            received += chunk
    return bytes(received)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
