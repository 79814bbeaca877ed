"""Servers that outlive the step that started them: start, recognise, stop; and the port they keep."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from step import Failed, NotNow

HOST = "127.0.0.1"
PORTS = range(20_000, 32_768)
"""Below the ports that kernels give to outgoing connections, so that a kept port stays free while the server is
down."""


@dataclass(frozen=True, slots=True)
class Account:
    """Whom a server runs as, when not as ourselves."""

    uid: int
    gid: int


def launch(argv: Sequence[str], *, log: Path, account: Account | None = None) -> "subprocess.Popen[bytes]":
    """Start a server in a session of its own that holds none of our pipes."""
    with log.open("ab") as output:
        log.chmod(0o600)
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            env=server_environment(),
            start_new_session=True,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            umask=0o077,
        )


def server_environment() -> dict[str, str]:
    """Nothing of ours but the search path: variables such as PGPORT must not reach a server."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C", "LC_ALL": "C"}


def command_of(pid: int) -> str:
    """The command line of a process; empty when it is gone, a zombie or nobody's."""
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            return ""
    done = subprocess.run(["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def is_running(pid: int, *, marker: str) -> bool:
    """Whether `pid` is a process that was started with `marker` in its command line."""
    return pid > 0 and marker in command_of(pid)


def stop(pid: int, *, marker: str, sign: signal.Signals, seconds: float = 20.0) -> None:
    """Ask a server to end and wait until it has; kill it when it does not."""
    for attempt in (sign, signal.SIGKILL):
        try:
            os.kill(pid, attempt)
        except ProcessLookupError:
            return
        if wait_until(lambda: not is_running(pid, marker=marker), seconds=seconds):
            return
    raise Failed(f"Process {pid} (`{marker}`) does not end, not even by SIGKILL.")


def wait_until(condition: Callable[[], bool], *, seconds: float) -> bool:
    """Whether `condition` became true within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def free_port() -> int:
    """A loopback port that nobody listens on now, chosen at random so that two pickers rarely meet."""
    for _ in range(200):
        port = secrets.choice(PORTS)
        if port_is_free(port):
            return port
    raise NotNow(f"No free port between {PORTS.start} and {PORTS.stop - 1} on {HOST}.")


def port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
