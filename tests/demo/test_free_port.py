"""Ports for services that a test is about to start."""

from __future__ import annotations

from vmaild.demo.process import free_port


def test_a_port_is_not_given_out_twice_before_its_service_listens() -> None:
    ports = [free_port() for _ in range(500)]
    assert len(set(ports)) == len(ports)
