"""The engine's side of the warden: registers process groups and keeps their leases."""

import contextlib
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.domain.values import ExecutionId
from engine.errors import Unavailable
from engine.runtime import warden

_PROGRAM: Final = Path(warden.__file__)
_LINE_BYTES: Final = 4000
"""Below PIPE_BUF everywhere it matters (macOS guarantees 512, writes more at once in fact): a line is written whole."""
_PATIENCE: Final = 2.0
"""Seconds that the warden may take to read before it counts as hung and is replaced."""


@dataclass(slots=True)
class _Guarded:
    born: str
    execution: ExecutionId
    deadline: float
    lapsed: bool = False
    """The deadline has passed at some time: the warden has ended the group then."""

    def look(self) -> None:
        self.lapsed |= self.deadline <= time.monotonic()


class WardenClient:
    """Starts the warden and tells it what runs. Thread safe; a warden that died is replaced at the next word to it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._guarded: dict[int, _Guarded] = {}
        self._stopped = False

    def start(self) -> None:
        """Start the warden, so that the first step need not wait for it."""
        with self._lock:
            self._stopped = False
            if not self._alive():
                self._spawn()

    def stop(self) -> None:
        """End the warden; groups that are still guarded are killed."""
        with self._lock:
            self._stopped = True
            process, self._process = self._process, None
            self._guarded.clear()
        if process is not None:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                _discard(process)

    @contextmanager
    def guard(
        self, pgid: int, execution: ExecutionId, deadline: float, *, lapsed: Callable[[], None] = lambda: None
    ) -> Generator[None]:
        """Watch a process group while the block runs: it is killed when the engine dies, or at the deadline.

        `deadline` is a `time.monotonic()`; `extend` moves it. `lapsed` is called when it has passed: before the block,
        which must then begin nothing, or after it, when how the program ended says nothing. What begins in the block
        is watched already, so an engine that is stopped on the way in begins nothing that outlives the deadline.
        Raises Unavailable when no warden can be started: then nothing may run.
        """
        with self._lock:
            if self._stopped:
                raise Unavailable("The engine is stopping: no program is started any more.", code="engine_stopping")
            entry = _Guarded(warden.born(pgid), execution, deadline)
            self._guarded[pgid] = entry
            try:
                self._tell([_add(pgid, entry)])
            except BaseException:
                del self._guarded[pgid]
                raise
            entry.look()
        if entry.lapsed:
            lapsed()
        try:
            yield
        finally:
            with self._lock:
                entry.look()
                self._guarded.pop(pgid, None)
                with contextlib.suppress(Unavailable):
                    self._tell([f"remove {pgid}"])
            if entry.lapsed:
                lapsed()

    def extend(self, executions: Iterable[ExecutionId], deadline: float) -> None:
        """What these executions run may go on until `deadline`, a `time.monotonic()`."""
        wanted = set(executions)
        with self._lock:
            held = {entry.execution for entry in self._guarded.values()} & wanted
            for entry in self._guarded.values():
                if entry.execution in wanted:
                    entry.look()
                    entry.deadline = deadline
            if held:
                self._tell(_extends(sorted(held), deadline))
            elif not self._stopped and not self._alive():
                self._spawn()

    def drop(self, execution: ExecutionId) -> None:
        """Kill everything that the execution runs, now (SIGTERM, then SIGKILL half a second later)."""
        with self._lock:
            if any(entry.execution == execution for entry in self._guarded.values()):
                self._tell([f"drop {execution}"])

    @property
    def pid(self) -> int | None:
        """The warden's process number, while it runs."""
        with self._lock:
            return self._process.pid if self._process is not None and self._alive() else None

    def _alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _tell(self, lines: list[str]) -> None:
        """Say it; a warden that died or hangs is replaced, and its successor learns all that is guarded."""
        if self._stopped:
            return
        if self._alive() and all(self._write(line) for line in lines):
            return
        self._spawn()
        for line in lines:
            if not self._write(line):
                raise Unavailable("The warden does not listen: no program can be started.", code="warden_gone")

    def _spawn(self) -> None:
        if self._process is not None:
            _discard(self._process)
            self._process = None
        try:
            process = subprocess.Popen(  # noqa: S603 - our own file
                [sys.executable, "-I", "-S", str(_PROGRAM)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={"PATH": os.defpath},
                start_new_session=True,
                bufsize=0,
            )
        except OSError as error:
            raise Unavailable(f"The warden cannot be started: {error}.", code="warden_gone") from error
        assert process.stdin is not None
        os.set_blocking(process.stdin.fileno(), False)
        self._process = process
        for pgid, entry in self._guarded.items():
            self._write(_add(pgid, entry))

    def _write(self, line: str) -> bool:
        assert self._process is not None
        assert self._process.stdin is not None
        fd = self._process.stdin.fileno()
        data = line.encode() + b"\n"
        end = time.monotonic() + _PATIENCE
        while data:
            try:
                data = data[os.write(fd, data) :]
            except BlockingIOError:
                waiting = select.poll()
                waiting.register(fd, select.POLLOUT)
                if not waiting.poll(max(0.0, end - time.monotonic()) * 1000):
                    return False
            except OSError:
                return False
        return True


def _discard(process: subprocess.Popen[bytes]) -> None:
    """End a warden that must not act any more: killed before its input ends, or it would end everything first."""
    process.kill()
    if process.stdin is not None:
        process.stdin.close()
    process.wait()


def _add(pgid: int, entry: _Guarded) -> str:
    return f"add {pgid} {entry.born or '-'} {entry.execution} {entry.deadline:.3f}"


def _extends(executions: list[ExecutionId], deadline: float) -> list[str]:
    """The executions in as few lines as fit."""
    lines: list[str] = []
    line = ""
    for execution in executions:
        if not line or len(line) > _LINE_BYTES:
            line = f"extend {deadline:.3f}"
            lines.append(line)
        line += f" {execution}"
        lines[-1] = line
    return lines
