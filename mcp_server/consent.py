"""A person's consent to a plan that destroys something, asked for through the client where it can ask.

Where it cannot, the model makes a dry run, shows the plan, and calls again with its hash: the way that always works.
"""

from typing import Final

from mcp.server.mcpserver import Context
from mcp.shared.exceptions import NoBackChannelError
from mcp_types import ElicitRequest, ElicitRequestFormParams, ElicitResult, InputRequiredResult
from mcp_types.version import LATEST_MODERN_VERSION, is_version_at_least

from engine.errors import Conflict, Denied
from mcp_server.answers import clean

Call = Context[object, object]
_QUESTION: Final = "consent"
_MOST_ITEMS, _LONGEST = 15, 200
_SCHEMA: Final[dict[str, object]] = {
    "type": "object",
    "properties": {"apply": {"type": "boolean", "title": "Apply this plan", "default": False}},
    "required": ["apply"],
}
_DECLINED = "The person did not agree to the plan: nothing was changed."


def wanted(error: BaseException | None, context: Call) -> Conflict | None:
    """The refusal, if it is one that a person can lift and the client can ask."""
    if not isinstance(error, Conflict) or error.code != "plan_hash_required":
        return None
    capabilities = context.client_capabilities
    elicitation = capabilities.elicitation if capabilities else None
    forms = elicitation is not None and (elicitation.form is not None or elicitation.url is None)
    return error if forms else None


async def ask(refused: Conflict, context: Call) -> str | InputRequiredResult | None:
    """The hash of the plan that the person agreed to, or what the client is to ask first; None when nobody can ask.

    Raises Denied when they did not agree. The question names what the plan would do, so the hash covers what was seen.
    """
    plan_hash = str(refused.details["plan_hash"])
    params = ElicitRequestFormParams(message=_question(refused), requested_schema=_SCHEMA)
    if is_version_at_least(context.protocol_version or "", LATEST_MODERN_VERSION):
        return InputRequiredResult(
            input_requests={_QUESTION: ElicitRequest(params=params)}, request_state=f"{_QUESTION}:{plan_hash}"
        )
    try:
        answer = await context.session.elicit_form(
            params.message, params.requested_schema, related_request_id=context.request_id
        )
    except NoBackChannelError:
        return None
    return _agreed(answer, plan_hash)


def given(context: Call) -> str:
    """The plan hash that a client's second call brings; empty for a first call. Raises Denied."""
    kind, _, plan_hash = (context.request_state or "").partition(":")
    answer = (context.input_responses or {}).get(_QUESTION)
    if kind != _QUESTION or not isinstance(answer, ElicitResult):
        return ""
    return _agreed(answer, plan_hash)


def _agreed(answer: ElicitResult, plan_hash: str) -> str:
    if answer.action == "accept" and (answer.content or {}).get("apply") is True:
        return plan_hash
    raise Denied(_DECLINED, code="declined", hint="Ask the person what they want instead.")


def _question(refused: Conflict) -> str:
    found = refused.details.get("items")
    every = [str(item) for item in found] if isinstance(found, list) else []  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType] # details are for machines, untyped
    items = [item for item in every if not item.startswith("unchanged ")]
    shown = [f"- {str(clean(' '.join(item.split())))[:_LONGEST]}" for item in items[:_MOST_ITEMS]]
    more = [f"- and {len(items) - _MOST_ITEMS} more"] if len(items) > _MOST_ITEMS else []
    return "\n".join([f"This plan destroys something: {refused.details['summary']}.", *shown, *more])
