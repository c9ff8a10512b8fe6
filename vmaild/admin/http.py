"""The HTTP endpoint for monitors and browsers: ``/``, ``/metrics``, ``/health`` and ``/ready``.

======== =========================================================================================
path     answer
======== =========================================================================================
/        200, the state of the daemon as a page of HTML (``vmaild.admin.page``)
/metrics 200, the counters in Prometheus's text format
/health  200 as long as the daemon answers; a monitor that gets no answer may restart it
/ready   200 when lookups can be answered (``readiness``), else 503; the body says why in a line
======== =========================================================================================

HTTP/1.1 (RFC 9112), GET and HEAD, one request per connection (``Connection: close``). Anything else: 404 for
another path, 405 for another method, 400 for what is no request, 401 for one without the token where there is
one (``vmaild.admin.bearer``), 431 for one over ``MAX_REQUEST`` bytes, 503 when ``max_connections`` are open, 500 when
the page could not be made. ``vmaild.admin.http_settings`` has what keeps others out.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple

from prometheus_client import CONTENT_TYPE_LATEST

from vmaild.admin.bearer import CHALLENGES, Token
from vmaild.admin.page import CONTENT_SECURITY_POLICY
from vmaild.admin.request_server import DEADLINE, MAX_CONNECTIONS, RequestServer
from vmaild.listening import Address, UnixAddress, bind, claim, parse_address, remove_unix

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable

    from vmaild.admin.http_settings import HttpSettings

MAX_REQUEST = 16_384
"""RFC 9112, 3, asks for request lines of 8000 octets at least; a scraper's request has some 300."""

PLAIN = "text/plain; charset=utf-8"
HTML = "text/html; charset=utf-8"
ALLOWED = ("GET", "HEAD")

# RFC 9110, 5.6.2.
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_REQUEST_LINE = re.compile(rf"({_TOKEN}) ([!-~]+) HTTP/1\.([0-9])")
_FIELD = re.compile(rf"({_TOKEN}):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)")
_ABSOLUTE = re.compile(r"https?://[^/?]*", re.IGNORECASE)
_ONCE = ("host", "authorization")
"""Fields that a request has once, if at all: of two one would be read here, and the other perhaps before."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether lookups can be answered, and one line that says why."""

    ready: bool
    text: str


def readiness(*, directory_ready: bool, cached_records: int) -> Readiness:
    """What /ready says of a daemon whose directory is up or not, and that holds ``cached_records``.

    While the directory is down, what is cached still answers most mail of a running site, so the daemon counts
    as ready then: taking it out of service would turn these lookups into failures too.
    """
    if directory_ready:
        return Readiness(True, "a directory server is up")
    if cached_records:
        return Readiness(True, f"no directory server is up; {cached_records} cached records can serve")
    return Readiness(False, "no directory server is up, and nothing is cached")


class HttpServer:
    """Serves the pages by ``settings``, which have an address.

    ``metrics`` returns the exposition (``vmaild.admin.metrics.Metrics.exposition``), ``ready`` the state of the
    moment, ``page`` the HTML of ``/``, which is not there without it; all are called in the event loop and must not
    block. ``clock`` is the time of day for the Date field. ``deadline``: seconds for a whole connection.
    """

    def __init__(
        self,
        settings: HttpSettings,
        *,
        metrics: Callable[[], bytes],
        ready: Callable[[], Readiness],
        page: Callable[[], str] | None = None,
        deadline: float = DEADLINE,
        max_connections: int = MAX_CONNECTIONS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.settings = settings
        self._bound_path = ""
        self._protocol = HttpProtocol(metrics, ready, clock, page)
        self._protocol.token = _token(settings)
        self._server = RequestServer(
            self._protocol,
            deadline=deadline,
            max_connections=max_connections,
            access=settings.access,
            tls=_tls(settings),
        )

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Where it listens, with the real port when port 0 was asked for."""
        return self._server.addresses

    async def start(self, inherited: list[socket.socket] | None = None) -> None:
        """Listen on the sockets among ``inherited`` that are bound to the address, else bind it. OSError."""
        address = parse_address(self.settings.address)
        sockets = claim(address, inherited if inherited is not None else [])
        if not sockets:
            sockets = bind(address, self.settings.mode, self.settings.owner, self.settings.group)
            if isinstance(address, UnixAddress):
                self._bound_path = address.path
        await self._server.start(sockets)

    def can_follow(self, settings: HttpSettings) -> bool:
        """Whether ``follow`` will do: the sockets stay."""
        return _socket(settings) == _socket(self.settings)

    def follow(self, settings: HttpSettings) -> None:
        """Go by other settings from now on, on the same sockets. What is open goes on as it was."""
        self.settings = settings
        self._protocol.token = _token(settings)
        self._server.use(self._protocol, settings.access, _tls(settings))

    async def close(self) -> None:
        """Stop listening, and cut what is open."""
        await self._server.close()
        if self._bound_path:
            remove_unix(self._bound_path)


def _socket(settings: HttpSettings) -> tuple[object, ...]:
    return settings.address, settings.mode, settings.owner, settings.group


def _token(settings: HttpSettings) -> Token | None:
    return Token(settings.token) if settings.token else None


def _tls(settings: HttpSettings) -> ssl.SSLContext | None:
    return settings.certificate.context if settings.certificate is not None else None


class HttpProtocol:
    """HTTP as functions of bytes: a request without its empty line in, the whole response out.

    ``token`` is what every request has to show, None for nothing.
    """

    end = b"\r\n\r\n"
    limit = MAX_REQUEST

    def __init__(
        self,
        metrics: Callable[[], bytes],
        ready: Callable[[], Readiness],
        clock: Callable[[], float] = time.time,
        page: Callable[[], str] | None = None,
    ) -> None:
        self.token: Token | None = None
        self._page = page
        self._ready = ready
        self._metrics = metrics
        self._clock = clock
        self._pages = {"/metrics": self._metrics_page, "/health": self._health_page, "/ready": self._ready_page}
        if page is not None:
            self._pages["/"] = self._status_page

    def answer(self, request: bytes) -> bytes:
        """The response to ``request``. Raises what ``metrics`` or ``ready`` raised."""
        parsed = parse_request(request)
        if parsed is None:
            return self._plain(HTTPStatus.BAD_REQUEST)
        method, path, authorization = parsed
        if self.token is not None and not self.token.shown_in(authorization):
            return self._plain(HTTPStatus.UNAUTHORIZED, head=method == "HEAD", fields=CHALLENGES)
        page = self._pages.get(path)
        if page is None:
            return self._plain(HTTPStatus.NOT_FOUND, head=method == "HEAD")
        if method not in ALLOWED:
            return self._plain(HTTPStatus.METHOD_NOT_ALLOWED, fields=(f"Allow: {', '.join(ALLOWED)}",))
        return page(method == "HEAD")

    def too_long(self) -> bytes:
        """Said to a request over ``limit`` bytes."""
        return self._plain(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def busy(self) -> bytes:
        """Said when there are too many connections."""
        return self._plain(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections")

    def failed(self) -> bytes:
        """Said when a page could not be made."""
        return self._plain(HTTPStatus.INTERNAL_SERVER_ERROR)

    def _metrics_page(self, head: bool) -> bytes:
        return self._response(HTTPStatus.OK, self._metrics(), CONTENT_TYPE_LATEST, head=head)

    def _health_page(self, head: bool) -> bytes:
        return self._plain(HTTPStatus.OK, "vmaild runs", head=head)

    def _ready_page(self, head: bool) -> bytes:
        state = self._ready()
        return self._plain(HTTPStatus.OK if state.ready else HTTPStatus.SERVICE_UNAVAILABLE, state.text, head=head)

    def _status_page(self, head: bool) -> bytes:
        assert self._page is not None
        body = self._page().encode()
        fields = (f"Content-Security-Policy: {CONTENT_SECURITY_POLICY}", "X-Content-Type-Options: nosniff")
        return self._response(HTTPStatus.OK, body, HTML, head=head, fields=fields)

    def _plain(self, status: HTTPStatus, text: str = "", *, head: bool = False, fields: tuple[str, ...] = ()) -> bytes:
        body = f"{text or status.phrase}\n".encode()
        return self._response(status, body, PLAIN, head=head, fields=fields)

    def _response(
        self,
        status: HTTPStatus,
        body: bytes,
        content_type: str,
        *,
        head: bool = False,
        fields: tuple[str, ...] = (),
    ) -> bytes:
        lines = (
            f"HTTP/1.1 {status.value} {status.phrase}",
            f"Date: {formatdate(self._clock(), usegmt=True)}",
            f"Content-Type: {content_type}",
            f"Content-Length: {len(body)}",
            "Cache-Control: no-store",
            "Connection: close",
            *fields,
        )
        return "\r\n".join(lines).encode("latin-1") + self.end + (b"" if head else body)


class Request(NamedTuple):
    """A request without its query; ``authorization`` is the value of that field, empty without one."""

    method: str
    path: str
    authorization: str = ""


def parse_request(request: bytes) -> Request | None:
    """An HTTP/1.x request, or None when it is malformed."""
    # RFC 9112, 2.2: an empty line before the request is forgiven.
    line, *lines = request.decode("latin-1").removeprefix("\r\n").split("\r\n")
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        return None
    method, target, minor = match.groups()
    fields = [(field[1].lower(), field[2]) for field in map(_FIELD.fullmatch, lines) if field]
    names = [name for name, _ in fields]
    if len(fields) != len(lines) or max(map(names.count, _ONCE)) > 1 or (minor != "0" and "host" not in names):
        return None
    # RFC 9112, 3.2.2: a server takes the absolute form too.
    path = _ABSOLUTE.sub("", target, count=1).partition("?")[0]
    return Request(method, path, dict(fields).get("authorization", ""))
