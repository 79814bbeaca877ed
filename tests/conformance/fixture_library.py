"""Resources and prompts that the conformance suites read."""

import base64
import json
from typing import Annotated

from mcp.server.mcpserver.prompts import Prompt
from mcp.server.mcpserver.prompts.base import Message, UserMessage
from mcp.server.mcpserver.resources import BinaryResource, Resource, TextResource
from mcp_types import EmbeddedResource, ImageContent, TextResourceContents
from pydantic import Field

from tests.conformance.fixture_tools import PNG

TEMPLATE = "test://template/{id}/data"


def resources() -> list[Resource]:
    """All of them."""
    return [
        TextResource(
            uri="test://static-text",
            name="static-text",
            description="A text.",
            text="This is the content of the static text resource.",
        ),
        BinaryResource(
            uri="test://static-binary",
            name="static-binary",
            description="An image.",
            mime_type="image/png",
            data=base64.b64decode(PNG),
        ),
        TextResource(uri="test://watched-resource", name="watched", description="To subscribe to.", text="Watched."),
    ]


def data_of(id: str) -> str:
    """What stands at the template."""
    return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})


def test_simple_prompt() -> str:
    """A prompt without arguments."""
    return "This is a simple prompt for testing."


def test_prompt_with_arguments(
    arg1: Annotated[str, Field(description="First test argument")],
    arg2: Annotated[str, Field(description="Second test argument")],
) -> str:
    """A prompt with two arguments."""
    return f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"


def test_prompt_with_embedded_resource(
    resourceUri: Annotated[str, Field(description="URI of the resource to embed")],  # noqa: N803 - the suite's word
) -> list[Message]:
    """A prompt that brings a resource."""
    text = "Embedded resource content for testing."
    content = TextResourceContents(uri=resourceUri, mime_type="text/plain", text=text)
    return [
        UserMessage(EmbeddedResource(resource=content)),
        UserMessage("Please process the embedded resource above."),
    ]


def test_prompt_with_image() -> list[Message]:
    """A prompt that brings an image."""
    return [UserMessage(ImageContent(data=PNG, mime_type="image/png")), UserMessage("Please analyze the image above.")]


def prompts() -> list[Prompt]:
    """All of them."""
    every = (
        test_simple_prompt,
        test_prompt_with_arguments,
        test_prompt_with_embedded_resource,
        test_prompt_with_image,
    )
    return [Prompt.from_function(run) for run in every]
