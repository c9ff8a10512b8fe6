"""Roundcube of one's own on PHP's built-in server, with its database in a file: SquirrelMail's heir.

Debian's package has the program; configuration, database, logs and temporary files lie below ``home``.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import urllib.error
import urllib.request
from pathlib import Path

from vmaild.demo.process import Process, ProcessError, free_port

PAGES = Path("/var/lib/roundcube/public_html")
SCHEMA = Path("/usr/share/roundcube/SQL/sqlite.initial.sql")
DEFAULTS = Path("/etc/roundcube")
PHP = Path("/usr/bin/php")
NEEDED = {
    PHP: "php-cli",
    PAGES / "index.php": "roundcube-core",
    SCHEMA: "roundcube-core",
    Path("/usr/share/doc/roundcube-sqlite3"): "roundcube-sqlite3",
}

START_SECONDS = 30.0
"""How long the login page may take: seconds. It takes 0.3 s."""

# %u and %p are the login: a user who is logged in here logs in to the submission port too.
_CONFIG = """\
<?php
$config = [];
$config['db_dsnw'] = 'sqlite:///{home}/webmail.db?mode=0600';
$config['imap_host'] = '127.0.0.1:{imap_port}';
$config['smtp_host'] = '127.0.0.1:{smtp_port}';
$config['smtp_user'] = '%u';
$config['smtp_pass'] = '%p';
$config['smtp_auth_type'] = 'PLAIN';
$config['des_key'] = 'a-key-of-24-characters..';
$config['product_name'] = 'Webmail';
$config['plugins'] = [];
$config['skin'] = 'elastic';
$config['language'] = 'en_US';
$config['log_dir'] = '{home}/logs';
$config['temp_dir'] = '{home}/temp';
$config['enable_spellcheck'] = false;
$config['identities_level'] = 0;
"""


class Webmail:
    """One Roundcube below ``home`` for the IMAP server and the submission server on these ports."""

    def __init__(self, home: Path, imap_port: int, smtp_port: int) -> None:
        self.home = home
        self.url = f"http://127.0.0.1:{free_port()}/"
        self._config = _CONFIG.format(home=home, imap_port=imap_port, smtp_port=smtp_port)
        address = self.url.removeprefix("http://").rstrip("/")
        self._process = Process(
            [str(PHP), "-S", address, "-t", str(PAGES)],
            home / "php.log",
            environment={"PATH": os.environ["PATH"], "ROUNDCUBE_CONFIG_DIR": str(home / "config")},
        )

    def start(self) -> None:
        """Start it and wait for the login page. Raises ``ProcessError`` when there is none, or a package is missing."""
        missing = sorted({package for file, package in NEEDED.items() if not file.exists()})
        if missing:
            raise ProcessError(f"the webmail is missing; on Debian: apt-get install {' '.join(missing)}")
        for name in ("config", "logs", "temp"):
            (self.home / name).mkdir(parents=True)
        for name in ("defaults.inc.php", "mimetypes.php"):
            shutil.copy(DEFAULTS / name, self.home / "config")
        (self.home / "config/config.inc.php").write_text(self._config)
        database = sqlite3.connect(self.home / "webmail.db")
        database.executescript(SCHEMA.read_text())
        database.close()
        self._process.start(self._answers, START_SECONDS)

    def close(self) -> None:
        """Stop it, and remove ``home``."""
        self._process.stop()
        shutil.rmtree(self.home, ignore_errors=True)

    def log_text(self) -> str:
        """What PHP and Roundcube have logged."""
        logs = [self.home / "php.log", *sorted((self.home / "logs").glob("*"))]
        return "".join(path.read_text(errors="replace") for path in logs if path.is_file())

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(self.url, timeout=10.0) as page:
                return b"rcmloginuser" in page.read()
        except (urllib.error.URLError, OSError):
            return False
