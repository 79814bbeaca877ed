"""For whoever writes a provider: judge it, and see what a resource type does here."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from engine.domain.provider import Operation, Provider, ResourceType
from engine.domain.spec import DEFAULT_ENVIRONMENT
from engine.domain.values import Json, JsonObject
from engine.services import catalog, checking
from mcp_server.answers import call, table
from mcp_server.house import House
from mcp_server.tools.catalog import params_of

_MOST_PROBLEMS = 50


@dataclass(frozen=True)
class AuthorTools:
    house: House

    def validate_provider(
        self,
        files: Annotated[
            dict[str, str], Field(description="Text by path: `provider.yaml` and the workflow files it names.")
        ],
    ) -> JsonObject:
        """Judge a provider without installing it: every problem with file, line and remedy."""
        verdict = checking.check_provider(self.house.platform, files)
        found = verdict.provider
        rows: list[list[Json]] = [
            [one.severity.value, one.file or None, one.line or None, one.path, one.message, one.fix]
            for one in verdict.problems[:_MOST_PROBLEMS]
        ]
        more = len(verdict.problems) - len(rows)
        answer: JsonObject = {
            "valid": verdict.valid,
            "provider": f"{found.name} {found.version}" if found else None,
            "resource_types": [kind.name for kind in found.resource_types] if found else None,
            "problems": table(("severity", "file", "line", "path", "message", "fix"), rows, width=400),
            "more_problems": more or None,
        }
        if verdict.valid:
            answer["next"] = ["a person adds its folder to INNOMINATUS_PROVIDERS and restarts the server"]
        else:
            answer["next"] = ["validate_provider(files=<corrected>)"]
        return answer

    def explain_capability(
        self, resource_type: str, environment: Annotated[str, Field(description="Default: `default`.")] = ""
    ) -> JsonObject:
        """Show what a resource type in a spec leads to: its provider, params, outputs, workflows and steps."""
        provider, kind = catalog.resource_type(self.house.platform, resource_type)
        where = environment or DEFAULT_ENVIRONMENT
        return {
            "type": kind.name,
            "provider": f"{provider.name} {provider.version}",
            "description": kind.description,
            "aliases": list[Json](kind.aliases),
            "params": params_of(kind),
            "outputs": [f"{one.name} (secret)" if one.secret else one.name for one in kind.outputs],
            "example": kind.examples[0] if kind.examples else None,
            "deletion": _deletion(kind, where),
            "operations": table(("operation", "workflow", "steps"), _operations(provider, kind), width=600),
            "next": [call("get_provider_details", provider_name=provider.name)],
        }


def _deletion(kind: ResourceType, environment: str) -> str:
    if kind.protects(environment):
        return f"refused in environment `{environment}`: the type is protected there"
    if kind.retains(environment):
        return f"forgotten in environment `{environment}`: the real thing stays"
    if Operation.DELETE not in kind.operations:
        return "forgotten: there is no delete workflow, the real thing stays"
    return "by its delete workflow"


def _operations(provider: Provider, kind: ResourceType) -> list[list[Json]]:
    rows: list[list[Json]] = []
    for operation, chosen in kind.operations.items():
        for name in dict.fromkeys((chosen.default, *(choice.workflow for choice in chosen.choices))):
            steps = provider.workflows[name].definition.steps
            rows.append([operation.value, name, " > ".join(f"{step.name} ({step.type})" for step in steps)])
    return rows
