"""What a running step is given: the implementation of StepContext."""

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from pydantic import BaseModel

from engine.domain.values import Json, JsonObject
from engine.runtime.cancellation import StopReason
from engine.runtime.workshop import Attempt, Workshop
from engine.steps import process
from engine.steps.base import ProcessResult, StepCancelled, StepFailed


class RunningStep:
    """A StepContext. `workspace` and `bundle` are made on first use: many steps need neither."""

    def __init__(self, attempt: Attempt, workshop: Workshop, config: BaseModel) -> None:
        self._its = attempt
        self._workshop = workshop
        self._workspace: Path | None = None
        self._bundle: Path | None = None
        self.config = config
        self.inputs = {**attempt.inputs}
        self.attempt = attempt.number
        self.deadline = time.monotonic() + (attempt.step.timeout or workshop.step_timeout)
        self.cancel = attempt.token
        self.resumed = attempt.resumed

    @property
    def idempotency_key(self) -> str:
        return f"{self._its.execution.id}-{self._its.step.name}"

    @property
    def workspace(self) -> Path:
        if self._workspace is None:
            its = self._its
            self._workspace = self._workshop.workspaces.open(its.execution, its.position, its.artifacts)
        return self._workspace

    @property
    def made_workspace(self) -> Path | None:
        return self._workspace

    @property
    def bundle(self) -> Path:
        if self._bundle is None:
            self._bundle = self._its.bundle()
        return self._bundle

    @property
    def environment(self) -> Mapping[str, str]:
        inputs = self.workspace / ".innominatus-inputs.json"
        if not inputs.exists():
            inputs.write_text(json.dumps(self.inputs, ensure_ascii=False))
            inputs.chmod(0o600)
        provider_data = self._workshop.provider_data / self._its.execution.provider  # what it keeps between runs
        provider_data.mkdir(mode=0o700, parents=True, exist_ok=True)
        values = {f"PARAM_{_variable(name)}": _text(value) for name, value in self.inputs.items()}
        return {
            **self._workshop.base_environment,
            **{
                name: value for name, value in values.items() if "\0" not in value and len(value) < _MOST_IN_ENVIRONMENT
            },
            **self._labels(),
            "INNOMINATUS_INPUTS": str(inputs),
            "INNOMINATUS_PROVIDER_DATA": str(provider_data),
            "INNOMINATUS_IDEMPOTENCY_KEY": self.idempotency_key,
            "INNOMINATUS_PYTHON": sys.executable,
        }

    def log(self, line: str) -> None:
        self._its.log.log.add(self._its.masker.mask(line))

    def secret(self, name: str) -> str:
        raise StepFailed(
            f"There is no secret `{name}` in the platform's configuration.",
            hint="Give the value as a parameter declared `secret: true`.",
        )

    def add_mask(self, value: str) -> None:
        self._its.masker.add(value)

    def check_held(self) -> None:
        if time.monotonic() >= self._workshop.program_deadline(self._its.execution.id):
            self.cancel.set(StopReason.LEASE_LOST)
            raise StepCancelled

    def mask_outputs(self, outputs: JsonObject) -> None:
        for name in outputs.keys() & set(self._its.step.secret_outputs):
            self._its.masker.add_all(outputs[name])

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
            max_capture_bytes=self._workshop.output_bytes,
        )

    def _register(self, pgid: int) -> AbstractContextManager[object]:
        lapsed = lambda: self.cancel.set(StopReason.LEASE_LOST)  # noqa: E731 - one line
        execution_id = self._its.execution.id
        deadline = self._workshop.program_deadline(execution_id)
        return self._workshop.warden.guard(pgid, execution_id, deadline, lapsed=lapsed)

    def _labels(self) -> Mapping[str, str]:
        """`INNOMINATUS_*` values for child processes."""
        execution = self._its.execution
        return {
            "INNOMINATUS_APPLICATION": execution.application,
            "INNOMINATUS_ENVIRONMENT": execution.environment,
            "INNOMINATUS_RESOURCE": str(self.inputs.get("resource_name", "")),
            "INNOMINATUS_EXECUTION": str(execution.id),
            "INNOMINATUS_STEP": self._its.step.name,
        }


_MOST_IN_ENVIRONMENT = 100_000
"""Longer values are read from `$INNOMINATUS_INPUTS`: the system bounds one variable at 128 KiB."""


def _variable(name: str) -> str:
    return "".join(char if char.isalnum() and char.isascii() else "_" for char in name).upper()


def _text(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
