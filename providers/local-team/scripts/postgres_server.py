"""One PostgreSQL per data directory: starts on demand, keeps its port, its data and its admin password."""

import os
import pwd
import secrets
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import postgres_binaries
from files import locked, private_folder, read_text, remove_tree, write_private
from postgres_binaries import STAGING, Binaries
from processes import HOST, Account, free_port, is_running, launch, port_is_free, stop
from step import Failed, NotNow

ADMIN = "innominatus_admin"
NOBODY = 65_534
IMPOSSIBLE_PID = 4_194_305
"""Above Linux's PID_MAX_LIMIT and macOS's PID_MAX: no process can have it."""
QUICK = ("fsync=off", "full_page_writes=off", "max_connections=200")
START_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Server:
    """How to reach a running server as its administrator."""

    host: str
    port: int
    user: str
    password: str
    pid: int
    version: int


class PostgresServer:
    """The server whose state is in `home`. `quick` gives up durability for speed: for tests only."""

    def __init__(self, home: Path, *, quick: bool = False) -> None:
        self.home = home
        self.quick = quick
        self.log = home / "server.log"

    def start(self) -> Server:
        """The running server, started (and made, the first time) when it is not. Safe to call from many processes."""
        with locked(self.home / "lock"):
            password = self.admin_password()
            cluster = self.cluster()
            pid = running_pid(cluster)
            version = int(read_text(cluster / "PG_VERSION") or 0)
            port = self.known_port()
            if not (pid and port and version):
                binaries, account = self.installation(cluster)
                if not version:
                    self.initialise(cluster, binaries, account, password)
                pid, port = self.bring_up(cluster, binaries, account, password)
                version = binaries.major
            return Server(HOST, port, ADMIN, password, pid, version)

    def status(self) -> tuple[int, int]:
        """(pid, port); 0 where the server is down or has never run."""
        place = self.placed()
        return (running_pid(place) if place else 0), self.known_port()

    def stop(self, *, sign: signal.Signals = signal.SIGINT) -> bool:
        """Stop a running server (SIGINT: clients are disconnected, data is safe). False when none ran."""
        with locked(self.home / "lock"):
            place = self.placed()
            pid = running_pid(place, ready=False) if place else 0
            if place and pid:
                stop(pid, marker=str(place), sign=sign)
            return bool(pid)

    def folders(self) -> list[Path]:
        """What `purge` removes: `home`, and what is kept outside of it."""
        place = self.placed()
        outside = place is not None and not place.is_relative_to(self.home.resolve())
        return [self.home, *([place.parent] if place and outside else [])]

    def purge(self) -> None:
        """Stop the server and remove its data, also what is kept outside of `home`."""
        _, *outside = self.folders()
        for folder in outside:
            if folder.parent != STAGING / "clusters" and folder.exists():
                raise Failed(
                    f"The cluster in `{folder}` belongs to another data directory, of which `{self.home}` is a copy. "
                    f"Remove `{self.home / 'location'}`, then only the copy is removed."
                )
        self.stop(sign=signal.SIGQUIT)  # at once: what it would still write is removed anyway
        for folder in (*outside, self.home):
            remove_tree(folder)

    def admin_password(self) -> str:
        known = read_text(self.home / "admin-password")
        if not known:
            known = secrets.token_urlsafe(24)
            write_private(self.home / "admin-password", known)
        return known

    def known_port(self) -> int:
        return int(read_text(self.home / "port") or 0)

    def placed(self) -> Path | None:
        """The cluster's folder, once chosen."""
        text = read_text(self.home / "location")
        return Path(text) if text else None

    def cluster(self) -> Path:
        """Where the data is: here, or as root at a place that an unprivileged server can reach."""
        place = self.placed()
        if place is None:
            home = self.home.resolve()
            outside = os.geteuid() == 0 and not postgres_binaries.reachable_by_others(home)
            parent = STAGING / "clusters" / secrets.token_hex(8) if outside else home / "data"
            place = parent / "cluster"
            write_private(self.home / "location", str(place))
        return place

    def installation(self, cluster: Path) -> tuple[Binaries, Account | None]:
        """The programs for this cluster and whom to run them as (None: ourselves)."""
        account = unprivileged(cluster) if os.geteuid() == 0 else None
        version = read_text(cluster / "PG_VERSION")
        binaries = postgres_binaries.choose(major=int(version) if version else None)
        return postgres_binaries.runnable_by(binaries, account), account

    def initialise(self, cluster: Path, binaries: Binaries, account: Account | None, password: str) -> None:
        """Make the cluster beside its place and move it there when it is whole."""
        parent = prepare_parent(cluster.parent, account)
        for left_over in parent.glob("cluster.new*"):
            remove_tree(left_over)
        # A name of its own: an initdb whose starter was killed may still be at work, and cleans up when it fails.
        fresh = parent / f"cluster.new-{secrets.token_hex(4)}"
        with tempfile.NamedTemporaryFile("w", dir=parent, prefix=".password-") as secret:
            secret.write(password)
            secret.flush()
            if account:
                os.chown(secret.name, account.uid, account.gid)
            done = subprocess.run(
                initdb_command(binaries, fresh, secret.name, quick=self.quick),
                capture_output=True, text=True, check=False, cwd="/", stdin=subprocess.DEVNULL,
                user=account.uid if account else None, group=account.gid if account else None,
                extra_groups=[] if account else None,
            )  # fmt: skip
        if done.returncode:
            raise Failed(f"initdb failed: {(done.stderr or done.stdout).strip()}")
        fresh.rename(cluster)

    def bring_up(self, cluster: Path, binaries: Binaries, account: Account | None, password: str) -> tuple[int, int]:
        """Start the server at its port, or at a new one when none has been given out yet."""
        kept = self.known_port()
        stray = running_pid(cluster, ready=False)
        if stray and not kept:  # its starter was killed before it noted the port
            stop(stray, marker=str(cluster), sign=signal.SIGINT)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            port = kept or free_port()
            pid = running_pid(cluster) or self.try_start(cluster, binaries, account, port)
            if pid:
                if not kept:
                    close_to_strangers(port, password)
                    write_private(self.home / "port", str(port))
                return pid, port
            if kept and not port_is_free(kept):
                raise Failed(
                    f"Port {kept} on {HOST}, which this PostgreSQL has given out, is taken by another program. "
                    f"End that program (`ss -ltnp 'sport = :{kept}'` names it) and try again."
                )
        raise NotNow(f"PostgreSQL did not start within {START_SECONDS:.0f} s. {self.log_tail()}")

    def try_start(self, cluster: Path, binaries: Binaries, account: Account | None, port: int) -> int:
        """The pid of the server once it is ready; 0 when it gave up for a reason that may pass."""
        disown_stale_pid(cluster)
        before = self.log.stat().st_size if self.log.exists() else 0
        settings = [f"port={port}", f"listen_addresses={HOST}", "unix_socket_directories="]
        settings += QUICK if self.quick else ()
        argv = [binaries.path("postgres"), "-D", str(cluster), *(part for s in settings for part in ("-c", s))]
        process = launch(argv, log=self.log, account=account)
        deadline = time.monotonic() + START_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            if running_pid(cluster) == process.pid:
                return process.pid
            time.sleep(0.01)
        if process.poll() is None:
            stop(process.pid, marker=str(cluster), sign=signal.SIGQUIT)
        said = self.log_tail(since=before)
        passing = ("pre-existing shared memory block", "could not bind", 'lock file "postmaster.pid"')
        if not any(sign in said for sign in passing):
            raise Failed(f"PostgreSQL does not start: {said} (log: {self.log})")
        time.sleep(0.1)
        return 0

    def log_tail(self, *, since: int = 0) -> str:
        """The last lines of the log as one line."""
        try:
            data = self.log.read_bytes()[since:]
        except FileNotFoundError:
            return ""
        return " | ".join(data.decode(errors="replace").strip().splitlines()[-8:])


def initdb_command(binaries: Binaries, cluster: Path, password_file: str, *, quick: bool) -> list[str]:
    """UTF-8 with an order that is the same on every machine: the built-in locale where there is one (17 and later)."""
    builtin = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] if binaries.major >= 17 else []
    return [
        binaries.path("initdb"), "-D", str(cluster), "-U", ADMIN, "--auth=scram-sha-256", f"--pwfile={password_file}",
        "--encoding=UTF8", "--locale=C", *builtin, "--no-instructions", *(["--no-sync"] if quick else []),
    ]  # fmt: skip


def prepare_parent(folder: Path, account: Account | None) -> Path:
    """The cluster's own folder: 0700 and the server's; only folders that we make are changed."""
    if account is None:
        return private_folder(folder)
    for shared in (STAGING, STAGING / "clusters"):
        if shared in folder.parents and not shared.exists():
            shared.mkdir(mode=0o755, parents=True)
            shared.chmod(0o755)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.chown(folder, account.uid, account.gid)
    return folder


def unprivileged(cluster: Path) -> Account:
    """Whom root runs the server as: the owner of its data, else `nobody`."""
    if cluster.exists():
        owner = cluster.stat()
        if owner.st_uid:
            return Account(owner.st_uid, owner.st_gid)
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        return Account(NOBODY, NOBODY)
    return Account(nobody.pw_uid, nobody.pw_gid)


def running_pid(cluster: Path, *, ready: bool = True) -> int:
    """The pid of the cluster's live server, 0 when there is none; with `ready`, one that accepts connections."""
    lines = read_text(cluster / "postmaster.pid").splitlines()
    pid = int(lines[0]) if lines and lines[0].strip().isdigit() else 0
    if not is_running(pid, marker=str(cluster)):
        return 0
    if ready and (len(lines) < 8 or lines[7].strip() != "ready"):
        return 0
    return pid


def disown_stale_pid(cluster: Path) -> None:
    """Free the lock file of a dead server whose pid now belongs to another program.

    PostgreSQL refuses to start while that pid is alive. Only the pid is replaced, by one that cannot exist: the rest
    of the file lets PostgreSQL see whether old backends are still at work on the data.
    """
    file = cluster / "postmaster.pid"
    text = file.read_text() if file.exists() else ""
    first, newline, rest = text.partition("\n")
    if first.strip().isdigit() and not is_running(int(first), marker=str(cluster)):
        owner = file.stat()
        write_private(file, f"{IMPOSSIBLE_PID}{newline}{rest}")
        if os.geteuid() == 0:
            os.chown(file, owner.st_uid, owner.st_gid)


def close_to_strangers(port: int, password: str) -> None:
    """Roles of resources may enter their own databases only."""
    import psycopg  # noqa: PLC0415 - costs 0.1 s, and only the first start needs it

    with psycopg.connect(
        host=HOST, port=port, user=ADMIN, password=password, dbname="postgres", autocommit=True
    ) as connection:
        connection.execute("REVOKE CONNECT ON DATABASE postgres, template1 FROM PUBLIC")
