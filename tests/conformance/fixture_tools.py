"""Tools that the conformance suites call: each answers what the suite's description of it says."""

from typing import Annotated, Final

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.tools import Tool
from mcp.shared.exceptions import MCPError
from mcp_types import (
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    AudioContent,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    TextContent,
    TextResourceContents,
)
from pydantic import Field

Call = Context[object, object]

PNG: Final = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="  # one pixel
)
WAV: Final = "UklGRiUAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQEAAACA"  # one sample
SCHEMA_TOOL: Final = "json_schema_2020_12_tool"
SCHEMA: Final[dict[str, object]] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}


def test_simple_text() -> str:
    """Answer with a text."""
    return "This is a simple text response for testing."


def test_image_content() -> list[ContentBlock]:
    """Answer with an image."""
    return [ImageContent(data=PNG, mime_type="image/png")]


def test_audio_content() -> list[ContentBlock]:
    """Answer with a sound."""
    return [AudioContent(data=WAV, mime_type="audio/wav")]


def test_embedded_resource() -> list[ContentBlock]:
    """Answer with a resource."""
    return [_embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")]


def test_multiple_content_types() -> list[ContentBlock]:
    """Answer with a text, an image and a resource."""
    return [
        TextContent(text="Multiple content types test:"),
        ImageContent(data=PNG, mime_type="image/png"),
        _embedded("test://mixed-content-resource", "application/json", '{"test":"data","value":123}'),
    ]


def _embedded(uri: str, mime_type: str, text: str) -> EmbeddedResource:
    return EmbeddedResource(resource=TextResourceContents(uri=uri, mime_type=mime_type, text=text))


def test_error_handling() -> str:
    """Fail."""
    raise ToolError("This tool intentionally returns an error for testing")


async def test_tool_with_logging(ctx: Call) -> str:
    """Tell three log messages while it runs."""
    for message in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await _log(ctx, message)
    return "Three messages were told."


async def test_logging_tool(ctx: Call) -> str:
    """Tell a log message to clients that asked for some."""
    await _log(ctx, "Told only to who asks")
    return "Told to who asks."


async def _log(ctx: Call, message: str) -> None:
    await ctx.info(message)  # pyright: ignore[reportDeprecated] # clients of earlier versions still listen


async def test_tool_with_progress(ctx: Call) -> str:
    """Tell its progress while it runs."""
    for done in (0, 50, 100):
        await ctx.report_progress(done, 100, f"Completed {done} of 100")
    return "Three reports were told."


async def test_reconnection(ctx: Call) -> str:
    """Close the stream before the answer, which a client that comes back is given."""
    await ctx.close_sse_stream()
    return "The answer was there when the client came back."


def test_missing_capability(ctx: Call) -> str:
    """Refuse clients that cannot sample."""
    if ctx.client_capabilities is None or ctx.client_capabilities.sampling is None:
        needed: dict[str, object] = {"requiredCapabilities": {"sampling": {}}}
        raise MCPError(MISSING_REQUIRED_CLIENT_CAPABILITY, "This tool needs the capability `sampling`.", needed)
    return "The client can sample."


async def test_trigger_tool_change(ctx: Call) -> str:
    """Say that the tools have changed."""
    await ctx.notify_tools_changed()
    return "Said."


async def test_trigger_prompt_change(ctx: Call) -> str:
    """Say that the prompts have changed."""
    await ctx.notify_prompts_changed()
    return "Said."


def test_header_parameter(
    region: Annotated[str, Field(description="Also a header.", json_schema_extra={"x-mcp-header": "Region"})],
) -> str:
    """Take an argument that proxies read from a header."""
    return f"The region is {region}."


def _with_a_rich_schema() -> str:
    """Keep every keyword of JSON Schema 2020-12."""
    return "Kept."


def tools() -> list[Tool]:
    """All of them."""
    plain = (
        test_simple_text,
        test_image_content,
        test_audio_content,
        test_embedded_resource,
        test_multiple_content_types,
        test_error_handling,
        test_tool_with_logging,
        test_logging_tool,
        test_tool_with_progress,
        test_reconnection,
        test_missing_capability,
        test_trigger_tool_change,
        test_trigger_prompt_change,
        test_header_parameter,
    )
    rich = Tool.from_function(_with_a_rich_schema, name=SCHEMA_TOOL, structured_output=False)
    rich.parameters = SCHEMA
    return [*(Tool.from_function(run, structured_output=False) for run in plain), rich]
