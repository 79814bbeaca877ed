"""What can be asked for: golden paths and providers."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from engine.domain.provider import Operation, Provider, ProviderWorkflow, ResourceType, WorkflowCategory
from engine.domain.values import Json, JsonObject
from engine.domain.workflow import Parameter
from engine.services import catalog
from mcp_server.answers import call, fitting, table
from mcp_server.fields import Cursor, Limit, Search
from mcp_server.house import House

_FEW = 3
_WIDE = 600
"""Characters of a cell: inputs must not be cut where a model reads how to write them."""


@dataclass(frozen=True)
class CatalogTools:
    house: House

    def list_golden_paths(self, search: Search = "", limit: Limit = 50, cursor: Cursor = "") -> JsonObject:
        """List ready-made workflows for self-service and their inputs (`*` = required); execute_workflow runs them."""
        every = catalog.golden_paths(self.house.platform)
        found = [(owner, path) for owner, path in every if _matches(search, path.name, _described(path))]
        rows: list[list[Json]] = [
            [path.name, owner.name, _described(path), _parameters(path.definition.parameters)] for owner, path in found
        ]
        listed = _page(("name", "provider", "description", "inputs"), rows, after=cursor, limit=limit)
        runs: list[Json] = [call("execute_workflow", workflow_name=path.name, dry_run=True) for _, path in found[:_FEW]]
        elsewhere: list[Json] = [call("list_providers", search=search)] if search and not found else []
        return {**listed, "next": runs or elsewhere}

    def list_providers(self, search: Search = "", limit: Limit = 50, cursor: Cursor = "") -> JsonObject:
        """List providers and the resource types each can make. Only these types work in a Score spec."""
        every = sorted(catalog.providers(self.house.platform), key=lambda provider: provider.name)
        found = [p for p in every if _matches(search, p.name, p.description, *(kind.name for kind in p.resource_types))]
        rows: list[list[Json]] = [
            [p.name, p.version, p.description, ", ".join(kind.name for kind in p.resource_types)] for p in found
        ]
        listed = _page(("name", "version", "description", "resource_types"), rows, after=cursor, limit=limit)
        return {**listed, "next": [call("get_provider_details", provider_name=p.name) for p in found[:_FEW]]}

    def get_provider_details(self, provider_name: str) -> JsonObject:
        """Show a provider's resource types (params, outputs, example) and workflows. Use before writing a spec."""
        found = catalog.provider(self.house.platform, provider_name)
        return {
            "name": found.name,
            "version": found.version,
            "description": found.description,
            "resource_types": _types(found),
            "examples": {kind.name: kind.examples[0] for kind in found.resource_types if kind.examples},
            "workflows": _workflows(found),
            "next": [
                call("execute_workflow", workflow_name=path.name, dry_run=True) for path in found.golden_paths[:_FEW]
            ],
        }


def _matches(search: str, *texts: str) -> bool:
    return any(search.casefold() in text.casefold() for text in texts)


def _page(columns: Sequence[str], rows: Sequence[Sequence[Json]], *, after: str, limit: int) -> JsonObject:
    """Rows whose first value is a name, sorted by it; the cursor is the last name."""
    rest = [row for row in rows if str(row[0]) > after]
    kept = fitting(columns, rest[:limit], width=_WIDE)
    more: JsonObject = {"next_cursor": str(kept[-1][0])} if len(kept) < len(rest) else {}
    return {"columns": list[Json](columns), "rows": list[Json](kept), **more}


def _types(found: Provider) -> JsonObject:
    columns = ("type", "aliases", "made_by", "operations", "params", "outputs")
    rows: list[list[Json]] = [
        [
            kind.name,
            ", ".join(kind.aliases),
            _maker(kind),
            ", ".join(operation.value for operation in kind.operations),
            params_of(kind),
            ", ".join(f"{o.name} (secret)" if o.secret else o.name for o in kind.outputs),
        ]
        for kind in found.resource_types
    ]
    return table(columns, rows, width=_WIDE)


def _maker(kind: ResourceType) -> str:
    """The workflow that execute_workflow is given to ask for one such resource."""
    create = kind.operations.get(Operation.CREATE)
    return create.default if create else ""


def _workflows(found: Provider) -> JsonObject:
    columns = ("name", "kind", "description", "inputs")
    rows: list[list[Json]] = [
        [
            item.name,
            "golden path" if item.category is WorkflowCategory.GOLDEN_PATH else f"{item.operation or 'provisioner'}",
            _described(item),
            _parameters(item.definition.parameters),
        ]
        for item in found.workflows.values()
    ]
    return table(columns, rows, width=_WIDE)


def _described(item: ProviderWorkflow) -> str:
    return " ".join((item.description or item.definition.description).split())


def _parameters(declared: Iterable[Parameter]) -> str:
    return "; ".join(_parameter(item) for item in declared)


def _parameter(item: Parameter) -> str:
    """`size: string (small/large) = small`; `*` marks what must be given."""
    kind = f"{item.name}{'*' if item.required else ''}: {item.type}"
    choices = f" ({'/'.join(str(value) for value in item.enum)})" if item.enum else ""
    default = "" if item.default in (None, "") or item.secret else f" = {item.default}"
    return f"{kind}{choices}{default}{' (secret)' if item.secret else ''}"


def params_of(kind: ResourceType) -> str:
    """The top level of the JSON Schema of a type's params, in the same notation."""
    schema = kind.params_schema
    properties = schema.get("properties") if schema else None
    if not isinstance(properties, dict):
        return "any"
    required = schema.get("required") if schema else None
    needed = required if isinstance(required, list) else []
    return "; ".join(_param(name, declared, required=name in needed) for name, declared in properties.items())


def _param(name: str, declared: Json, *, required: bool) -> str:
    schema: Mapping[str, Json] = declared if isinstance(declared, dict) else {}
    choices = schema.get("enum")
    listed = f" ({'/'.join(str(value) for value in choices)})" if isinstance(choices, list) else ""
    default = f" = {schema['default']}" if "default" in schema else ""
    says = schema.get("description")
    meant = f" - {says}" if isinstance(says, str) and says else ""
    return f"{name}{'*' if required else ''}: {schema.get('type', 'any')}{listed}{default}{meant}"
