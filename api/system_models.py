"""What the server says of itself."""

from pydantic import Field

from api.models import Model


class ProtectedResource(Model):
    """OAuth 2.0 protected resource metadata (RFC 9728)."""

    resource: str = Field(examples=["http://localhost:8081/mcp"])
    resource_name: str
    bearer_methods_supported: list[str]
    resource_documentation: str


class Welcome(Model):
    name: str
    version: str
    summary: str
    doors: dict[str, str] = Field(description="What is found where.")


class Health(Model):
    status: str
    reason: str = ""


class Stats(Model):
    applications: int
    environments: int
    providers: int
    golden_paths: int
    resources: int = Field(description="Those that stand.")
    resources_by_type: dict[str, int]
    resources_by_state: dict[str, int] = Field(description="`terminated`: how many ever were.")
    executions: int
    executions_by_state: dict[str, int] = Field(
        description="`pending`, `running` and `waiting` now; the others: how many runs ever ended so."
    )


class Claiming(Model):
    """Whether workers claim executions. `by`, `since` and `reason` belong to the pause."""

    paused: bool
    by: str
    since: str | None
    reason: str
    running: int
    queued: int
    unattended: str = Field(description="What to start, where work is left lying and no worker is at work.")


class WhoAmI(Model):
    actor: str
    kind: str
    name: str
