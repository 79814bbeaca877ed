"""A function as a tool that is advertised: its description, schemas and annotations, within a client's budget."""

from collections.abc import Callable, Mapping
from typing import NamedTuple, cast

from mcp.server.mcpserver.tools import Tool
from mcp_types import ToolAnnotations

from engine.domain.values import JsonObject
from mcp_server.toolsets import TOOLS, ToolKind


class Offer(NamedTuple):
    """A tool before it is made: its function, which has its name, and the schema of its answer."""

    run: Callable[..., object]
    output: JsonObject


def made(offer: Offer) -> Tool:
    """The tool. Its kind stands in `TOOLS`."""
    name = offer.run.__name__
    tool = Tool.from_function(offer.run, annotations=_annotations(TOOLS[name]), structured_output=False)
    tool.description = " ".join(tool.description.split())
    tool.parameters = _compact(tool.parameters)
    tool.fn_metadata.output_schema = dict(offer.output)
    return tool


def _annotations(kind: ToolKind) -> ToolAnnotations:
    """All four hints: gateways hide tools that leave one out."""
    return ToolAnnotations(
        read_only_hint=not kind.writes,
        destructive_hint=kind.destroys,
        idempotent_hint=kind.repeatable,
        open_world_hint=kind.writes,
    )


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
