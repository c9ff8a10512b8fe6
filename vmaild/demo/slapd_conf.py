"""The text of the slapd.conf(5) for a private slapd, and the TLS files it may name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vmaild.demo.tree import SCHEMA_FILE

MODULES = Path("/usr/lib/ldap")
SCHEMAS = Path("/etc/ldap/schema")

MAX_SIZE = 16 << 30
"""Upper bound of the database: bytes. Address space only, the file grows as it fills."""

_COMMON = """\
modulepath {modules}
moduleload back_mdb
moduleload syncprov
include {schemas}/core.schema
include {schemas}/cosine.schema
include {schemas}/nis.schema
include {courier}
pidfile {home}/slapd.pid
argsfile {home}/slapd.args"""

_DATABASE = """\
database mdb
suffix "{base}"
rootdn "{root_dn}"
rootpw {root_pw}
directory {home}/data
maxsize {max_size}
dbnosync
add_content_acl on
index objectClass,mail,o,cn,entryCSN,entryUUID eq"""

_SYNCPROV = ("overlay syncprov", "syncprov-checkpoint 1000 60")


@dataclass(frozen=True, slots=True)
class Tls:
    """Files in PEM form for ``ldaps://`` and StartTLS; ``ca`` is only needed when clients show certificates."""

    cert: Path
    key: Path
    ca: Path | None = None
    verify_client: str = "never"

    def lines(self) -> list[str]:
        """The lines of slapd.conf(5) that say so."""
        lines = [f"TLSCertificateFile {self.cert}", f"TLSCertificateKeyFile {self.key}"]
        if self.ca is not None:
            lines.append(f"TLSCACertificateFile {self.ca}")
        return [*lines, f"TLSVerifyClient {self.verify_client}"]


@dataclass(frozen=True, slots=True)
class Conf:
    """What a slapd.conf is made of. ``config`` are global lines, ``database`` lines of the database."""

    home: Path
    base: str
    root_dn: str
    root_pw: str
    access: str
    tls: Tls | None
    syncprov: bool
    config: Sequence[str]
    database: Sequence[str]

    def text(self) -> str:
        """The whole file. Overlays stand last, as they apply to the database above them."""
        common = _COMMON.format(modules=MODULES, schemas=SCHEMAS, courier=SCHEMA_FILE, home=self.home)
        database = _DATABASE.format(
            base=self.base,
            root_dn=self.root_dn,
            root_pw=self.root_pw,
            home=self.home,
            max_size=MAX_SIZE,
        )
        tls = self.tls.lines() if self.tls is not None else []
        overlay = _SYNCPROV if self.syncprov else ()
        return "\n".join([common, *self.config, *tls, database, *self.database, self.access, *overlay, ""])
