"""What a provider offers, and which provider answers for a resource type."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from engine.domain.values import JsonObject
from engine.domain.workflow import Workflow
from engine.errors import nearest


class Operation(StrEnum):
    CREATE = "create"
    READ = "read"
    UPDATE = "update"
    DELETE = "delete"


class WorkflowCategory(StrEnum):
    PROVISIONER = "provisioner"
    GOLDEN_PATH = "goldenpath"


@dataclass(frozen=True, slots=True)
class WorkflowChoice:
    """One workflow that performs an operation; `tags` tell it apart from its siblings."""

    workflow: str
    tags: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class OperationWorkflows:
    """The workflows for one operation of one type; `default` names the one taken when no tag decides."""

    choices: tuple[WorkflowChoice, ...]
    default: str

    def choose(self, tags: Iterable[str] = ()) -> str:
        """The name of the workflow whose tags match most of `tags`, else the default."""
        wanted = frozenset(tags)
        best = max(self.choices, key=lambda choice: len(choice.tags & wanted), default=None)
        if best is None or not best.tags & wanted:
            return self.default
        return best.workflow


@dataclass(frozen=True, slots=True)
class OutputDeclaration:
    name: str
    type: str = "string"
    secret: bool = False
    description: str = ""


@dataclass(frozen=True, slots=True)
class ResourceType:
    """One resource type of a provider. Environments in `protect` refuse deletion, those in `retain` keep what is real.

    `*` in either stands for every environment. Aliases are resolved: `aliases` are other names of the same type.
    What a `local` type makes lives in the data folder of the engine that made it.
    """

    name: str
    operations: Mapping[Operation, OperationWorkflows]
    aliases: tuple[str, ...] = ()
    params_schema: JsonObject | None = None
    outputs: tuple[OutputDeclaration, ...] = ()
    examples: tuple[JsonObject, ...] = ()
    protect: frozenset[str] = frozenset()
    retain: frozenset[str] = frozenset()
    description: str = ""
    local: bool = False

    def protects(self, environment: str) -> bool:
        return bool({"*", environment} & self.protect)

    def retains(self, environment: str) -> bool:
        return bool({"*", environment} & self.retain)

    @property
    def secret_outputs(self) -> frozenset[str]:
        return frozenset(output.name for output in self.outputs if output.secret)

    @property
    def secret_params(self) -> frozenset[str]:
        """Names of top-level params whose JSON Schema says `writeOnly: true` or `format: password`."""
        properties = (self.params_schema or {}).get("properties")
        if not isinstance(properties, dict):
            return frozenset()
        return frozenset(
            name
            for name, schema in properties.items()
            if isinstance(schema, dict) and (schema.get("writeOnly") is True or schema.get("format") == "password")
        )


@dataclass(frozen=True, slots=True)
class ProviderWorkflow:
    """A workflow as its provider's manifest lists it, with its definition."""

    definition: Workflow
    file: str
    category: WorkflowCategory = WorkflowCategory.PROVISIONER
    operation: Operation | None = None
    tags: frozenset[str] = frozenset()
    description: str = ""

    @property
    def name(self) -> str:
        return self.definition.name


@dataclass(frozen=True, slots=True)
class Provider:
    """`digest` is the content address of its bundle: the same files give the same digest everywhere."""

    name: str
    version: str
    digest: str
    category: str = "infrastructure"
    description: str = ""
    resource_types: tuple[ResourceType, ...] = ()
    workflows: Mapping[str, ProviderWorkflow] = field(default_factory=dict[str, ProviderWorkflow])

    def resource_type(self, name: str) -> ResourceType | None:
        return next((kind for kind in self.resource_types if name == kind.name or name in kind.aliases), None)

    @property
    def golden_paths(self) -> tuple[ProviderWorkflow, ...]:
        return tuple(w for w in self.workflows.values() if w.category is WorkflowCategory.GOLDEN_PATH)


@dataclass(frozen=True, slots=True)
class Registry:
    """The active set of providers. Built only from a set in which no type and no golden path is claimed twice."""

    providers: tuple[Provider, ...] = ()
    generation: int = 0

    def provider(self, name: str) -> Provider | None:
        return next((provider for provider in self.providers if provider.name == name), None)

    def by_digest(self, digest: str) -> Provider | None:
        return next((provider for provider in self.providers if provider.digest == digest), None)

    def resolve(self, resource_type: str) -> tuple[Provider, ResourceType] | None:
        """The provider and primary type that answer for a type name or alias."""
        for provider in self.providers:
            kind = provider.resource_type(resource_type)
            if kind is not None:
                return provider, kind
        return None

    def golden_path(self, name: str) -> tuple[Provider, ProviderWorkflow] | None:
        for provider in self.providers:
            for workflow in provider.golden_paths:
                if workflow.name == name:
                    return provider, workflow
        return None

    def workflow(self, name: str) -> tuple[Provider, ProviderWorkflow] | None:
        """Any workflow by name, golden paths first; `provider/name` picks one provider's."""
        owner, _, bare = name.rpartition("/")
        if not owner and (found := self.golden_path(name)):
            return found
        for provider in self.providers:
            if bare in provider.workflows and owner in ("", provider.name):
                return provider, provider.workflows[bare]
        return None

    @property
    def type_names(self) -> list[str]:
        return sorted({n for p in self.providers for kind in p.resource_types for n in (kind.name, *kind.aliases)})

    def nearest_types(self, name: str) -> list[str]:
        return nearest(name, self.type_names)
