"""TLS for a listener: a certificate and its key out of PEM files, as one context that new connections use.

``read_certificate`` reads files and so may block: it is called while a configuration is read, not in the event loop.
"""

from __future__ import annotations

import hashlib
import ssl
from dataclasses import dataclass, field
from pathlib import Path

_REASONS = {
    "KEY_VALUES_MISMATCH": "the key does not belong to the certificate",
    "EE_KEY_TOO_SMALL": "the certificate's key is too small",
    "CA_MD_TOO_WEAK": "the certificate is signed with too weak a digest",
}
_NO_PEM = "holds no certificate, or no key, in PEM format"
_ENCRYPTED = "the key is encrypted, and a daemon has nobody to ask for the passphrase"


@dataclass(frozen=True, slots=True)
class ServerCertificate:
    """What a server shows. Two are equal when their files held the same."""

    digest: str
    context: ssl.SSLContext = field(compare=False, repr=False)


class _Encrypted(Exception):
    """OpenSSL would ask the terminal for a passphrase."""


def read_certificate(certificate: Path, key: Path) -> ServerCertificate:
    """The certificate with its chain, and its key; both may stand in one file.

    Raises ValueError that says what is wrong with the files, OSError when they cannot be read. TLS 1.2 is the oldest
    version spoken (RFC 8996).
    """
    digest = hashlib.sha256(certificate.read_bytes() + b"\0" + key.read_bytes()).hexdigest()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key, password=_refuse_to_ask)
    except _Encrypted:
        raise ValueError(_ENCRYPTED) from None
    except ssl.SSLError as error:
        raise ValueError(_REASONS.get(error.reason or "", _NO_PEM)) from None
    return ServerCertificate(digest, context)


def _refuse_to_ask() -> str:
    raise _Encrypted
