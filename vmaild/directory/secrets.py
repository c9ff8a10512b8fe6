"""Password and certificates as they are on disk now: read again for a new connection when their files have changed.

So a changed password, CA or client certificate needs no restart: connections that are open stay, and the next ones use
what is new. A file that cannot be used is logged once, and what was read before goes on being used.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Iterable
from pathlib import Path

from vmaild.directory import tls
from vmaild.directory.bonsai_patches import Credentials
from vmaild.directory.settings import DirectorySettings

logger = logging.getLogger("vmaild.directory")

MAX_PASSWORD = 4096
"""Bytes: a password longer than this is a wrong file."""

Stamp = tuple[tuple[int, int, int] | None, ...]


def password_in(content: bytes) -> str:
    """The password in a file: its first line. Raises ValueError."""
    if len(content) > MAX_PASSWORD:
        raise ValueError("is too long for a password")
    password = content.decode().split("\n", 1)[0].rstrip("\r")
    if not password:
        raise ValueError("is empty")
    return password


class Secrets:
    """What ``settings`` name. ``encrypted``: whether a TLS context is needed.

    Raises ``OSError`` (with ssl's errors) when certificate files cannot be used at the beginning.
    """

    def __init__(self, settings: DirectorySettings, *, encrypted: bool) -> None:
        self._settings = settings
        self._password = settings.bind_pw
        # The file may have changed since the configuration was read: it is read again for the first connection.
        self._password_stamp: Stamp = _stamp([""]) if not settings.bind_pw_file else ()
        self._files = [settings.tls_ca_cert_file, settings.tls_ca_cert_dir, settings.tls_cert, settings.tls_key]
        self._context_stamp = _stamp(self._files)
        self._context = self._make_context() if encrypted else None

    def credentials(self) -> Credentials:
        """How to bind."""
        settings = self._settings
        method = settings.bind_method
        if method == "sasl_external":
            return Credentials("EXTERNAL")
        if method != "simple":
            return Credentials()
        stamp = _stamp([settings.bind_pw_file])
        if stamp != self._password_stamp:
            self._password_stamp = stamp
            try:
                password = password_in(Path(settings.bind_pw_file).read_bytes())
                if password != self._password:
                    self._password = password
                    logger.info("%s has changed: its password is used from now on", settings.bind_pw_file)
            except (OSError, ValueError) as error:
                logger.warning(
                    "%s cannot be used: %s", settings.bind_pw_file, getattr(error, "strerror", None) or error
                )
        return Credentials("SIMPLE", settings.bind_dn, self._password)

    def context(self) -> ssl.SSLContext | None:
        """The client context, None for connections without TLS."""
        stamp = _stamp(self._files) if self._context is not None else self._context_stamp
        if stamp != self._context_stamp:
            self._context_stamp = stamp
            try:
                self._context = self._make_context()
                logger.info("certificate files have changed: they are used from now on")
            except OSError as error:  # ssl.SSLError is one
                logger.warning("certificate files cannot be used: %s", error)
        return self._context

    def _make_context(self) -> ssl.SSLContext:
        settings = self._settings
        return tls.context(
            ca_file=settings.tls_ca_cert_file,
            ca_dir=settings.tls_ca_cert_dir,
            cert=settings.tls_cert,
            key=settings.tls_key,
            require_cert=settings.tls_require_cert,
        )


def _stamp(files: Iterable[str]) -> Stamp:
    """What changes when one of the files is replaced or written."""
    stamps: list[tuple[int, int, int] | None] = []
    for name in files:
        try:
            status = Path(name).stat() if name else None
        except OSError:
            status = None
        stamps.append((status.st_mtime_ns, status.st_ino, status.st_size) if status else None)
    return tuple(stamps)
