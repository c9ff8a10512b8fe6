"""Searches of the model: bonsai asked directly, with attribute options and the server's order kept."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

import bonsai

from tests.oracle.model import Attributes

_SCOPES = {"base": bonsai.LDAPSearchScope.BASE, "one": bonsai.LDAPSearchScope.ONE, "sub": bonsai.LDAPSearchScope.SUB}


class Searches:
    """A connection to the slapd at ``uri``; answers are kept, since the directory does not change."""

    def __init__(self, uri: str) -> None:
        client = bonsai.LDAPClient(uri)
        client.set_ignore_referrals(True)
        self._connection = client.connect()
        self._known: dict[tuple[str, str, str, tuple[str, ...]], list[Attributes] | None] = {}

    def __enter__(self) -> Searches:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._connection.close()

    def find(self, base: str, scope: str, text: str, attributes: Sequence[str]) -> list[Attributes] | None:
        """``model.Find``."""
        key = (base, scope, text, tuple(attributes))
        if key not in self._known:
            self._known[key] = self._find(base, scope, text, attributes)
        return self._known[key]

    def _find(self, base: str, scope: str, text: str, attributes: Sequence[str]) -> list[Attributes] | None:
        wanted = list(attributes) or ["1.1"]
        try:
            found = self._connection.search(base, _SCOPES[scope], text, wanted)
        except bonsai.NoSuchObjectError:
            return None
        except bonsai.LDAPError as error:
            raise LookupError(str(error)) from None
        return [[(name, [str(v) for v in entry[name]]) for name in entry if name != "dn"] for entry in found]
