"""Applications: submit, read, delete, and the variables their containers get."""

from dataclasses import asdict, dataclass
from typing import Annotated
from urllib.parse import quote, urlencode

from fastapi import Depends, Query, Response

from api import models, routing
from api.bodies import SCORE_BODY, SubmittedOf
from api.inputs import (
    ANYWHERE,
    ActorOf,
    Cursor,
    Environment,
    EnvironmentFilter,
    Filter,
    IdempotencyKey,
    Limit,
    Name,
    PlatformOf,
    Reveal,
    Text,
)
from engine.domain.spec import DEFAULT_ENVIRONMENT
from engine.domain.values import JsonObject
from engine.services import applications, deletions, submissions, variables, views
from engine.services.submissions import Submission

router = routing.router("applications")
_CARRIED_OUT = models.answers(models.Submission, "The plan of a dry run.", 202, "It is being carried out.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    """What the caller has agreed to: nothing, one plan, or whatever comes."""

    dry_run: Annotated[bool, Query(description="Only plan; nothing is written.")] = False
    plan_hash: Annotated[
        Text | None, Query(max_length=200, description="Apply exactly this plan, or answer `stale_plan`.")
    ] = None
    confirm: Annotated[bool, Query(description="Refuse what destroys anything unless `plan_hash` names its plan.")] = (
        False
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted(Agreed):
    """How a spec is to be applied."""

    environment: Annotated[
        Text | None, Query(max_length=63, description="Where it shall live; else as the spec says, else `default`.")
    ] = None
    prune: Annotated[bool, Query(description="Delete resources that are gone from the spec.")] = False
    strict: Annotated[bool, Query(description="Accept only what the Score standard accepts.")] = False


@router.get("/api/applications", responses=models.page("applications", models.Application))
@router.get("/api/specs", tags=["specs"], name="list_specs", responses=models.page("specs", models.Application))
def list_applications(
    platform: PlatformOf,
    environment: EnvironmentFilter = None,
    search: Filter = None,
    cursor: Cursor = "",
    limit: Limit = 50,
) -> JsonObject:
    page = applications.listed(platform, environment=environment, search=search or "", cursor=cursor, limit=limit)
    return {"items": [views.application(item) for item in page.items], "next_cursor": page.next_cursor}


@router.post(
    "/api/applications",
    status_code=202,
    openapi_extra=SCORE_BODY,
    responses=_CARRIED_OUT,
)
@router.post(
    "/api/specs",
    tags=["specs"],
    name="submit_spec",
    status_code=202,
    openapi_extra=SCORE_BODY,
    responses=_CARRIED_OUT,
)
def submit_application(
    platform: PlatformOf,
    actor: ActorOf,
    response: Response,
    *,
    submitted: SubmittedOf,
    wanted: Annotated[Wanted, Depends()],
    idempotency_key: IdempotencyKey = None,
) -> JsonObject:
    """Plan a Score spec and make it the platform's intent; `dry_run` only plans."""
    options = {**asdict(wanted), **submitted.options}
    made = submissions.submit(platform, actor, submitted.source, idempotency_key=idempotency_key, **options)
    return _answer(made, response)


def _answer(made: Submission, response: Response) -> JsonObject:
    if made.applied:
        query = urlencode({"environment": made.environment})
        response.headers["Location"] = f"/api/applications/{quote(made.application, safe='')}?{query}"
    else:
        response.status_code = 200
    return views.submission(made)


@router.get("/api/applications/{name}", responses=models.one(models.ApplicationDetails))
def get_application(platform: PlatformOf, name: Name, environment: Environment = ANYWHERE) -> JsonObject:
    return views.application_details(applications.get(platform, name, environment=environment))


@router.delete(
    "/api/applications/{name}",
    status_code=202,
    responses=_CARRIED_OUT,
)
@router.post(
    "/api/applications/{name}/deprovision",
    name="deprovision_application",
    status_code=202,
    responses=_CARRIED_OUT,
)
@router.delete(
    "/api/specs/{name}",
    tags=["specs"],
    name="delete_spec",
    status_code=202,
    responses=_CARRIED_OUT,
)
@router.post(
    "/api/specs/{name}/deprovision",
    tags=["specs"],
    name="deprovision_spec",
    status_code=202,
    responses=_CARRIED_OUT,
)
def delete_application(
    platform: PlatformOf,
    actor: ActorOf,
    response: Response,
    *,
    name: Name,
    agreed: Annotated[Agreed, Depends()],
    environment: Environment = ANYWHERE,
    idempotency_key: IdempotencyKey = None,
) -> JsonObject:
    """Delete everything the application refers to, in reverse order; what others use or a provider retains stays."""
    options = asdict(agreed)
    made = deletions.delete(platform, actor, name, environment=environment, idempotency_key=idempotency_key, **options)
    return _answer(made, response)


@router.get("/api/applications/{name}/variables", responses=models.one(models.Variables))
def get_application_variables(
    platform: PlatformOf, actor: ActorOf, name: Name, *, environment: Environment = ANYWHERE, reveal: Reveal = False
) -> JsonObject:
    """The variables of its containers with every placeholder resolved, as its workload gets them."""
    if reveal:
        found = variables.revealed(platform, actor, name, environment=environment)
    else:
        found = variables.of_application(platform, name, environment=environment)
    return {"application": name, "environment": environment, **views.variables(found, reveal=reveal)}


@router.get("/api/environments", responses=models.page("environments", models.Environment))
def list_environments(platform: PlatformOf) -> JsonObject:
    """Environments that have applications; `default` is always there."""
    found = dict(applications.listed_environments(platform))
    found.setdefault(DEFAULT_ENVIRONMENT, 0)
    return {
        "items": [{"name": name, "applications": count} for name, count in sorted(found.items())],
        "next_cursor": "",
    }
