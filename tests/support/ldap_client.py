"""The directory as one of its users sees and changes it, with OpenLDAP's own tools."""

from __future__ import annotations

import subprocess

from vmaild.demo.process import ProcessError, run
from vmaild.demo.slapd import Slapd
from vmaild.demo.tree import ACCOUNT_PW, SEARCH_BASE


def dn(address: str) -> str:
    """The DN of the entry that is named by ``address``."""
    return f"mail={address},o={address.rpartition('@')[2]},{SEARCH_BASE}"


def search(slapd: Slapd, who: str, password: str, base: str, *arguments: str) -> str:
    """What ``who`` ("" for nobody) finds, as LDIF."""
    bind = ["-D", who, "-w", password] if who else []
    command = ["ldapsearch", "-x", "-LLL", "-o", "ldif-wrap=no", "-H", slapd.uri, *bind, "-b", base, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def change(slapd: Slapd, who: str, ldif: str, password: str = ACCOUNT_PW) -> str:
    """Apply a change as ``who``; "" when slapd did it, else what it said."""
    try:
        run(["ldapmodify", "-x", "-H", slapd.uri, "-D", who, "-w", password], stdin=ldif)
    except ProcessError as error:
        return str(error)
    return ""


def added(entry: str) -> str:
    """The change record that adds an entry."""
    first, rest = entry.split("\n", 1)
    return f"{first}\nchangetype: add\n{rest}"


def replaced(target: str, attribute: str, value: str) -> str:
    """The change record that replaces an attribute's values by one."""
    return f"dn: {target}\nchangetype: modify\nreplace: {attribute}\n{attribute}: {value}\n"


def removed(target: str) -> str:
    """The change record that removes an entry."""
    return f"dn: {target}\nchangetype: delete\n"


def renamed(target: str, rdn: str, *, keep_old: bool = True, under: str = "") -> str:
    """The change record that renames an entry, and moves it ``under`` another when that is given."""
    record = f"dn: {target}\nchangetype: modrdn\nnewrdn: {rdn}\ndeleteoldrdn: {0 if keep_old else 1}\n"
    return f"{record}newsuperior: {under}\n" if under else record
