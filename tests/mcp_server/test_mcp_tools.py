"""Every tool through a real client, in both protocol eras."""

import json
from typing import cast

import anyio
import pytest

from engine.services import applications, executions
from engine.services.platform import Platform
from tests.mcp_server.conftest import Answer, Caller, Connect, score

pytestmark = pytest.mark.anyio

SECRET = "hunter2-pin"


async def deployed(call: Caller, name: str, resources: str = "box: {type: parcel}") -> int:
    """The id of the first resource of an application that is up."""
    answer = await call.ok("submit_spec", spec_yaml=score(name, resources), wait_seconds=20)
    assert answer["status"] == "active", answer.text
    first = answer.rows("resources")[0]["id"]
    assert isinstance(first, int)
    return first


async def test_golden_paths_show_their_inputs_and_how_to_run_them(connect: Connect) -> None:
    async with connect() as call:
        answer = await call.ok("list_golden_paths")
    assert {"name": "greet", "provider": "mcp-team", "description": "Say hello"}.items() <= answer.rows()[1].items()
    assert answer.rows()[1]["inputs"] == "name*: string; times: int = 1; word: string (secret)"
    assert 'execute_workflow(workflow_name="greet", dry_run=true)' in answer.text


async def test_providers_show_their_types_and_details_show_params_and_outputs(connect: Connect) -> None:
    async with connect() as call:
        listed = await call.ok("list_providers")
        details = await call.ok("get_provider_details", provider_name="mcp-team")
    assert listed.rows()[0]["resource_types"] == "parcel, brittle"
    parcel = details.rows("resource_types")[0]
    assert parcel["params"] == "size: string (small/large) = small; pin: string"
    assert parcel["outputs"] == "address, token (secret)"
    assert details["examples"] == {"parcel": {"size": "large"}}


async def test_older_spellings_and_ids_as_texts_are_understood(connect: Connect, era: str) -> None:
    async with connect() as call:
        await call.ok("get_provider_details", name="mcp-team")
        run = await call.ok("execute_workflow", name="greet", inputs='{"name": "Ann"}', wait_seconds="20")
        status = await call.ok("get_workflow_status", execution_id=str(run["execution_id"]))
        plan = await call.ok("submit_spec", spec=score(f"older-{era}"), dry_run="true", environment=None)
    assert status["outputs"] == {"text": "Hello, Ann", "word": "***"}
    assert plan["environment"] == "default"


async def test_unknown_arguments_are_refused_with_the_nearest_name(connect: Connect) -> None:
    async with connect() as call:
        answer = await call("submit_spec", spec_yam="x", dry=True)
        listed = await call("list_providers", verbose=True)
        both = await call("submit_spec", spec="a", spec_yaml="b")
    assert [(found["path"], found["fix"]) for found in answer.problems] == [
        ("spec_yam", "did you mean `spec_yaml`?"),
        ("dry", "did you mean `dry_run`?"),
    ]
    assert "it takes `search`, `limit`, `cursor`" in listed.text
    assert "spec: is not an argument" in both.text


async def test_every_wrong_argument_is_reported_in_our_words(connect: Connect) -> None:
    async with connect() as call:
        answer = await call("get_workflow_status", execution_id="one", wait_seconds=99, logs="all")
        missing = await call("get_workflow_status")
    assert "execution_id: must be a whole number" in answer.text
    assert "wait_seconds: must be at most 45" in answer.text
    assert "logs: must be one of 'none', 'failed' or 'tail'" in answer.text
    assert "execution_id: is required" in missing.text
    assert "http" not in answer.text + missing.text
    assert "pydantic" not in answer.text + missing.text


@pytest.mark.parametrize(
    ("tool", "arguments", "code"),
    [
        ("get_workflow_status", {"execution_id": 2**70}, "invalid_arguments"),
        ("get_workflow_status", {"execution_id": -1}, "invalid_arguments"),
        ("get_resource_details", {"resource_id": 999_999}, "resource_not_found"),
        ("list_resources", {"cursor": "../x"}, "invalid_cursor"),
        ("list_resources", {"cursor": "9" * 5000}, "invalid_cursor"),
        ("list_resources", {"application": "a\0b"}, "invalid_arguments"),
        ("list_resources", {"state": "gone"}, "unknown_state"),
        ("list_workflow_executions", {"limit": 0}, "invalid_arguments"),
        ("execute_workflow", {"workflow_name": "gret"}, "workflow_not_found"),
        ("execute_workflow", {"workflow_name": "greet", "inputs": [1]}, "invalid_arguments"),
        ("execute_workflow", {"workflow_name": "greet", "inputs": {"a": {"b\0": 1}}}, "invalid_arguments"),
        ("execute_workflow", {"workflow_name": "delete-parcel"}, "not_runnable"),
        ("execute_workflow", {"workflow_name": "provision-parcel"}, "missing_application"),
        ("submit_spec", {"spec_yaml": ""}, "invalid_spec"),
        ("submit_spec", {"spec_yaml": "x: *a"}, "invalid_spec"),
        ("submit_spec", {"spec_yaml": score("shop"), "environment": "../prod"}, "invalid_environment"),
        ("submit_spec", {"spec_yaml": score("shop"), "idempotency_key": "k" * 300}, "idempotency_key"),
        ("submit_specs", {}, "tool_not_found"),
    ],
)
async def test_hostile_arguments_get_an_answer_that_helps(
    connect: Connect, tool: str, arguments: dict[str, object], code: str
) -> None:
    async with connect() as call:
        answer = await call(tool, **arguments)
    assert answer.error["code"] == code
    assert answer.error["hint"]
    assert len(answer.text) < 800, "about 150 tokens"


async def test_a_spec_is_told_every_problem_with_its_place(connect: Connect) -> None:
    source = "apiVersion: score.dev/v1b1\nmetadata: {name: Shop}\ncontainers: {main: {imag: x}}\n"
    async with connect() as call:
        answer = await call("submit_spec", spec_yaml=source)
        unknown = await call("submit_spec", spec_yaml=score("shop", "box: {type: parsel}"))
    assert "line 2 metadata.name" in answer.text
    assert "line 3 containers.main" in answer.text
    assert answer["next"] == ["submit_spec(spec_yaml=<corrected>, dry_run=true)"]
    assert "parcel" in unknown.text


async def test_dry_run_writes_nothing_and_its_hash_applies_exactly_that_plan(
    connect: Connect, platform: Platform, era: str
) -> None:
    name = f"planned-{era}"
    spec = score(name, f"box: {{type: parcel, params: {{pin: {SECRET}}}}}")
    async with connect() as call:
        plan = await call.ok("submit_spec", spec_yaml=spec, dry_run=True)
        assert plan["applied"] is False
        assert all(view.application.name != name for view in applications.listed(platform).items)
        assert str(plan["plan_hash"]) in str(plan["next"])
        applied = await call.ok("submit_spec", spec_yaml=spec, plan_hash=plan["plan_hash"], wait_seconds=20)
        stale = await call("submit_spec", spec_yaml=spec, plan_hash=plan["plan_hash"])
    assert applied["applied"] is True
    assert applied["status"] == "active"
    assert [row["state"] for row in applied.rows("resources")] == ["active"]
    assert stale.error["code"] == "stale_plan"
    assert "dry_run=true" in stale.text


async def test_a_plan_is_offered_unless_it_is_in_force_already(connect: Connect, era: str) -> None:
    shared = f"box: {{type: parcel, id: {era}-shared}}"
    async with connect() as call:
        await deployed(call, f"first-{era}", shared)
        same = await call.ok("submit_spec", spec_yaml=score(f"first-{era}", shared), dry_run=True)
        other = await call.ok("submit_spec", spec_yaml=score(f"first-{era}", shared, variable="y"), dry_run=True)
        sharing = await call.ok("submit_spec", spec_yaml=score(f"second-{era}", shared), dry_run=True)
        await deployed(call, f"third-{era}", "jar: {type: parcel}")
        joining = await call.ok(
            "submit_spec", spec_yaml=score(f"third-{era}", f"jar: {{type: parcel}}, {shared}"), dry_run=True
        )
    assert same.next == ["nothing to do: what exists is what was asked for"]
    for worth in (other, sharing, joining):
        assert str(worth["plan_hash"]) in worth.next[0]
    assert f"`third-{era}` refers to it from now on" in joining.text
    assert "1 to refer to" in str(joining["summary"])


async def test_nothing_is_deleted_without_the_hash_of_a_dry_run(connect: Connect, era: str) -> None:
    name = f"pruned-{era}"
    async with connect() as call:
        await deployed(call, name, "box: {type: parcel}, jar: {type: parcel}")
        smaller = score(name, "box: {type: parcel}")
        kept = await call.ok("submit_spec", spec_yaml=smaller, dry_run=True)
        refused = await call("submit_spec", spec_yaml=smaller, prune=True)
        plan = await call.ok("submit_spec", spec_yaml=smaller, prune=True, dry_run=True)
        done = await call.ok("submit_spec", spec_yaml=smaller, prune=True, plan_hash=plan["plan_hash"], wait_seconds=20)
        left = await call.ok("list_resources", application=name)
    assert "kept" in str(kept["summary"])
    assert refused.error["code"] == "plan_hash_required"
    assert str(plan["plan_hash"]) not in refused.text, "the hash comes with the plan, not with the refusal"
    assert "delete" in [row["action"] for row in plan.rows("plan")]
    assert done["applied"] is True
    assert {row["name"] for row in left.rows() if row["state"] != "terminating"} == {"box"}


async def test_the_same_idempotency_key_gets_the_same_answer(connect: Connect, era: str) -> None:
    spec = score(f"twice-{era}", "box: {type: parcel}")
    async with connect() as call:
        first = await call.ok("submit_spec", spec_yaml=spec, idempotency_key=f"key-{era}")
        again = await call.ok("submit_spec", spec_yaml=spec, idempotency_key=f"key-{era}")
        other = await call("submit_spec", spec_yaml=score(f"other-{era}"), idempotency_key=f"key-{era}")
        run = await call.ok(
            "execute_workflow", workflow_name="greet", inputs={"name": era}, idempotency_key=f"run-{era}"
        )
        rerun = await call.ok(
            "execute_workflow", workflow_name="greet", inputs={"name": era}, idempotency_key=f"run-{era}"
        )
    assert (again["version"], again["plan_hash"]) == (first["version"], first["plan_hash"])
    assert again["replayed"] is True
    assert other.is_error
    assert rerun["execution_id"] == run["execution_id"]


async def test_a_golden_path_answers_with_its_outputs_when_it_ends_in_time(connect: Connect) -> None:
    async with connect() as call:
        answer = await call.ok(
            "execute_workflow", workflow_name="greet", inputs={"name": "Ann", "word": SECRET}, wait_seconds=20
        )
        checked = await call.ok(
            "execute_workflow", workflow_name="greet", inputs={"name": "Ann", "word": SECRET}, dry_run=True
        )
        wrong = await call("execute_workflow", workflow_name="greet", inputs={"times": 9})
    assert answer["status"] == "succeeded"
    assert answer["outputs"] == {"text": "Hello, Ann", "word": "***"}
    assert checked["inputs"] == {"name": "Ann", "times": 1, "word": "***"}
    assert SECRET not in answer.text + checked.text + json.dumps(answer.data) + json.dumps(checked.data)
    assert "name: `name` is missing" in wrong.text
    assert "at most 5" in wrong.text


async def test_who_finds_no_golden_path_is_led_to_the_workflow_that_makes_such_a_resource(connect: Connect) -> None:
    async with connect() as call:
        none = await call.ok("list_golden_paths", search="parcel")
        details = await call.ok("get_provider_details", provider_name="mcp-team")
        checked = await call.ok("execute_workflow", workflow_name="greet", inputs={"name": "Ann"}, dry_run=True)
    assert none.next == ['list_providers(search="parcel")']
    assert details.rows("resource_types")[0]["made_by"] == "provision-parcel"
    assert checked.next == ['execute_workflow(workflow_name="greet", inputs=<the same>, wait_seconds=45)']


async def test_a_list_of_executions_leads_to_the_one_that_goes_on(connect: Connect) -> None:
    async with connect() as call:
        run = await call.ok("execute_workflow", workflow_name="ask", wait_seconds=0)
        listed = await call.ok("list_workflow_executions", limit=1)
    assert listed.next == [f"get_workflow_status(execution_id={run['execution_id']}, wait_seconds=45)"]


async def test_a_dry_run_of_a_workflow_starts_nothing(connect: Connect, platform: Platform) -> None:
    before = len(executions.listed(platform, limit=100).items)
    async with connect() as call:
        await call.ok("execute_workflow", workflow_name="greet", inputs={"name": "x"}, dry_run=True)
        plan = await call.ok(
            "execute_workflow", workflow_name="provision-parcel", inputs={"app_name": "nobody"}, dry_run=True
        )
    assert plan["summary"] == "1 to create"
    assert len(executions.listed(platform, limit=100).items) == before


async def test_naming_a_provisioner_makes_a_resource(connect: Connect, era: str) -> None:
    async with connect() as call:
        await deployed(call, f"asking-{era}")
        inputs = {"app_name": f"asking-{era}", "resource_name": "extra", "size": "large"}
        made = await call.ok("execute_workflow", workflow_name="provision-parcel", inputs=inputs, wait_seconds=20)
        again = await call.ok("execute_workflow", workflow_name="provision-parcel", inputs=inputs, wait_seconds=20)
        details = await call.ok("get_resource_details", resource_id=made["resource_id"])
    assert made["status"] == "succeeded"
    assert again["status"] == "unchanged"
    assert details["params"] == {"size": "large"}


async def test_waiting_ends_after_its_time_and_says_who_must_act(connect: Connect) -> None:
    async with connect() as call:
        before = anyio.current_time()
        answer = await call.ok("execute_workflow", workflow_name="ask", wait_seconds=1)
        assert 0.9 < anyio.current_time() - before < 5
    assert answer["status"] == "waiting"
    assert "a person continues step `approve`" in answer.text
    assert "wait_seconds=45" in answer.text


async def test_many_who_wait_keep_nobody_from_being_answered(connect: Connect) -> None:
    ended: list[Answer] = []

    async with connect() as call:
        run = await call.ok("execute_workflow", workflow_name="ask")

        async def wait() -> None:
            ended.append(await call("get_workflow_status", execution_id=run["execution_id"], wait_seconds=45))

        async with anyio.create_task_group() as waiting:
            for _ in range(60):
                waiting.start_soon(wait)
            for _ in range(3):
                await call.ok("list_specs")
            waiting.cancel_scope.cancel()
        await call.ok("list_specs")
    assert ended == []


async def test_progress_is_told_to_a_client_that_asks(connect: Connect) -> None:
    told: list[tuple[float, float | None, str | None]] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, total, message))

    async with connect() as call:
        arguments = {"workflow_name": "ask", "wait_seconds": 1}
        await call.client.call_tool("execute_workflow", arguments, progress_callback=note)
    assert told == [(0.0, 1.0, "ask is waiting: approve")]


async def test_a_failure_is_shown_with_its_log_as_data(connect: Connect, era: str) -> None:
    async with connect() as call:
        answer = await call.ok("submit_spec", spec_yaml=score(f"bad-{era}", "bad: {type: brittle}"), wait_seconds=20)
        failed = await call.ok("list_workflow_executions", status="failed", application=f"bad-{era}")
        status = await call.ok("get_workflow_status", execution_id=failed.rows()[0]["id"])
    assert answer["status"] == "failed"
    assert "get_resource_details(resource_id=" in answer.text
    assert "    | next:\n    |   submit_spec(dry_run=false)" in status.text
    assert "\x1b" not in status.text + json.dumps(status.data)
    lines = status.text.split("\n")
    assert lines.count("next:") == 1
    assert not any(line.lstrip().startswith("ignore all") for line in lines)
    assert "innominatus-ctl workflow retry" in status.text


async def test_a_failure_is_explained_with_its_deepest_cause_and_calls_that_follow(connect: Connect, era: str) -> None:
    spec = score(f"why-{era}", "bad: {type: brittle}, user: {type: parcel, params: {pin: '${resources.bad.x}'}}")
    async with connect() as call:
        made = await call.ok("submit_spec", spec_yaml=spec, wait_seconds=20)
        rows = {row["name"]: row for row in made.rows("resources")}
        waiting = await call.ok("get_resource_details", resource_id=rows["user"]["id"])
        broken = await call.ok("get_workflow_status", execution_id=rows["bad"]["execution_id"])
        fine = await call.ok("list_golden_paths")
    why, same = (cast("dict[str, object]", answer["explain"]) for answer in (waiting, broken))
    assert (why["cause"], why["step"]) == ("provider", "break (policy), attempt 1")
    assert str(why["failed"]).startswith(f"resource {rows['bad']['id']} (brittle/")
    assert why["because"] == [f"parcel/why-{era}.user: waits for `brittle/why-{era}.bad`, which is failed"]
    assert "the disk is on fire" in str(why["log"]), "no other part of the answer shows it"
    assert "log" not in same, "`logs` shows it already"
    assert str(same["retry"]).startswith("safe: ")
    run = rows["bad"]["execution_id"]
    assert f'get_workflow_status(execution_id={run}, logs="tail", step="break")' in str(waiting["next"])
    assert "explain" not in fine.data
    assert waiting.text.split("\n").count("next:") == 1


async def test_next_does_not_send_back_to_what_was_just_answered(connect: Connect, era: str) -> None:
    async with connect() as call:
        made = await call.ok("submit_spec", spec_yaml=score(f"back-{era}", "bad: {type: brittle}"), wait_seconds=20)
        row = next(row for row in made.rows("resources") if row["state"] == "failed")
        details = await call.ok("get_resource_details", resource_id=row["id"])
        run = await call.ok("get_workflow_status", execution_id=row["execution_id"])
        tail = await call.ok("get_workflow_status", execution_id=row["execution_id"], logs="tail", step="break")
        without = await call.ok("get_workflow_status", execution_id=row["execution_id"], logs="none")
    assert "get_resource_details" not in str(details["next"])
    log = f'get_workflow_status(execution_id={row["execution_id"]}, logs="tail", step="break")'
    assert log in str(details["next"]), "it has only the lines around the error"
    for answer in (run, tail):
        assert "get_workflow_status" not in str(answer["next"]), "it shows the log"
        assert "the disk is on fire" in str(answer["logs"])
    assert log in str(without["next"])


async def test_secrets_never_appear_in_an_answer(connect: Connect, era: str) -> None:
    name = f"secret-{era}"
    async with connect() as call:
        resource = await deployed(call, name, f"box: {{type: parcel, params: {{pin: {SECRET}}}}}")
        changed = score(name, "box: {type: parcel, params: {pin: hunter3}}")
        answers = [
            await call.ok("get_resource_details", resource_id=resource),
            await call.ok("list_resources", application=name),
            await call.ok("list_workflow_executions", application=name),
            await call.ok("list_specs"),
            await call.ok("submit_spec", spec_yaml=changed, dry_run=True),
        ]
        run = answers[2].rows()[0]["id"]
        answers.append(await call.ok("get_workflow_status", execution_id=run, logs="tail"))
    everything = "".join(answer.text + json.dumps(answer.data) for answer in answers)
    assert SECRET not in everything
    assert "hunter3" not in everything
    assert "tok-very-secret" not in everything
    assert f"innominatus-ctl resource {resource} --reveal" in answers[0].text
    assert answers[0]["params"] == {"pin": "***"}


async def test_lists_are_read_page_by_page(connect: Connect, era: str) -> None:
    names = [f"paged-{era}-{number}" for number in range(3)]
    seen: list[object] = []
    async with connect() as call:
        for name in names:
            await call.ok("submit_spec", spec_yaml=score(name))
        cursor: object = ""
        while True:
            page = await call.ok("list_specs", application=f"paged-{era}", limit=2, cursor=cursor)
            seen += [row["name"] for row in page.rows()]
            cursor = page.data.get("next_cursor")
            if not cursor:
                break
    assert seen == names


async def test_an_empty_list_is_a_table_without_rows(connect: Connect) -> None:
    async with connect() as call:
        answer = await call.ok("list_resources", application="nobody")
        unknown = await call.ok("list_resources", type="parsel")
    assert answer.rows() == []
    assert "(none)" in answer.text
    assert answer["next"] == ["list_resources()"]
    assert unknown["next"] == ["list_providers()"]


async def test_whoever_asks_is_written_in_the_timeline(connect: Connect, era: str) -> None:
    async with connect() as call:
        resource = await deployed(call, f"actor-{era}")
        details = await call.ok("get_resource_details", resource_id=resource)
    assert "agent:tester" in [row["actor"] for row in details.rows("transitions")]
