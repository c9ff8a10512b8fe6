"""Machines made of network namespaces, on two networks of bridges: ``lan`` between them, ``net`` to the internet.

Each namespace belongs to a process that sleeps in it, without a name anywhere: when that process ends, however it
does, the namespace is gone with all its links. It ends with its parent.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from vmaild.demo.process import Process, ProcessError, run

LAN = "10.99.0.{}"
NET = "10.99.1.{}"
NETWORKS = {"lan": LAN, "net": NET}

START_SECONDS = 10.0

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


class Namespace:
    """One network namespace with nothing but a loopback interface."""

    def __init__(self, name: str, home: Path) -> None:
        self.name = name
        self._holder = Process(["unshare", "--net", "sleep", "infinity"], home / f"{name}.log")

    @property
    def pid(self) -> int:
        """The process that holds it."""
        return self._holder.pid

    def start(self) -> None:
        """Make it. Raises ``ProcessError`` when we may not."""
        if os.geteuid() != 0:
            raise ProcessError("network namespaces need root")
        self._holder.start(self._is_another, START_SECONDS)
        self.ip("link", "set", "lo", "up")

    def close(self) -> None:
        """End it, and with it every link into it. What still runs in it keeps running, without a network."""
        self._holder.stop()

    def ip(self, *arguments: str) -> None:
        """Run ip(8) in it."""
        self.run("ip", *arguments)

    def run(self, *command: str) -> str:
        """Run a command in it and return its output."""
        return run(["nsenter", f"--net=/proc/{self.pid}/ns/net", *command])

    @contextmanager
    def inside(self) -> Iterator[None]:
        """What this thread does during that, sockets and programs that it starts, it does in the namespace."""
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            self.enter()
            yield
        finally:
            _enter(before)
            os.close(before)

    def enter(self) -> None:
        """Let this thread be in the namespace until it ends."""
        namespace = os.open(f"/proc/{self.pid}/ns/net", os.O_RDONLY)
        try:
            _enter(namespace)
        finally:
            os.close(namespace)

    def kill_all(self) -> None:
        """SIGKILL to every process in it but the one that holds it, as when its power fails."""
        own = Path(f"/proc/{self.pid}/ns/net").readlink()
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if int(process.name) != self.pid and (process / "ns/net").readlink() == own:
                    os.kill(int(process.name), signal.SIGKILL)

    def _is_another(self) -> bool:
        return Path(f"/proc/{self.pid}/ns/net").readlink() != Path("/proc/self/ns/net").readlink()


class Machine(Namespace):
    """A namespace with an interface on each network; ``number`` is the last part of its addresses."""

    def __init__(self, name: str, number: int, home: Path) -> None:
        super().__init__(name, home)
        self.number = number
        self.lan = LAN.format(number)
        self.net = NET.format(number)

    def take_over(self, other: Machine) -> None:
        """Answer at the address that ``other`` has on the lan, too, and tell all others of it, as VRRP does."""
        self.ip("address", "add", f"{other.lan}/24", "dev", "lan")
        with self.inside(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
            wire.bind(("lan", 0))
            wire.send(_announcement(wire.getsockname()[4], socket.inet_aton(other.lan)))


class Network:
    """The networks, and the machines on them, to be used in a ``with`` statement. Files go to ``home``."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._switch = Namespace("switch", home)
        self._stack = ExitStack()

    def __enter__(self) -> Network:
        try:
            self._start(self._switch)
            for network in NETWORKS:
                self._switch.ip("link", "add", "name", network, "type", "bridge")
                self._switch.ip("link", "set", network, "up")
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def machine(self, name: str, number: int) -> Machine:
        """Another machine, connected to both networks."""
        machine = Machine(name, number, self._home)
        self._start(machine)
        for network, address in NETWORKS.items():
            port = _port(machine, network)
            link = ["name", port, "type", "veth", "peer", "name", network, "netns", str(machine.pid)]
            self._switch.ip("link", "add", *link)
            self._switch.ip("link", "set", port, "up")
            machine.ip("address", "add", f"{address.format(number)}/24", "dev", network)
            machine.ip("link", "set", network, "up")
            self.mend(machine, network)
        return machine

    def cut(self, machine: Machine, network: str) -> None:
        """What goes to and from the machine on this network is lost. Nobody is told."""
        self._switch.ip("link", "set", _port(machine, network), "nomaster")

    def mend(self, machine: Machine, network: str) -> None:
        """Connect it again."""
        self._switch.ip("link", "set", _port(machine, network), "master", network)

    def _start(self, namespace: Namespace) -> None:
        self._stack.callback(namespace.close)
        namespace.start()


def _announcement(hardware: bytes, address: bytes) -> bytes:
    """A gratuitous ARP request (RFC 5227, 3) in its Ethernet frame."""
    frame = b"\xff" * 6 + hardware + b"\x08\x06"
    return frame + b"\x00\x01\x08\x00\x06\x04\x00\x01" + hardware + address + bytes(6) + address


def _port(machine: Machine, network: str) -> str:
    # Names of interfaces have at most 15 characters.
    return f"{network}{machine.number}"


def _enter(namespace: int) -> None:
    if _libc.setns(namespace, _CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
