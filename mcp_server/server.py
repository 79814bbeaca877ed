"""The MCP door: tools over the services, in both protocol eras."""

import traceback
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from typing import cast

import anyio
import structlog
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError, ToolError, UnexpectedToolError
from mcp.server.mcpserver.tools import Tool
from mcp.server.request_state import RequestStateSecurity
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    CallToolResult,
    Completion,
    CompletionArgument,
    CompletionContext,
    GetPromptResult,
    InputRequiredResult,
    PromptReference,
    Resource,
    ResourceTemplate,
    ResourceTemplateReference,
)
from mcp_types import Tool as AdvertisedTool
from pydantic import AnyUrl, ValidationError

from engine.domain.values import Actor, JsonObject
from engine.errors import Denied, InnominatusError, Internal, Invalid, NotFound, nearest, quoted
from engine.services.bells import Bells
from engine.services.platform import Platform
from engine.store.away import DatabaseAway, in_short
from mcp_server import consent, library, schemas
from mcp_server.answers import answered, one_line
from mcp_server.arguments import refused, rejected, tidied
from mcp_server.errors import failed
from mcp_server.house import House, aside
from mcp_server.instructions import instructions
from mcp_server.library import Library
from mcp_server.notices import Notices
from mcp_server.offers import Offer, made
from mcp_server.prompts import Prompts
from mcp_server.tools.authoring import AuthorTools
from mcp_server.tools.catalog import CatalogTools
from mcp_server.tools.operations import OperateTools
from mcp_server.tools.runs import RunTools
from mcp_server.tools.specs import SpecTools
from mcp_server.tools.things import ResourceTools
from mcp_server.toolsets import CURRENT, TOOLS, Selection, ToolKind, asked_for, enabled
from mcp_server.watches import Watches, offer

log = structlog.get_logger(__name__)

_ALL = "tools/list names the tools."
_MOST_COMPLETIONS = 100


class PlatformServer(MCPServer[object]):
    """An MCP server whose answers and errors are all ours: nothing of an exception reaches the client unasked."""

    def __init__(
        self,
        house: House,
        offers: list[Offer],
        *,
        selection: Selection,
        listed: Callable[[], None],
        ready: Callable[[], object] | None,
        state_key: str = "",
    ) -> None:
        self._library = Library(house)
        self._notices = Notices(house)
        self._selection = selection
        self._listed = listed
        self._ready = ready
        every = {offer.run.__name__: offer for offer in offers}
        self._tools = {name: made(every[name]) for name, kind in TOOLS.items() if selection.offers(kind)}
        super().__init__(
            "innominatus",
            title="innominatus",
            version=version("innominatus"),
            instructions=instructions(selection),
            tools=list(self._tools.values()),
            log_level="WARNING",
            subscriptions=self._notices,
            middleware=[self._narrowed],
            request_state_security=RequestStateSecurity(keys=[state_key]) if state_key else None,
        )
        for prompt in Prompts(house).all():
            self.add_prompt(prompt)
        self.completion()(self._complete)

    async def run_stdio_async(self) -> None:
        """With subscriptions for clients of the handshake era: this transport has one client, and keeps it."""
        async with anyio.create_task_group() as tasks:
            watches = Watches(tasks, self._notices.follow)
            offer(self._lowlevel_server, lambda _: watches, check=self._watchable)
            await super().run_stdio_async()
            tasks.cancel_scope.cancel()

    async def _watchable(self, uri: str) -> None:
        try:
            library.parse(uri)
        except InnominatusError as error:
            raise MCPError(INVALID_PARAMS, _line(error)) from error
        await self._get_ready()

    async def _narrowed(self, ctx: ServerRequestContext[object, object], call_next: CallNext) -> HandlerResult:
        """Around every message: what this client is offered."""
        headers = getattr(ctx.request, "headers", None)
        try:
            selection = asked_for(self._selection, headers)
        except Invalid as error:
            raise MCPError(INVALID_PARAMS, f"{error.message} {error.hint}") from None
        token = CURRENT.set(selection)
        try:
            return await call_next(ctx)
        finally:
            CURRENT.reset(token)

    async def list_tools(self) -> list[AdvertisedTool]:
        self._listed()
        return [tool for tool in await super().list_tools() if enabled(tool.name)]

    async def list_resources(self) -> list[Resource]:
        await self._get_ready()
        return await aside(self._library.listed)

    async def list_resource_templates(self) -> list[ResourceTemplate]:
        return library.templates()

    async def read_resource(
        self, uri: AnyUrl | str, context: Context[object, object] | None = None
    ) -> Iterable[ReadResourceContents]:
        """Raises ResourceError in our words: the client sees its text."""
        del context
        try:
            at = library.parse(str(uri))
            await self._get_ready()
            text = await aside(self._library.read, at)
        except NotFound as error:
            raise ResourceNotFoundError(_line(error)) from error
        except InnominatusError as error:
            raise ResourceError(_line(error)) from error
        return [ReadResourceContents(content=text, mime_type=library.KINDS[at.kind].mime_type)]

    async def get_prompt(
        self, name: str, arguments: dict[str, str] | None = None, context: Context[object, object] | None = None
    ) -> GetPromptResult | InputRequiredResult:
        """Raises MCPError in our words."""
        prompts = self._prompt_manager.list_prompts()
        found = next((prompt for prompt in prompts if prompt.name == name), None)
        if found is None:
            raise MCPError(INVALID_PARAMS, _line(NotFound("prompt", name[:80], known=[one.name for one in prompts])))
        missing = [one.name for one in found.arguments or () if one.required and not (arguments or {}).get(one.name)]
        if missing:
            raise MCPError(INVALID_PARAMS, f"The prompt `{name}` needs {quoted(missing)}.")
        await self._get_ready()
        return await super().get_prompt(name, arguments, context)

    async def _complete(
        self,
        ref: PromptReference | ResourceTemplateReference,
        argument: CompletionArgument,
        context: CompletionContext | None,
    ) -> Completion:
        await self._get_ready()
        others = dict(context.arguments or {}) if context else {}
        if isinstance(ref, ResourceTemplateReference):
            others["template"] = ref.uri
        found = await aside(self._library.completed, argument.name, argument.value, others)
        return Completion(values=found[:_MOST_COMPLETIONS], total=len(found), has_more=len(found) > _MOST_COMPLETIONS)

    async def _get_ready(self) -> None:
        if self._ready is not None:
            await aside(self._ready)
            self._ready = None

    async def call_tool(
        self, name: str, arguments: dict[str, object], context: Context[object, object] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """Run a tool. Every failure but a protocol error becomes a result that the model reads."""
        try:
            tool = self._tool(name)
            given = tidied(
                name, arguments, known=_properties(tool), required=_required(tool), model=tool.fn_metadata.arg_model
            )
            await self._get_ready()
            answer = await self._run(tool, given, context or Context(mcp_server=self))
            return answer if isinstance(answer, InputRequiredResult) else answered(answer)
        except MCPError:
            raise
        except InnominatusError as error:
            return failed(_noted(name, error), tool=name, given=arguments)
        except Exception as error:  # noqa: BLE001 # the door's one place where the unexpected becomes an answer
            return failed(_understood(name, error), tool=name, given=arguments)

    async def _run(
        self, tool: Tool, given: dict[str, object], context: Context[object, object]
    ) -> JsonObject | InputRequiredResult:
        """Run it, asking the person through the client where that can lift the refusal."""
        agreed: str | InputRequiredResult | None = consent.given(context) if "plan_hash" in _properties(tool) else ""
        try:
            return cast("JsonObject", await tool.run(given | ({"plan_hash": agreed} if agreed else {}), context))
        except ToolError as error:
            refused = consent.wanted(error.__cause__, context)
            agreed = await consent.ask(refused, context) if refused else None
            if agreed is None:
                raise
        if isinstance(agreed, InputRequiredResult):
            return agreed
        return cast("JsonObject", await tool.run({**given, "plan_hash": agreed}, context))

    def _tool(self, name: str) -> Tool:
        offered = [known for known in self._tools if enabled(known)]
        if name in offered:
            return self._tools[name]
        if name in TOOLS:
            raise Denied(f"`{name}` is not offered here.", code="tool_not_offered", hint=_why_not(TOOLS[name]))
        raise NotFound("tool", name[:80], known=offered, hint="" if nearest(name, offered) else _ALL)


def _line(error: InnominatusError) -> str:
    return one_line(f"{error.message} {error.hint}")


def _why_not(kind: ToolKind) -> str:
    if kind.writes and CURRENT.get().read_only:
        return "This server only reads for you; a person makes changes, with innominatus-ctl for instance."
    return (
        f"A person adds the toolset `{kind.toolset}` with --toolsets, here and for `innominatus serve` if that runs: "
        "what it was started with is the most that any client gets."
    )


def _understood(name: str, error: Exception) -> InnominatusError:
    """What a tool's failure was; what nobody expected is logged, and told without its text."""
    cause = error.__cause__ if isinstance(error, ToolError) else error
    if isinstance(cause, InnominatusError):
        return _noted(name, cause)
    if isinstance(cause, ValidationError) and not isinstance(error, UnexpectedToolError):
        return refused(name, rejected(cause))
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
    selection: Selection = Selection(),  # noqa: B008 - it is frozen
    listed: Callable[[], None] = lambda: None,
    kind: type[PlatformServer] = PlatformServer,
) -> PlatformServer:
    """The server over a platform, or over one that is still coming: then the first call of a tool waits for it.

    `actor` says who calls, at each call; `selection` is the most that any client is offered; `listed` is called when a
    client asks for the tools; `kind` may be one that adds something.
    """
    who = (lambda: actor) if isinstance(actor, Actor) else actor
    get = (lambda: platform) if isinstance(platform, Platform) else platform
    house = House(get, who, Bells(lambda: get().store.hints))
    catalog, runs, things, specs = CatalogTools(house), RunTools(house), ResourceTools(house), SpecTools(house)
    operate, author = OperateTools(house), AuthorTools(house)
    return kind(
        house,
        [
            Offer(catalog.list_golden_paths, schemas.LIST),
            Offer(catalog.list_providers, schemas.LIST),
            Offer(catalog.get_provider_details, schemas.PROVIDER),
            Offer(runs.execute_workflow, schemas.STARTED),
            Offer(runs.get_workflow_status, schemas.STATUS),
            Offer(runs.list_workflow_executions, schemas.LIST),
            Offer(things.list_resources, schemas.LIST),
            Offer(things.get_resource_details, schemas.RESOURCE),
            Offer(specs.list_specs, schemas.LIST),
            Offer(specs.submit_spec, schemas.SUBMISSION),
            Offer(operate.retry, schemas.STATUS),
            Offer(operate.cancel, schemas.STATUS),
            Offer(specs.delete_application, schemas.SUBMISSION),
            Offer(things.delete_resource, schemas.SUBMISSION),
            Offer(operate.get_graph, schemas.GRAPH),
            Offer(operate.list_events, schemas.LIST),
            Offer(author.validate_provider, schemas.VERDICT),
            Offer(author.explain_capability, schemas.CAPABILITY),
        ],
        selection=selection,
        listed=listed,
        ready=None if isinstance(platform, Platform) else get,
        # The same in every process of an installation: what one has asked, another may be answered.
        state_key=platform.store.sealer.fingerprint(b"mcp request state") if isinstance(platform, Platform) else "",
    )


def _properties(tool: Tool) -> list[str]:
    return list(cast("Mapping[str, object]", tool.parameters["properties"]))


def _required(tool: Tool) -> list[str]:
    return list(cast("list[str]", tool.parameters.get("required", [])))
