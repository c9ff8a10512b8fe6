"""The token that requests must show."""

from __future__ import annotations

import base64
import hmac

import pytest

from tests.admin.test_http import get, protocol, status_of
from vmaild.admin import bearer
from vmaild.admin.bearer import Token, token_problem

TOKEN = "0123456789abcdef-._~+/=="


def basic(text: str) -> str:
    return f"Basic {base64.b64encode(text.encode()).decode()}"


@pytest.mark.parametrize(
    ("authorization", "shown"),
    [
        (f"Bearer {TOKEN}", True),
        (f"bearer   {TOKEN} ", True),
        (basic(f"anybody:{TOKEN}"), True),
        (basic(f":{TOKEN}"), True),
        ("", False),
        ("Bearer", False),
        ("Bearer ", False),
        (TOKEN, False),
        (f"Token {TOKEN}", False),
        (f"Bearer {TOKEN}x", False),
        (f"Bearer {TOKEN[:-1]}", False),
        (f"Bearer {TOKEN.upper()}", False),
        (f"Bearer \xff{TOKEN}", False),
        (basic(TOKEN), False),
        (basic(f"{TOKEN}:"), False),
        (basic(f"a:{TOKEN}:"), False),
        ("Basic !", False),
        ("Basic", False),
        (f"Basic {TOKEN}", False),
    ],
)
def test_only_the_whole_token_counts(authorization: str, shown: bool) -> None:
    assert Token(TOKEN).shown_in(authorization) is shown


def test_what_is_compared_has_one_length_and_takes_one_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    class Recording:
        @staticmethod
        def compare_digest(one: bytes, other: bytes) -> bool:
            compared.append((one, other))
            return hmac.compare_digest(one, other)

    monkeypatch.setattr(bearer, "hmac", Recording)
    for shown in (TOKEN, TOKEN[:5], "x" * 4000):
        Token(TOKEN).shown_in(f"Bearer {shown}")
    assert {len(value) for pair in compared for value in pair} == {32}
    assert len(compared) == 3


def test_a_token_that_can_be_guessed_or_not_be_sent_is_refused() -> None:
    assert token_problem(TOKEN) == ""
    assert token_problem("short") == ("a token of 5 characters can be guessed: write one with `openssl rand -hex 32`")
    for wrong in ("", "two words are not one token", "r\xe9sum\xe9" * 4, "=leading" * 4):
        assert "letters, digits" in token_problem(wrong)


@pytest.mark.parametrize("path", ["/", "/metrics", "/health", "/ready", "/absent"])
def test_without_the_token_no_page_says_anything(path: str) -> None:
    pages = protocol()
    pages.token = Token(TOKEN)
    for fields in ("Host: a", "Host: a\r\nAuthorization: Bearer wrong"):
        response = pages.answer(get(path, fields=fields))
        assert status_of(response) == 401
        assert b'\r\nWWW-Authenticate: Bearer realm="vmaild"\r\n' in response
        assert response.endswith(b"\r\n\r\nUnauthorized\n")
    assert pages.answer(get(path, "HEAD")).endswith(b"\r\n\r\n")
    shown = f"Host: a\r\nAuthorization: Bearer {TOKEN}"
    assert pages.answer(get(path, fields=shown)) == protocol().answer(get(path, fields=shown))
