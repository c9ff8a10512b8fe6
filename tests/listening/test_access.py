"""Who may connect."""

from __future__ import annotations

import os
import socket

import pytest

from vmaild.listening.access import (
    EVERYONE,
    Access,
    InetPeer,
    UnixPeer,
    group_number,
    loopback,
    parse_networks,
    peer_of,
    user_number,
)
from vmaild.listening.address import parse_address

NETWORKS = Access(parse_networks(["192.0.2.0/24", "198.51.100.7", "2001:db8::/32"]))


@pytest.mark.parametrize(
    ("host", "admitted"),
    [
        ("192.0.2.1", True),
        ("192.0.3.1", False),
        ("198.51.100.7", True),
        ("198.51.100.8", False),
        ("127.0.0.1", False),
        ("2001:db8::1", True),
        ("2001:db9::1", False),
        ("::ffff:192.0.2.1", True),
        ("::ffff:192.0.3.1", False),
        ("fe80::1%lo", False),
    ],
)
def test_an_address_is_admitted_by_its_network(host: str, admitted: bool) -> None:
    assert NETWORKS.admits(InetPeer(host)) is admitted
    assert EVERYONE.admits(InetPeer(host))


@pytest.mark.parametrize(
    ("access", "admitted"),
    [
        (EVERYONE, True),
        (Access(uids=frozenset({101})), True),
        (Access(uids=frozenset({102})), False),
        (Access(gids=frozenset({201})), True),
        (Access(gids=frozenset({202})), True),
        (Access(gids=frozenset({203})), False),
        (Access(uids=frozenset({102}), gids=frozenset({202})), True),
    ],
)
def test_a_process_is_admitted_by_its_user_or_any_of_its_groups(access: Access, admitted: bool) -> None:
    assert access.admits(UnixPeer(101, frozenset({201, 202}))) is admitted
    assert access.admits(UnixPeer(0, frozenset({0})))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("192.0.2.1/24", "write '192.0.2.0/24'"),
        ("0.0.0.0/0", "is everybody"),
        ("::/0", "is everybody"),
        ("mail.example", "is no network"),
        ("", "is no network"),
    ],
)
def test_a_wrong_network_is_refused_with_what_to_write(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_networks([text])


def test_the_kernel_tells_the_user_and_all_groups_of_the_other_side() -> None:
    one, other = socket.socketpair()
    with one, other:
        peer = peer_of(one)
    assert isinstance(peer, UnixPeer)
    assert (peer.uid, peer.gids) == (os.getuid(), frozenset({os.getgid(), *os.getgroups()}))


def test_names_and_numbers_are_taken_for_users_and_groups() -> None:
    assert (user_number("root"), user_number("12"), group_number("root"), group_number(7)) == (0, 12, 0, 7)
    with pytest.raises(ValueError, match="no such user: no-such-user"):
        user_number("no-such-user")


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("inet:127.0.0.1:1", True),
        ("inet:127.9.9.9:1", True),
        ("inet:localhost:1", True),
        ("inet:[::1]:1", True),
        ("unix:/x", True),
        ("inet:0.0.0.0:1", False),
        ("inet:[::]:1", False),
        ("inet:192.0.2.1:1", False),
    ],
)
def test_loopback_is_what_only_this_machine_reaches(address: str, local: bool) -> None:
    assert loopback(parse_address(address)) is local
