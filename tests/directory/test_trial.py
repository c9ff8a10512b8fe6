"""Trying changes with the No-Op control, against servers that answer as none should."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

import pytest

from vmaild.directory import DirectorySettings
from vmaild.directory.sync_ber import OCTETS, SEQUENCE, encode, encode_integer
from vmaild.directory.trial import TrialError, tried
from vmaild.directory.trial_requests import Delete
from vmaild.errors import DirectoryFailure

BIND, DELETE, EXTENDED = 0x61, 0x6B, 0x78
CHANGES = [Delete("cn=a,o=x"), Delete("cn=b,o=x")]


def answer(message: int, tag: int, code: int) -> bytes:
    empty = encode(OCTETS)
    return encode(SEQUENCE, encode_integer(message), encode(tag, encode_integer(code, 0x0A), empty, empty))


@contextlib.asynccontextmanager
async def answering(*answers: bytes | None) -> AsyncIterator[DirectorySettings]:
    """A server that has one of ``answers`` for each request; at None it hangs up, and after the last it is silent."""

    served: list[asyncio.Task[object] | None] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(asyncio.current_task())
        with contextlib.suppress(ConnectionError):
            for one in answers:
                await reader.read(4096)
                if one is None:
                    break
                writer.write(one)
            else:
                await reader.read()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        try:
            yield DirectorySettings(
                uri=(f"ldap://127.0.0.1:{port}",), search_base="o=x", bind="simple", bind_dn="cn=a", bind_pw="b",
                timeout=0.1 if answers == (BOUND,) else 20.0, connect_timeout=20.0,
            )  # fmt: skip
        finally:
            await asyncio.gather(*filter(None, served))


async def codes(*answers: bytes | None) -> Sequence[int]:
    async with answering(*answers) as settings:
        return await tried(settings, settings.uri[0], CHANGES)


BOUND = answer(1, BIND, 0)


async def test_each_change_has_its_code_however_the_answers_are_cut_and_whatever_else_comes() -> None:
    between = answer(9, DELETE, 0) + answer(2, DELETE, 50)
    assert await codes(BOUND, between, answer(3, DELETE, 32)) == [50, 32]


async def test_a_server_that_made_the_change_ends_it_all_at_once() -> None:
    with pytest.raises(TrialError, match="made a change that it was asked not to make: check cn=a,o=x"):
        await codes(BOUND, answer(2, DELETE, 0), answer(3, DELETE, 50))


async def test_a_server_that_does_not_know_the_control_has_tried_nothing() -> None:
    with pytest.raises(TrialError, match="does not know the No-Op control"):
        await codes(BOUND, answer(2, DELETE, 12))


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ([answer(1, BIND, 49)], "LDAP result 49"),
        ([BOUND, None], "the server closed the connection"),
        ([BOUND], "no answer in time"),
        ([b"HTTP/1.1 400 Bad Request"], "closed|no LDAP|bad|not"),
    ],
)
async def test_without_an_answer_nothing_is_claimed(answers: list[bytes | None], words: str) -> None:
    with pytest.raises(DirectoryFailure, match=words):
        await codes(*answers)


async def test_a_server_that_is_not_there_is_a_failure() -> None:
    async with answering() as settings:
        pass
    with pytest.raises(DirectoryFailure, match="cannot connect"):
        await tried(settings, settings.uri[0], CHANGES)
