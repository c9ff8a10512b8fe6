"""Another slapd than this Debian's for the tests: that of a tree of another Debian, by ``$VMAILD_TEST_DEBIAN``.

The tree's own loader runs it, with the tree's libraries and modules: no chroot, and no root. ``make newer-slapd`` makes
such a tree.
"""

from __future__ import annotations

import os
import platform
import tempfile
from pathlib import Path

import pytest

from vmaild.demo import slapd, slapd_conf

VARIABLE = "VMAILD_TEST_DEBIAN"

_SCRIPT = """\
#!/bin/sh
exec {loader} --argv0 slapd --library-path {libraries} {tree}/usr/sbin/slapd "$@"
"""


def use(monkeypatch: pytest.MonkeyPatch) -> str:
    """Have every ``Slapd`` run that of the tree named in the environment; its script, empty where none is named."""
    if not (name := os.environ.get(VARIABLE, "")):
        return ""
    tree = Path(name).resolve()
    (libraries,) = tree.glob(f"usr/lib/{platform.machine()}-linux-gnu")
    (loader,) = (path for path in tree.glob("usr/lib64/ld-linux*.so.*"))
    script = Path(tempfile.mkdtemp(prefix="vmaild-slapd-"), "slapd")
    script.write_text(_SCRIPT.format(loader=loader, libraries=libraries, tree=tree))
    script.chmod(0o755)
    monkeypatch.setattr(slapd, "SLAPD", str(script))
    monkeypatch.setattr(slapd_conf, "MODULES", tree / "usr/lib/ldap")
    monkeypatch.setattr(slapd_conf, "SCHEMAS", tree / "etc/ldap/schema")
    return str(script)
