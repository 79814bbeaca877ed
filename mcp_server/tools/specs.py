"""Applications: submit a Score spec, list what was submitted."""

from dataclasses import dataclass
from typing import Annotated

from mcp.server.mcpserver import Context
from pydantic import Field

from engine.domain.resource import ResourceState
from engine.domain.spec import DEFAULT_ENVIRONMENT
from engine.domain.values import Json, JsonObject
from engine.errors import NotFound
from engine.services import applications, deletions, submissions, views
from engine.services.afterwards import done
from engine.services.applications import ApplicationView, ListedApplication
from engine.services.submissions import Submission
from engine.store.hints import of_application
from mcp_server.answers import call, instant, page, table
from mcp_server.arguments import page_cursor, plan_cursor
from mcp_server.fields import Cursor, Detail, IdempotencyKey, Limit, PlanHash, Wait
from mcp_server.house import LONGEST_WAIT, House, Progress, aside, wait_for
from mcp_server.submissions import preview, submission
from mcp_server.tools.things import failures

_COLUMNS = ("id", "name", "environment", "version", "status", "resources", "updated_at")
_FULL = ("created_at", "expires_at", "created_by")
_RESOURCE_COLUMNS = ("id", "name", "type", "state", "execution_id", "error")


@dataclass(frozen=True)
class SpecTools:
    house: House

    def list_specs(
        self,
        environment: str = "",
        application: Annotated[str, Field(description="Part of the name.")] = "",
        limit: Limit = 50,
        cursor: Cursor = "",
        detail: Detail = "concise",
    ) -> JsonObject:
        """List applications (one submitted Score spec each) with their status; detail=full for one shows its spec."""
        found = applications.listed(
            self.house.platform,
            environment=environment or None,
            search=application,
            cursor=page_cursor(cursor),
            limit=limit,
        )
        full = detail == "full"
        rows = [_row(view, full=full) for view in found.items]
        following: list[Json] = [
            call("list_resources", application=view.application.name, environment=view.application.environment)
            for view in found.items[:1]
        ]
        columns = (*_COLUMNS, *_FULL) if full else _COLUMNS
        answer = page(columns, rows, found.next_cursor, full=full)
        if full and len(found.items) == 1 and found.items[0].version:
            only = found.items[0].application
            answer["spec"] = applications.spec_shown(self.house.platform, only.name, environment=only.environment)
        return {**answer, "next": following}

    async def submit_spec(  # noqa: PLR0913 # each is an argument of the tool
        self,
        spec_yaml: Annotated[str, Field(description="The whole Score document (score.dev/v1b1) as YAML text.")],
        ctx: Context,
        environment: Annotated[str, Field(description="Default: `default`.")] = "",
        *,
        dry_run: bool = False,
        plan_hash: PlanHash = "",
        prune: Annotated[bool, Field(description="Delete resources that the spec no longer has.")] = False,
        strict: Annotated[bool, Field(description="Refuse what is not standard Score.")] = False,
        idempotency_key: IdempotencyKey = "",
        wait_seconds: Wait = 0,
        cursor: Cursor = "",
    ) -> JsonObject:
        """Submit a Score spec: creates or updates its resources, then deploys the workload.

        First call with dry_run=true and show the plan; then call with its plan_hash, which applies exactly that plan.
        Nothing is ever deleted without the plan_hash of a dry run.
        """
        page = plan_cursor("submit_spec", cursor, dry_run=dry_run)
        made = await aside(
            submissions.submit,
            self.house.platform,
            self.house.actor(),
            spec_yaml,
            environment=environment or None,
            dry_run=dry_run,
            plan_hash=plan_hash or page.plan_hash,
            prune=prune,
            strict=strict,
            confirm=True,
            idempotency_key=idempotency_key or None,
        )
        if dry_run:
            flags: JsonObject = {name: True for name, given in (("prune", prune), ("strict", strict)) if given}
            return _of_the_same(preview("submit_spec", made, page, {"environment": made.environment, **flags}))
        with done(f"The spec of `{made.application}` is applied"):
            view = await self._watch(made, wait_seconds, ctx)
        return {**submission(made, agreed=bool(plan_hash)), **_standing(view)}

    async def delete_application(
        self,
        application: str,
        ctx: Context,
        environment: Annotated[str, Field(description="Default: `default`.")] = "",
        *,
        dry_run: bool = False,
        plan_hash: PlanHash = "",
        idempotency_key: IdempotencyKey = "",
        wait_seconds: Wait = 0,
        cursor: Cursor = "",
    ) -> JsonObject:
        """Delete an application with everything that only it uses, in reverse order.

        First dry_run=true and show the plan; then call with its plan_hash, which deletes exactly that.
        """
        where = environment or DEFAULT_ENVIRONMENT
        page = plan_cursor("delete_application", cursor, dry_run=dry_run)
        made = await aside(
            deletions.delete,
            self.house.platform,
            self.house.actor(),
            application,
            environment=where,
            dry_run=dry_run,
            plan_hash=plan_hash or page.plan_hash,
            confirm=True,
            idempotency_key=idempotency_key or None,
        )
        if dry_run:
            return preview("delete_application", made, page, {"application": application, "environment": where})
        with done(f"The deletion of `{application}` is begun"):
            left = await self._gone(made, wait_seconds, ctx)
        answer = submission(made, agreed=bool(plan_hash))
        return {**answer, **(_standing(left) if left else {"status": "deleted"})}

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

    async def _gone(self, made: Submission, seconds: int, context: Context) -> ApplicationView | None:
        """None once the application is gone; what is left of it when that takes longer, or something failed."""
        first = await aside(_found, self.house, made)
        if first is None:
            return None
        with self.house.bells.on(of_application(first.application.id)) as bell:
            return await wait_for(
                bell,
                lambda: _found(self.house, made),
                ended=lambda view: view is None or view.status == "failed",
                progress=lambda view: _leaving(first, view),
                seconds=seconds,
                context=context,
            )


def _of_the_same(answer: JsonObject) -> JsonObject:
    """The calls in `next` with the document in them, which the client has."""
    following = answer["next"]
    assert isinstance(following, list)
    calls: list[Json] = [
        str(step).replace("submit_spec(", "submit_spec(spec_yaml=<the same>, ", 1) for step in following
    ]
    return {**answer, "next": calls}


def _row(view: ListedApplication, *, full: bool) -> list[Json]:
    found = view.application
    known: list[Json] = [found.id, found.name, found.environment, view.version, view.status, view.resource_count]
    known.append(instant(found.updated_at, brief=not full))
    return [*known, instant(found.created_at), instant(found.expires_at), found.created_by] if full else known


def _found(house: House, made: Submission) -> ApplicationView | None:
    try:
        return applications.get(house.platform, made.application, environment=made.environment)
    except NotFound:
        return None


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


def _leaving(first: ApplicationView, view: ApplicationView | None) -> Progress:
    left = len(view.resources) if view else 0
    gone = len(first.resources) - left
    return Progress(gone, len(first.resources), f"{gone} of {len(first.resources)} resources are deleted")


def _progress(view: ApplicationView) -> Progress:
    done = sum(item.settled for item in view.resources)
    busy = [item.name for item in view.resources if item.in_progress]
    waiting = [item.name for item in view.resources if item.state is ResourceState.REQUESTED]
    words = f"{done} of {len(view.resources)} resources are active"
    named = ", ".join(busy or waiting)
    return Progress(done, len(view.resources), f"{words}; now: {named}" if named else words)
