"""Run workflows and watch their executions."""

from dataclasses import dataclass
from typing import Annotated

from mcp.server.mcpserver import Context
from pydantic import Field

from engine.domain.execution import FINAL, ExecutionState, StepState
from engine.domain.runs import StepRun
from engine.domain.values import ExecutionId, Json, JsonObject
from engine.services import executions, previews, views
from engine.services.afterwards import done
from engine.services.executions import ExecutionView
from engine.store.hints import of_execution
from mcp_server.answers import call, page, table
from mcp_server.arguments import page_cursor, stored_id
from mcp_server.fields import Cursor, IdempotencyKey, Limit, Logs, Wait
from mcp_server.house import LONGEST_WAIT, House, Progress, aside, wait_for
from mcp_server.plans import plan_table

_COLUMNS = ("id", "workflow", "application", "environment", "status", "steps", "started_at", "duration_ms", "error")
_STEP_COLUMNS = ("step", "type", "status", "attempt", "duration_ms", "note")
_LOG_TAIL, _NOTE = 3000, 500


@dataclass(frozen=True)
class RunTools:
    house: House

    async def execute_workflow(  # each is an argument of the tool
        self,
        workflow_name: str,
        ctx: Context,
        inputs: Annotated[
            dict[str, object] | None, Field(description="By name, as list_golden_paths shows them.")
        ] = None,
        *,
        environment: str = "",
        idempotency_key: IdempotencyKey = "",
        wait_seconds: Wait = 0,
        dry_run: bool = False,
    ) -> JsonObject:
        """Run a golden path; list_golden_paths names them and their inputs.

        Naming a provisioner instead requests that resource for the application in `inputs.app_name`. Returns an
        execution_id, and the result if it ends within wait_seconds. dry_run only checks the inputs.
        """
        given: JsonObject = dict(inputs or {})  # pyright: ignore[reportAssignmentType] # JSON objects, as they came over the wire
        platform = self.house.platform
        if dry_run:
            found = await aside(previews.of_execution, platform, workflow_name, given, environment=environment or None)
            return _preview(found, workflow_name, environment)
        started = await aside(
            executions.execute,
            platform,
            self.house.actor(),
            workflow_name,
            given,
            idempotency_key=idempotency_key or None,
            environment=environment or None,
        )
        if started is None:
            return {
                "status": "unchanged",
                "message": "The resource is as wanted, or waits for another one: nothing was started.",
                "next": [call("list_resources", application=str(given.get("app_name", "")))],
            }
        with done(f"Execution {started} is started"):
            view = await self._watch(started, wait_seconds, ctx)
            return await aside(_status, self.house, view, "failed")

    async def get_workflow_status(
        self, execution_id: int, ctx: Context, wait_seconds: Wait = 0, logs: Logs = "failed"
    ) -> JsonObject:
        """Show an execution's steps, outputs, errors and logs.

        With wait_seconds it answers once the execution has ended, or after that time: prefer it to asking repeatedly.
        """
        known = ExecutionId(stored_id("execution_id", execution_id))
        view = await self._watch(known, wait_seconds, ctx)
        return await aside(_status, self.house, view, logs)

    def list_workflow_executions(
        self, limit: Limit = 20, cursor: Cursor = "", application: str = "", status: str = "", environment: str = ""
    ) -> JsonObject:
        """List executions, newest first."""
        found = executions.listed(
            self.house.platform,
            application=application or None,
            environment=environment or None,
            state=status or None,
            cursor=page_cursor(cursor),
            limit=limit,
        )
        rows: list[list[Json]] = []
        for run in found.items:
            view = views.execution(run)
            rows.append(
                [
                    run.id,
                    run.workflow,
                    run.application,
                    run.environment,
                    run.state.value,
                    f"{run.completed_steps}/{run.total_steps}",
                    view["started_at"],
                    run.duration_ms,
                    run.error,
                ]
            )
        failed = [run.id for run in found.items if run.state is ExecutionState.FAILED][:1]
        following: list[Json] = [call("get_workflow_status", execution_id=known) for known in failed]
        return {**page(_COLUMNS, rows, found.next_cursor), "next": following}

    async def _watch(self, execution_id: ExecutionId, seconds: int, context: Context) -> ExecutionView:
        with self.house.bells.on(of_execution(execution_id)) as bell:
            return await wait_for(
                bell,
                lambda: executions.get(self.house.platform, execution_id),
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


def _preview(found: previews.Preview, workflow_name: str, environment: str) -> JsonObject:
    steps: list[list[Json]] = [[s.name, s.type, ", ".join(s.needs)] for s in found.workflow.definition.steps]
    answer: JsonObject = {
        "dry_run": True,
        "workflow": found.workflow.name,
        "provider": found.provider.name,
        "inputs": views.masked(found.inputs),
        "steps": table(("step", "type", "needs"), steps),
    }
    if found.plan is not None:
        answer |= {"summary": found.plan.summary, "plan": plan_table(found.plan)}
    again = call("execute_workflow", workflow_name=workflow_name, environment=environment, wait_seconds=LONGEST_WAIT)
    return {**answer, "next": [again.replace(", ", ", inputs=<the same>, ", 1)]}


def _status(house: House, view: ExecutionView, logs: Logs) -> JsonObject:
    run = view.execution
    shown = views.execution(run)
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
        "steps": table(_STEP_COLUMNS, [_step(step) for step in view.steps], width=_NOTE),
        "outputs": views.masked(run.outputs),
        "logs": _logs(house, view, logs),
        "next": _next(view),
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
    if not note and isinstance(waits, dict):
        note = f"waits for {waits['kind']} {waits['ref'] or ''}".strip()
    return [step.name, step.type, shown["status"], step.attempt, step.duration_ms, note]


def _logs(house: House, view: ExecutionView, which: Logs) -> JsonObject:
    """The end of the newest attempt's log, per step."""
    if which == "none" or not view.steps:
        return {}
    found: JsonObject = {}
    for step, text in executions.logs(house.platform, view.execution.id):
        if text.strip() and (which == "tail" or step.state is StepState.FAILED):
            # The newline makes it a fenced block, also when it is one line.
            found[step.name] = f"{text.rstrip()[-_LOG_TAIL:]}\n"
    return found


def _next(view: ExecutionView) -> list[Json]:
    run = view.execution
    if run.state not in FINAL:
        waiting = [step.name for step in view.steps if step.wait_kind is not None and step.wait_kind.value == "person"]
        person: list[Json] = [f"a person continues step `{name}`; no tool can" for name in waiting]
        return [call("get_workflow_status", execution_id=run.id, wait_seconds=LONGEST_WAIT), *person]
    resource: list[Json] = (
        [] if run.resource_id is None else [call("get_resource_details", resource_id=run.resource_id)]
    )
    if run.state is ExecutionState.SUCCEEDED:
        return resource
    retry = f"after the cause is gone, a person can run: innominatus-ctl workflow retry {run.id}"
    return [call("get_workflow_status", execution_id=run.id, logs="tail"), *resource, retry]
