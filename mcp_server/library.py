"""MCP resources: what tools show, at an address. Each says in its text what the tool says."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote

from mcp_types import Resource as Listed
from mcp_types import ResourceTemplate

from engine.domain.spec import DEFAULT_ENVIRONMENT
from engine.domain.values import ExecutionId, Json, JsonObject
from engine.errors import Invalid, NotFound
from engine.services import applications, catalog, executions
from mcp_server.answers import clean, rendered, result
from mcp_server.arguments import stored_id
from mcp_server.house import House
from mcp_server.statuses import status_of
from mcp_server.tools.catalog import CatalogTools
from mcp_server.tools.operations import OperateTools
from mcp_server.tools.things import ResourceTools

SCHEME: Final = "innominatus://"
LARGEST_TEXT: Final = 30_000
"""Characters of one resource; the rest is left out, and it says so."""
_MOST_LISTED = 50
_YAML, _PLAIN = "application/yaml", "text/plain"


@dataclass(frozen=True, slots=True)
class Kind:
    """Resources of one shape: `{…}` in `template` is what its reader is given."""

    template: str
    title: str
    description: str
    mime_type: str = _PLAIN


KINDS: Final[Mapping[str, Kind]] = {
    "specs": Kind("specs/{app}{?environment}", "Spec", "The newest Score spec of an application.", _YAML),
    "executions": Kind("executions/{id}", "Execution", "An execution's steps, outputs and errors."),
    "logs": Kind("executions/{id}/logs", "Logs", "What the steps of an execution printed, the end of each."),
    "resources": Kind("resources/{id}", "Resource", "A resource with params, outputs, dependencies and history."),
    "graph": Kind("graph/{app}{?environment}", "Graph", "What belongs to an application and how."),
    "golden-paths": Kind("golden-paths/{name}", "Golden path", "A ready-made workflow with its inputs and steps."),
    "providers": Kind("providers/{name}", "Provider", "Resource types of a provider, their params and outputs."),
}


def uri(kind: str, name: object, environment: str = "") -> str:
    """`innominatus://<kind>/<name>`; the environment stands in it unless it is the default one."""
    base, _, rest = KINDS[kind].template.partition("{")
    tail = "/logs" if rest.endswith("/logs") else ""
    asked = f"?environment={quote(environment, safe='')}" if environment not in ("", DEFAULT_ENVIRONMENT) else ""
    return f"{SCHEME}{base}{quote(str(name), safe='')}{tail}{asked}"


def templates() -> list[ResourceTemplate]:
    return [
        ResourceTemplate(
            uri_template=SCHEME + kind.template,
            name=name,
            title=kind.title,
            description=kind.description,
            mime_type=kind.mime_type,
        )
        for name, kind in KINDS.items()
    ]


@dataclass(frozen=True, slots=True)
class Address:
    """An address taken apart."""

    kind: str
    name: str
    environment: str = DEFAULT_ENVIRONMENT


def parse(text: str) -> Address:
    """Raises NotFound for an address that is none of ours, Invalid for one with an unusable part."""
    path, _, query = text.removeprefix(SCHEME).partition("?")
    parts = path.split("/")
    kind = "logs" if parts[0] == "executions" and parts[2:] == ["logs"] else parts[0]
    wanted = 3 if kind == "logs" else 2
    if not text.startswith(SCHEME) or kind not in KINDS or len(parts) != wanted or not parts[1]:
        raise NotFound("resource", text[:200], hint="resources/templates/list names the addresses there are.")
    environment = ""
    if query:
        name, _, environment = query.partition("=")
        if name != "environment" or "{?environment}" not in KINDS[kind].template:
            raise Invalid(f"`{query[:80]}` means nothing in this address.", code="invalid_address")
    return Address(kind, unquote(parts[1]), unquote(environment) or DEFAULT_ENVIRONMENT)


@dataclass(frozen=True)
class Library:
    """Reads resources and lists what there is."""

    house: House

    def read(self, at: Address) -> str:
        """The text of a resource. Raises NotFound."""
        readers: Mapping[str, Callable[[Address], str]] = {
            "specs": self._spec,
            "executions": lambda at: self._execution(at.name, logs=False),
            "logs": lambda at: self._execution(at.name, logs=True),
            "resources": lambda at: _told(ResourceTools(self.house).get_resource_details(_number(at.name))),
            "graph": lambda at: _told(OperateTools(self.house).get_graph(at.name, at.environment)),
            "golden-paths": self._golden_path,
            "providers": lambda at: _told(CatalogTools(self.house).get_provider_details(at.name)),
        }
        return _bounded(readers[at.kind](at))

    def _spec(self, at: Address) -> str:
        return str(clean(applications.spec_shown(self.house.platform, at.name, environment=at.environment)))

    def _execution(self, number: str, *, logs: bool) -> str:
        view = executions.get(self.house.platform, ExecutionId(_number(number)))
        shown = status_of(self.house, view, logs="tail" if logs else "none")
        only = ("execution_id", "logs", "logs_cut")
        return _told({name: shown[name] for name in only} if logs else shown)

    def _golden_path(self, at: Address) -> str:
        catalog.golden_path(self.house.platform, at.name)
        listed = CatalogTools(self.house).list_golden_paths(search=at.name, limit=100)
        every = listed["rows"]
        assert isinstance(every, list)
        rows: list[Json] = [row for row in every if isinstance(row, list) and row[0] == at.name]
        return _told({"columns": listed["columns"], "rows": rows})

    def listed(self) -> list[Listed]:
        """Golden paths, providers, and the specs of the first applications; the templates lead to all others."""
        platform = self.house.platform
        found = [_listed("golden-paths", path.name) for _, path in catalog.golden_paths(platform)]
        found += [_listed("providers", provider.name) for provider in catalog.providers(platform)]
        known = applications.listed(platform, limit=_MOST_LISTED).items
        for view in known:
            at = (view.application.name, view.application.environment)
            found += [_listed("specs", *at)] if view.version else []
            found.append(_listed("graph", *at))
        return found

    def completed(self, argument: str, given: str, others: Mapping[str, str]) -> list[str]:
        """What an argument of a template or prompt may be, as far as it is typed."""
        platform = self.house.platform
        if argument in {"app", "application"}:
            known = [view.application.name for view in applications.listed(platform, search=given, limit=100).items]
        elif argument == "environment":
            known = [name for name, _ in applications.listed_environments(platform)]
        elif argument in {"id", "execution_id"} and "resources" not in others.get("template", ""):
            known = [str(run.id) for run in executions.listed(platform, limit=100).items]
        elif argument == "name" and "golden-paths" in others.get("template", ""):
            known = [path.name for _, path in catalog.golden_paths(platform)]
        elif argument in {"name", "provider"}:
            known = [provider.name for provider in catalog.providers(platform)]
        elif argument == "resource_type":
            known = list(platform.providers.registry.type_names)
        else:
            known = []
        return [value for value in dict.fromkeys(known) if value.startswith(given)]


def _listed(kind: str, name: str, environment: str = "") -> Listed:
    of = KINDS[kind]
    where = f" in {environment}" if environment not in ("", DEFAULT_ENVIRONMENT) else ""
    return Listed(
        uri=uri(kind, name, environment),
        name=f"{kind}/{name}{where}",
        title=f"{of.title} {name}{where}",
        description=of.description,
        mime_type=of.mime_type,
    )


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise NotFound("resource", text[:80], hint="An id is a whole number.")
    return stored_id("id", int(text))


def _told(answer: JsonObject) -> str:
    """The same text that the tool answers with."""
    kept: JsonObject = {
        name: value for name, value in answer.items() if name == "rows" or value not in (None, "", [], {})
    }
    content = result(kept, is_error=False).structured_content
    return rendered(content or {})


def _bounded(text: str) -> str:
    return text if len(text) <= LARGEST_TEXT else f"{text[:LARGEST_TEXT]}\n# truncated: {len(text)} characters in all"
