"""What is tried in the container, under systemd as PID 1: run by ``tests/nspawn/run``, in a Debian with nothing but the
package. Each step prints a line; the exit status is that of the first that fails.
"""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

PACKAGES = Path("/mnt/packages")
CONFIGURATION = Path("/etc/vmaild/vmaild.toml")
PASSWORD = Path("/etc/vmaild/bind_pw")
DROP_IN = Path("/etc/systemd/system/vmaild.service.d/test.conf")
ADDRESS = ("127.0.0.1", 10143)
CLIENTS = 4
PATIENCE = 40.0

KEY = b"virtual_mailbox_maps user1@domain1.example"
REQUEST = b"%d:%s," % (len(KEY), KEY)
VALUE = b"OK domain1.example/user1/"
REPLY = b"%d:%s," % (len(VALUE), VALUE)

HANGS_ON_SIGUSR1 = """[Service]
WatchdogSec=60s
ExecStart=
ExecStart=/usr/bin/python3 -c "import signal, sys, time; \\
from vmaild.cli import main; \\
signal.signal(signal.SIGUSR1, lambda *_: time.sleep(60)); \\
sys.exit(main(['serve']))"
"""


def run(*command: object, check: bool = True) -> str:
    """The output of a command, standard error included."""
    done = subprocess.run(
        [str(word) for word in command], check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if check and done.returncode:
        fail(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


def say(text: str) -> None:
    """Report a step that is done."""
    print(f"ok    {text}", flush=True)


def fail(text: str) -> None:
    """Report what went wrong, with what the journal has, and end."""
    print(f"FAILED {text}\n{run('journalctl', '--no-pager', '-n', '60', '-u', 'vmaild*', check=False)}", flush=True)
    raise SystemExit(1)


def expect(true: object, text: str, details: str = "") -> None:
    """Go on when it is true."""
    if not true:
        fail(f"{text}\n{details}")


def indented(text: str) -> str:
    """Output of a command as part of a step's."""
    return "\n".join(f"      {line}" for line in text.splitlines())


def until(true: Callable[[], bool], text: str) -> None:
    """Wait for it."""
    end = time.monotonic() + PATIENCE
    while not true():
        expect(time.monotonic() < end, f"waited in vain: {text}")
        time.sleep(0.1)


def show(what: str, unit: str = "vmaild.service") -> str:
    """A property of a unit."""
    return run("systemctl", "show", "-P", what, unit).strip()


def answers() -> bool:
    """Whether a lookup is answered."""
    try:
        with socket.create_connection(ADDRESS, timeout=5) as client:
            client.sendall(REQUEST)
            return client.recv(4096) == REPLY
    except OSError:
        return False


class Client(threading.Thread):
    """Looks up without a pause, as Postfix does: once more on a new connection when one ends, no more."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._sock: socket.socket | None = None
        self.lookups = 0
        self.failures: list[str] = []
        self.stop = False

    def run(self) -> None:
        """Until told to stop."""
        while not self.stop:
            try:
                reply = self._ask() or self._ask()
            except OSError as error:
                reply = repr(error).encode()
            if reply != REPLY:
                self.failures.append(repr(reply))
            self.lookups += 1

    def _ask(self) -> bytes:
        received = b""
        try:
            self._sock = self._sock or socket.create_connection(ADDRESS, timeout=PATIENCE)
            self._sock.sendall(REQUEST)
            while not received.endswith(b",") and (chunk := self._sock.recv(4096)):
                received += chunk
        except (ConnectionResetError, BrokenPipeError):
            received = b""
        if not received.endswith(b","):
            if self._sock is not None:
                self._sock.close()
            self._sock, received = None, b""
        return received


@contextmanager
def load(what: str) -> Iterator[list[Client]]:
    """Clients that look up during that; none may lose a lookup."""
    clients = [Client() for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    try:
        yield clients
        served(clients)
    finally:
        for client in clients:
            client.stop = True
        for client in clients:
            client.join(PATIENCE)
    failures = [failure for client in clients for failure in client.failures]
    expect(not failures, f"{what}: {len(failures)} lookups lost", str(failures[:5]))
    say(f"{what}: {sum(client.lookups for client in clients)} lookups, none lost")


def served(clients: list[Client]) -> None:
    """Wait until each has another answer."""
    before = [client.lookups for client in clients]
    until(lambda: all(c.lookups > b for c, b in zip(clients, before, strict=True)), "an answer for each client")


def install() -> None:
    """The package, its conffile, and that nothing was started."""
    run("dpkg", "-i", *sorted(PACKAGES.glob("first/*.deb")))
    expect(show("ActiveState") == "inactive", "started without a configuration")
    say(f"installed: {run('vmaild', '--version').strip()}")
    names = {line.split()[1] for line in run("vmaild", "snippets").splitlines()}
    expect({"main.cf", "dovecot.conf", "access.ldif", "vmaild.service"} <= names, "snippets", str(names))
    # Its libraries are not all Debian's: what is missing is told.
    told = run("vmaild", "benchmark", "load", "--help", check=False)
    expect("--connections" in told or "vmaild[bench]" in told, "no benchmark in the package", told)
    say(f"vmaild snippets lists {len(names)}, and vmaild benchmark is there, or says what it needs")


def directory() -> object:
    """A slapd with TLS, by a CA without keyUsage, and the configuration for it."""
    from vmaild.demo.slapd import Slapd, Tls
    from vmaild.demo.tree import READER_DN, READER_PW, SEARCH_BASE, tree

    # debootstrap leaves none.
    Path("/etc/hosts").write_text("127.0.0.1 localhost\n::1 localhost\n")
    home = Path("/srv/slapd")
    home.mkdir(parents=True)
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc")
    ca, ca_key, cert, cert_key = Path("/etc/vmaild/ca.pem"), home / "ca.key", home / "cert.pem", home / "cert.key"
    run("openssl", "req", "-x509", *key, "-keyout", ca_key, "-out", ca, "-subj", "/CN=CA", "-days", "2")
    run(
        *("openssl", "req", "-x509", *key, "-keyout", cert_key, "-out", cert, "-subj", "/CN=localhost", "-days", "2"),
        *("-CA", ca, "-CAkey", ca_key, "-addext", "subjectAltName=DNS:localhost"),
        *("-addext", "basicConstraints=critical,CA:FALSE"),
    )
    slapd = Slapd(home / "slapd", ldif=tree(), tls=Tls(cert, cert_key))
    slapd.start()
    ca.chmod(0o644)
    CONFIGURATION.write_text(
        'preset = "courier"\n'
        "[directory]\n"
        f'uri = ["ldaps://localhost:{slapd.tls_port}"]\n'
        f'search_base = "{SEARCH_BASE}"\n'
        f'bind_dn = "{READER_DN}"\n'
        f'bind_pw_file = "{PASSWORD}"\n'
        f'tls_ca_cert_file = "{ca}"\n'
        "[http]\n"
        'address = "inet:127.0.0.1:9143"\n'
    )
    PASSWORD.write_text(f"{READER_PW}\n")
    PASSWORD.chmod(0o600)
    return slapd


def start() -> None:
    """Everything works under the sandbox."""
    run("systemctl", "enable", "--now", "vmaild.socket", "vmaild.service")
    until(answers, "an answer")
    expect(show("NRestarts") == "0", "it was restarted")
    expect("process_start_time_seconds" in page(), "no metrics of the process")
    say(f"started, over ldaps: {show('StatusText')}")
    exposure = run("systemd-analyze", "--no-pager", "security", "vmaild.service").splitlines()[-1]
    value = re.search(r": ([0-9.]+)", exposure)
    expect(value is not None and float(value[1]) <= 1.0, "exposed", exposure)
    say(exposure)
    tasks = run("ps", "-o", "args=", "--ppid", show("MainPID"))
    expect("watcher.py" in tasks, "the watchdog's process does not run", tasks)
    say("the watchdog's process runs")
    told = run("vmaild", "stats")
    expect('"current": true' in told, "stats")
    say("vmaild stats, by the control socket")
    unit = run("vmaild", "snippets", "systemd/vmaild.service")
    expect("ExecStart=/usr/bin/vmaild serve -c /etc/vmaild/vmaild.toml" in unit, "the unit as a snippet", unit)
    expect("CHANGE-ME" in run("vmaild", "snippets", "ldap-mailbox.cf"), "a password in a snippet")
    say("vmaild snippets, filled in")


def page() -> str:
    """What Prometheus is told."""
    with socket.create_connection(("127.0.0.1", 9143), timeout=5) as client:
        client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        text = b""
        while chunk := client.recv(65536):
            text += chunk
    return text.decode()


def instance() -> None:
    """A second vmaild, on a socket in Postfix's chroot."""
    run("useradd", "--system", "postfix")
    path, control = Path("/var/spool/postfix/vmaild/second"), "/run/vmaild-second/control.sock"
    text = CONFIGURATION.read_text().partition("[http]")[0]
    Path("/etc/vmaild/second.toml").write_text(
        f'{text}[[listen]]\naddress = "unix:{path}"\n[control]\naddress = "unix:{control}"\n'
    )
    shutil.copy(PASSWORD, "/etc/vmaild/second.bind_pw")
    run("systemctl", "enable", "--now", "vmaild@second.socket", "vmaild@second.service")
    expect((path.owner(), path.stat().st_mode & 0o777) == ("postfix", 0o600), "owner and mode of the socket")
    run("vmaild", "stats", "-c", "/etc/vmaild/second.toml")

    def answered() -> bool:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5)
            client.connect(str(path))
            client.sendall(REQUEST)
            return client.recv(4096) == REPLY

    until(answered, "an answer")
    run("systemctl", "restart", "vmaild@second")
    expect(answered(), "after a restart")
    run("systemctl", "disable", "--now", "vmaild@second.socket", "vmaild@second.service")
    for file in ("second.toml", "second.bind_pw"):
        Path("/etc/vmaild", file).unlink()
    say(f"vmaild@second, on {path}, which postfix alone may ask")


def under_load() -> None:
    """Reload, restart, kill, upgrade."""
    with load("5 reloads by systemctl and 5 by vmaild reload") as clients:
        pid = show("MainPID")
        for _ in range(5):
            run("systemctl", "reload", "vmaild")
            expect("reloaded" in run("vmaild", "reload"), "vmaild reload")
            served(clients)
        expect(show("MainPID") == pid, "another process")
    with load("3 restarts") as clients:
        for _ in range(3):
            run("systemctl", "restart", "vmaild")
            served(clients)
            time.sleep(3)
    with load("4 times kill -9") as clients:
        for _ in range(4):
            pid = show("MainPID")
            run("kill", "-9", pid)
            until(lambda pid=pid: show("MainPID") not in (pid, "0"), "a new process")  # type: ignore[misc]
            served(clients)
            time.sleep(5)
    with load("an upgrade"):
        run("dpkg", "-i", *sorted(PACKAGES.glob("second/*.deb")))
        expect("+upgrade" in run("dpkg-query", "-W", "vmaild"), "not upgraded")


def broken() -> None:
    """A configuration that cannot be used."""
    good = CONFIGURATION.read_text()
    CONFIGURATION.write_text(good.replace("courier", "currier"))
    with load("a reload of a broken configuration") as clients:
        run("systemctl", "reload", "vmaild")
        told = subprocess.run(["vmaild", "reload"], capture_output=True, text=True, check=False)
        expect(told.returncode == 78 and "currier" in told.stderr, "vmaild reload", told.stderr)
        served(clients)
        until(lambda: "currier" in run("systemctl", "status", "vmaild"), "the problem in systemctl status")
    say(f"vmaild reload: exit status 78: {told.stderr.strip()}")
    since = time.time()
    with_clients = [Client() for _ in range(CLIENTS)]
    for client in with_clients:
        client.start()
    run("systemctl", "restart", "vmaild", check=False)
    until(lambda: show("ActiveState") == "failed" and show("ActiveState", "vmaild.socket") == "failed", "its end")
    for client in with_clients:
        client.stop = True
    starts = started(since)
    time.sleep(8)
    expect(started(since) == starts, "started again and again")
    told_by = run("systemctl", "status", "--no-pager", "vmaild", check=False)
    expect("currier" in told_by, "systemctl status does not name the problem", told_by)
    say(f"broken at a restart under load: {starts} starts, then none; systemctl status says:\n{indented(told_by)}")
    CONFIGURATION.write_text(good)
    again()


def started(since: float) -> int:
    """How often the service was started since then."""
    lines = run("journalctl", "--no-pager", "-u", "vmaild.service", "--since", f"@{int(since)}", "-o", "cat")
    return lines.count("Starting vmaild.service")


def again() -> None:
    """What the unit says to do after a failure."""
    run("systemctl", "reset-failed", "vmaild.service", "vmaild.socket")
    run("systemctl", "restart", "vmaild.socket", "vmaild.service")
    until(answers, "an answer")
    say("after reset-failed and restart it answers again")


def missing_credential() -> None:
    """No /etc/vmaild/bind_pw."""
    PASSWORD.rename("/root/bind_pw")
    # The journal is asked by the second.
    time.sleep(1.5)
    since = time.time()
    run("systemctl", "restart", "vmaild", check=False)
    until(lambda: show("ActiveState") == "failed", "its end")
    time.sleep(8)
    expect(show("ExecMainStatus") == "78", "exit status", show("ExecMainStatus"))
    told_by = run("systemctl", "status", "--no-pager", "vmaild", check=False)
    expect("bind_pw" in told_by, "systemctl status does not name the problem", told_by)
    expect(started(since) == 1, "started again and again")
    say(f"missing credential: exit status 78, 1 start; systemctl status says:\n{indented(told_by)}")
    shutil.move("/root/bind_pw", PASSWORD)
    again()


def watchdogs() -> None:
    """vmaild's own, and systemd's above it."""
    DROP_IN.parent.mkdir(exist_ok=True)
    DROP_IN.write_text(HANGS_ON_SIGUSR1)
    run("systemctl", "daemon-reload")
    # The starts of the steps before do not count any more.
    time.sleep(35)
    run("systemctl", "restart", "vmaild")
    until(answers, "an answer")
    pid, began = show("MainPID"), time.monotonic()
    run("kill", "-USR1", pid)
    until(lambda: show("MainPID") not in (pid, "0"), "a new process")
    until(answers, "an answer")
    journal = run("journalctl", "--no-pager", "-u", "vmaild.service", "-o", "cat", "-n", "80")
    expect("stood still for 10 seconds; ended" in journal and "File " in journal, "no stacks in the journal", journal)
    say(f"vmaild's own watchdog: {time.monotonic() - began:.0f} s after the loop hung it answers again, with stacks")
    DROP_IN.write_text("[Service]\nWatchdogSec=4s\nTimeoutAbortSec=2s\n")
    run("systemctl", "daemon-reload")
    run("systemctl", "restart", "vmaild")
    until(answers, "an answer")
    pid, began = show("MainPID"), time.monotonic()
    run("kill", "-STOP", pid)
    until(lambda: show("MainPID") not in (pid, "0"), "a new process")
    until(answers, "an answer")
    say(f"systemd's watchdog: {time.monotonic() - began:.0f} s after SIGSTOP it answers again")
    shutil.rmtree(DROP_IN.parent)
    run("systemctl", "daemon-reload")


def purge() -> None:
    """Nothing is left but what the administrator made."""
    run("dpkg", "--purge", "vmaild")
    expect(not answers(), "it still answers")
    expect(not CONFIGURATION.exists(), "the conffile is still there")
    left = [path for path in ("/var/lib/vmaild", "/var/lib/private/vmaild", "/run/vmaild") if Path(path).exists()]
    expect(not left, "left behind", str(left))
    expect(not list(Path("/etc/systemd/system").rglob("vmaild*")), "units left behind")
    say("purged")


def main() -> int:
    """All steps."""
    install()
    slapd = directory()
    try:
        for step in (start, instance, under_load, broken, missing_credential, watchdogs):
            step()
    finally:
        slapd.stop()  # type: ignore[attr-defined]
    purge()
    return 0


if __name__ == "__main__":
    sys.exit(main())
