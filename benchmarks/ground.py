"""What is measured on: a PostgreSQL and a Valkey with their ordinary durability, platforms, and processes of them."""

import base64
import gc
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import psycopg

from cli import compose, garbage
from cli.compose import Running
from engine.config import Settings
from engine.domain.values import Actor, ActorKind
from engine.store import schema
from tests.support import servers
from tests.support.servers import RunningServer

HERE = Path(__file__).parent
ACTOR = Actor(ActorKind.USER, "bench")
TOKEN = "a-token-for-the-benchmark-only"
KEY = base64.urlsafe_b64encode(os.urandom(32)).decode()
_TICK = os.sysconf("SC_CLK_TCK")


@contextmanager
def scratch() -> Generator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="innominatus-bench-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Ground:
    """Servers for one run of the benchmarks. Databases are made as they are asked for."""

    folder: Path
    postgres: RunningServer
    valkey: RunningServer
    _numbers: "count[int]" = field(default_factory=lambda: count(1))

    def database(self) -> str:
        """The URL of a fresh PostgreSQL database with our tables."""
        name = f"innominatus_{next(self._numbers)}"
        at = f"{self.postgres.user}:{self.postgres.password}@{self.postgres.host}:{self.postgres.port}"
        with psycopg.connect(f"postgresql://{at}/postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
            connection.execute("CHECKPOINT")
        url = f"postgresql+psycopg://{at}/{name}"
        schema.upgrade(url)
        return url

    @property
    def redis(self) -> str:
        return f"redis://{self.valkey.user}:{self.valkey.password}@{self.valkey.host}:{self.valkey.port}/0"

    def cpu(self) -> float:
        """CPU seconds spent so far by this process, its children, PostgreSQL and Valkey."""
        return _cpu_of_tree(os.getpid()) + self.database_cpu() + _cpu_of_tree(self.valkey.pid)

    def database_cpu(self) -> float:
        """PostgreSQL's part of it."""
        return _cpu_of_tree(self.postgres.pid)


@contextmanager
def ground(*, ports: tuple[int, int] | None = None) -> Generator[Ground]:
    """`ports` for PostgreSQL and Valkey, where peers expect them; else any."""
    with scratch() as folder:
        if ports:
            for kind, port in zip(("postgres", "valkey"), ports, strict=True):
                (folder / "servers" / kind).mkdir(parents=True, mode=0o700)
                (folder / "servers" / kind / "port").write_text(str(port))
        try:
            postgres, valkey = (servers.start(kind, folder / "servers", quick=False) for kind in ("postgres", "valkey"))
            yield Ground(folder, postgres, valkey)
        finally:
            servers.purge(folder / "servers")


def settings_for(
    folder: Path, *, url: str = "", redis: str = "", threads: int, provider: str = "bench-team"
) -> Settings:
    return Settings.model_validate(
        {
            "data_dir": folder,
            "database_url": url,
            "redis_url": redis,
            "secret_key": KEY if url else "",
            "api_token": TOKEN,
            "providers": str(HERE / "providers" / provider),
            "threads": threads,
            "max_concurrent_per_application": 1000,
            "health_seconds": 0,
            "log_level": "WARNING",
        }
    )


@contextmanager
def running(*, url: str = "", threads: int) -> Generator[Running]:
    """A platform in this process: on SQLite without a URL."""
    with scratch() as folder:
        platform = compose.start(settings_for(folder, url=url, threads=threads))
        try:
            garbage.settle()  # as every process does that is the platform
            yield platform
        finally:
            gc.unfreeze()
            platform.close(grace=1)


@dataclass(frozen=True)
class Apart:
    """An API process and worker processes, reached by HTTP."""

    url: str
    processes: tuple[subprocess.Popen[bytes], ...]

    def call(self, path: str, body: object = None, *, kind: str = "application/json") -> Any:
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": kind}
        request = urllib.request.Request(f"{self.url}{path}", data=data, headers=headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())


@contextmanager
def apart(ground: Ground, *, threads: int, processes: int, url: str, redis: bool = True) -> Generator[Apart]:
    """`innominatus serve --no-engine` and `innominatus worker`, with the benchmark's step type in both."""
    with scratch() as folder:
        made: list[subprocess.Popen[bytes]] = []
        port = _free_port()
        given = settings_for(folder, url=url, redis=ground.redis if redis else "", threads=threads)
        environment = {**os.environ, **_environment(given)}

        def start(name: str, *words: str) -> None:
            command = [sys.executable, "-m", "benchmarks.server", *words, "--data-dir", str(folder / name)]
            log = (folder / f"{name}.log").open("w")
            made.append(subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT))

        start("api", "serve", "--no-engine", "--port", str(port))
        for number in range(processes):
            start(f"worker-{number}", "worker", "--threads", str(threads))
        house = Apart(f"http://127.0.0.1:{port}", tuple(made))
        try:
            until(lambda: _answers(house))
            time.sleep(2)  # the workers have no door to ask
            yield house
        finally:
            for process in made:
                process.terminate()
            for process in made:
                process.wait(30)


def _environment(settings: Settings) -> dict[str, str]:
    return {
        "INNOMINATUS_DATABASE_URL": settings.database_url,
        "INNOMINATUS_REDIS_URL": settings.redis_url,
        "INNOMINATUS_SECRET_KEY": KEY,
        "INNOMINATUS_API_TOKEN": TOKEN,
        "INNOMINATUS_PROVIDERS": settings.providers,
        "INNOMINATUS_MAX_CONCURRENT_PER_APPLICATION": "1000",
        "INNOMINATUS_HEALTH_SECONDS": "0",
        "INNOMINATUS_LOG_LEVEL": "WARNING",
    }


def _answers(house: Apart) -> bool:
    try:
        return bool(house.call("/ready"))
    except (urllib.error.URLError, OSError):
        return False


def _free_port() -> int:
    import socket  # noqa: PLC0415 - only here

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(done: Callable[[], object], *, seconds: float = 30, pause: float = 0.05) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not done within {seconds} s")
        time.sleep(pause)


def memory_of(pid: int) -> float:
    """Resident memory in MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 1e6


def _cpu_of_tree(root: int) -> float:
    parents: dict[int, list[int]] = {}
    spent: dict[int, float] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(entry.name))
        spent[int(entry.name)] = sum(int(ticks) for ticks in fields[11:15]) / _TICK
    total, left = 0.0, [root]
    while left:
        pid = left.pop()
        total += spent.get(pid, 0.0)
        left += parents.get(pid, [])
    return total
