"""The targets: functions of bytes that return, or raise what is a bug. Each has seeds to begin with."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from tests.fuzz import sync_targets
from vmaild.admin.control import ControlProtocol
from vmaild.admin.http import HttpProtocol, Readiness
from vmaild.cache import CacheSettings
from vmaild.config import Config, DaemonSettings, keys, load
from vmaild.directory import DirectorySettings
from vmaild.errors import ConfigError, ProtocolError
from vmaild.lookup import Reply, Request, Status, found
from vmaild.process.log import escape
from vmaild.wire import netstring, socketmap, tcp_table
from vmaild.wire.reader import Reader


@dataclass(frozen=True, slots=True)
class Target:
    """``run`` is given any bytes, ``seeds`` first."""

    run: Callable[[bytes], object]
    seeds: tuple[bytes, ...]


def read_all(reader: Reader[Any], data: bytes, size: int) -> tuple[list[object], bool]:
    """The items in ``data``, fed ``size`` bytes at a time, and whether it ended in a protocol error that stays."""
    items: list[object] = []
    try:
        for start in range(0, len(data), size):
            reader.feed(data[start : start + size])
            while (item := reader.next()) is not None:
                items.append(item)
    except ProtocolError:
        try:
            reader.next()
        except ProtocolError:
            return items, True
        raise AssertionError("a protocol error does not stay") from None
    return items, False


def requests(data: bytes) -> None:
    """Both readers of requests: the same items in whatever pieces, and each comes back from its encoding."""
    size = 1 + (data[0] if data else 0)
    for new, encode in (
        (socketmap.SocketmapRequests, socketmap.encode_request),
        (lambda: tcp_table.TcpTableRequests(b"map"), tcp_table.encode_request),
    ):
        whole = read_all(new(), data, max(1, len(data)))
        assert read_all(new(), data, size) == whole
        for item in whole[0]:
            if isinstance(item, Request):
                assert read_all(new(), encode(item), size) == ([item], False)


def replies(data: bytes) -> None:
    """Both readers of replies; what is read can be written and read again."""
    for new, encode in (
        (socketmap.SocketmapReplies, socketmap.encode_reply),
        (tcp_table.TcpTableReplies, tcp_table.encode_reply),
    ):
        items, _ = read_all(new(), data, max(1, len(data)))
        for item in items:
            assert isinstance(item, Reply)
            again, failed = read_all(new(), encode(item), 4096)
            assert len(again) == 1
            assert not failed


def values(data: bytes) -> None:
    """A value of any bytes goes through both encoders as it is, or becomes a failure: never another value."""
    if not data:
        return
    for encode, new in (
        (socketmap.encode_reply, socketmap.SocketmapReplies),
        (tcp_table.encode_reply, tcp_table.TcpTableReplies),
    ):
        ((reply,), failed) = read_all(new(), encode(found(data)), 4096)
        assert not failed
        assert isinstance(reply, Reply)
        assert reply.status is Status.TEMPORARY or reply == found(data)


def admin(data: bytes) -> None:
    """A page and a command for any bytes, without an exception."""

    class Commands:
        def flush(self, map_name: bytes | None, key: bytes | None) -> int:
            return 0

        def stats(self) -> dict[str, object]:
            return {}

    http = HttpProtocol(lambda: b"m 1\n", lambda: Readiness(True, "yes"), lambda: 0.0)
    assert http.answer(data).startswith(b"HTTP/1.1 ")
    told = ControlProtocol(Commands()).answer(data)
    if isinstance(told, bytes):
        assert told.endswith(b"\n")
    else:
        told.close()


def lines(data: bytes) -> None:
    """A line of the log has no line break and nothing that cannot be printed."""
    text = escape(data.decode("utf-8", "surrogateescape"))
    assert text.isprintable()


def _loaded(path: Path) -> Config | None:
    problems: tuple[str, ...] = ()
    try:
        return load(path, {})
    except ConfigError as error:
        problems = error.problems
    assert problems
    assert all(problem.startswith(f"{path}: ") and problem.isprintable() for problem in problems), problems
    return None


def settings(data: bytes) -> None:
    """A file of real keys with odd values: two bytes for each key and its value."""
    document: dict[str, dict[str, str]] = {table: {} for table in _KEYS}
    names = [(table, key) for table, keys in _KEYS.items() for key in keys]
    for number, value in zip(data[::2], data[1::2], strict=False):
        table, key = names[number % len(names)]
        document[table][key] = _VALUES[value % len(_VALUES)]
    text = "".join(
        f"{table}\n" + "".join(f"{key} = {value}\n" for key, value in pairs.items())
        for table, pairs in document.items()
    )
    configuration(text.encode())


_MAP_KEYS = (*keys.MAP, *keys.QUERY)
_KEYS: dict[str, tuple[str, ...]] = {
    "": tuple(field.name for field in fields(DaemonSettings)),
    "[directory]": (*(field.name for field in fields(DirectorySettings)), "bind_pw_file"),
    "[cache]": tuple(field.name for field in fields(CacheSettings)),
    "[http]": (
        *("address", "mode", "owner", "group", "allow", "allow_uid", "allow_gid"),
        *("tls_cert_file", "tls_key_file", "token_file"),
    ),
    "[control]": ("address",),
    "[maps.virtual_alias_maps]": _MAP_KEYS,
    "[maps.own]": _MAP_KEYS,
    "[[listen]]": ("address", "protocol", "map", "mode", "owner", "group", "allow", "allow_uid", "allow_gid"),
}
_VALUES = (
    *("0", "1", "-1", "9999999999999999999999", "0.001", "inf", "-inf", "nan", "1e308", "true", "1979-05-27"),
    *("[]", "[1]", "{}", "[[]]", "[{}]", '""', '"x"', '["x"]', '"a, b"', '"courier"', '"o=x"', '"o=%d,o=x"', '"%"'),
    *('"(a=%s)"', '"(&(a=%s)(b=%d))"', '"("', '"%1@%D"', '"a@b"', '["a@b", ""]', '"domain"', '"exact"', '"base"'),
    *('"inet:127.0.0.1:1"', '"inet:0.0.0.0:1"', '"inet:[::1]:1"', '"inet:localhost:1"', '"unix:/a"', '"unix:/a/"'),
    *('"ldap://127.0.0.1"', '["ldaps://a", "ldapi://%2Fx"]', '"0660"', '"999"', '"root"', '["root", 5]', '"none"'),
    *('"tcp_table"', '"own"', '"192.0.2.0/24"', '["::/0"]', '"\\u0000"', '"\\n\\u001b"', '[{query_filter = "(a=%s)"}]'),
    *('"simple"', '"sasl_external"', "-9223372036854775808", "5", "0.5", "86400", '"debug"', '"+-"', '"é"'),
)

_HOME = Path(tempfile.gettempdir())


def configuration(data: bytes) -> None:
    """Any file gives a configuration of finite numbers, or problems that name the file, and nothing else."""
    with tempfile.NamedTemporaryFile(dir=_HOME, suffix=".toml") as file:
        file.write(data)
        file.flush()
        path = Path(file.name)
        path.chmod(0o600)
        config = _loaded(path)
    if config is None:
        return
    for settings in (config.daemon, config.directory, config.cache):
        numbers = (getattr(settings, field.name) for field in fields(settings))
        assert all(math.isfinite(number) for number in numbers if isinstance(number, int | float))


_MINIMAL = b'preset = "courier"\n[directory]\nuri = "ldap://127.0.0.1"\nsearch_base = "o=x"\n'

TARGETS = {
    "requests": Target(
        requests,
        (
            netstring.encode(b"map key") * 3,
            b"get a%20b\nput a b\nget \n",
            b"000..0:",
            b"-1:a,",
            b"+5:abcde,",
            "٥:abcde,".encode(),
            b"5:a b c",
            b"5:a b c;",
            b"10256:",
            b"10257:",
            b"get " + b"%41" * 10,
        ),
    ),
    "replies": Target(replies, (b"5:OK ab,", b"9:NOTFOUND ,", b"6:TEMP x,", b"200 a%0A\n", b"500 no\n", b"400 \n")),
    "values": Target(values, (b"a", b"\0", b"%\n\xff", b"x" * 5000)),
    "admin": Target(
        admin, (b"GET /metrics HTTP/1.1\r\nHost: a", b"HEAD http://h/ready?x HTTP/1.0", b"flush m k%00", b"stats")
    ),
    "lines": Target(lines, (b"o=x\n\x1b[31m", "\u202e\u2028".encode(), b"\xff\xfe")),
    "changes": Target(sync_targets.changes, tuple(sync_targets.sync_seeds())),
    "snapshot": Target(sync_targets.snapshot, sync_targets.SNAPSHOT_SEEDS),
    "settings": Target(settings, (bytes(range(256)), bytes(range(0, 256, 3)), b"\0\x14", bytes(range(255, 0, -1)))),
    "configuration": Target(
        configuration,
        (
            _MINIMAL,
            _MINIMAL + b"timeout = 1e400\nmax_waiting = 99999999999999999999\n[cache]\nttl = nan\nmax_entries = inf\n",
            _MINIMAL + b'[[listen]]\naddress = "unix:/run/a"\nmode = "0660"\nallow_uid = ["root", 1]\n',
            _MINIMAL + b'[[listen]]\naddress = "inet:[::]:1"\nallow = ["::/0", "1.2.3.4/8"]\nprotocol = "tcp_table"\n',
            _MINIMAL + b'[http]\naddress = "inet:127.0.0.1:10143"\n[control]\naddress = ""\n',
            _MINIMAL + b'[maps.a]\nquery_filter = "(&(a=%s)(!(b=%d)))"\nsearch_base = "o=%d,o=x"\ncanary = ["a@b"]\n',
            _MINIMAL + b'[[maps.a.query]]\nquery_filter = "(a=%1)"\nresult_format = "%U@%D"\nscope = "one"\n',
            b'listen = 3\nhttp = "x"\nmaps = [1]\ncache = 1979-05-27\ndirectory = { uri = 5, search_base = [] }\n',
        ),
    ),
}
"""By name, as ``python -m tests.fuzz`` takes it."""
