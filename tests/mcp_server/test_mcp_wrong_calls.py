"""Whether an error says enough for its reader to correct the call, in one step."""

import json
import re

import pytest
from mcp.client import Client

from engine.services.platform import Platform
from mcp_server.server import create_server
from mcp_server.toolsets import TOOLS, Selection, Toolset
from tests.mcp_server import wrong_calls
from tests.mcp_server.conftest import AGENT, Answer, Caller
from tests.mcp_server.repairing import Call, repaired

pytestmark = pytest.mark.anyio

LONGEST = 600
"""Bytes of an ordinary error, about 150 tokens."""
EVERY = Selection(frozenset(Toolset))


def told(call: Call, answer: Answer) -> str:
    return f"\n{call[0]}({json.dumps(call[1])[:200]})\n{answer.text}"


async def test_nearly_every_wrong_call_is_put_right_by_its_error_alone(platform: Platform) -> None:
    lost: list[str] = []
    async with Client(create_server(platform, actor=AGENT, selection=EVERY)) as client:
        caller = Caller(client)
        wrong = wrong_calls.every(await wrong_calls.made(caller))
        for call in wrong:
            refused = await caller(call[0], **call[1])
            assert refused.is_error, f"it is not wrong: {call}"
            right = repaired(call, refused)
            answer = await caller(right[0], **right[1])
            if answer.is_error:
                lost.append(f"{told(call, refused)}{told(right, answer)}")
    assert len(wrong) >= 100
    assert {tool for tool, _ in wrong} >= set(TOOLS)
    assert len(lost) <= len(wrong) * 0.05, f"{len(lost)} of {len(wrong)}:" + "\n".join(lost)


async def test_an_error_is_short_and_shows_nothing_of_the_inside(platform: Platform) -> None:
    async with Client(create_server(platform, actor=AGENT, selection=EVERY)) as client:
        caller = Caller(client)
        for call in wrong_calls.every(await wrong_calls.made(caller)):
            answer = await caller(call[0], **call[1])
            assert len(answer.text.encode()) <= LONGEST, told(call, answer)
            seen = answer.text + json.dumps(answer.data)
            assert not re.search(r"Traceback|File \"|https?://|pydantic|sqlalchemy|Error\(", seen), told(call, answer)


async def test_an_error_does_not_repeat_a_secret(platform: Platform) -> None:
    secret = "hunter2-" + "s" * 200
    params = f"box: {{type: parcel, params: {{pin: [{secret}], size: {secret}}}}}"
    async with Client(create_server(platform, actor=AGENT, selection=EVERY)) as client:
        caller = Caller(client)
        answers = [
            await caller("submit_spec", spec_yaml=wrong_calls.score("shut", params)),
            await caller("submit_spec", spec_yaml=wrong_calls.score("shut", params.replace("size", "sise"))),
            await caller("execute_workflow", workflow_name="greet", inputs={"name": "Ann", "word": [secret]}),
            await caller("execute_workflow", workflow_name="greet", inputs={"name": "Ann", "wort": secret}),
            await caller("execute_workflow", workflow_name="greet", inputs=[secret]),
            await caller("submit_spec", spec_yaml=[secret]),
        ]
    for answer in answers:
        assert answer.is_error
        assert "hunter2" not in answer.text + json.dumps(answer.data)


async def test_many_problems_are_bounded_and_counted(platform: Platform) -> None:
    many = ", ".join(f"box-{number}: {{typ: parcel, colour: red}}" for number in range(40))
    async with Client(create_server(platform, actor=AGENT)) as client:
        answer = await Caller(client)("submit_spec", spec_yaml=wrong_calls.score("many", many))
    assert len(answer.problems) == 20
    assert "more_problems" in answer.error
    assert len(answer.text.encode()) <= 20 * LONGEST // 2


async def test_names_and_values_are_judged_in_one_answer(platform: Platform) -> None:
    async with Client(create_server(platform, actor=AGENT)) as client:
        caller = Caller(client)
        answer = await caller("get_workflow_status", execution_id="one", wait_secs=5, logs="all", verbose=True)
        renamed = await caller("get_workflow_status", execution=1)
    assert [found["path"] for found in answer.problems] == ["wait_secs", "verbose", "execution_id", "logs"]
    assert [found["path"] for found in renamed.problems] == ["execution"], "what it was meant for is not missing"


async def test_what_to_call_next_is_about_the_tool_and_the_thing_that_were_called(platform: Platform) -> None:
    async with Client(create_server(platform, actor=AGENT, selection=EVERY)) as client:
        caller = Caller(client)
        there = await wrong_calls.made(caller)
        asked = {
            "delete_application(<same arguments>, dry_run=true)": await caller(
                "delete_application", application="shop"
            ),
            "delete_resource(<same arguments>, dry_run=true)": await caller("delete_resource", resource_id=there.extra),
            'get_graph(<same arguments>, environment="default")': await caller(
                "get_graph", application="shop", environment="prod"
            ),
            f"get_resource_details(resource_id={there.box})": await caller("retry", resource_id=there.box),
            f"get_workflow_status(execution_id={there.greeted})": await caller("cancel", execution_id=there.greeted),
            "list_resources(<same arguments without cursor>)": await caller("list_resources", cursor="../x"),
            "submit_spec(<same arguments without cursor>)": await caller(
                "submit_spec", spec_yaml=wrong_calls.SHOP, dry_run=True, cursor="../x"
            ),
            "list_resources(<same arguments without state>)": await caller("list_resources", state="gone"),
            "list_workflow_executions(<same arguments without status>)": await caller(
                "list_workflow_executions", status="gone"
            ),
        }
    for following, answer in asked.items():
        assert answer["next"] == [following], answer.text


async def test_a_param_or_output_that_is_none_leads_to_what_there_is(platform: Platform) -> None:
    again, told = "submit_spec(spec_yaml=<corrected>, dry_run=true)", 'get_provider_details(provider_name="mcp-team")'
    reads = "box: {type: parcel}, mail: {type: parcel, params: {pin: '${resources.box.weight}'}}"
    wrong = {
        "unknown_param": ("box: {type: parcel, params: {colour: red}}", "`pin`, `size`"),
        "params_invalid": ("box: {type: parcel, params: {size: huge}}", "small, large"),
        "unknown_output": (reads, "`address`, `token`"),
    }
    async with Client(create_server(platform, actor=AGENT, selection=EVERY)) as client:
        caller = Caller(client)
        for code, (resources, known) in wrong.items():
            answer = await caller("submit_spec", spec_yaml=wrong_calls.score("shop", resources), dry_run=True)
            assert answer.error["code"] == code
            assert known in answer.text
            assert answer["next"] == [again, told]
            assert not (await caller("get_provider_details", provider_name="mcp-team")).is_error
        mixed = wrong_calls.score("shop", "box: {type: parcel, params: {colour: red}}, more: {type: zzz}")
        both = await caller("submit_spec", spec_yaml=mixed, dry_run=True)
        inputs = {"app_name": "shop", "colour": "red"}
        run = await caller("execute_workflow", workflow_name="provision-parcel", inputs=inputs)
        kind = await caller("explain_capability", resource_type="zzz")
    assert both["next"] == [again, told, "list_providers()"]
    assert run["next"] == ["execute_workflow(<same arguments>, inputs=<corrected>)", told]
    assert kind.error["hint"] == "Known types: `brittle`, `parcel`."


async def test_yaml_that_is_not_closed_is_shown_where_it_was_opened(platform: Platform) -> None:
    async with Client(create_server(platform, actor=AGENT)) as client:
        answer = await Caller(client)("submit_spec", spec_yaml='a: 1\nb: "two\nc: 3\n')
    assert answer.problems[0]["fix"] == "close the quote or bracket opened in line 2"
