"""A daemon with pages, one with TLS and a token on them, and a Prometheus that scrapes both by the snippets."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.directory.certificates import Authority
from tests.support.prometheus import Prometheus
from vmaild.demo.daemon import DaemonProcess, Listen
from vmaild.demo.slapd import Slapd, free_port
from vmaild.demo.tree import tree

SNIPPETS = Path(__file__).parents[2] / "postfix-snippets"
EXAMPLE = "127.0.0.1:9143"
"""The address of the pages as the snippets have it; ``vmaild snippets`` puts that of the configuration there."""


@pytest.fixture(scope="module")
def slapd(service_home: Path) -> Iterator[Slapd]:
    with Slapd(service_home / "slapd", ldif=tree()) as running:
        yield running


class Watched:
    """One daemon in ``home``; ``pages`` is where a monitor asks it."""

    def __init__(self, home: Path, slapd: Slapd, more: str = "") -> None:
        home.mkdir()
        port = free_port()
        self.pages = f"127.0.0.1:{port}"
        listens = [Listen(f"inet:127.0.0.1:{free_port()}")]
        tables = f'[http]\naddress = "inet:{self.pages}"\n{more}'
        self.process = DaemonProcess(home, [slapd.uri], listens, tables=tables)


@pytest.fixture(scope="module")
def daemon(service_home: Path, slapd: Slapd) -> Iterator[Watched]:
    watched = Watched(service_home / "plain", slapd)
    watched.process.start()
    yield watched
    assert watched.process.stop() == 0


@pytest.fixture(scope="module")
def guarded(service_home: Path, slapd: Slapd) -> Iterator[Watched]:
    """One whose pages want TLS and a token; its certificate and token are in ``service_home``."""
    token = service_home / "token"
    token.touch(mode=0o600)
    token.write_text("0123456789abcdef0123456789abcdef\n")
    (authority := service_home / "authority").mkdir()
    made = Authority(authority)
    cert, key = made.issue("/CN=localhost", "DNS:localhost,IP:127.0.0.1")
    shutil.copy(made.ca, service_home / "ca.pem")
    more = f'tls_cert_file = "{cert}"\ntls_key_file = "{key}"\ntoken_file = "{token}"\n'
    watched = Watched(service_home / "guarded", slapd, more)
    watched.process.start()
    yield watched
    assert watched.process.stop() == 0


@pytest.fixture(scope="module")
def prometheus(service_home: Path, daemon: Watched, guarded: Watched) -> Iterator[Prometheus]:
    """On the snippets as they are, but for the addresses and the pace; a second job has what is commented out there."""
    home = service_home / "prometheus"
    home.mkdir()
    text = (SNIPPETS / "prometheus/prometheus.yml").read_text().replace("15s", "1s")
    job = text[text.index("  - job_name: vmaild") :]
    secured = job.replace("job_name: vmaild", "job_name: guarded").replace("    #", "    ")
    for written, real in (("vmaild-ca.pem", "ca.pem"), ("vmaild-token", "token")):
        assert f"/etc/prometheus/{written}" in secured
        secured = secured.replace(f"/etc/prometheus/{written}", str(service_home / real))
    assert EXAMPLE in job
    whole = text.replace(EXAMPLE, daemon.pages) + secured.replace(EXAMPLE, guarded.pages)
    (home / "prometheus.yml").write_text(f"global:\n  evaluation_interval: 1s\n{whole}")
    shutil.copy(SNIPPETS / "prometheus/alerts.yml", home / "vmaild-alerts.yml")
    with Prometheus(home) as running:
        yield running
