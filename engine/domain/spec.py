"""A Score document, once read. Reading text into it is `spec_reader`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from engine.domain.values import Json, JsonObject
from engine.domain.yaml_path import Path
from engine.errors import Problem, Severity

WORKLOAD = "workload"
"""The resource type that stands for an application's own containers."""
DEFAULT_CLASS = "default"
DEFAULT_ENVIRONMENT = "default"

Place = Callable[[Path], tuple[int, int]]
"""From a path to its line and column in a document; both are 0 where there is none."""


def nowhere(_path: Path) -> tuple[int, int]:
    return 0, 0


@dataclass(frozen=True, slots=True)
class ResourceDeclaration:
    """One entry of `resources`. `params` are as written, placeholders unresolved. `place` takes paths below it."""

    name: str
    type: str
    resource_class: str = DEFAULT_CLASS
    id: str | None = None
    params: JsonObject = field(default_factory=dict[str, Json])
    metadata: JsonObject = field(default_factory=dict[str, Json])
    place: Place = field(default=nowhere, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class OutputRead:
    """A placeholder that reads a resource's output: its place in the document, and its keys (`resources` first)."""

    path: str
    keys: tuple[str, ...]
    line: int = 0
    column: int = 0


@dataclass(frozen=True, slots=True)
class VolumeRead:
    """A volume whose source starts with a resource itself, where it stands, and the text `behind` the resource."""

    path: str
    resource: str
    behind: str = ""
    line: int = 0
    column: int = 0


@dataclass(frozen=True, slots=True)
class Spec:
    """One Score document in v1b1 form: the seed's dialect has been translated.

    `metadata`, `service` and `containers` are normalised JSON of the official shape (files and volumes as mappings by
    target path, the deprecated list form translated), placeholders unresolved. `environment` and `ttl` (seconds) come
    from the dialect's `environment:` and are None without it. `reads` and `volumes` stand in the document's own form
    and order; `place` takes paths of this form.
    """

    application: str
    metadata: JsonObject
    containers: JsonObject
    service: JsonObject = field(default_factory=dict[str, Json])
    resources: Mapping[str, ResourceDeclaration] = field(default_factory=dict[str, ResourceDeclaration])
    environment: str | None = None
    ttl: float | None = None
    reads: tuple[OutputRead, ...] = field(default=(), compare=False)
    volumes: tuple[VolumeRead, ...] = field(default=(), compare=False)
    place: Place = field(default=nowhere, compare=False, repr=False)

    @property
    def workload(self) -> JsonObject:
        """The params of the workload resource."""
        return {"metadata": self.metadata, "service": self.service, "containers": self.containers}


@dataclass(frozen=True, slots=True)
class ParsedSpec:
    """`spec` is None exactly when `problems` holds an error."""

    spec: Spec | None
    problems: tuple[Problem, ...] = ()

    @property
    def errors(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.problems if problem.severity is Severity.ERROR)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.problems if problem.severity is Severity.WARNING)
