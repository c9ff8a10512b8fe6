"""What the tests of the stream share: one that is listened to in the background, and the changes they make."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from typing import Any

from tests.directory.rig import until
from vmaild.demo.slapd import Slapd
from vmaild.demo.tree import READER_DN, READER_PW, SEARCH_BASE
from vmaild.directory.sync_context import Context, read_context
from vmaild.directory.sync_cookie import Cookie
from vmaild.directory.sync_phases import Moved, Output, Persisting
from vmaild.directory.sync_requests import Bind, SyncSearch, present
from vmaild.directory.sync_stream import SyncStream
from vmaild.directory.uri import parse

READER = Bind("SIMPLE", READER_DN, READER_PW)
ATTRIBUTES = ("objectClass", "mail", "mailbox", "o")
DOMAIN = f"o=domain1.example,{SEARCH_BASE}"


class Feed:
    """Listens to ``stream``: ``heard`` is what came so far, ``error`` how it broke off."""

    def __init__(self, stream: SyncStream, context: Context) -> None:
        self.stream = stream
        self.context = context
        self.heard: list[Output] = []
        self.error: Exception | None = None
        self.task = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        try:
            async for output in self.stream:
                self.heard.append(output)
        except (OSError, ValueError) as error:
            self.error = error

    async def next(self, kind: type, count: int = 1, seconds: float = 8.0) -> list[Any]:
        """The next ``count`` outputs of ``kind``, and forget all that came so far."""
        await until(lambda: sum(type(output) is kind for output in self.heard) >= count, seconds)
        found = [output for output in self.heard if type(output) is kind]
        self.heard.clear()
        return found

    async def ready(self) -> list[Output]:
        """What came up to the end of the refresh."""
        await until(lambda: any(type(output) is Persisting for output in self.heard))
        found, self.heard = self.heard, []
        return found


async def open_stream(
    uri: str, bind: Bind = READER, context: ssl.SSLContext | None = None, **options: object
) -> SyncStream:
    return await SyncStream.open(
        parse(uri), bind, context, **{"start_tls": False, "seconds": 2.0, "interval": 0.1, **options}
    )


async def context_of(stream: SyncStream, base: str = SEARCH_BASE) -> Context:
    async def read(dn: Any, attributes: Any) -> Any:
        entry = await stream.read_entry(dn, *attributes, seconds=2.0)
        return entry.attributes if entry else None

    return await read_context(read, base)


@contextlib.asynccontextmanager
async def feeding(
    uri: str,
    bind: Bind = READER,
    *,
    cookie: Cookie | None = None,
    base: str = SEARCH_BASE,
    reload_hint: bool = False,
    **options: object,
) -> AsyncIterator[Feed]:
    """A feed of ``uri``, from the server's present state on, or from ``cookie``."""
    stream = await open_stream(uri, bind, **options)
    try:
        context = await context_of(stream)
        start = context.cookie or Cookie() if cookie is None else cookie
        search = SyncSearch(base, present("objectClass"), ATTRIBUTES, start, reload_hint=reload_hint)
        stream.search(search, context.suffix)
        feed = Feed(stream, context)
        yield feed
    finally:
        stream.close()
        await asyncio.wait_for(stream.wait_closed(), 5)
    await asyncio.wait_for(feed.task, 5)


def last_cookie(outputs: list[Output]) -> Cookie:
    return [output.cookie for output in outputs if isinstance(output, Moved)][-1]


def account(name: str, domain: str = DOMAIN, **more: str) -> str:
    fields = {"mailbox": f"{name}/", "homeDirectory": "/home/vmail", "uidNumber": "101", "gidNumber": "101", **more}
    lines = [f"{attribute}: {value}" for attribute, value in fields.items()]
    address = f"{name}@domain1.example"
    return "\n".join(
        [f"dn: mail={address},{domain}", "objectClass: courierMailAccount", f"mail: {address}", *lines, ""]
    )


def dn_of(name: str, domain: str = DOMAIN) -> str:
    return f"mail={name}@domain1.example,{domain}"


async def change(server: Slapd, dn: str, kind: str, *lines: str) -> None:
    """Apply one change record, of several lines."""
    await asyncio.to_thread(server.modify, "\n".join([f"dn: {dn}", f"changetype: {kind}", *lines, ""]))


async def add(server: Slapd, ldif: str) -> None:
    await asyncio.to_thread(server.add, ldif)


async def rename(server: Slapd, dn: str, new: str, superior: str = "") -> None:
    lines = [f"newrdn: {new}", "deleteoldrdn: 1"] + ([f"newsuperior: {superior}"] if superior else [])
    await change(server, dn, "modrdn", *lines)
