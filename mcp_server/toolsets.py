"""Which tools a client is offered: what the operator allows, narrowed by what the client asks for."""

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from engine.config import Settings
from engine.errors import Invalid, Problem, nearest, quoted


class Toolset(StrEnum):
    CORE = "core"
    """The ten tools."""
    OPERATE = "operate"
    """Retry, cancel, delete, and look around."""
    AUTHOR = "author"
    """For whoever writes a provider."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The toolsets offered; `read_only` leaves out every tool that writes."""

    toolsets: frozenset[Toolset] = frozenset({Toolset.CORE})
    read_only: bool = False

    def offers(self, kind: "ToolKind") -> bool:
        return kind.toolset in self.toolsets and not (kind.writes and self.read_only)

    def narrowed(self, toolsets: frozenset[Toolset] | None, *, read_only: bool) -> "Selection":
        """What is left when a client asks for these (None: for no others); never more than before."""
        kept = self.toolsets if toolsets is None else self.toolsets & toolsets
        return Selection(kept, self.read_only or read_only)


@dataclass(frozen=True, slots=True)
class ToolKind:
    """What a tool is, for those who decide whether to offer or to allow it."""

    toolset: Toolset = Toolset.CORE
    writes: bool = False
    destroys: bool = False
    """It may delete or overwrite something."""
    repeatable: bool = True
    """The same call twice does no more than once."""


_RUNS = ToolKind(writes=True, destroys=True, repeatable=False)
TOOLS: Final[Mapping[str, ToolKind]] = {
    "list_golden_paths": ToolKind(),
    "list_providers": ToolKind(),
    "get_provider_details": ToolKind(),
    "execute_workflow": _RUNS,
    "get_workflow_status": ToolKind(),
    "list_workflow_executions": ToolKind(),
    "list_resources": ToolKind(),
    "get_resource_details": ToolKind(),
    "list_specs": ToolKind(),
    "submit_spec": _RUNS,
    "retry": ToolKind(Toolset.OPERATE, writes=True, repeatable=False),
    "cancel": ToolKind(Toolset.OPERATE, writes=True, destroys=True),
    "delete_application": ToolKind(Toolset.OPERATE, writes=True, destroys=True),
    "delete_resource": ToolKind(Toolset.OPERATE, writes=True, destroys=True),
    "get_graph": ToolKind(Toolset.OPERATE),
    "list_events": ToolKind(Toolset.OPERATE),
    "validate_provider": ToolKind(Toolset.AUTHOR),
    "explain_capability": ToolKind(Toolset.AUTHOR),
}
"""Every tool there is, in the order in which they are listed."""

TOOLSETS_HEADER: Final = "X-MCP-Toolsets"
READ_ONLY_HEADER: Final = "X-MCP-Readonly"

CURRENT: Final[ContextVar[Selection]] = ContextVar("mcp_selection", default=Selection(frozenset(Toolset)))  # noqa: B039 - it is frozen
"""The selection of the request at hand; outside of requests there is no limit."""


def enabled(tool: str) -> bool:
    """Whether the client at hand may call the tool."""
    kind = TOOLS.get(tool)
    return kind is not None and CURRENT.get().offers(kind)


def parse_toolsets(text: str) -> frozenset[Toolset]:
    """`core,operate`, or `all`. Raises Invalid with every name that is none."""
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    if names == ["all"]:
        return frozenset(Toolset)
    known = [toolset.value for toolset in Toolset]
    problems = [_unknown(name, known) for name in names if name not in known]
    if problems or not names:
        hint = f"Toolsets are {quoted(known)}, separated by commas, or `all`."
        raise Invalid("These are no toolsets.", problems, code="unknown_toolset", hint=hint)
    return frozenset(Toolset(name) for name in names)


def _unknown(name: str, known: list[str]) -> Problem:
    close = nearest(name, known, most=1)
    return Problem("unknown_toolset", name[:40], "is no toolset", f"did you mean {quoted(close)}?" if close else "")


def selection_of(settings: Settings) -> Selection:
    """What the operator allows. Raises Invalid."""
    return Selection(parse_toolsets(settings.mcp_toolsets), settings.mcp_read_only)


def asked_for(selection: Selection, headers: Mapping[str, str] | None) -> Selection:
    """The selection narrowed by a request's headers. Raises Invalid when they name no toolsets."""
    given = headers or {}
    named = given.get(TOOLSETS_HEADER) or ""
    wanted = parse_toolsets(named) if named.strip() else None
    strict = (given.get(READ_ONLY_HEADER) or "").strip().lower() in {"1", "true", "yes"}
    return selection.narrowed(wanted, read_only=strict)
