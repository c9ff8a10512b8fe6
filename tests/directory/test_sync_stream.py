"""The asyncio shell against servers that misbehave, and a caller that is slow: no slapd here."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from tests.directory.proxy import silent
from tests.directory.rig import descriptors, until
from tests.directory.sync_bytes import RECORDED, STREAM, UUID, recorded
from tests.directory.sync_rig import open_stream
from tests.support.loops import on_each_loop
from vmaild.directory import ber, tls
from vmaild.directory.sync_ber import SEQUENCE, BadMessage, encode, encode_integer, header
from vmaild.directory.sync_phases import AgeAll, Changed, Ended, Moved, Persisting
from vmaild.directory.sync_requests import Bind, SyncSearch, present
from vmaild.directory.sync_stream import HIGH_WATER, Refused, SyncStream

NOBODY = Bind()
ACCEPTED = recorded("a bind accepted")
SEARCH = SyncSearch("o=x", present("objectClass"), ("cn",))

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def as_message(number: int, data: bytes) -> bytes:
    """The same message under another id, of one byte as those that were recorded."""
    start, _ = header(data)  # type: ignore[misc]
    return encode(SEQUENCE, encode_integer(number), data[start + 3 :])


NOTHING_NEW = as_message(2, recorded("nothing happened since the cookie"))
THE_END = recorded("a cookie of the future")
ADDED = as_message(2, recorded("an entry added"))


@contextlib.asynccontextmanager
async def scripted(script: Script) -> AsyncIterator[str]:
    """The URI of a server that takes any bind, waits for a search and then does ``script``."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.read(1000)
            writer.write(ACCEPTED)
            await reader.read(1000)
            await script(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"ldap://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def searching(script: Script, **options: object) -> AsyncIterator[SyncStream]:
    async with scripted(script) as uri:
        stream = await open_stream(uri, NOBODY, **options)
        try:
            stream.search(SEARCH)
            yield stream
        finally:
            stream.close()
            await stream.wait_closed()


def sends(*pieces: bytes, then_waits: bool = False) -> Script:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        while then_waits and await reader.read(1000):
            pass

    return script


async def heard(stream: SyncStream) -> list[object]:
    return [output async for output in stream]


async def heard_until(error: type[Exception], stream: SyncStream) -> list[object]:
    """What is heard until the stream breaks off with ``error``."""
    outputs = []
    try:
        async for output in stream:
            outputs.append(output)
    except error:
        return outputs  # type: ignore[return-value]
    raise AssertionError("the stream did not break off")


@on_each_loop
async def test_what_came_before_the_end_is_heard_before_it() -> None:
    async with searching(sends(NOTHING_NEW + ADDED + ADDED[:50])) as stream:
        assert [type(output) for output in await heard_until(ConnectionError, stream)][-2:] == [Changed, Moved]
        with pytest.raises(ConnectionError):
            await anext(stream)


@pytest.mark.parametrize(
    "rubbish", [b"HTTP/1.1 400 Bad Request\r\n", as_message(2, recorded("the suffix's contextCSN"))]
)
@on_each_loop
async def test_rubbish_ends_the_stream(rubbish: Any) -> None:
    async with searching(sends(NOTHING_NEW + rubbish + ADDED, then_waits=True)) as stream:
        assert [type(output) for output in await heard_until(BadMessage, stream)] == [AgeAll, Persisting]
        with pytest.raises(BadMessage):
            await anext(stream)


@on_each_loop
async def test_the_end_of_the_search_ends_the_iteration() -> None:
    async with searching(sends(THE_END, ADDED, then_waits=True)) as stream:
        assert await heard(stream) == [Ended(53, "consumer state is newer than provider!")]
        assert await heard(stream) == []


@on_each_loop
async def test_a_server_that_stays_silent_is_asked_and_given_up() -> None:
    asked = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(NOTHING_NEW)
        while request := await reader.read(1000):
            asked.append(request)
            if len(asked) < 3:
                writer.write(as_message(9, ACCEPTED))

    async with searching(script, interval=0.05, answer=0.1) as stream:
        with pytest.raises(TimeoutError):
            await heard(stream)
    assert asked.pop() == ber.UNBIND
    assert len(asked) == 3
    assert all(ber.WHO_AM_I in request for request in asked)


@pytest.mark.slow
@on_each_loop
async def test_a_caller_that_does_not_listen_leaves_the_bytes_in_the_network() -> None:
    """And is not taken for a server that hangs."""
    script = sends(NOTHING_NEW, *[ADDED * 100] * 200, THE_END, then_waits=True)
    async with searching(script, interval=0.05, answer=0.1) as stream:
        await until(lambda: stream._reader.waiting > HIGH_WATER)
        await asyncio.sleep(0.3)
        assert stream._reader.waiting < 4 * HIGH_WATER
        outputs = await heard(stream)
        assert sum(isinstance(output, Changed) for output in outputs) == 20_000


@pytest.mark.slow
@on_each_loop
async def test_others_get_their_turn_while_thousands_of_changes_come() -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with searching(sends(NOTHING_NEW + ADDED * 20_000 + THE_END, then_waits=True)) as stream:
        await anext(stream)
        task = asyncio.create_task(others())
        await asyncio.sleep(0.2)
        before = turns
        await heard(stream)
        assert turns - before > 20
        task.cancel()


@on_each_loop
async def test_of_many_messages_some_are_left_to_come_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen in a bulk load: each message by itself, as it came, took twice as much CPU."""
    monkeypatch.setattr("vmaild.directory.sync_stream.CLOSE", 60.0)

    class Network(asyncio.Transport):
        reading, pauses = True, 0

        def pause_reading(self) -> None:
            self.reading, self.pauses = False, self.pauses + 1

        def resume_reading(self) -> None:
            self.reading = True

    stream, network = SyncStream(), Network()
    stream.connection_made(network)
    for pauses in range(3):
        event = asyncio.ensure_future(stream._event())
        await until(lambda: stream._wake is not None)
        assert network.reading
        stream.data_received(ADDED)
        await event
        assert network.pauses == pauses


@on_each_loop
async def test_a_wait_that_was_cancelled_loses_nothing() -> None:
    more = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(NOTHING_NEW + ADDED[:30])
        await more.wait()
        writer.write(ADDED[30:])
        await reader.read()

    async with searching(script) as stream:
        while not isinstance(await anext(stream), Persisting):
            pass
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(stream), 0.05)
        more.set()
        changed = await anext(stream)
        assert (changed.dn, changed.uuid) == ("cn=c,o=x", UUID)


@on_each_loop
async def test_closing_ends_a_wait_and_can_be_done_twice() -> None:
    async with searching(sends(NOTHING_NEW, then_waits=True)) as stream:
        while not isinstance(await anext(stream), Persisting):
            pass
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0.01)
        stream.close()
        stream.close()
        with pytest.raises(ConnectionAbortedError):
            await waiting


@on_each_loop
async def test_all_messages_of_slapd_pass_in_pieces_of_one_byte() -> None:
    async with searching(sends(*(STREAM[at : at + 1] for at in range(len(STREAM))))) as stream:
        outputs = await heard(stream)
    assert isinstance(outputs[-1], Ended)
    assert len(RECORDED) > len(outputs) > 3


@on_each_loop
async def test_an_entry_is_read_before_the_search_and_a_referral_is_none() -> None:
    entry = as_message(2, recorded("the suffix's contextCSN"))
    done = as_message(2, recorded("the end of a search"))
    async with scripted(sends(as_message(2, recorded("a referral object")) + done, then_waits=True)) as uri:
        stream = await open_stream(uri, NOBODY)
        assert await stream.read_entry("o=x", "contextCSN", seconds=2.0) is None
        stream.close()
    async with scripted(sends(entry + done, then_waits=True)) as uri:
        stream = await open_stream(uri, NOBODY)
        found = await stream.read_entry("o=x", "contextCSN", seconds=2.0)
        assert found.dn == "o=x"
        with pytest.raises(TimeoutError):
            await stream.read_entry("o=x", "contextCSN", seconds=0.05)
        stream.close()
    async with scripted(sends(as_message(2, recorded("a cookie of the future")), then_waits=True)) as uri:
        stream = await open_stream(uri, NOBODY)
        with pytest.raises(Refused, match="53"):
            await stream.read_entry("o=x", "contextCSN", seconds=2.0)
        stream.close()


@pytest.mark.slow
@on_each_loop
async def test_an_opening_that_fails_ends_in_time_and_leaves_no_descriptor() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(bytes.fromhex("300c02010161070a013104000400"))
        await reader.read()
        writer.close()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM[14:])
        await reader.read()
        writer.close()

    async def fail() -> None:
        for serve, error in ((hang_up, ConnectionError), (refuse, Refused), (talk, BadMessage)):
            server = await asyncio.start_server(serve, "127.0.0.1", 0)
            with pytest.raises(error):
                await open_stream(f"ldap://127.0.0.1:{server.sockets[0].getsockname()[1]}", NOBODY)
            server.close()
        server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
        uri = f"ldaps://localhost:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(ConnectionError):
            await open_stream(uri, NOBODY, tls.context(require_cert=False))
        server.close()
        with silent() as port:
            with pytest.raises(TimeoutError):
                await open_stream(f"ldap://127.0.0.1:{port}", NOBODY, seconds=0.05)
            with pytest.raises(ValueError, match="bind"):
                await open_stream(f"ldap://127.0.0.1:{port}", Bind("SIMPLE", "cn=a", ""))
        with pytest.raises(ConnectionRefusedError):
            await open_stream("ldap://127.0.0.1:1", NOBODY)
        await asyncio.sleep(0.05)

    await fail()
    before = descriptors()
    for _ in range(5):
        await fail()
    assert descriptors() <= before + 1
