"""A step context over real processes and a real workspace, as an executor sees it."""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydantic import BaseModel

from engine.domain.values import Json, JsonObject
from engine.steps import process, registry
from engine.steps.base import ProcessResult, Resumed, StepCancelled, StepContext, StepFailed, StepResult, Suspend
from engine.steps.outputs import accepted


class Cancel:
    def __init__(self) -> None:
        self.event = threading.Event()

    @property
    def cancelled(self) -> bool:
        return self.event.is_set()

    def wait(self, seconds: float) -> bool:
        return self.event.wait(seconds)


@dataclass
class Context:
    config: BaseModel
    workspace: Path
    bundle: Path
    environment: Mapping[str, str]
    inputs: JsonObject = field(default_factory=dict[str, Json])
    idempotency_key: str = "execution-1/step"
    attempt: int = 1
    deadline: float = 0.0
    cancel: Cancel = field(default_factory=Cancel)
    resumed: Resumed | None = None
    logged: list[str] = field(default_factory=list[str])
    masked: list[str] = field(default_factory=list[str])
    held: bool = True

    def log(self, line: str) -> None:
        self.logged.append(line)

    def secret(self, name: str) -> str:
        raise StepFailed(f"There is no secret `{name}`.")

    def add_mask(self, value: str) -> None:
        self.masked.append(value)

    def check_held(self) -> None:
        if not self.held:
            raise StepCancelled

    def mask_outputs(self, outputs: JsonObject) -> None:
        self.masked.append(f"outputs {', '.join(sorted(outputs))}")

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
        def on_line(stream: str, line: str) -> None:
            if stream == "stderr" or log_stdout:
                self.log(line)
            if stream == "stdout" and on_stdout:
                on_stdout(line)

        return process.run(
            argv,
            env={**self.environment, **(env or {})},
            cwd=cwd or self.workspace,
            deadline=self.deadline,
            cancel=self.cancel,
            on_line=on_line,
            register=lambda _: contextlib.nullcontext(),
            stdin=stdin,
            grace=0.3,
        )


@dataclass
class Lab:
    """Runs one step as the runner would: config judged as written, then parsed, then run, outputs accepted."""

    workspace: Path
    bundle: Path
    context: Context | None = None

    def prepare(
        self, step_type: str, config: JsonObject, *, seconds: float = 20, resumed: Resumed | None = None
    ) -> Context:
        problems = registry.config_problems(step_type, config)
        assert problems == [], problems
        self.context = Context(
            config=registry.parse_config(step_type, config),
            workspace=self.workspace,
            bundle=self.bundle,
            environment={"PATH": os.environ["PATH"], "PARAM_SIZE": "it's $small"},
            deadline=time.monotonic() + seconds,
            resumed=resumed,
        )
        return self.context

    def start(
        self, step_type: str, config: JsonObject, *, seconds: float = 20, resumed: Resumed | None = None
    ) -> StepResult | Suspend:
        context: StepContext = self.prepare(step_type, config, seconds=seconds, resumed=resumed)
        return registry.executor(step_type).run(context)

    def run(
        self, step_type: str, config: JsonObject, *, seconds: float = 20, resumed: Resumed | None = None
    ) -> JsonObject:
        result = self.start(step_type, config, seconds=seconds, resumed=resumed)
        assert isinstance(result, StepResult)
        return accepted(result.outputs)

    @property
    def logged(self) -> list[str]:
        assert self.context is not None
        return self.context.logged

    @property
    def masked(self) -> list[str]:
        assert self.context is not None
        return self.context.masked


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    workspace, bundle = tmp_path / "workspace", tmp_path / "bundle"
    workspace.mkdir()
    bundle.mkdir()
    return Lab(workspace, bundle)
