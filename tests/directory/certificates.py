"""Certificates for tests, made by openssl(1)."""

from __future__ import annotations

import subprocess
from pathlib import Path

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc")


class Authority:
    """A CA in ``home``. ``ca`` is its certificate."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.ca = home / "ca.pem"
        self._key = home / "ca.key"
        self._serial = 0
        self._openssl(
            *("req", "-x509", *KEY, "-keyout", self._key, "-out", self.ca, "-subj", "/CN=Test CA", "-days", "2")
        )

    def issue(self, subject: str, names: str = "", *, days: int = 2) -> tuple[Path, Path]:
        """Certificate and key for ``subject`` (``/CN=...``) and ``names`` (``DNS:...,IP:...``); days < 0: expired."""
        self._serial += 1
        cert, key, request = (self.home / f"{self._serial}.{kind}" for kind in ("pem", "key", "csr"))
        names_option = ("-addext", f"subjectAltName={names}") if names else ()
        self._openssl("req", "-new", *KEY, "-keyout", key, "-out", request, "-subj", subject, *names_option)
        self._openssl(
            *("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self._key, "-out", cert),
            *self._validity(days),
            *("-copy_extensions", "copy", "-set_serial", str(self._serial)),
        )
        return cert, key

    def _validity(self, days: int) -> tuple[str, ...]:
        # OpenSSL 3.4 has these in place of negative days, which 3.5 refuses.
        known = subprocess.run(["openssl", "x509", "-help"], check=False, capture_output=True, text=True, timeout=30)
        if days < 0 and "-not_after" in known.stdout + known.stderr:
            return ("-not_before", "20200101000000Z", "-not_after", "20200102000000Z")
        return ("-days", str(days))

    def _openssl(self, *arguments: object) -> None:
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, timeout=30)
