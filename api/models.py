"""The shapes of answers, for the description of the API: `engine.services.views` makes them, a test compares."""

from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue, create_model

Responses = dict[int | str, dict[str, Any]]


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Problem(Model):
    code: str
    severity: str
    path: str
    message: str
    fix: str
    file: str = ""
    line: int = 0
    column: int = 0


class ProblemDocument(Model):
    """RFC 9457."""

    type: str = Field(examples=["urn:innominatus:problem:stale_plan"])
    title: str = Field(examples=["Conflict"])
    status: int = Field(examples=[409])
    detail: str
    code: str = Field(description="Stable; for machines.", examples=["stale_plan"])
    hint: str = Field(description="What to do about it; may be empty.")
    problems: list[Problem]
    details: dict[str, JsonValue]


class Change(Model):
    path: str
    before: JsonValue
    after: JsonValue


class PlanItem(Model):
    action: str = Field(examples=["create"])
    resource: str = Field(examples=["default/postgres.default#shop.db"])
    name: str
    type: str
    reason: str = ""
    provider: str = ""
    provider_version: str = ""
    workflow: str = ""
    changes: list[Change] = Field(default_factory=list[Change])
    depends_on: list[str] = Field(default_factory=list)
    known_after_apply: list[str] = Field(default_factory=list)


class Plan(Model):
    plan_hash: str
    summary: str
    has_changes: bool = Field(
        description="Whether a resource is made, changed or deleted, or only who refers to it changes."
    )
    destructive: bool
    items: list[PlanItem]


class Submission(Model):
    application: str
    environment: str
    applied: bool
    plan_hash: str
    version: int | None
    execution_ids: list[int]
    replayed: bool
    warnings: list[Problem]
    plan: Plan | None = None


class Resource(Model):
    id: int
    application_name: str
    environment: str
    resource_name: str
    resource: str
    resource_type: str
    resource_class: str
    state: str
    health_status: str
    configuration: dict[str, JsonValue]
    outputs: dict[str, JsonValue]
    secret_outputs: list[str]
    provider_id: str | None
    workflow_execution_id: int | None
    desired_operation: str | None
    generation: int
    observed_generation: int
    blocked_by: int | None
    error_message: str
    reason: str
    created_at: str | None
    updated_at: str | None


class Neighbour(Model):
    id: int
    resource: str
    state: str


class Transition(Model):
    id: int
    at: str
    kind: str
    actor: str
    execution_id: int | None
    data: dict[str, JsonValue]


class Event(Transition):
    application_id: int | None
    resource_id: int | None
    position: str = Field(description="Its place in the timeline: `after` and `Last-Event-ID` take it.")


class ResourceDetails(Resource):
    depends_on: list[Neighbour]
    dependants: list[Neighbour]
    used_by: list[str]
    transitions: list[Transition]


class Application(Model):
    id: int
    name: str
    environment: str
    status: str = Field(examples=["active"])
    version: int
    resource_count: int
    created_by: str
    created_at: str
    updated_at: str
    expires_at: str | None = Field(description="When it is deleted by itself: its spec's `environment.ttl`.")


class ApplicationDetails(Application):
    resources: list[Resource]


class SpecVersion(Model):
    version: int
    digest: str
    submitted_by: str
    submitted_at: str
    source: str = Field(default="", description="The document as it was sent; only with `reveal`.")


class SpecDetails(ApplicationDetails):
    spec: SpecVersion


class Variables(Model):
    application: str
    environment: str
    containers: dict[str, dict[str, str]]
    secret: dict[str, list[str]]


class Environment(Model):
    name: str
    applications: int


class Execution(Model):
    id: int
    application_name: str | None
    environment: str | None
    workflow_name: str
    provider: str
    operation: str | None
    resource_id: int | None
    parent_id: int | None
    status: str
    attempt: int
    actor: str
    total_steps: int
    completed_steps: int
    failed_steps: int
    created_at: str | None
    started_at: str | None
    completed_at: str | None
    duration_ms: int | float | None
    error_message: str
    reason: str


class Wait(Model):
    kind: str
    ref: int | None


class Step(Model):
    step_number: int
    step_name: str
    step_type: str
    status: str
    attempt: int
    started_at: str | None
    completed_at: str | None
    duration_ms: int | float | None
    error_message: str
    reason: str
    waits_for: Wait | None
    outputs: dict[str, JsonValue]


class StepLog(Step):
    output_logs: str


class ExecutionDetails(Execution):
    inputs: dict[str, JsonValue]
    outputs: dict[str, JsonValue]
    steps: list[Step]


class Started(Model):
    """`execution_id` is null when everything was as wanted already."""

    execution_id: int | None
    execution: Execution | None


class Retried(Started):
    """`warning` is empty where nothing speaks against the retry."""

    warning: str


class Repeated(Execution):
    """`warning` is empty where nothing speaks against the retry."""

    warning: str


class Parameter(Model):
    name: str
    type: str
    required: bool
    default: JsonValue = None
    description: str = ""
    pattern: str = ""
    enum: list[JsonValue] = Field(default_factory=list[JsonValue])
    min: int | float | None = None
    max: int | float | None = None
    secret: bool = False


class WorkflowStep(Model):
    name: str
    type: str
    needs: list[str]


class Workflow(Model):
    name: str
    provider: str
    category: str
    operation: str | None
    description: str
    tags: list[str]
    parameters: list[Parameter]
    steps: list[WorkflowStep]
    outputs: list[str]


class OutputDeclaration(Model):
    name: str
    type: str
    secret: bool
    description: str


class ResourceType(Model):
    type: str
    aliases: list[str]
    description: str
    operations: dict[str, JsonValue]
    params: dict[str, JsonValue] | None
    outputs: list[OutputDeclaration]
    examples: list[JsonValue]
    protect: list[str]
    retain: list[str]
    local: bool


class ProviderSummary(Model):
    name: str
    version: str
    category: str
    description: str
    digest: str
    golden_paths: list[str]
    workflow_count: int


class Provider(ProviderSummary):
    resource_types: list[str]


class ProviderDetails(ProviderSummary):
    resource_types: list[ResourceType]
    workflows: list[Workflow]


class Node(Model):
    id: int
    kind: str
    ref: str
    name: str
    state: str


class Edge(Model):
    source: int
    kind: str
    target: int


class Graph(Model):
    nodes: list[Node]
    edges: list[Edge]


class Verdict(Model):
    kind: str
    valid: bool
    problems: list[Problem]


def one(model: type[BaseModel], status: int = 200) -> Responses:
    return {status: {"model": model}}


def answers(model: type[BaseModel], at_once: str, status: int, later: str) -> Responses:
    return {200: {"model": model, "description": at_once}, status: {"model": model, "description": later}}


_pages: dict[str, type[BaseModel]] = {}


def page(noun: str, model: type[BaseModel]) -> Responses:
    """A list of `model`; the same model gives the same schema."""
    name = f"{model.__name__}Page"
    if name not in _pages:
        items: Any = list[model]
        _pages[name] = create_model(
            name,
            __base__=Model,
            items=(items, ...),
            next_cursor=(str, Field(description="Asks for the rest; empty at the end.")),
            total=(int | None, None),
        )
    return {200: {"model": _pages[name], "description": f"A page of {noun}."}}


TEXT: Responses = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}
EVENT_STREAM: Responses = {
    200: {
        "description": "Events, until the client leaves or the server stops.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}
UNAVAILABLE: Responses = {503: {"description": HTTPStatus.SERVICE_UNAVAILABLE.phrase}}
