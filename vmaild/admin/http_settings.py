"""The table ``[http]``: where the pages are, who may connect, and what a client must show.

Four bounds can stand together, and each is checked where it is cheapest: the socket's file (``mode``, ``owner``,
``group``) by the kernel, ``allow``, ``allow_uid`` and ``allow_gid`` when a connection comes in, TLS in its handshake,
and the token with the request.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from vmaild.listening import EVERYONE, Access, ServerCertificate


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """What ``[http]`` says. Two are equal when the files that they name held the same."""

    address: str = ""
    """``inet:HOST:PORT`` or ``unix:PATH``; without it there are no pages."""
    mode: int | None = None
    """Of a unix socket's file, as an octal string: ``"0660"``. Without it the process's umask decides."""
    owner: str = ""
    """Of a unix socket's file, by name or number; without it the user that vmaild runs as."""
    group: str = ""
    """Of a unix socket's file, by name or number."""
    access: Access = EVERYONE
    """``allow`` (networks) of an inet address; it must be there unless the address is loopback. ``allow_uid`` and
    ``allow_gid`` of a unix one."""
    certificate: ServerCertificate | None = None
    """From ``tls_cert_file``, the certificate and then its chain in PEM, and ``tls_key_file``, its key, for which the
    former may be used too. With it the pages are ``https://`` only. Both are read again with each reload."""
    token: str = field(default="", repr=False)
    """From ``token_file``, its first line, or from the systemd credential ``http_token``, which comes first: 16 to 4096
    characters as RFC 6750 has them, such as ``openssl rand -hex 32`` makes. With it every page wants
    ``Authorization: Bearer TOKEN``, or, for browsers, any user name with the token as password."""
