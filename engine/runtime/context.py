"""What a running step is given: the implementation of StepContext."""

import json
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel

from engine.domain.values import ExecutionId, Json, JsonObject
from engine.runtime.cancellation import StopReason, Token
from engine.runtime.warden_client import WardenClient
from engine.steps import process
from engine.steps.base import ProcessResult, Resumed, StepFailed
from engine.steps.masking import Masker
from engine.steps.step_log import StepLog


@dataclass
class LiveLog:
    """A step's log with what is not stored yet. Its first half is stored while the step runs, the rest at its end.

    What became secret after it was printed is masked in all that is stored from then on.
    """

    log: StepLog
    position: int
    attempt: int
    masker: Masker
    live: bool = True
    """False when nothing of it may be stored before its end."""
    chunks: int = 0
    """How many are stored already, by the attempt before it waited."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _last: int = 0
    _unstored: dict[int, str] = field(default_factory=dict[int, str])

    def take(self, *, final: bool) -> tuple[tuple[int, str], ...]:
        """What is to be stored as (chunk number, text); given again until `stored` is told that it is."""
        with self._lock:
            parts: list[str] = []
            for number, line in self.log.take(head=not final) if final or self.live else ():
                if number != self._last + 1:
                    parts.append(f"[{number - self._last - 1} lines left out]")
                parts.append(line)
                self._last = number
            if parts:
                self.chunks += 1
                self._unstored[self.chunks] = self.masker.mask("".join(f"{part}\n" for part in parts))
            return tuple(self._unstored.items())

    def stored(self, chunk: int) -> None:
        """That chunk is committed."""
        with self._lock:
            self._unstored.pop(chunk, None)


@dataclass(frozen=True)
class RunningStep:
    """A StepContext. `workspace` and `bundle` are made on first use: many steps need neither."""

    config: BaseModel
    inputs: JsonObject
    idempotency_key: str
    attempt: int
    deadline: float
    cancel: Token
    resumed: Resumed | None
    execution_id: ExecutionId
    labels: Callable[[], Mapping[str, str]]
    """`INNOMINATUS_*` values for child processes."""
    base_environment: Mapping[str, str]
    """`PATH` and the like, from the composition root."""
    masker: Masker
    live_log: LiveLog
    warden: WardenClient
    program_deadline: Callable[[], float]
    """Seconds until another worker may take the execution over, as far as this process knows."""
    open_workspace: Callable[[], Path]
    open_bundle: Callable[[], Path]
    provider_data: Callable[[], Path]
    """What the provider keeps between runs; made when a program is run."""
    capture_bytes: int
    mask_declared: Callable[[JsonObject], None]
    _made: dict[str, Path] = field(default_factory=dict[str, Path])

    @property
    def workspace(self) -> Path:
        if "workspace" not in self._made:
            self._made["workspace"] = self.open_workspace()
        return self._made["workspace"]

    @property
    def made_workspace(self) -> Path | None:
        return self._made.get("workspace")

    @property
    def bundle(self) -> Path:
        if "bundle" not in self._made:
            self._made["bundle"] = self.open_bundle()
        return self._made["bundle"]

    @property
    def environment(self) -> Mapping[str, str]:
        inputs = self.workspace / ".innominatus-inputs.json"
        if not inputs.exists():
            inputs.write_text(json.dumps(self.inputs, ensure_ascii=False))
            inputs.chmod(0o600)
        provider_data = self.provider_data()
        provider_data.mkdir(mode=0o700, parents=True, exist_ok=True)
        values = {f"PARAM_{_variable(name)}": _text(value) for name, value in self.inputs.items()}
        return {
            **self.base_environment,
            **{
                name: value for name, value in values.items() if "\0" not in value and len(value) < _MOST_IN_ENVIRONMENT
            },
            **self.labels(),
            "INNOMINATUS_INPUTS": str(inputs),
            "INNOMINATUS_PROVIDER_DATA": str(provider_data),
            "INNOMINATUS_IDEMPOTENCY_KEY": self.idempotency_key,
            "INNOMINATUS_PYTHON": sys.executable,
        }

    def log(self, line: str) -> None:
        self.live_log.log.add(self.masker.mask(line))

    def secret(self, name: str) -> str:
        raise StepFailed(
            f"There is no secret `{name}` in the platform's configuration.",
            hint="Give the value as a parameter declared `secret: true`.",
        )

    def add_mask(self, value: str) -> None:
        self.masker.add(value)

    def mask_outputs(self, outputs: JsonObject) -> None:
        self.mask_declared(outputs)

    def run_process(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: str | None = None,
        on_stdout: Callable[[str], None] | None = None,
        log_stdout: bool = True,
    ) -> ProcessResult:
        def on_line(stream: process.Stream, line: str) -> None:
            if stream == "stderr" or log_stdout:
                self.log(line)
            if stream == "stdout" and on_stdout is not None:
                on_stdout(line)

        return process.run(
            argv,
            env={**self.environment, **(env or {})},
            cwd=cwd or self.workspace,
            deadline=self.deadline,
            cancel=self.cancel,
            on_line=on_line,
            register=self._register,
            stdin=stdin,
            max_capture_bytes=self.capture_bytes,
        )

    def _register(self, pgid: int) -> AbstractContextManager[object]:
        lapsed = lambda: self.cancel.set(StopReason.LEASE_LOST)  # noqa: E731 - one line
        return self.warden.guard(pgid, self.execution_id, self.program_deadline(), lapsed=lapsed)


_MOST_IN_ENVIRONMENT = 100_000
"""Longer values are read from `$INNOMINATUS_INPUTS`: the system bounds one variable at 128 KiB."""


def _variable(name: str) -> str:
    return "".join(char if char.isalnum() and char.isascii() else "_" for char in name).upper()


def _text(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
