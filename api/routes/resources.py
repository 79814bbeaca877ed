"""Resources: read, retry, set left-overs straight."""

from api import models, routing
from api.bodies import ResolveBody
from api.diagnosis_models import Diagnosis
from api.inputs import ActorOf, Cursor, EnvironmentFilter, Filter, Limit, Number, PlatformOf, Reveal
from engine.domain.values import JsonObject, ResourceId
from engine.services import diagnosis, diagnosis_views, doubts, executions, resources, views
from engine.services.afterwards import done

router = routing.router("resources")


@router.get("/api/resources", responses=models.page("resources", models.Resource))
def list_resources(
    platform: PlatformOf,
    *,
    app: Filter = None,
    type: Filter = None,
    state: Filter = None,
    environment: EnvironmentFilter = None,
    cursor: Cursor = "",
    limit: Limit = 50,
) -> JsonObject:
    """Resources by rising id; terminated ones only with `state=terminated`."""
    page = resources.listed(
        platform,
        application=app,
        environment=environment,
        resource_type=type,
        state=state,
        cursor=cursor,
        limit=limit,
    )
    return {"items": [views.resource(item) for item in page.items], "next_cursor": page.next_cursor}


@router.get("/api/resources/{resource_id}", responses=models.one(models.ResourceDetails))
def get_resource(platform: PlatformOf, actor: ActorOf, resource_id: Number, *, reveal: Reveal = False) -> JsonObject:
    """The resource, what it depends on, who uses it, and its last ten transitions."""
    wanted = ResourceId(resource_id)
    details = resources.revealed(platform, actor, wanted) if reveal else resources.get(platform, wanted)
    return views.resource_details(details, reveal=reveal)


@router.get("/api/resources/{resource_id}/explain", responses=models.one(Diagnosis))
def explain_resource(platform: PlatformOf, resource_id: Number) -> JsonObject:
    """Why it is failed, blocked or degraded: the deepest cause, what is left behind, and what to do next."""
    return diagnosis_views.diagnosis(diagnosis.of_resource(platform, ResourceId(resource_id)))


@router.post("/api/resources/{resource_id}/retry", status_code=202, responses=models.one(models.Repeated, 202))
def retry_resource(platform: PlatformOf, actor: ActorOf, resource_id: Number) -> JsonObject:
    """Repeat the operation that failed; the finished steps of its execution are kept.

    `warning` says so where what is asked for is the same and a retry alone is pointless.
    """
    started, warning = doubts.retry_resource(platform, actor, ResourceId(resource_id))
    with done(f"Execution {started} is started"):
        return {**views.execution(executions.get(platform, started).execution), "warning": warning}


@router.post("/api/resources/{resource_id}/resolve", responses=models.one(models.Resource))
def resolve_resource(platform: PlatformOf, actor: ActorOf, resource_id: Number, body: ResolveBody) -> JsonObject:
    """Say what became of a failed resource: it works (`active`), or it is not there any more (`gone`)."""
    return views.resource(resources.resolve(platform, actor, ResourceId(resource_id), as_=body.as_))
