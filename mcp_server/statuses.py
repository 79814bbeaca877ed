"""What an execution answers with: how far it is, what it said, what to do next."""

from typing import Literal

from mcp.server.mcpserver import Context

from engine.domain.execution import FINAL, ExecutionState, StepState
from engine.domain.runs import StepRun
from engine.domain.values import ExecutionId, Json, JsonObject
from engine.services import diagnosis, executions, views
from engine.services.executions import ExecutionView
from engine.store.hints import of_execution
from mcp_server.answers import call, table
from mcp_server.explained import explained
from mcp_server.house import LONGEST_WAIT, House, Progress, wait_for

Logs = Literal["none", "failed", "tail"]
_STEP_COLUMNS = ("step", "type", "status", "attempt", "duration_ms", "note")
_LOG_TAIL, _NOTE = 3000, 500
_CUT = "…"
_DONE = frozenset({StepState.SUCCEEDED, StepState.SKIPPED})


async def watched(house: House, execution_id: ExecutionId, seconds: int, context: Context) -> ExecutionView:
    """The execution once it has ended, or after so many seconds."""
    with house.bells.on(of_execution(execution_id)) as bell:
        return await wait_for(
            bell,
            lambda: executions.get(house.platform, execution_id),
            ended=lambda view: view.execution.state in FINAL,
            progress=_progress,
            seconds=seconds,
            context=context,
        )


def _progress(view: ExecutionView) -> Progress:
    run = view.execution
    running = [step.name for step in view.steps if step.state in {StepState.RUNNING, StepState.WAITING}]
    words = f"{run.workflow} is {run.state}" + (f": {', '.join(running)}" if running else "")
    return Progress(run.completed_steps, run.total_steps, words)


def status_of(
    house: House, view: ExecutionView, *, logs: Logs = "failed", step: str = "", full: bool = False
) -> JsonObject:
    """The answer about an execution; `step` limits its logs, `full` adds inputs and earlier attempts.

    Raises NotFound for a step that it does not have.
    """
    run = view.execution
    shown = views.execution(run)
    attempts = executions.get(house.platform, run.id, every_attempt=True).steps if full else view.steps
    broken = run.state in {ExecutionState.FAILED, ExecutionState.CANCELLED}
    why = diagnosis.of_execution(house.platform, run.id) if broken else None
    told = _logs(house, view, logs, step)
    answer: JsonObject = {
        "execution_id": run.id,
        "workflow": run.workflow,
        "status": run.state.value,
        "application": run.application or None,
        "environment": run.environment or None,
        "resource_id": run.resource_id,
        "operation": shown["operation"],
        "attempt": run.attempt,
        "steps_done": f"{run.completed_steps}/{run.total_steps}",
        "started_at": shown["started_at"],
        "completed_at": shown["completed_at"],
        "error_message": run.error,
        "steps": table(_STEP_COLUMNS, [_step(one) for one in attempts], width=_NOTE),
        "inputs": views.masked(run.inputs) if full else None,
        "outputs": views.masked(run.outputs),
        "logs": told,
        "logs_cut": _missing(told, run.id),
        "next": _next(view),
        **explained(why, logs_of=None if logs == "none" else step),
    }
    if run.outputs.secret:
        reveal = (
            f"; a person can read them: innominatus-ctl resource {run.resource_id} --reveal" if run.resource_id else ""
        )
        answer["secrets"] = f"Values shown as *** are secret{reveal}"
    return answer


def _step(step: StepRun) -> list[Json]:
    shown = views.step(step)
    waits = shown["waits_for"]
    note = step.error or step.reason
    if not note and isinstance(waits, dict) and step.state is StepState.WAITING:
        note = f"waits for {waits['kind']} {waits['ref'] or ''}".strip()
    return [step.name, step.type, shown["status"], step.attempt, step.duration_ms, note]


def _logs(house: House, view: ExecutionView, which: Logs, only: str) -> JsonObject:
    """The end of the newest attempt's log, per step; of those that failed unless it is asked for more."""
    if which == "none" or not (view.steps or only):
        return {}
    found: JsonObject = {}
    mended = {step.name for step in view.steps if step.state in _DONE}
    for step, text in executions.logs(house.platform, view.execution.id, step=only or None):
        failed = step.state is StepState.FAILED and step.name not in mended
        if text.strip() and (only or which == "tail" or failed):
            # The newline makes it a fenced block, also when it is one line.
            shown = text.rstrip()
            found[step.name] = f"{shown}\n" if len(shown) <= _LOG_TAIL else f"{_CUT}{shown[-_LOG_TAIL:]}\n"
    return found


def _missing(logs: JsonObject, run: ExecutionId) -> str:
    cut = any(isinstance(text, str) and text.startswith(_CUT) for text in logs.values())
    return (
        f"behind `…` is the end of a log; a person reads all of it: innominatus-ctl workflow logs {run}" if cut else ""
    )


def _next(view: ExecutionView) -> list[Json]:
    run = view.execution
    if run.state not in FINAL:
        waiting = [step.name for step in view.steps if step.wait_kind is not None and step.wait_kind.value == "person"]
        person: list[Json] = [f"a person continues step `{name}`; no tool can" for name in waiting]
        return [call("get_workflow_status", execution_id=run.id, wait_seconds=LONGEST_WAIT), *person]
    resource: list[Json] = (
        [] if run.resource_id is None else [call("get_resource_details", resource_id=run.resource_id)]
    )
    return resource
