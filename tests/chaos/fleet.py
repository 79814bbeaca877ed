"""Worker processes on one database, watched over: one that dies is replaced, as a supervisor would."""

import base64
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.harm import Death, Faults
from tests.support.platforms import KEY
from tests.support.served import clean_environment

ROOT = Path(__file__).parents[2]
PROGRAM = Path(__file__).parent / "worker_process.py"
_LOOK_SECONDS = 0.05
_END_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Worker:
    """What a worker process is told."""

    url: str
    folder: Path
    provider: Path
    lease: float = 2.0
    sweep: float = 0.5
    threads: int = 4
    redis: str = ""
    death: Death | None = None
    faults: Faults = field(default_factory=lambda: Faults(0))

    def start(self) -> "subprocess.Popen[bytes]":
        told: dict[str, Any] = {
            "url": self.url,
            "folder": str(self.folder),
            "provider": str(self.provider),
            "lease_seconds": self.lease,
            "sweep_seconds": self.sweep,
            "threads": self.threads,
            "redis": self.redis,
            "death": asdict(self.death) if self.death else None,
            "faults": asdict(self.faults),
        }
        with (self.folder / "workers.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, str(PROGRAM), json.dumps(told)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )


@dataclass(frozen=True, slots=True)
class Command(Worker):
    """`innominatus worker` itself."""

    def start(self) -> "subprocess.Popen[bytes]":
        given = {
            "DATABASE_URL": self.url,
            "SECRET_KEY": base64.urlsafe_b64encode(KEY).decode(),
            "REDIS_URL": self.redis,
            "PROVIDERS": str(self.provider),
            "DATA_DIR": str(self.folder / "data"),
            "THREADS": str(self.threads),
            "LEASE_SECONDS": str(self.lease),
            "SWEEP_SECONDS": str(self.sweep),
            "HEALTH_SECONDS": "0",
            "GRACE_SECONDS": "2",
        }
        environment = clean_environment(**{f"INNOMINATUS_{name}": value for name, value in given.items()})
        with (self.folder / "workers.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "cli.server", "worker"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env=environment,
            )


class Fleet:
    """`tell` says what the next worker is told; it is asked anew for each replacement."""

    def __init__(self, count: int, tell: Callable[[], Worker]) -> None:
        self._tell = tell
        self._stop = threading.Event()
        self.deaths = 0
        """How many workers died and were replaced."""
        self.processes = [tell().start() for _ in range(count)]
        self._watch = threading.Thread(target=self._replace, name="supervisor", daemon=True)
        self._watch.start()

    def _replace(self) -> None:
        while not self._stop.wait(_LOOK_SECONDS):
            for place, process in enumerate(self.processes):
                if process.poll() is not None:
                    self.deaths += 1
                    self.processes[place] = self._tell().start()

    def signal(self, number: signal.Signals, place: int) -> None:
        self.processes[place].send_signal(number)

    def close(self) -> list[int]:
        """Stop all as an operator would; the exit codes."""
        self._stop.set()
        self._watch.join()
        for process in self.processes:
            process.send_signal(signal.SIGCONT)
            process.terminate()
        return [_ended(process) for process in self.processes]


def _ended(process: "subprocess.Popen[bytes]") -> int:
    try:
        return process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


@contextmanager
def fleet(count: int, tell: Callable[[], Worker]) -> Generator[Fleet]:
    """Workers while the block runs."""
    made = Fleet(count, tell)
    try:
        yield made
    finally:
        made.close()
