"""TLS to a directory server, by Python's ssl: at least TLS 1.2, the certificate checked against the URI's host.

What the certificates of a CA must hold is what OpenSSL asks for by itself, and not what RFC 5280 does (OpenSSL's
``X509_V_FLAG_X509_STRICT``, on by default since Python 3.13): a CA made by ``openssl req -x509`` has no keyUsage, and
directories have used such CAs for decades. Whom it signed for is checked all the same.
"""

from __future__ import annotations

import ssl


def _refuse_to_ask() -> bytes:
    # Without this, OpenSSL asks on the terminal for the passphrase of an encrypted key, and waits for ever.
    raise ssl.SSLError("the key is protected by a passphrase")


def context(
    *, ca_file: str = "", ca_dir: str = "", cert: str = "", key: str = "", require_cert: bool = True
) -> ssl.SSLContext:
    """The client context. Without ``ca_file`` and ``ca_dir`` the system's CAs are trusted.

    Reads the files at once; raises ``OSError`` or ``ssl.SSLError`` when one cannot be used.
    """
    made = ssl.create_default_context(cafile=ca_file or None, capath=ca_dir or None)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not require_cert:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    if cert:
        made.load_cert_chain(cert, key or None, password=_refuse_to_ask)
    return made


def check(ca_file: str, ca_dir: str) -> None:
    """Raise ``OSError`` or ``ssl.SSLError`` when the CA certificates cannot be loaded."""
    if ca_file or ca_dir:
        context(ca_file=ca_file, ca_dir=ca_dir)


def check_own(cert: str, key: str) -> None:
    """Raise ``OSError`` or ``ssl.SSLError`` when the client certificate and its key cannot be loaded."""
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(cert, key or None, password=_refuse_to_ask)
