"""Executions of workflows: read, wait, logs, run, retry, cancel, continue."""

from typing import Annotated

from fastapi import Query, Request, Response

from api import models, routing
from api.bodies import ExecuteBody, RunBody
from api.diagnosis_models import Diagnosis
from api.inputs import ActorOf, Cursor, EnvironmentFilter, Filter, IdempotencyKey, Limit, Name, Number, PlatformOf
from api.live import Live
from engine.domain.values import Actor, ExecutionId, JsonObject
from engine.services import diagnosis, diagnosis_views, doubts, executions, views
from engine.services.afterwards import done
from engine.services.platform import Platform

router = routing.router("workflows")


@router.get("/api/workflows", responses=models.page("executions", models.Execution))
def list_workflow_executions(
    platform: PlatformOf,
    *,
    app: Filter = None,
    environment: EnvironmentFilter = None,
    search: Filter = None,
    status: Filter = None,
    cursor: Cursor = "",
    limit: Limit = 20,
) -> JsonObject:
    """Executions, newest first. `search` looks in the names of their workflows."""
    page = executions.listed(
        platform,
        application=app,
        environment=environment,
        search=search or "",
        state=status,
        cursor=cursor,
        limit=limit,
    )
    return {"items": [views.execution(run) for run in page.items], "next_cursor": page.next_cursor}


@router.post(
    "/api/workflows/execute",
    status_code=202,
    responses=models.answers(models.Started, "Everything is as wanted: nothing ran.", 202, "It is queued."),
)
def execute_workflow(
    platform: PlatformOf,
    actor: ActorOf,
    response: Response,
    body: ExecuteBody,
    idempotency_key: IdempotencyKey = None,
) -> JsonObject:
    """Run a golden path; the name of a provisioner becomes a request for its resource."""
    return _execute(platform, actor, response, body.workflow, body, idempotency_key)


@router.post(
    "/api/workflows/golden-paths/{name}/execute",
    tags=["golden paths"],
    status_code=202,
    responses=models.one(models.Started, 202),
)
def execute_golden_path(
    platform: PlatformOf,
    actor: ActorOf,
    response: Response,
    name: Name,
    body: RunBody,
    idempotency_key: IdempotencyKey = None,
) -> JsonObject:
    return _execute(platform, actor, response, name, body, idempotency_key)


def _execute(
    platform: Platform, actor: Actor, response: Response, workflow: str, body: RunBody, key: str | None
) -> JsonObject:
    execution_id = executions.execute(
        platform,
        actor,
        workflow,
        body.inputs,
        from_text=body.from_text,
        environment=body.environment,
        idempotency_key=key,
    )
    if execution_id is None:
        response.status_code = 200
        return {"execution_id": None, "execution": None}
    response.headers["Location"] = f"/api/workflows/{execution_id}"
    return {"execution_id": execution_id, "execution": _shown(platform, execution_id, "started")}


def _shown(platform: Platform, execution_id: ExecutionId, what: str) -> JsonObject:
    with done(f"Execution {execution_id} is {what}"):
        return views.execution(executions.get(platform, execution_id).execution)


@router.get("/api/workflows/{execution_id}", responses=models.one(models.ExecutionDetails))
async def get_workflow_execution(
    request: Request,
    execution_id: Number,
    wait_seconds: Annotated[float, Query(ge=0, le=45, description="Answer when it has ended, at the latest then.")] = 0,
) -> JsonObject:
    """An execution with the newest attempt of each step begun so far."""
    live: Live = request.app.state.live
    view = await live.ended(ExecutionId(execution_id), seconds=wait_seconds)
    return views.execution_details(view.execution, view.steps)


@router.get("/api/workflows/{execution_id}/logs", responses=models.page("logs", models.StepLog))
def get_workflow_logs(platform: PlatformOf, execution_id: Number, step: Filter = None) -> JsonObject:
    """Every attempt of every step with its log, in order."""
    found = executions.logs(platform, ExecutionId(execution_id), step=step)
    return {"items": [{**views.step(run), "output_logs": text} for run, text in found], "next_cursor": ""}


@router.get("/api/workflows/{execution_id}/explain", responses=models.one(Diagnosis))
def explain_workflow_execution(platform: PlatformOf, execution_id: Number) -> JsonObject:
    """Why it failed or was cancelled: the deepest cause, what is left behind, and what to do next."""
    return diagnosis_views.diagnosis(diagnosis.of_execution(platform, ExecutionId(execution_id)))


@router.post("/api/workflows/{execution_id}/retry", status_code=202, responses=models.one(models.Retried, 202))
def retry_workflow_execution(platform: PlatformOf, actor: ActorOf, execution_id: Number) -> JsonObject:
    """A new attempt that keeps the finished steps; the id is another one when something newer is wanted.

    `warning` says so where what is asked for is the same and a retry alone is pointless.
    """
    started, warning = doubts.retry_execution(platform, actor, ExecutionId(execution_id))
    return {"execution_id": started, "execution": _shown(platform, started, "started again"), "warning": warning}


@router.post("/api/workflows/{execution_id}/cancel", status_code=202, responses=models.one(models.Execution, 202))
def cancel_workflow_execution(platform: PlatformOf, actor: ActorOf, execution_id: Number) -> JsonObject:
    """Ask for its end: what runs is stopped within seconds."""
    executions.cancel(platform, actor, ExecutionId(execution_id))
    return _shown(platform, ExecutionId(execution_id), "to be cancelled")


@router.post(
    "/api/workflows/{execution_id}/steps/{step}/continue",
    status_code=202,
    responses=models.one(models.Execution, 202),
)
def continue_workflow_step(platform: PlatformOf, actor: ActorOf, execution_id: Number, step: Name) -> JsonObject:
    """Continue a step that waits for a person."""
    executions.resume(platform, actor, ExecutionId(execution_id), step)
    return _shown(platform, ExecutionId(execution_id), "continued")
