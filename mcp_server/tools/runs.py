"""Run workflows and watch their executions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from mcp.server.mcpserver import Context
from pydantic import Field

from engine.domain.execution import FINAL, ExecutionState
from engine.domain.runs import ListedExecution
from engine.domain.values import ExecutionId, Json, JsonObject
from engine.services import executions, previews, views
from engine.services.afterwards import done
from mcp_server.answers import call, gist, instant, page, table
from mcp_server.arguments import page_cursor, stored_id
from mcp_server.fields import Cursor, Detail, IdempotencyKey, Limit, LogsWanted, Wait
from mcp_server.house import LONGEST_WAIT, House, aside
from mcp_server.plans import plan_table
from mcp_server.statuses import status_of, watched

_COLUMNS = ("id", "workflow", "application", "environment", "status", "started_at", "error")
_FULL = ("steps", "duration_ms", "operation", "resource_id", "attempt", "actor", "created_at", "completed_at")


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
            view = await watched(self.house, started, wait_seconds, ctx)
            return await aside(status_of, self.house, view)

    async def get_workflow_status(
        self,
        execution_id: int,
        ctx: Context,
        wait_seconds: Wait = 0,
        logs: LogsWanted = "failed",
        step: Annotated[str, Field(description="Only the logs of this one.")] = "",
        detail: Detail = "concise",
    ) -> JsonObject:
        """Show an execution's steps, outputs, errors and logs; detail=full adds its inputs and earlier attempts.

        With wait_seconds it answers once the execution has ended, or after that time: prefer it to asking repeatedly.
        """
        known = ExecutionId(stored_id("execution_id", execution_id))
        view = await watched(self.house, known, wait_seconds, ctx)
        return await aside(status_of, self.house, view, logs=logs, step=step, full=detail == "full")

    def list_workflow_executions(
        self,
        limit: Limit = 20,
        cursor: Cursor = "",
        application: str = "",
        status: str = "",
        environment: str = "",
        detail: Detail = "concise",
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
        full = detail == "full"
        rows = [_row(run, full=full) for run in found.items]
        following: list[Json] = [*_first(found.items)]
        columns = (*_COLUMNS, *_FULL) if full else _COLUMNS
        return {**page(columns, rows, found.next_cursor, full=full), "next": following}


def _first(found: Sequence[ListedExecution]) -> list[str]:
    """Where to look first: the newest that failed, else the newest that goes on, else the newest."""
    for run in found:
        if run.state is ExecutionState.FAILED:
            return [call("get_workflow_status", execution_id=run.id)]
    going = [run.id for run in found if run.state not in FINAL][:1]
    watch = [call("get_workflow_status", execution_id=known, wait_seconds=LONGEST_WAIT) for known in going]
    return watch or [call("get_workflow_status", execution_id=run.id) for run in found[:1]]


def _row(run: ListedExecution, *, full: bool) -> list[Json]:
    known: list[Json] = [run.id, run.workflow, run.application, run.environment, run.state.value]
    known += [instant(run.started_at, brief=not full), run.error if full else gist(run.error)]
    if not full:
        return known
    operation = run.operation.value if run.operation else None
    steps = f"{run.completed_steps}/{run.total_steps}"
    times: list[Json] = [instant(run.created_at), instant(run.finished_at)]
    return [*known, steps, run.duration_ms, operation, run.resource_id, run.attempt, run.actor, *times]


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
    where: JsonObject = {"environment": environment} if environment else {}
    again = call("execute_workflow", workflow_name=workflow_name, **where, wait_seconds=LONGEST_WAIT)
    return {**answer, "next": [again.replace(", ", ", inputs=<the same>, ", 1)]}
