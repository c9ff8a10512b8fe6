"""A daemon with pages, one with TLS and a token on them, and a Prometheus that scrapes both by the snippets."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.directory.certificates import Authority
from tests.support.prometheus import Prometheus
from vmaild.demo.daemon import DaemonProcess, Listen
from vmaild.demo.process import run
from vmaild.demo.slapd import Slapd, free_port
from vmaild.demo.tree import tree

SNIPPETS = Path(__file__).parents[2] / "postfix-snippets"


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


def printed(daemon: Watched, name: str) -> str:
    """A snippet as ``vmaild snippets`` prints it for the daemon's configuration."""
    return run([sys.executable, "-m", "vmaild", "-c", str(daemon.process.configuration), "snippets", name])


@pytest.fixture(scope="module")
def prometheus(service_home: Path, daemon: Watched, guarded: Watched) -> Iterator[Prometheus]:
    """On the snippets as they are printed, but for the pace and the paths of the certificate's CA and of the token."""
    home = service_home / "prometheus"
    home.mkdir()
    plain = printed(daemon, "prometheus.yml").replace("15s", "1s")
    secured = printed(guarded, "prometheus.yml").replace("15s", "1s")
    for written, real in (("vmaild-ca.pem", "ca.pem"), ("vmaild-token", "token")):
        assert f"      {'ca_file' if 'ca' in written else 'credentials_file'}: /etc/prometheus/{written}" in secured
        secured = secured.replace(f"/etc/prometheus/{written}", str(service_home / real))
    job = secured[secured.index("  - job_name: vmaild") :].replace("job_name: vmaild", "job_name: guarded")
    (home / "prometheus.yml").write_text(f"global:\n  evaluation_interval: 1s\n{plain}{job}")
    (home / "vmaild-alerts.yml").write_text(printed(daemon, "alerts.yml"))
    with Prometheus(home) as running:
        yield running
