"""What Postfix's ``ldap:`` answers: ``postmap -q`` on a table file.

Keys go to one ``postmap -q -`` for each table. It ends at the first failure, loses what it had found and pauses for a
second, so keys that are expected to fail are asked by a process of their own each, side by side; when others fail too,
all of them are.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.oracle.answer import TEMP, Answer

SECONDS = 120.0
# Without it libldap reads the machine's ldap.conf, and looks up its host name, which can take seconds.
ENVIRONMENT = {**os.environ, "LDAPNOINIT": "1"}
# A failing postmap only sleeps.
AT_ONCE = 48


@dataclass(frozen=True, slots=True)
class Postmap:
    """``postmap`` with the main.cf in ``config``."""

    config: Path

    def answers(self, table: Path, keys: Sequence[str], expected: Sequence[Answer]) -> list[Answer]:
        """The answer of ``ldap:table`` to each key; ``expected`` tells which are likely to fail."""
        found: dict[str, Answer] = {}
        batch = [key for key, answer in zip(keys, expected, strict=True) if answer is not TEMP and _fits_a_line(key)]
        together = self._together(table, list(dict.fromkeys(batch)))
        found.update(together or {})
        alone = [key for key in dict.fromkeys(keys) if key not in found]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            found.update(zip(alone, pool.map(lambda key: self.answer(table, key), alone), strict=True))
        return [found[key] for key in keys]

    def answer(self, table: Path, key: str) -> Answer:
        """``postmap -q KEY``."""
        done = self._run(["-q", key, f"ldap:{table}"], b"")
        if done.returncode == 0:
            return done.stdout.decode(errors="surrogateescape").removesuffix("\n")
        return TEMP if b"fatal:" in done.stderr else None

    def _together(self, table: Path, keys: list[str]) -> dict[str, Answer] | None:
        """``postmap -q -``; None when one of the keys failed, or an answer cannot be told from the next."""
        done = self._run(["-q", "-", f"ldap:{table}"], os.fsencode("".join(f"{key}\n" for key in keys)))
        if b"fatal:" in done.stderr:
            return None
        found: dict[str, Answer] = dict.fromkeys(keys)
        for line in done.stdout.decode(errors="surrogateescape").removesuffix("\n").split("\n"):
            key, tab, value = line.partition("\t")
            if tab and key in found:
                found[key] = value
            elif line:
                return None
        return found

    def _run(self, arguments: list[str], stdin: bytes) -> subprocess.CompletedProcess[bytes]:
        command = ["postmap", "-c", str(self.config), *arguments]
        return subprocess.run(command, input=stdin, capture_output=True, check=False, timeout=SECONDS, env=ENVIRONMENT)


def _fits_a_line(key: str) -> bool:
    return not set(key) & set("\n\t\0")
