"""Runs a program so that nothing of it outlives its step: not on success, timeout, cancel or the engine's death."""

import contextlib
import os
import re
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, Literal

from engine.steps.base import CancelToken, ProcessResult, StepCancelled, StepFailed, StepTimeout
from engine.steps.streams import Capture, Lines

Stream = Literal["stdout", "stderr"]
OUTPUT_MARKER: Final = b"::set-output"
"""Lines with this text reach `on_line` even from a program that floods its output."""

_CHUNK: Final = 65_536
_POLL: Final = 0.05
_LEFTOVER_GRACE: Final = 0.5
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SHELL_ADDS: Final = ("PWD", "OLDPWD", "SHLVL")


def run(  # noqa: PLR0913 - the whole contract of a process in one call, all by keyword
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    deadline: float,
    cancel: CancelToken,
    on_line: Callable[[Stream, str], None],
    register: Callable[[int], AbstractContextManager[object]],
    stdin: str | None = None,
    max_capture_bytes: int = 1_000_000,
    grace: float = 2.0,
) -> ProcessResult:
    """Run a program in a session of its own and wait for it; `on_line` is called on this thread.

    `env` is its whole environment. `register(pgid)` is entered before the program starts and left when it is gone.
    `deadline` is a `time.monotonic()`. The whole process group is ended at the deadline (StepTimeout), on cancel
    (StepCancelled) and after the program's own end: SIGTERM, then SIGKILL after `grace` seconds. A program that is
    missing or cannot be started raises StepFailed. A signal's exit code is 128 + its number.
    """
    program = _program(argv[0], env, cwd)
    if time.monotonic() >= deadline:
        raise StepTimeout(f"The time was over before `{argv[0]}` started.")
    if cancel.cancelled:
        raise StepCancelled
    child = _launch([program, *argv[1:]], env, cwd)
    pump = _Pump(child, stdin, on_line, max_capture_bytes)
    try:
        with register(child.pid):
            try:
                _follow(pump, argv[0], deadline, cancel)
                pump.end_leftovers()
            except BaseException:
                pump.end_group(grace)
                raise
            finally:
                pump.kill_group()
        pump.finish()
    finally:
        code = pump.close()
    return ProcessResult(
        exit_code=128 - code if code < 0 else code,
        stdout=pump.capture["stdout"].text(),
        stderr=pump.capture["stderr"].text(),
        stdout_cut=pump.capture["stdout"].cut,
    )


def _follow(pump: "_Pump", name: str, deadline: float, cancel: CancelToken) -> None:
    if cancel.cancelled:  # also by `register`, when the group may not begin any more
        raise StepCancelled
    pump.open_gate()
    pause = 0.0005
    while not pump.exited():
        if time.monotonic() >= deadline:
            raise StepTimeout(f"`{name}` did not end within the step's time and was ended with all it had started.")
        if cancel.cancelled:
            raise StepCancelled
        if pump.draining:
            pump.turn(min(_POLL, max(0.0, deadline - time.monotonic())))
        else:
            # It closed its output and works on, or is about to end: look often at first.
            cancel.wait(pause)
            pause = min(_POLL, pause * 2)


def _program(name: str, env: Mapping[str, str], cwd: Path) -> str:
    for key in env:
        if not _NAME.fullmatch(key):
            raise StepFailed(f"`{key[:100]}` cannot be the name of an environment variable.")
    if "/" in name:
        path = cwd / name
        if not path.is_file():
            raise StepFailed(f"There is no program `{name}`.", hint="Check the path.", reason="no_program")
        if not os.access(path, os.X_OK):
            hint = f"Make it executable: chmod +x {name}"
            raise StepFailed(f"`{name}` is not executable.", hint=hint, reason="no_program")
        return str(path)
    found = shutil.which(name, path=env.get("PATH", os.defpath))
    if found is None:
        raise StepFailed(
            f"The program `{name}` is not installed here.",
            hint=f"Install `{name}` on the machine that runs the engine, in a folder of PATH.",
            reason="no_program",
        )
    return found


def _launch(argv: Sequence[str], env: Mapping[str, str], cwd: Path) -> subprocess.Popen[bytes]:
    """Start a shell that waits for a line on its stdin before it becomes the program.

    Should the engine be killed before the group is registered, the shell reads the end of its input and leaves.
    """
    shell = "/bin/dash" if os.access("/bin/dash", os.X_OK) else "/bin/sh"
    added = " ".join(name for name in _SHELL_ADDS if name not in env)
    gate = f'read -r _ || exit 125; unset {added}; exec "$@"' if added else 'read -r _ || exit 125; exec "$@"'
    try:
        return subprocess.Popen(  # noqa: S603 - running programs is what this module is for
            [shell, "-c", gate, "sh", *argv],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            cwd=cwd,
            env=dict(env),
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise StepFailed(f"`{argv[0]}` cannot be started: {error}.", reason="no_program") from error


class _Pump:
    """The pipes and the process group of one child."""

    def __init__(
        self,
        child: subprocess.Popen[bytes],
        stdin: str | None,
        on_line: Callable[[Stream, str], None],
        max_capture_bytes: int,
    ) -> None:
        self._child = child
        self._input = memoryview(b"\n" + (stdin or "").encode("utf-8", "replace"))
        self._selector = selectors.DefaultSelector()
        self.capture: dict[Stream, Capture] = {"stdout": Capture(max_capture_bytes), "stderr": Capture(65_536)}
        self._lines: dict[Stream, Lines] = {
            "stdout": Lines(lambda line: on_line("stdout", line), marker=OUTPUT_MARKER),
            "stderr": Lines(lambda line: on_line("stderr", line), marker=OUTPUT_MARKER),
        }
        self._open: set[Stream] = {"stdout", "stderr"}
        for name, pipe in (("stdin", child.stdin), ("stdout", child.stdout), ("stderr", child.stderr)):
            assert pipe is not None
            os.set_blocking(pipe.fileno(), False)
            if name != "stdin":
                self._selector.register(pipe, selectors.EVENT_READ, name)

    @property
    def draining(self) -> bool:
        return bool(self._selector.get_map())

    def open_gate(self) -> None:
        assert self._child.stdin is not None
        self._selector.register(self._child.stdin, selectors.EVENT_WRITE, "stdin")

    def exited(self) -> bool:
        """Whether the program has ended. Where possible it is not reaped yet: its group's number stays taken."""
        if hasattr(os, "waitid"):
            ended = os.waitid(os.P_PID, self._child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            return ended is not None
        return self._child.poll() is not None

    def turn(self, seconds: float) -> None:
        """Move what can be moved, waiting at most `seconds` for it."""
        events = self._selector.select(seconds)
        if not events:
            for lines in self._lines.values():
                lines.idle()
        for key, _ in events:
            if key.data == "stdin":
                self._write()
            else:
                self._read(key.data, key.fd)

    def _write(self) -> None:
        pipe = self._child.stdin
        assert pipe is not None
        with contextlib.suppress(BlockingIOError):
            try:
                self._input = self._input[os.write(pipe.fileno(), self._input[:_CHUNK]) :]
            except BrokenPipeError:  # it does not want its input: its own affair
                self._input = self._input[:0]
        if not self._input:
            self._selector.unregister(pipe)
            pipe.close()

    def _read(self, name: Stream, fd: int) -> None:
        try:
            chunk = os.read(fd, _CHUNK)
        except BlockingIOError:
            return
        if not chunk:
            self._selector.unregister(fd)
            self._open.discard(name)
            return
        self.capture[name].feed(chunk)
        self._lines[name].feed(chunk)

    def _drain(self, seconds: float, *, until_exit: bool) -> None:
        """Read on until all writers are gone, at most for `seconds`."""
        end = time.monotonic() + seconds
        while (self._open or (until_exit and not self.exited())) and time.monotonic() < end:
            self.turn(min(_POLL if self._open else 0.005, max(0.0, end - time.monotonic())))

    def end_leftovers(self) -> None:
        """The program is gone. Whoever still holds its pipes gets a moment to leave, and is killed after it."""
        self._drain(0.02, until_exit=False)
        if self._open:
            self._signal(signal.SIGTERM)
            self._drain(_LEFTOVER_GRACE, until_exit=False)

    def end_group(self, grace: float) -> None:
        self._signal(signal.SIGTERM)
        self._signal(signal.SIGCONT)
        with contextlib.suppress(Exception):  # a failing `on_line` must not keep us from the kill
            self._drain(grace, until_exit=True)

    def kill_group(self) -> None:
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, number)

    def finish(self) -> None:
        """Pass on what the killed ones left in the pipes, and the last lines."""
        self._drain(_POLL, until_exit=False)
        for lines in self._lines.values():
            lines.end()

    def close(self) -> int:
        """Kill what is left (all of it, when it could not be registered) and reap; gives the exit status."""
        self.kill_group()
        self._selector.close()
        for pipe in (self._child.stdin, self._child.stdout, self._child.stderr):
            if pipe is not None:
                pipe.close()
        return self._child.wait()
