"""The control socket: ``vmaild flush``, ``vmaild stats`` and ``vmaild reload`` on the running daemon.

One connection carries one command and one answer. A command is a line of words with one space between them,
each word %XX-encoded (RFC 3986), since a key may hold any byte:

    flush              forget every cached answer
    flush MAP          forget the answers of one map
    flush MAP KEY      forget one answer
    stats              what the daemon has counted
    reload             read the configuration again, and take it over
    status             the state of this moment (``vmaild.admin.status``)
    log-level [LEVEL]  set the level of the log, and return it
    domains [confirm]  the hosted domains; with confirm what was read last counts at once
    cache-list COUNT [MAP]   the records stored last
    cache-show KEY     what the cache knows of a key
    query MAP KEY      answer as a client is answered, with the cause of a failure
    explain MAP KEY    how the directory answers now (``vmaild.admin.console``)

The answer is one JSON object on a line: ``{"flushed": 3}``, ``{"stats": {...}}``, ``{"reloaded": "..."}``,
``{"refused": ["problem", ...]}``, or ``{"error": "why"}``, with ``"usage": true`` when the command is at fault. It has
``MAX_ANSWER`` bytes at most; one that asks the directory comes within ``ANSWER_SECONDS``.

The socket file has mode 0600: who may connect may empty the cache and read what the directory says, so it is for the
daemon's own user and root. ``ControlServer`` runs in the daemon; ``ask``, ``flush``, ``reload`` and ``stats`` are its
synchronous client, and raise ``ControlError``.
"""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Coroutine
from typing import Any, Protocol
from urllib.parse import quote_from_bytes, unquote_to_bytes

from vmaild.admin.console import Console, Unknown
from vmaild.admin.request_server import MAX_CONNECTIONS, RequestServer
from vmaild.errors import ConfigError, VmaildError
from vmaild.listening import bind_unix, remove_unix

COMMANDS = (
    "flush", "stats", "reload", "status", "log-level", "domains", "cache-list", "cache-show", "query", "explain"
)  # fmt: skip
"""The first words of commands."""

MODE = 0o600
"""Mode of the socket file: its owner, and root."""

MAX_COMMAND = 32_768
"""A key of 10,000 bytes and a map's name, each byte as %XX."""

MAX_ANSWER = 1_048_576
"""What the client takes: stats of some hundred maps stay far below."""

TIMEOUT = 15.0
"""Seconds that the client gives the daemon, from connecting to the end of the answer."""

DEADLINE = 60.0
"""Seconds that a connection may last: a reload connects to the directory first."""

ANSWER_SECONDS = 13.0
"""Seconds for an answer that waits for the directory: [directory] timeout is 3 by default, and may be longer."""

RELOAD_TIMEOUT = DEADLINE
"""The same for a reload."""


class ControlError(VmaildError):
    """The daemon could not be asked, or refused the command. The text is for the administrator."""


class UsageError(ControlError):
    """The daemon knows no such command, map or level."""


class Commands(Protocol):
    """What the daemon does for each command. None may block."""

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
        console: Console | None = None,
        *,
        deadline: float = DEADLINE,
        max_connections: int = MAX_CONNECTIONS,
    ) -> None:
        self.path = path
        protocol = ControlProtocol(commands, console)
        self._server = RequestServer(protocol, deadline=deadline, max_connections=max_connections)

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

    def __init__(self, commands: Commands, console: Console | None = None) -> None:
        self._commands = commands
        self._console = console

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
        try:
            told = self._told(self._console, verb, words) if self._console is not None else None
        except Unknown as error:
            return _wrong(str(error))
        if told is None:
            return _wrong(f"unknown command: expected one of {', '.join(COMMANDS)}, with its words")
        return _line(told) if isinstance(told, dict) else _late(told)

    async def _reload(self) -> bytes:
        try:
            return _line({"reloaded": await self._commands.reload()})
        except ConfigError as error:
            return _line({"refused": error.problems})

    def _told(
        self, console: Console, verb: bytes, words: list[bytes]
    ) -> dict[str, Any] | Coroutine[Any, Any, dict[str, Any]] | None:
        """What the console answers, now or in a while; None for what is no command. Raises ``Unknown``."""
        match verb, words:
            case b"status", []:
                return {"status": console.status()}
            case b"log-level", [] | [_]:
                return {"log_level": console.log_level(*(word.decode(errors="replace") for word in words))}
            case b"domains", [] | [b"confirm"]:
                return {"domains": console.domains(confirm=bool(words))}
            case b"cache-list", [count, *names] if count.isdigit() and len(count) < 8 and len(names) < 2:
                return console.cached(names[0] if names else None, int(count))
            case b"cache-show", [key]:
                return console.shown(key)
            case b"query", [name, key]:
                return console.query(name, key)
            case b"explain", [name, key]:
                return console.explain(name, key)
        return None

    def too_long(self) -> bytes:
        """Said to a command over ``limit`` bytes."""
        return _line({"error": f"a command has at most {self.limit} bytes"})

    def busy(self) -> bytes:
        """Said when there are too many connections."""
        return _line({"error": "too many control connections"})

    def failed(self) -> bytes:
        """Said when a command raised."""
        return _line({"error": "the command failed; see the daemon's log"})


async def _late(told: Coroutine[Any, Any, dict[str, Any]]) -> bytes:
    """The answer line, when it is there in time."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return _line(await told)
    except TimeoutError:
        return _line({"error": f"no answer within {ANSWER_SECONDS:g} seconds: the directory hangs"})
    except Unknown as error:
        return _wrong(str(error))


def _wrong(text: str) -> bytes:
    return _line({"error": text, "usage": True})


def _line(answer: dict[str, Any]) -> bytes:
    line = json.dumps(answer, separators=(",", ":")).encode() + b"\n"
    if len(line) > MAX_ANSWER:
        return _line({"error": f"the answer has {len(line)} bytes, over {MAX_ANSWER}: ask for less"})
    return line


def flush(path: str, map_name: bytes | None = None, key: bytes | None = None, *, timeout: float = TIMEOUT) -> int:
    """Make the daemon at ``path`` forget answers; returns how many it forgot. Raises ControlError."""
    if map_name is None and key is not None:
        raise ValueError("a key belongs to a map")
    words = [b"flush", *(word for word in (map_name, key) if word is not None)]
    flushed = ask(path, *words, timeout=timeout).get("flushed")
    if not isinstance(flushed, int):
        raise ControlError(f"{path}: the answer holds no count")
    return flushed


def stats(path: str, *, timeout: float = TIMEOUT) -> dict[str, Any]:
    """What the daemon at ``path`` knows of itself. Raises ControlError."""
    told = ask(path, b"stats", timeout=timeout).get("stats")
    if not isinstance(told, dict):
        raise ControlError(f"{path}: the answer holds no stats")
    return told


def reload(path: str, *, timeout: float = RELOAD_TIMEOUT) -> str:
    """Make the daemon at ``path`` read its configuration again; returns what that changed.

    Raises ConfigError with every problem when the daemon refuses it and goes on with the old one, else ControlError.
    """
    answer = ask(path, b"reload", timeout=timeout)
    if "refused" in answer:
        raise ConfigError([str(problem) for problem in answer["refused"]])
    return str(answer.get("reloaded", ""))


def ask(path: str, *words: bytes, timeout: float = TIMEOUT) -> dict[str, Any]:
    """The answer of the daemon at ``path`` to a command. Raises ControlError; UsageError when the command is wrong."""
    line = b" ".join(quote_from_bytes(word, safe="").encode("ascii") for word in words) + b"\n"
    try:
        answer = json.loads(_round_trip(path, line, time.monotonic() + timeout))
    except FileNotFoundError:
        raise ControlError(f"{path} does not exist: is vmaild running?") from None
    except PermissionError:
        raise ControlError(f"{path} may not be opened: run this as root or as vmaild's user") from None
    except ConnectionRefusedError:
        raise ControlError(f"nobody listens at {path}: is vmaild running?") from None
    except TimeoutError:
        raise ControlError(f"no answer at {path} within {timeout:g} seconds") from None
    except OSError as error:
        raise ControlError(f"{path}: {error.strerror or error}") from error
    except ValueError:
        raise ControlError(f"{path}: the answer is not JSON") from None
    if not isinstance(answer, dict):
        raise ControlError(f"{path}: the answer is no JSON object")
    if answer.get("usage"):
        raise UsageError(str(answer["error"]))
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
