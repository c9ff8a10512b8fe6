"""Direct, relayed, StartTLS and ldaps connections; what TLS must refuse; SASL EXTERNAL and anonymous binds."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from tests.directory.certificates import Authority
from tests.directory.proxy import Mode, proxied, silent
from tests.directory.rig import AT_ONCE, ask, ask_until_right, by_mail, descriptors, is_right, running, until
from tests.support.loops import on_each_loop
from vmaild.demo.slapd import Slapd, Tls
from vmaild.demo.tree import SEARCH_BASE, access_rules, tree
from vmaild.directory import relay, tls
from vmaild.directory.bonsai_patches import Credentials
from vmaild.directory.connection import LdapConnection
from vmaild.directory.dial import local_url
from vmaild.directory.relay import passage
from vmaild.directory.transport import Transport
from vmaild.directory.uri import parse
from vmaild.errors import DirectoryFailure
from vmaild.lookup import Scope, Search

NAME = "localhost"


@pytest.fixture(scope="module")
def tls_slapd(service_home: Path, authority: Authority) -> Iterator[Slapd]:
    """A slapd with StartTLS and ldaps, whose certificate is for the name ``localhost`` only."""
    cert, key = authority.issue("/CN=localhost", f"DNS:{NAME}")
    tls = Tls(cert, key, ca=authority.ca, verify_client="try")
    mapped = access_rules().replace(
        'by dn.exact="cn=vmaild,dc=myhosting,dc=example" read',
        'by dn.exact="cn=vmaild,dc=myhosting,dc=example" read\n    by dn.exact="cn=mailer" read'
        f'\n    by dn.exact="gidNumber={os.getgid()}+uidNumber={os.getuid()},cn=peercred,cn=external,cn=auth" read',
    )
    with Slapd(service_home / "tls", ldif=tree(), tls=tls, ldapi=True, access=mapped) as server:
        yield server


def ldaps(server: Slapd, host: str = NAME) -> str:
    return f"ldaps://{host}:{server.tls_port}"


def plain(port: int, host: str = NAME) -> str:
    return f"ldap://{host}:{port}"


async def is_refused(kind: str, *uris: str, **settings: object) -> None:
    """The server is down for this reason, and lookups fail without a wait once that is known."""
    async with running(*uris, ready=False, **settings) as directory:
        assert (await ask(directory)).entries is None
        await until(lambda: directory.counters.connect_failures[kind] >= 1)
        answer = await ask(directory)
        assert answer.kind == "unavailable"
        assert answer.seconds < AT_ONCE


@contextlib.asynccontextmanager
async def serving(serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[int]:
    """The port of a server that does ``serve``."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await asyncio.sleep(0.1)


@on_each_loop
async def test_ldaps_and_starttls_answer(tls_slapd: Slapd, authority: Authority) -> None:
    ca = str(authority.ca)
    async with running(ldaps(tls_slapd), tls_ca_cert_file=ca) as directory:
        assert is_right(await ask(directory))
        assert (await ask(directory, by_mail("nobody@domain1.example"))).entries == []
    async with running(plain(tls_slapd.port), start_tls=True, tls_ca_cert_file=ca) as directory:
        answers = await asyncio.gather(*(ask(directory) for _ in range(50)))
        assert all(is_right(answer) for answer in answers)


@pytest.fixture(scope="module")
def ca_directory(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The CA as openssl-rehash(1) prepares it."""
    directory = tmp_path_factory.mktemp("rehashed")
    (directory / "ca.pem").write_bytes(authority.ca.read_bytes())
    subprocess.run(["openssl", "rehash", str(directory)], check=True)
    return directory


def test_a_ca_without_key_usage_is_not_refused_for_that(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `openssl req -x509` makes it. Since Python 3.13 the default is to refuse it; here every Python does."""
    text = subprocess.run(
        ["openssl", "x509", "-in", str(authority.ca), "-noout", "-text"], check=True, capture_output=True, text=True
    ).stdout
    assert "Key Usage" not in text
    default = ssl.create_default_context

    def strict(**arguments: object) -> ssl.SSLContext:
        context = default(**arguments)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", strict)
    context = tls.context(ca_file=str(authority.ca))
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


@on_each_loop
async def test_a_ca_directory_serves_as_well(tls_slapd: Slapd, ca_directory: Path) -> None:
    async with running(ldaps(tls_slapd), tls_ca_cert_dir=str(ca_directory)) as directory:
        assert is_right(await ask(directory))


@on_each_loop
async def test_a_certificate_of_an_unknown_ca_is_refused(tls_slapd: Slapd) -> None:
    await is_refused("certificate", ldaps(tls_slapd))
    await is_refused("certificate", plain(tls_slapd.port), start_tls=True)


@on_each_loop
async def test_a_certificate_for_another_host_is_refused(tls_slapd: Slapd, authority: Authority) -> None:
    ca = str(authority.ca)
    await is_refused("certificate", ldaps(tls_slapd, "127.0.0.1"), tls_ca_cert_file=ca)
    await is_refused("certificate", plain(tls_slapd.port, "127.0.0.1"), start_tls=True, tls_ca_cert_file=ca)


@on_each_loop
async def test_an_expired_certificate_is_refused(make_slapd: Callable[..., Slapd], authority: Authority) -> None:
    cert, key = authority.issue("/CN=localhost", f"DNS:{NAME}", days=-1)
    server = make_slapd(tls=Tls(cert, key))
    ca = str(authority.ca)
    await is_refused("certificate", ldaps(server), tls_ca_cert_file=ca)
    await is_refused("certificate", plain(server.port), start_tls=True, tls_ca_cert_file=ca)


@on_each_loop
async def test_without_tls_require_cert_any_certificate_will_do(tls_slapd: Slapd) -> None:
    async with running(ldaps(tls_slapd, "127.0.0.1"), tls_require_cert=False) as directory:
        assert is_right(await ask(directory))


@on_each_loop
async def test_a_server_silent_in_the_tls_handshake_is_down(tls_slapd: Slapd, authority: Authority) -> None:
    with silent() as port:
        await is_refused("timeout", f"ldaps://{NAME}:{port}")
        await is_refused("timeout", plain(port), start_tls=True)
    # The answer to StartTLS comes, and after it nothing.
    with proxied(tls_slapd.port) as proxy:
        proxy.mode = Mode.HALF
        await is_refused("timeout", plain(proxy.port), start_tls=True, tls_ca_cert_file=str(authority.ca))


@on_each_loop
async def test_starttls_refused_is_no_reason_to_go_on_in_clear_text(slapd: Slapd) -> None:
    await is_refused("unavailable", plain(slapd.port), start_tls=True)
    asked, afterwards = [], []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionResetError):
            asked.append(await reader.read(100))
            writer.write(bytes.fromhex("300c02010178070a010204000400"))  # protocolError
            afterwards.append(await reader.read())
        writer.close()

    async with serving(serve) as port:
        await is_refused("unavailable", plain(port), start_tls=True)
    # One that ends with the pool has asked nothing.
    assert any(asked)
    assert all(b"1.3.6.1.4.1.1466.20037" in each for each in asked if each)
    assert set(afterwards) == {b""}


@on_each_loop
async def test_the_relay_survives_stops_resets_and_half_messages(tls_slapd: Slapd, authority: Authority) -> None:
    with proxied(tls_slapd.port) as proxy:
        ca = str(authority.ca)
        async with running(plain(proxy.port), start_tls=True, tls_ca_cert_file=ca) as directory:
            for mode in (Mode.HALF, Mode.HOLD, Mode.DRIP):
                proxy.mode = mode
                assert (await ask(directory)).entries is None
                proxy.mode = Mode.PASS
                await ask_until_right(directory)
            await until(lambda: directory.status().servers[0].connections == 4)
            await asyncio.sleep(0.3)
            await asyncio.to_thread(proxy.reset)
            assert is_right(await ask(directory))


@pytest.fixture
def relayed_in_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sends plain loopback through the relay, as a server elsewhere would be."""
    monkeypatch.setattr(Transport, "is_direct", property(lambda self: False))


@on_each_loop
async def test_a_remote_server_in_clear_text_goes_through_the_relay(slapd: Slapd, relayed_in_clear: None) -> None:
    async with running(slapd.uri, pool_size=4) as directory:
        lookups = (ask(directory, by_mail(f"user{n % 2 + 1}@domain1.example")) for n in range(100))
        for n, answer in enumerate(await asyncio.gather(*lookups)):
            assert answer.entries is not None
            assert answer.entries[0].values("mail")[0] == b"user%d@domain1.example" % (n % 2 + 1)


@on_each_loop
async def test_a_megabyte_passes_the_relay_whole(make_slapd: Callable[..., Slapd], relayed_in_clear: None) -> None:
    server = make_slapd()
    value = "x" * 1_000_000
    server.add(f"dn: o=big,{SEARCH_BASE}\nobjectClass: organization\no: big\ndescription: {value}\n")
    async with running(server.uri, timeout=5.0) as directory:
        big = Search(f"o=big,{SEARCH_BASE}", Scope.BASE, "(objectClass=*)", ("description",))
        for _ in range(5):
            answer = await ask(directory, big, timeout=3.0)
            assert answer.entries is not None
            assert answer.entries[0].values("description") == (value.encode(),)


@on_each_loop
async def test_a_name_that_does_not_exist_is_down(slapd: Slapd) -> None:
    await is_refused("unavailable", "ldap://no-such-host.invalid", allow_cleartext_bind=True)


@on_each_loop
async def test_sasl_external_over_ldapi_and_by_client_certificate(tls_slapd: Slapd, authority: Authority) -> None:
    bind = {"bind": "sasl_external", "bind_dn": "", "bind_pw": ""}
    async with running(tls_slapd.ldapi_uri, **bind) as directory:
        assert is_right(await ask(directory))
    cert, key = authority.issue("/CN=mailer")
    own = {"tls_ca_cert_file": str(authority.ca), "tls_cert": str(cert), "tls_key": str(key)}
    async with running(ldaps(tls_slapd), **bind, **own) as directory:
        assert is_right(await ask(directory))


@on_each_loop
async def test_an_anonymous_bind_that_may_not_read_is_not_trusted(
    slapd: Slapd, make_slapd: Callable[..., Slapd]
) -> None:
    await is_refused("suffix", slapd.uri, bind="none", bind_dn="", bind_pw="")
    server = make_slapd(access="")
    async with running(server.uri, bind="none", bind_dn="", bind_pw="") as directory:
        assert is_right(await ask(directory))


@on_each_loop
async def test_an_ldapi_socket_that_nobody_accepts_on_is_down(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener, contextlib.ExitStack() as stack:
        path = str(tmp_path / "ldapi")
        listener.bind(path)
        listener.listen(0)
        for _ in range(3):
            filler = stack.enter_context(socket.socket(socket.AF_UNIX))
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect(path)
        async with running(local_url(path), ready=False) as directory:
            assert (await ask(directory)).entries is None
            await until(lambda: sum(directory.counters.connect_failures.values()) >= 2)
            assert (await ask(directory)).kind == "unavailable"


@on_each_loop
async def test_the_relays_socket_takes_one_connection_and_is_gone(slapd: Slapd, tmp_path: Path) -> None:
    endpoint = parse(slapd.uri)
    async with passage(endpoint, None, start_tls=False, directory=tmp_path, seconds=1.0):
        (path,) = tmp_path.iterdir()
        _, writer = await asyncio.open_unix_connection(str(path))
        reader, second = await asyncio.open_unix_connection(str(path))
        assert await reader.read() == b""
        for one in (writer, second):
            one.close()
    assert list(tmp_path.iterdir()) == []
    await asyncio.sleep(0.05)


@on_each_loop
async def test_the_relays_socket_refuses_other_processes(
    slapd: Slapd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay.os, "getpid", lambda: 1)  # type: ignore[attr-defined]
    async with passage(parse(slapd.uri), None, start_tls=False, directory=tmp_path, seconds=1.0):
        (path,) = tmp_path.iterdir()
        reader, writer = await asyncio.open_unix_connection(str(path))
        assert await reader.read() == b""
        writer.close()
    await asyncio.sleep(0.05)


@on_each_loop
async def test_the_directory_of_the_relays_sockets_is_private_and_removed(
    slapd: Slapd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    async with running(slapd.uri):
        (private,) = tmp_path.iterdir()
        assert private.stat().st_mode & 0o777 == 0o700
    assert list(tmp_path.iterdir()) == []


@on_each_loop
async def test_failed_connections_leave_no_descriptor(tls_slapd: Slapd) -> None:
    before = descriptors()
    with silent() as port:
        uris = (ldaps(tls_slapd), f"ldaps://{NAME}:{port}", "ldap://127.0.0.1:1", f"ldap://127.0.0.1:{port}")
        async with running(*uris, ready=False, connect_timeout=0.1) as directory:
            await until(lambda: sum(directory.counters.connect_failures.values()) >= 16)
    await asyncio.sleep(0.2)
    assert descriptors() <= before + 1


@on_each_loop
async def test_a_bind_that_is_never_answered_leaves_no_descriptor(slapd: Slapd) -> None:
    """The first exchange succeeds and the bind is swallowed: bonsai is left in the middle of its opening."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionResetError):
            if b"1.3.6.1.4.1.4203.1.11.3" in await reader.read(100):
                writer.write(bytes.fromhex("300c02010178070a010004000400"))
            await reader.read()
        writer.close()

    async with (
        serving(serve) as port,
        running(f"ldap://127.0.0.1:{port}", ready=False, connect_timeout=0.1) as directory,
    ):
        await until(lambda: directory.counters.connect_failures["timeout"] >= 2)
        before = descriptors()
        await until(lambda: directory.counters.connect_failures["timeout"] >= 5)
        assert descriptors() <= before + 4


def hold_up_the_loop(seconds: float) -> None:
    """So that threads and other processes get ahead of it."""
    time.sleep(seconds)


BIND_ANSWER = bytes.fromhex("300c02010161070a010004000400")


@on_each_loop
@pytest.mark.parametrize("blocked", [False, True])
@pytest.mark.parametrize("answer", [b"", BIND_ANSWER, None])
async def test_an_opening_that_is_cancelled_anywhere_leaves_no_descriptor(
    tmp_path: Path, answer: bytes | None, blocked: bool
) -> None:
    """In each turn of the loop; ``blocked``, bonsai's thread and the server have done all they can by then.

    The server is silent, binds (which the cancelled one may see when it ends), or hangs up.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        if answer is not None:
            writer.write(answer)
            await reader.read()
        writer.close()

    server = await asyncio.start_unix_server(serve, str(tmp_path / "ldapi"))
    credentials = Credentials("SIMPLE", "cn=a", "b")
    before = descriptors()
    for turns in range(12):
        opening = asyncio.create_task(LdapConnection.open(local_url(str(tmp_path / "ldapi")), credentials))
        for _ in range(turns):
            if blocked:
                hold_up_the_loop(0.002)
            await asyncio.sleep(0)
        opening.cancel()
        (outcome,) = await asyncio.gather(opening, return_exceptions=True)
        if isinstance(outcome, LdapConnection):
            outcome.kill()
        assert isinstance(outcome, LdapConnection | DirectoryFailure | asyncio.CancelledError)
        del opening, outcome
        await until(lambda: descriptors() <= before)
    server.close()


@on_each_loop
async def test_a_passage_that_is_cancelled_anywhere_leaves_no_descriptor(slapd: Slapd, tmp_path: Path) -> None:
    async def go_through() -> None:
        async with passage(parse(slapd.uri), None, start_tls=False, directory=tmp_path, seconds=1.0):
            await asyncio.sleep(1)

    (await asyncio.get_running_loop().create_unix_server(asyncio.Protocol, str(tmp_path / "first"))).close()
    before = descriptors()
    for turns in range(12):
        going = asyncio.create_task(go_through())
        for _ in range(turns):
            hold_up_the_loop(0.001)
            await asyncio.sleep(0)
        going.cancel()
        await asyncio.gather(going, return_exceptions=True)
        await until(lambda: descriptors() <= before, 2)


@on_each_loop
async def test_what_is_known_of_the_last_failure_holds_no_descriptor() -> None:
    """libldap closes the socket of an opening that failed when its connection is freed, which a traceback may hold."""

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionResetError):
            if b"1.3.6.1.4.1.4203.1.11.3" in await reader.read(100):
                writer.write(bytes.fromhex("300c02010178070a010004000400"))
                await reader.read(100)
        writer.close()

    before = descriptors()
    async with serving(hang_up) as port:
        listening = descriptors() - before
        async with running(f"ldap://127.0.0.1:{port}", ready=False) as directory:
            await until(lambda: directory.status().servers[0].last_failure == "broken")
            await until(lambda: not directory.status().servers[0].opening)
            await until(lambda: descriptors() <= before + listening, 0.5)
