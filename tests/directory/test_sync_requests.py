"""The bytes of the requests, against hand-made ones; that slapd takes them is shown in test_sync_slapd."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmaild.directory import sync_requests
from vmaild.directory.sync_ber import element, encode, encode_integer, header, integer
from vmaild.directory.sync_cookie import Cookie
from vmaild.directory.sync_requests import Bind, SyncSearch, equal, present


def test_binds_are_as_the_rfc_writes_them() -> None:
    simple = sync_requests.bind_request(1, Bind("SIMPLE", "cn=a", "pw"))
    assert simple == bytes.fromhex("3012 020101 600d 020103 0404 636e3d61 8002 7077")
    assert sync_requests.bind_request(1, Bind()) == bytes.fromhex("300c 020101 6007 020103 0400 8000")
    external = sync_requests.bind_request(1, Bind("EXTERNAL"))
    assert external == bytes.fromhex("3018 020101 6013 020103 0400 a30c 0408") + b"EXTERNAL" + b"\x04\x00"


@pytest.mark.parametrize("bind", [Bind("SIMPLE", "cn=a"), Bind("SIMPLE", "", "pw"), Bind("GSSAPI")])
def test_binds_that_would_make_one_somebody_else_are_refused(bind: Any) -> None:
    with pytest.raises(ValueError, match="bind"):
        sync_requests.bind_request(1, bind)


def test_a_bind_does_not_show_its_password() -> None:
    assert "secret" not in repr(Bind("SIMPLE", "cn=a", "secret"))


def test_filters_hold_any_bytes() -> None:
    assert sync_requests.at_least("entryCSN", b"1*") == b"\xa5\x0e\x04\x08entryCSN\x04\x021*"
    assert present("objectClass") == b"\x87\x0bobjectClass"
    assert equal("mail", b"a*)(\0") == b"\xa3\x0d\x04\x04mail\x04\x05a*)(\0"


def test_a_search_for_one_entry_is_as_the_rfc_writes_it() -> None:
    assert sync_requests.base_search(3, "o=x", ("cn",)) == bytes.fromhex(
        "302c 020103 6327 0403 6f3d78 0a0100 0a0100 020100 020100 010100 870b 6f626a656374436c617373 3004 0402 636e"
    )
    assert sync_requests.base_search(3, "", ()).endswith(b"\x30\x05\x04\x031.1")


def test_a_search_asks_for_no_more_entries_than_are_wanted() -> None:
    assert sync_requests.search(3, SyncSearch("o=x", present("o"), ("cn",), size_limit=500)) == bytes.fromhex(
        "3023 020103 631e 0403 6f3d78 0a0102 0a0100 020201f4 020100 010100 8701 6f 3004 0402 636e"
    )


def test_the_sync_search_carries_its_control() -> None:
    cookie = Cookie.parse(b"rid=000,csn=20261125225832.123456Z#000000#000#000000")
    plain = sync_requests.sync_search(2, SyncSearch("o=x", present("o"), ("cn",), cookie))
    value = bytes.fromhex("303c 0a0103 0434") + bytes(cookie) + bytes.fromhex("010100")
    assert plain.endswith(b"\x04\x181.3.6.1.4.1.4203.1.9.1.1\x01\x01\xff\x04\x3e" + value)
    without = sync_requests.sync_search(2, SyncSearch("o=x", present("o"), ("cn",), reload_hint=True))
    assert without.endswith(bytes.fromhex("01 01ff 0408 3006 0a0103 0101ff")[1:])


@given(st.integers(0, 2**31 - 1), st.binary(max_size=70_000))
def test_elements_are_read_as_they_were_written(number: Any, data: Any) -> None:
    whole = encode(0x30, encode_integer(number), encode(0x04, data))
    start, size = header(whole)  # type: ignore[misc]
    assert size == len(whole)
    value, at = integer(whole, start, size)
    tag, begin, end = element(whole, at, size)
    assert (value, tag, whole[begin:end], end) == (number, 0x04, data, size)
