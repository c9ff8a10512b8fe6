"""``[http]``: the certificate, its key and the token of the pages for monitors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from vmaild.admin import token_problem
from vmaild.config.section import Section
from vmaild.listening import ServerCertificate, read_certificate
from vmaild.process import systemd

TOKEN_CREDENTIAL = "http_token"
"""The credential that systemd hands over with LoadCredential=http_token:..., systemd.exec(5)."""

_MAX_TOKEN = 4096


def certificate(section: Section, folder: Path) -> ServerCertificate | None:
    """What TLS is spoken with; None for no TLS. Relative paths begin at ``folder``."""
    cert, key = section.string("tls_cert_file"), section.string("tls_key_file")
    if not cert:
        if key:
            section.problem("tls_key_file", "needs tls_cert_file")
        return None
    named, key_path = ("tls_key_file", folder / key) if key else ("tls_cert_file", folder / cert)
    try:
        made = read_certificate(folder / cert, key_path)
        _warn_if_readable(section, named, key_path, "holds the key")
        return made
    except OSError as error:
        named = "tls_key_file" if key and error.filename == str(key_path) else "tls_cert_file"
        section.problem(named, f"{error.filename!r}: {error.strerror or error}")
    except ValueError as error:
        section.problem("tls_cert_file", f"{str(folder / cert)!r}: {error}")
    return None


def token(section: Section, folder: Path, environ: Mapping[str, str]) -> str:
    """What every request has to show; empty for nothing. A credential comes before the file."""
    named = section.string("token_file")
    passed = systemd.credential(TOKEN_CREDENTIAL, environ)
    path = passed or (folder / named if named else None)
    if path is None:
        return ""
    try:
        read = _first_line(path)
        if passed is None:
            _warn_if_readable(section, "token_file", path, "holds the token")
    except (OSError, ValueError) as error:
        section.problem("token_file", f"{str(path)!r}: {getattr(error, 'strerror', None) or error}")
        return ""
    return read


def _first_line(path: Path) -> str:
    content = path.read_bytes()
    if len(content) > _MAX_TOKEN:
        raise ValueError("is too long for a token")
    # What is no ASCII is no token either, and is not to be quoted.
    read = content.decode("latin-1").partition("\n")[0].strip()
    if problem := token_problem(read) if read else "is empty":
        raise ValueError(problem)
    return read


def _warn_if_readable(section: Section, key: str, path: Path, text: str) -> None:
    if path.stat().st_mode & 0o004:
        section.warn(key, f"{str(path)!r} {text} and can be read by every user; chmod 0640 it")
