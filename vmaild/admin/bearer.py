"""Whether a request shows the token that ``[http] token_file`` names. Pure.

Programs send it as ``Authorization: Bearer TOKEN`` (RFC 6750). A browser does not do so; it asks for a user and a
password (RFC 7617), and the token is taken as the password of any user.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re

SHORTEST = 16
"""Characters of a token: 64 bits in hexadecimal, more than can be guessed over a network."""

CHALLENGES = ('WWW-Authenticate: Bearer realm="vmaild"', 'WWW-Authenticate: Basic realm="vmaild", charset="UTF-8"')
"""The fields of a 401 response."""

_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""RFC 6750, 2.1: b64token."""


def token_problem(token: str) -> str:
    """What is wrong with a token, with what to write instead; empty when nothing is."""
    if not _TOKEN.fullmatch(token):
        return "a token has letters, digits and -._~+/ only: write one with `openssl rand -hex 32`"
    if len(token) < SHORTEST:
        return f"a token of {len(token)} characters can be guessed: write one with `openssl rand -hex 32`"
    return ""


class Token:
    """The token that requests must show."""

    def __init__(self, token: str) -> None:
        self._digest = _digest(token.encode())

    def shown_in(self, authorization: str) -> bool:
        """Whether the value of an Authorization field has it. How long this takes says nothing about the token."""
        scheme, _, rest = authorization.strip().partition(" ")
        shown = rest.strip().encode("latin-1")
        if scheme.lower() == "basic":
            shown = _password(shown)
        elif scheme.lower() != "bearer":
            return False
        return hmac.compare_digest(_digest(shown), self._digest)


def _digest(shown: bytes) -> bytes:
    # compare_digest tells the length of what it compares: digests have but one.
    return hashlib.sha256(shown).digest()


def _password(encoded: bytes) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True).partition(b":")[2]
    except binascii.Error:
        return b""
