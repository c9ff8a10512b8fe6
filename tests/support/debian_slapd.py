"""A slapd as Debian's package sets it up, by cn=config, changed by LDIF as its administrator does.

Everything is below ``home``. It starts empty: after ``configure`` the content comes from ``add``.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from vmaild.demo.process import ProcessError, run
from vmaild.demo.slapd import SLAPD, Slapd
from vmaild.demo.tree import BASE

INIT = Path("/usr/share/slapd/slapd.init.ldif")
"""What Debian's package fills in when it is installed."""

HOSTING = "olcDatabase={1}mdb,cn=config"


class DebianSlapd(Slapd):
    """One slapd with a configuration directory."""

    def __init__(self, home: Path) -> None:
        super().__init__(home, ldapi=True)

    def _load(self) -> None:
        if (self.home / "slapd.d").exists():
            return
        for name in ("slapd.d", "data"):
            (self.home / name).mkdir(parents=True)
        text = INIT.read_text()
        for old, new in (
            ("@SUFFIX@", BASE),
            ("@PASSWORD@", self.root_pw),
            ("/var/lib/ldap", str(self.home / "data")),
            ("/var/run/slapd", str(self.home)),
        ):
            text = text.replace(old, new)
        (self.home / "init.ldif").write_text(text)
        run([SLAPD, "-Ta", "-n", "0", "-F", str(self.home / "slapd.d"), "-l", str(self.home / "init.ldif")])

    def _command(self) -> list[str]:
        return [SLAPD, "-F", str(self.home / "slapd.d"), "-h", f"{self.uri} {self.ldapi_uri}", "-d", "0"]

    def configure(self, ldif: str, *, tool: str = "ldapmodify", go_on: bool = False) -> str:
        """Change cn=config as root does; returns what was refused. Raises ``ProcessError`` unless ``go_on``."""
        command = [tool, "-Q", "-Y", "EXTERNAL", "-H", self.ldapi_uri, *(["-c"] if go_on else [])]
        done = subprocess.run(command, input=ldif, capture_output=True, text=True, check=False)
        if done.returncode and not go_on:
            raise ProcessError(done.stderr)
        return done.stderr

    def settings(self, *attributes: str) -> list[str]:
        """Lines of LDIF: these attributes of the hosting tree's database and of its overlays."""
        return config_settings(["-Q", "-Y", "EXTERNAL", "-H", self.ldapi_uri], *attributes)


def config_settings(bind: list[str], *attributes: str) -> list[str]:
    """The same of any slapd whose cn=config lets itself be read with ``bind``, options of ldapsearch(1)."""
    command = ["ldapsearch", "-LLL", "-o", "ldif-wrap=no", *bind, "-b", HOSTING, "(objectClass=*)", *attributes]
    return [line for line in run(command).splitlines() if line and not line.startswith("dn:")]
