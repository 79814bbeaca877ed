"""Tools and a prompt that ask the client something: by requests of the server, and by answers that want more input."""

import json
from collections.abc import Mapping
from typing import Final

from mcp.server.mcpserver.prompts import Prompt
from mcp.server.mcpserver.tools import Tool
from mcp_types import (
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequiredResult,
    ListRootsRequest,
    ListRootsResult,
    SamplingMessage,
    TextContent,
)

from tests.conformance.fixture_tools import Call

Schema = Mapping[str, object]
Asked = CreateMessageRequest | ElicitRequest | ListRootsRequest

_TEXT: Final[Schema] = {"type": "string"}
_YES: Final[Schema] = {"type": "boolean"}
_DEFAULTS: Final[Mapping[str, Schema]] = {
    "name": {"type": "string", "default": "John Doe"},
    "age": {"type": "integer", "default": 30},
    "score": {"type": "number", "default": 95.5},
    "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
    "verified": {"type": "boolean", "default": True},
}
_OPTIONS: Final = ["option1", "option2", "option3"]
_CHOICES: Final = [{"const": f"value{n}", "title": f"{word} Option"} for n, word in enumerate(("First", "Second"), 1)]
_ENUMS: Final[Mapping[str, Schema]] = {
    "untitledSingle": {"type": "string", "enum": _OPTIONS},
    "titledSingle": {"type": "string", "oneOf": _CHOICES},
    "legacyEnum": {"type": "string", "enum": ["opt1", "opt2"], "enumNames": ["Option One", "Option Two"]},
    "untitledMulti": {"type": "array", "items": {"type": "string", "enum": _OPTIONS}},
    "titledMulti": {"type": "array", "items": {"anyOf": _CHOICES}},
}


async def test_sampling(prompt: str, ctx: Call) -> str:
    """Ask the client's model."""
    asked = ctx.session.create_message(  # pyright: ignore[reportDeprecated] # clients of earlier versions still sample
        [_said(prompt)], max_tokens=100, related_request_id=ctx.request_id
    )
    return f"LLM response: {_text(await asked)}"


async def test_elicitation(message: str, ctx: Call) -> str:
    """Ask the person."""
    described = {"username": "User's response", "email": "User's email address"}
    schema = _schema({name: {"type": "string", "description": says} for name, says in described.items()})
    return f"User response: {await _elicited(ctx, message, schema)}"


async def test_elicitation_sep1034_defaults(ctx: Call) -> str:
    """Ask the person with defaults."""
    schema = _schema(_DEFAULTS, required=False)
    return f"Elicitation completed: {await _elicited(ctx, 'Please check these values', schema)}"


async def test_elicitation_sep1330_enums(ctx: Call) -> str:
    """Ask the person to choose."""
    schema = _schema(_ENUMS, required=False)
    return f"Elicitation completed: {await _elicited(ctx, 'Please choose', schema)}"


async def _elicited(ctx: Call, message: str, schema: dict[str, object]) -> str:
    answer = await ctx.session.elicit_form(message, schema, related_request_id=ctx.request_id)
    return f"action={answer.action}, content={json.dumps(answer.content)}"


def test_streaming_elicitation() -> InputRequiredResult:
    """Ask the person within the answer."""
    return InputRequiredResult(input_requests={"confirm": _form("Please confirm", ok=_YES)})


def test_input_required_result_elicitation(ctx: Call) -> str | InputRequiredResult:
    """Greet the person by name, which is asked for."""
    name = _field(ctx, "user_name", "name")
    return f"Hello, {name}!" if name else _wanted(user_name=_form("What is your name?", name=_TEXT))


def test_input_required_result_sampling(ctx: Call) -> str | InputRequiredResult:
    """Answer what the client's model says."""
    answer = (ctx.input_responses or {}).get("capital_question")
    if isinstance(answer, CreateMessageResult):
        return _text(answer)
    return _wanted(capital_question=_sampling("What is the capital of France?", 100))


def test_input_required_result_list_roots(ctx: Call) -> str | InputRequiredResult:
    """Name the client's roots."""
    answer = (ctx.input_responses or {}).get("client_roots")
    if isinstance(answer, ListRootsResult):
        return f"Roots: {[str(root.uri) for root in answer.roots]}"
    return _wanted(client_roots=ListRootsRequest())


def test_input_required_result_request_state(ctx: Call) -> str | InputRequiredResult:
    """See its own state come back."""
    if ctx.request_state == "asked" and _field(ctx, "confirm", "ok"):
        return "state-ok"
    return _wanted("asked", confirm=_form("Please confirm", ok=_YES))


def test_input_required_result_tampered_state(ctx: Call) -> str | InputRequiredResult:
    """See that nobody has changed its state."""
    return test_input_required_result_request_state(ctx)


def test_input_required_result_multiple_inputs(ctx: Call) -> str | InputRequiredResult:
    """Ask three things at once."""
    asked: dict[str, Asked] = {
        "user_name": _form("What is your name?", name=_TEXT),
        "greeting": _sampling("Generate a greeting", 50),
        "client_roots": ListRootsRequest(),
    }
    if ctx.request_state == "asked" and asked.keys() <= (ctx.input_responses or {}).keys():
        return "All three are answered."
    return _wanted("asked", **asked)


def test_input_required_result_multi_round(ctx: Call) -> str | InputRequiredResult:
    """Ask one thing after the other."""
    if ctx.request_state is None:
        return _wanted("first", step1=_form("Step 1: What is your name?", name=_TEXT))
    if ctx.request_state == "first":
        name = _field(ctx, "step1", "name")
        return _wanted(f"second {name}", step2=_form("Step 2: What is your favorite color?", color=_TEXT))
    return f"{ctx.request_state.removeprefix('second ')} likes {_field(ctx, 'step2', 'color')}."


def test_input_required_result_capabilities(ctx: Call) -> InputRequiredResult:
    """Ask only what the client can answer."""
    able = ctx.client_capabilities
    asked: dict[str, Asked] = {}
    if able is not None and able.elicitation is not None:
        asked["user_name"] = _form("What is your name?", name=_TEXT)
    if able is not None and able.sampling is not None:
        asked["greeting"] = _sampling("Generate a greeting", 50)
    return _wanted(**asked)


def test_input_required_result_prompt(ctx: Call) -> str | InputRequiredResult:
    """A prompt over what the person says."""
    context = _field(ctx, "user_context", "context")
    if context:
        return f"Use this context: {context}"
    return _wanted(user_context=_form("What context should the prompt use?", context=_TEXT))


def _wanted(state: str | None = None, /, **asked: Asked) -> InputRequiredResult:
    return InputRequiredResult(input_requests=asked, request_state=state)


def _form(message: str, **properties: Schema) -> ElicitRequest:
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=_schema(properties)))


def _schema(properties: Mapping[str, Schema], *, required: bool = True) -> dict[str, object]:
    return {"type": "object", "properties": dict(properties), **({"required": list(properties)} if required else {})}


def _sampling(text: str, most: int) -> CreateMessageRequest:
    return CreateMessageRequest(params=CreateMessageRequestParams(messages=[_said(text)], max_tokens=most))


def _said(text: str) -> SamplingMessage:
    return SamplingMessage(role="user", content=TextContent(text=text))


def _text(answer: CreateMessageResult) -> str:
    return answer.content.text if isinstance(answer.content, TextContent) else answer.content.type


def _field(ctx: Call, question: str, name: str) -> object:
    """What the person has put there; None when they were not asked or did not agree."""
    answer = (ctx.input_responses or {}).get(question)
    return (answer.content or {}).get(name) if isinstance(answer, ElicitResult) else None


def tools() -> list[Tool]:
    """All of them."""
    every = (
        test_sampling,
        test_elicitation,
        test_elicitation_sep1034_defaults,
        test_elicitation_sep1330_enums,
        test_streaming_elicitation,
        test_input_required_result_elicitation,
        test_input_required_result_sampling,
        test_input_required_result_list_roots,
        test_input_required_result_request_state,
        test_input_required_result_tampered_state,
        test_input_required_result_multiple_inputs,
        test_input_required_result_multi_round,
        test_input_required_result_capabilities,
    )
    return [Tool.from_function(run, structured_output=False) for run in every]


def prompts() -> list[Prompt]:
    """The one that asks."""
    return [Prompt.from_function(test_input_required_result_prompt, description="Asks for its context.")]
