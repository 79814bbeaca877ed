"""What a running step is given."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.domain.execution import ExecutionState
from engine.domain.runs import Execution
from engine.domain.values import ExecutionId
from engine.domain.workflow import Step
from engine.runtime.cancellation import StopReason, Token
from engine.runtime.context import RunningStep
from engine.runtime.live_log import LiveLog
from engine.runtime.warden_client import WardenClient
from engine.runtime.workshop import Attempt, Workshop
from engine.runtime.workspace import Workspaces
from engine.steps.base import StepCancelled, StepConfig
from engine.steps.masking import Masker
from engine.steps.step_log import StepLog


@pytest.fixture
def context(tmp_path: Path) -> Callable[[float], RunningStep]:
    def made(lease_left: float) -> RunningStep:
        execution = Execution(ExecutionId(7), "team", "digest", "w", ExecutionState.RUNNING)
        masker = Masker()
        attempt = Attempt(
            execution=execution,
            step=Step("calls", "http"),
            position=0,
            number=1,
            scope={},
            inputs={},
            token=Token(),
            masker=masker,
            bundle=lambda: tmp_path,
            log=LiveLog(StepLog(1000), 0, 1, masker),
        )
        workshop = Workshop(
            workspaces=Workspaces(tmp_path, artifact_bytes=1),
            warden=WardenClient(),
            base_environment={},
            provider_data=tmp_path,
            program_deadline=lambda _: time.monotonic() + lease_left,
            step_timeout=60,
            log_bytes=1000,
            output_bytes=1000,
        )
        return RunningStep(attempt, workshop, StepConfig())

    return made


def test_a_step_whose_lease_is_over_is_stopped_before_its_effect(context: Callable[[float], RunningStep]) -> None:
    late = context(-0.001)
    with pytest.raises(StepCancelled):
        late.check_held()
    assert late.cancel.reason is StopReason.LEASE_LOST


def test_one_that_is_held_goes_on(context: Callable[[float], RunningStep]) -> None:
    held = context(60)
    held.check_held()
    assert not held.cancel.cancelled
