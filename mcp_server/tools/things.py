"""What exists: resources."""

from collections.abc import Collection
from dataclasses import dataclass

from engine.domain.changes import MASK
from engine.domain.resource import Resource, ResourceState
from engine.domain.values import Json, JsonObject, ResourceId
from engine.services import resources, views
from mcp_server.answers import call, page, table
from mcp_server.arguments import page_cursor, stored_id
from mcp_server.fields import Cursor, Limit
from mcp_server.house import LONGEST_WAIT, House

_COLUMNS = ("id", "application", "environment", "name", "type", "state", "updated_at", "error")


@dataclass(frozen=True)
class ResourceTools:
    house: House

    def list_resources(
        self,
        type: str = "",
        application: str = "",
        state: str = "",
        environment: str = "",
        limit: Limit = 50,
        cursor: Cursor = "",
    ) -> JsonObject:
        """List resources (databases, volumes, workloads ...) with states; deleted ones only with state=terminated."""
        found = resources.listed(
            self.house.platform,
            application=application or None,
            environment=environment or None,
            resource_type=type or None,
            state=state or None,
            cursor=page_cursor(cursor),
            limit=limit,
        )
        rows = [resource_row(item) for item in found.items]
        known = not type or self.house.platform.providers.registry.resolve(type)
        following: list[Json] = failures(found.items) if rows or known else [call("list_providers")]
        return {**page(_COLUMNS, rows, found.next_cursor), "next": following}

    def get_resource_details(self, resource_id: int) -> JsonObject:
        """Show a resource: params, outputs (secrets as ***), dependencies, recent transitions, and what failed."""
        known = ResourceId(stored_id("resource_id", resource_id))
        details = resources.get(self.house.platform, known)
        found = details.resource
        shown = views.resource_details(details)
        transitions: list[list[Json]] = [
            [views.moment(fact.at), fact.kind, fact.actor, fact.execution_id] for fact in details.transitions
        ]
        answer: JsonObject = {
            "resource_id": found.id,
            "resource": str(found.key),
            "application": found.application,
            "environment": found.key.environment,
            "name": found.name,
            "type": found.key.type,
            "state": found.state.value,
            "provider": found.provider,
            "workflow": found.workflow,
            "execution_id": found.execution_id,
            "error_message": found.error,
            "reason": found.reason,
            "blocked_by": found.blocked_by,
            "params": _hidden(found.params, self._secret_params(found)),
            "outputs": shown["outputs"],
            "depends_on": [f"{other.id} {other.key} {other.state}" for other in details.depends_on],
            "dependants": [f"{other.id} {other.key} {other.state}" for other in details.dependants],
            "used_by": shown["used_by"],
            "updated_at": shown["updated_at"],
            "transitions": table(("at", "what", "actor", "execution_id"), transitions),
            "next": _next(found),
        }
        if found.secret_outputs & found.outputs.keys():
            answer["secrets"] = f"A person can read the *** values: innominatus-ctl resource {found.id} --reveal"
        return answer

    def _secret_params(self, found: Resource) -> Collection[str]:
        owner = self.house.platform.providers.registry.resolve(found.key.type)
        return owner[1].secret_params if owner else ()


def resource_row(found: Resource) -> list[Json]:
    return [
        found.id,
        found.application,
        found.key.environment,
        found.name,
        found.key.type,
        found.state.value,
        views.moment(found.updated_at),
        found.error or found.reason,
    ]


def failures(found: Collection[Resource]) -> list[Json]:
    """Where to look first: calls for the first failed resources."""
    broken = [item for item in found if item.state is ResourceState.FAILED][:3]
    return [call("get_resource_details", resource_id=item.id) for item in broken]


def _hidden(params: JsonObject, secret: Collection[str]) -> JsonObject:
    return {name: MASK if name in secret else value for name, value in params.items()}


def _next(found: Resource) -> list[Json]:
    if found.execution_id is None:
        return []
    if found.in_progress:
        return [call("get_workflow_status", execution_id=found.execution_id, wait_seconds=LONGEST_WAIT)]
    if found.state is ResourceState.FAILED:
        retry = f"after the cause is gone, a person can run: innominatus-ctl workflow retry {found.execution_id}"
        return [call("get_workflow_status", execution_id=found.execution_id, logs="tail"), retry]
    return []
