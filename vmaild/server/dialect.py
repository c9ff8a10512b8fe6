"""What a connection needs of its protocol."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

from vmaild.lookup import Reply, Request
from vmaild.wire import socketmap, tcp_table
from vmaild.wire.reader import Reader


class Dialect(NamedTuple):
    """``reader`` makes what takes requests out of a stream; ``whole`` finds quickly what is exactly one request."""

    reader: Callable[[], Reader[Any]]
    whole: Callable[[bytes], Request | None]
    encode: Callable[[Reply], bytes]


SOCKETMAP = Dialect(socketmap.SocketmapRequests, socketmap.whole_request, socketmap.encode_reply)


def tcp(map_name: bytes) -> Dialect:
    """The protocol of a tcp_table listener, which serves one map."""
    return Dialect(
        functools.partial(tcp_table.TcpTableRequests, map_name),
        functools.partial(tcp_table.whole_request, map_name),
        tcp_table.encode_reply,
    )
