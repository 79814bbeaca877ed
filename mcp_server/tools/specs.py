"""Applications: submit a Score spec, list what was submitted."""

from dataclasses import dataclass
from typing import Annotated

from mcp.server.mcpserver import Context
from pydantic import Field

from engine.domain.resource import ResourceState
from engine.domain.values import Json, JsonObject
from engine.services import applications, submissions, views
from engine.services.afterwards import done
from engine.services.applications import ApplicationView
from engine.services.submissions import Submission
from engine.store.hints import of_application
from mcp_server.answers import call, page, table
from mcp_server.arguments import page_cursor
from mcp_server.fields import Cursor, IdempotencyKey, Limit, Wait
from mcp_server.house import LONGEST_WAIT, House, Progress, aside, wait_for
from mcp_server.plans import plan_table
from mcp_server.tools.things import failures

_COLUMNS = ("id", "name", "environment", "version", "status", "resources", "updated_at", "expires_at")
_RESOURCE_COLUMNS = ("id", "name", "type", "state", "execution_id", "error")
_MOST_WARNINGS = 20


@dataclass(frozen=True)
class SpecTools:
    house: House

    def list_specs(
        self,
        environment: str = "",
        application: Annotated[str, Field(description="Part of the name.")] = "",
        limit: Limit = 50,
        cursor: Cursor = "",
    ) -> JsonObject:
        """List applications (one submitted Score spec each) with their status."""
        found = applications.listed(
            self.house.platform,
            environment=environment or None,
            search=application,
            cursor=page_cursor(cursor),
            limit=limit,
        )
        rows: list[list[Json]] = [
            [
                view.application.id,
                view.application.name,
                view.application.environment,
                view.version,
                view.status,
                view.resource_count,
                views.moment(view.application.updated_at),
                views.moment(view.application.expires_at),
            ]
            for view in found.items
        ]
        following: list[Json] = [
            call("list_resources", application=view.application.name, environment=view.application.environment)
            for view in found.items[:1]
        ]
        return {**page(_COLUMNS, rows, found.next_cursor), "next": following}

    async def submit_spec(  # noqa: PLR0913 # each is an argument of the tool
        self,
        spec_yaml: Annotated[str, Field(description="The whole Score document (score.dev/v1b1) as YAML text.")],
        ctx: Context,
        environment: Annotated[str, Field(description="Default: `default`.")] = "",
        *,
        dry_run: bool = False,
        plan_hash: Annotated[str, Field(description="Of the dry run that was agreed to.")] = "",
        prune: Annotated[bool, Field(description="Delete resources that the spec no longer has.")] = False,
        strict: Annotated[bool, Field(description="Refuse what is not standard Score.")] = False,
        idempotency_key: IdempotencyKey = "",
        wait_seconds: Wait = 0,
    ) -> JsonObject:
        """Submit a Score spec: creates or updates its resources, then deploys the workload.

        First call with dry_run=true and show the plan; then call with its plan_hash, which applies exactly that plan.
        Nothing is ever deleted without the plan_hash of a dry run.
        """
        made = await aside(
            submissions.submit,
            self.house.platform,
            self.house.actor(),
            spec_yaml,
            environment=environment or None,
            dry_run=dry_run,
            plan_hash=plan_hash or None,
            prune=prune,
            strict=strict,
            confirm=True,
            idempotency_key=idempotency_key or None,
        )
        answer = _submission(made)
        if dry_run:
            return {**answer, "next": [_apply(made, prune=prune, strict=strict)]}
        with done(f"The spec of `{made.application}` is applied"):
            view = await self._watch(made, wait_seconds, ctx)
        return {**answer, **_standing(view)}

    async def _watch(self, made: Submission, seconds: int, context: Context) -> ApplicationView:
        def look() -> ApplicationView:
            return applications.get(self.house.platform, made.application, environment=made.environment)

        first = await aside(look)
        with self.house.bells.on(of_application(first.application.id)) as bell:
            return await wait_for(
                bell,
                look,
                ended=lambda view: view.status != "in_progress",
                progress=_progress,
                seconds=seconds,
                context=context,
            )


def _submission(made: Submission) -> JsonObject:
    answer: JsonObject = {
        "application": made.application,
        "environment": made.environment,
        "applied": made.applied,
        "plan_hash": made.plan_hash,
        "version": made.version,
        "execution_ids": list(made.execution_ids),
        "replayed": made.replayed or None,
    }
    warnings: list[Json] = [str(found) for found in made.warnings[:_MOST_WARNINGS]]
    if len(made.warnings) > _MOST_WARNINGS:
        warnings.append(f"and {len(made.warnings) - _MOST_WARNINGS} more")
    if made.plan is not None:
        answer |= {"summary": made.plan.summary, "plan": plan_table(made.plan)}
        warnings += made.plan.warnings
    return {**answer, "warnings": warnings}


def _apply(made: Submission, *, prune: bool, strict: bool) -> Json:
    if made.plan is not None and not made.plan.has_changes:
        return "nothing to do: what exists is what the spec asks for"
    flags: JsonObject = {"prune": True} if prune else {}
    flags |= {"strict": True} if strict else {}
    applying = call(
        "submit_spec",
        environment=made.environment,
        plan_hash=made.plan_hash,
        **flags,
        wait_seconds=LONGEST_WAIT,
    )
    return applying.replace("(", "(spec_yaml=<the same>, ", 1)


def _standing(view: ApplicationView) -> JsonObject:
    rows: list[list[Json]] = [
        [item.id, item.name, item.key.type, item.state.value, item.execution_id, item.error or item.reason]
        for item in view.resources
    ]
    expires = views.moment(view.application.expires_at)
    standing: JsonObject = {"status": view.status, "resources": table(_RESOURCE_COLUMNS, rows), "next": _next(view)}
    return {**standing, "expires_at": expires} if expires else standing


def _next(view: ApplicationView) -> list[Json]:
    name, where = view.application.name, view.application.environment
    broken = failures(view.resources)
    if broken or view.status != "in_progress":
        return broken or [call("list_resources", application=name, environment=where)]
    running = [item.execution_id for item in view.resources if item.in_progress and item.execution_id is not None]
    watch: list[Json] = [
        call("get_workflow_status", execution_id=known, wait_seconds=LONGEST_WAIT) for known in running[:1]
    ]
    return [*watch, call("list_resources", application=name, environment=where)]


def _progress(view: ApplicationView) -> Progress:
    done = sum(item.settled for item in view.resources)
    busy = [item.name for item in view.resources if item.in_progress]
    waiting = [item.name for item in view.resources if item.state is ResourceState.REQUESTED]
    words = f"{done} of {len(view.resources)} resources are active"
    named = ", ".join(busy or waiting)
    return Progress(done, len(view.resources), f"{words}; now: {named}" if named else words)
