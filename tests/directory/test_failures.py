"""Each way in which bonsai says no becomes a failure of vmaild's own, and none becomes an empty answer."""

from __future__ import annotations

import builtins

import pytest
from bonsai import errors

from vmaild.directory.failures import KINDS, failure, result_failure
from vmaild.errors import DirectoryFailure


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (-1, "broken"), (-5, "timeout"), (-11, "broken"), (-101, "broken"), (0x02, "broken"), (0x03, "limit"),
        (0x04, "limit"), (0x0B, "limit"), (0x22, "invalid"), (0x30, "credentials"), (0x31, "credentials"),
        (0x32, "refused"), (0x33, "busy"), (0x34, "busy"), (0x35, "refused"), (0x50, "busy"), (0x47, "referral"),
        (0x7B, "refused"),
    ],
)  # fmt: skip
def test_codes_that_bonsai_raises(code: int, kind: str) -> None:
    error = errors._get_error(code)
    translated = failure(error("text"))
    assert translated.kind == kind
    assert f"LDAP result {code}" in str(translated)


@pytest.mark.parametrize(("code", "kind"), [(9, "partial"), (10, "referral"), (14, "refused"), (51, "busy")])
def test_codes_that_bonsai_swallows(code: int, kind: str) -> None:
    wrong = result_failure(code)
    assert wrong is not None
    assert wrong.kind == kind


@pytest.mark.parametrize("code", [0, 32])
def test_success_and_no_such_object_are_no_failure_by_themselves(code: int) -> None:
    assert result_failure(code) is None


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (builtins.TimeoutError(), "timeout"),
        (ConnectionResetError(), "broken"),
        (ValueError("x"), "invalid"),
        (DirectoryFailure("x", "suffix"), "suffix"),
    ],
)
def test_whatever_else_is_raised(error: Exception, kind: str) -> None:
    assert failure(error).kind == kind


def test_every_kind_is_explained() -> None:
    assert all(kind == kind.lower() and text for kind, text in KINDS.items())
