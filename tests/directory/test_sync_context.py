"""Which database holds a search base, and what its state is."""

from __future__ import annotations

from typing import Any

import pytest

from vmaild.directory.sync_context import Context, read_context, suffix_of
from vmaild.directory.sync_cookie import Cookie

CSN = b"20261125231028.315893Z#000000#000#000000"


@pytest.mark.parametrize(
    ("base", "contexts", "suffix"),
    [
        ("o=hosting,dc=my,dc=example", ["dc=my,dc=example"], "dc=my,dc=example"),
        ("O=Hosting, DC=My,dc=example", ["o=other", "dc=my,dc=EXAMPLE"], "dc=my,dc=EXAMPLE"),
        ("o=a,o=b,o=c", ["o=c", "o=b,o=c"], "o=b,o=c"),
        ("o=ab", ["o=b"], ""),
        ("o=a", [], ""),
        ("o=a", ["not a DN", "", "o=a"], "o=a"),
    ],
)
def test_the_longest_suffix_that_holds_the_base(base: str, contexts: Any, suffix: str) -> None:
    assert suffix_of(base, contexts) == suffix


@pytest.mark.parametrize(
    ("entries", "context"),
    [
        (
            {
                "": {"namingcontexts": (b"o=y", b"o=x"), "supportedcontrol": (b"1.3.6.1.4.1.4203.1.9.1.1",)},
                "o=x": {"contextcsn": (CSN,)},
            },
            Context("o=x", Cookie.of_context([CSN]), True),
        ),
        ({"": {"namingcontexts": (b"o=x",)}, "o=x": {}}, Context("o=x", None, False)),
        ({"": {"namingcontexts": (b"o=x",)}}, Context("o=x", None, False)),
        ({}, Context("", None, False)),
    ],
)
async def test_the_state_is_read_from_the_suffix(entries: Any, context: Any) -> None:
    async def read(dn: Any, attributes: Any) -> Any:
        return entries.get(dn)

    assert await read_context(read, "cn=a,o=x") == context


async def test_a_state_that_cannot_be_read_is_no_state() -> None:
    async def read(dn: Any, attributes: Any) -> Any:
        return {"namingcontexts": (b"o=x",), "contextcsn": (b"nonsense",)}

    with pytest.raises(ValueError, match="change sequence"):
        await read_context(read, "o=x")
