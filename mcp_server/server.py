"""The MCP door: ten tools over the services, in both protocol eras."""

import traceback
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import NamedTuple, cast

import structlog
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError, UnexpectedToolError
from mcp.server.mcpserver.tools import Tool
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, ToolAnnotations
from mcp_types import Tool as AdvertisedTool
from pydantic import ValidationError

from engine.domain.values import Actor, JsonObject
from engine.errors import InnominatusError, Internal, NotFound, nearest
from engine.services.bells import Bells
from engine.services.platform import Platform
from engine.store.away import DatabaseAway, in_short
from mcp_server import schemas
from mcp_server.answers import answered
from mcp_server.arguments import rejected, tidied
from mcp_server.errors import failed
from mcp_server.house import House, aside
from mcp_server.instructions import INSTRUCTIONS
from mcp_server.tools.catalog import CatalogTools
from mcp_server.tools.runs import RunTools
from mcp_server.tools.specs import SpecTools
from mcp_server.tools.things import ResourceTools

log = structlog.get_logger(__name__)

_READS = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
_ALL = "tools/list names the tools."
_CHANGES = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=False, open_world_hint=True)


class _Offer(NamedTuple):
    """A tool as it is advertised."""

    run: Callable[..., object]
    output: JsonObject
    annotations: ToolAnnotations = _READS


class PlatformServer(MCPServer[object]):
    """An MCP server whose answers and errors are all ours: nothing of an exception reaches the client unasked."""

    def __init__(self, offers: list[_Offer], *, listed: Callable[[], None], ready: Callable[[], object] | None) -> None:
        self._listed = listed
        self._ready = ready
        self._offered = {tool.name: tool for tool in map(_tool, offers)}
        super().__init__(
            "innominatus",
            title="innominatus",
            version=version("innominatus"),
            instructions=INSTRUCTIONS,
            tools=list(self._offered.values()),
            log_level="WARNING",
            subscriptions=False,
        )

    async def list_tools(self) -> list[AdvertisedTool]:
        self._listed()
        return await super().list_tools()

    async def call_tool(
        self, name: str, arguments: dict[str, object], context: Context[object, object] | None = None
    ) -> CallToolResult:
        """Run a tool. Every failure but a protocol error becomes a result that the model reads."""
        try:
            tool = self._tool(name)
            given = tidied(name, arguments, known=_properties(tool), required=_required(tool))
            if self._ready is not None:
                await aside(self._ready)
                self._ready = None
            answer: object = await tool.run(given, context or Context(mcp_server=self))
            return answered(cast("JsonObject", answer))
        except MCPError:
            raise
        except InnominatusError as error:
            return failed(_noted(name, error))
        except Exception as error:  # noqa: BLE001 # the door's one place where the unexpected becomes an answer
            return failed(_understood(name, error))

    def _tool(self, name: str) -> Tool:
        found = self._offered.get(name)
        if found is None:
            raise NotFound("tool", name[:80], known=self._offered, hint="" if nearest(name, self._offered) else _ALL)
        return found


def _understood(name: str, error: Exception) -> InnominatusError:
    """What a tool's failure was; what nobody expected is logged, and told without its text."""
    cause = error.__cause__ if isinstance(error, ToolError) else error
    if isinstance(cause, InnominatusError):
        return _noted(name, cause)
    if isinstance(cause, ValidationError) and not isinstance(error, UnexpectedToolError):
        return rejected(name, cause)
    log.error("mcp.tool-crashed", tool=name, **_traced(cause or error))
    return Internal(f"`{name}` failed inside innominatus; the server's log has the details.")


def _noted(name: str, error: InnominatusError) -> InnominatusError:
    if isinstance(error, DatabaseAway):
        log.warning("mcp.database-away", tool=name, error=in_short(error))
    return error


def _traced(error: BaseException) -> dict[str, str]:
    """Where it happened and what, without local variables or statement parameters: they may hold secrets."""
    first, *_ = str(error).splitlines() or [""]
    where = "".join(traceback.format_tb(error.__traceback__))
    return {"error": f"{type(error).__name__}: {first[:300]}", "stack": where}


def create_server(
    platform: Platform | Callable[[], Platform],
    *,
    actor: Callable[[], Actor] | Actor,
    listed: Callable[[], None] = lambda: None,
) -> PlatformServer:
    """The server over a platform, or over one that is still coming: then the first call of a tool waits for it.

    `actor` says who calls, at each call; `listed` is called when a client asks for the tools.
    """
    who = (lambda: actor) if isinstance(actor, Actor) else actor
    get = (lambda: platform) if isinstance(platform, Platform) else platform
    house = House(get, who, Bells(lambda: get().store.hints))
    catalog, runs, things, specs = CatalogTools(house), RunTools(house), ResourceTools(house), SpecTools(house)
    return PlatformServer(
        [
            _Offer(catalog.list_golden_paths, schemas.LIST),
            _Offer(catalog.list_providers, schemas.LIST),
            _Offer(catalog.get_provider_details, schemas.PROVIDER),
            _Offer(runs.execute_workflow, schemas.STARTED, _CHANGES),
            _Offer(runs.get_workflow_status, schemas.STATUS),
            _Offer(runs.list_workflow_executions, schemas.LIST),
            _Offer(things.list_resources, schemas.LIST),
            _Offer(things.get_resource_details, schemas.RESOURCE),
            _Offer(specs.list_specs, schemas.LIST),
            _Offer(specs.submit_spec, schemas.SUBMISSION, _CHANGES),
        ],
        listed=listed,
        ready=None if isinstance(platform, Platform) else get,
    )


def _tool(offer: _Offer) -> Tool:
    made = Tool.from_function(offer.run, annotations=offer.annotations, structured_output=False)
    made.description = " ".join(made.description.split())
    made.parameters = _compact(made.parameters)
    made.fn_metadata.output_schema = dict(offer.output)
    return made


def _compact(schema: Mapping[str, object]) -> dict[str, object]:
    """A tool's input schema without what says nothing: titles, and empty texts as defaults."""
    properties = cast("Mapping[str, Mapping[str, object]]", schema.get("properties", {}))
    kept = {name: _said(declared) for name, declared in properties.items()}
    required = {"required": schema["required"]} if "required" in schema else {}
    return {"type": "object", "properties": kept, **required, "additionalProperties": False}


def _said(declared: Mapping[str, object]) -> dict[str, object]:
    said = {key: value for key, value in declared.items() if key not in {"title", "anyOf"}}
    for choice in cast("list[dict[str, object]]", declared.get("anyOf", [])):
        if choice.get("type") != "null":
            said |= choice
    return {key: value for key, value in said.items() if key != "default" or value not in ("", None)}


def _properties(tool: Tool) -> list[str]:
    return list(cast("Mapping[str, object]", tool.parameters["properties"]))


def _required(tool: Tool) -> list[str]:
    return list(cast("list[str]", tool.parameters.get("required", [])))
