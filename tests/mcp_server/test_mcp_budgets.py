"""What an answer may cost the one who reads it: lists are small, and nothing is larger than a model can take in."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp.client import Client

from cli import compose
from engine.config import Settings
from engine.services.platform import Platform
from mcp_server.server import create_server
from mcp_server.toolsets import Selection, Toolset
from tests.mcp_server.conftest import AGENT, Answer, Caller
from tests.support.providers import kind, script, values, workflow, write_provider

pytestmark = pytest.mark.anyio

EVERY = Selection(frozenset(Toolset))
LIST_TEXT, LIST_STRUCTURED = 2_500, 3_500
"""Bytes of a concise list of twenty."""
LARGEST = 32_000
"""Bytes of any answer in either form."""
MANY = 1000
APPLICATIONS = (
    "checkout", "payment-gateway", "inventory-service", "customer-portal", "recommendation-engine",
    "order-history", "notification-worker", "search-indexer", "billing-reconciliation", "session-store",
    "fraud-detection", "shipping-labels", "warehouse-sync", "loyalty-points", "image-thumbnails",
    "catalog-importer", "price-calculator", "audit-trail-archive", "identity-provider", "feature-toggles",
)  # fmt: skip
ERROR = (
    "Error: creating RDS DB Instance (terraform-20260114): operation error RDS: CreateDBInstance, https response "
    "error StatusCode: 400, RequestID: 5d1a7f0e-4f9b, InvalidParameterCombination: RDS does not support creating a DB "
    "instance with the following combination: DBInstanceClass=db.t2.micro, Engine=postgres, EngineVersion=16.2"
)


def provider(folder: Path) -> Path:
    size: list[dict[str, Any]] = [{"name": "size", "type": "int", "default": 0}]
    long = "{{ parameters.size }}"
    prints = f"head -c {long} /dev/zero | tr '\\0' 'x' | fold -w 120; head -c {long} /dev/zero | tr '\\0' 'y' >&2"
    gives = f'printf "value=" >> $INNOMINATUS_OUTPUT; head -c {long} /dev/zero | tr "\\0" "z" >> $INNOMINATUS_OUTPUT'
    outputs = {"value": "{{ steps.give.outputs.value }}"}
    golden = {
        "large": workflow([script("give", f"{gives}; {prints}")], parameters=size, outputs=outputs),
        "large-failure": workflow([script("fall", f"{prints}; exit 1")], parameters=size),
    }
    workflows = {
        "provision-database": workflow([values("make", host="db")], outputs={"host": "{{ steps.make.outputs.host }}"}),
        "provision-cluster": workflow([script("make", f"echo '{ERROR}' >&2; exit 1")]),
    }
    kinds = {"postgres": kind("provision-database"), "redis-cluster": kind("provision-cluster")}
    return write_provider(folder, kinds=kinds, workflows=workflows, golden=golden)


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    folder = tmp_path_factory.mktemp("budgets")
    settings = Settings(data_dir=folder / "data", providers=str(provider(folder / "team")), threads=4, health_seconds=0)
    running = compose.start(settings)
    yield running.platform
    running.close(grace=0)


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform whose engine does not run: what is asked for stays asked for."""
    folder = tmp_path_factory.mktemp("crowded")
    settings = Settings(data_dir=folder / "data", providers=str(provider(folder / "team")), threads=2, health_seconds=0)
    running = compose.start(settings, run_engine=False)
    yield running.platform
    running.close(grace=0)


def spec(name: str, resources: dict[str, str]) -> str:
    declared = {resource: {"type": kind} for resource, kind in resources.items()}
    head = {"apiVersion": "score.dev/v1b1", "metadata": {"name": name}}
    return json.dumps({**head, "containers": {"main": {"image": "."}}, "resources": declared})


def sizes(answer: Answer) -> tuple[int, int]:
    structured = json.dumps(answer.data, ensure_ascii=False, separators=(",", ":"))
    return len(answer.text.encode()), len(structured.encode())


def assert_readable(answer: Answer) -> None:
    """It fits; what is cut says so and how to get the rest."""
    assert max(sizes(answer)) <= LARGEST, answer.text[:500]
    if "truncated" in answer.data:
        assert answer["truncated"] is True
        assert answer["rest"]
        assert f"rest: {answer['rest']}" in answer.text


async def test_a_list_of_twenty_is_small(platform: Platform) -> None:
    async with Client(create_server(platform, actor=AGENT, selection=EVERY)) as client:
        call = Caller(client)
        for number, name in enumerate(APPLICATIONS):
            kind = "redis-cluster" if number % 4 == 0 else "postgres"
            source = spec(name, {f"{name[:10]}-{'cache' if number % 4 == 0 else 'database'}": kind})
            await call.ok("submit_spec", spec_yaml=source, environment="production", wait_seconds=20)
        for tool in ("list_specs", "list_resources", "list_workflow_executions"):
            answer = await call.ok(tool, limit=20)
            text, structured = sizes(answer)
            assert len(answer.rows()) == 20
            assert text <= LIST_TEXT, f"{tool}: {text}\n{answer.text}"
            assert structured <= LIST_STRUCTURED, f"{tool}: {structured}"
            assert "error" not in answer.text.split("\n")[0] or "Error: creating RDS DB Instance" in answer.text


async def test_no_answer_about_large_logs_and_outputs_is_larger_than_what_can_be_read(platform: Platform) -> None:
    async with Client(create_server(platform, actor=AGENT, selection=EVERY)) as client:
        call = Caller(client)
        answers: list[Answer] = []
        for name in ("large", "large-failure"):
            inputs = {"size": 900_000}
            run = await call.ok("execute_workflow", workflow_name=name, inputs=inputs, wait_seconds=40)
            answers += [
                await call.ok("get_workflow_status", execution_id=run["execution_id"], logs=logs, detail=detail)
                for logs in ("none", "failed", "tail")
                for detail in ("concise", "full")
            ]
            answers.append(run)
        texts = [
            str(
                getattr(
                    (await client.read_resource(f"innominatus://executions/{number}{logs}")).contents[0], "text", ""
                )
            )
            for number in {answer["execution_id"] for answer in answers}
            for logs in ("", "/logs")
        ]
    assert "zzz" in answers[0].text
    assert "`outputs` is cut: a person reads them" in answers[0].text
    for answer in answers:
        assert_readable(answer)
        assert ("logs_cut" in answer.data) is ("logs" in answer.data)
    assert "innominatus-ctl workflow logs" in texts[-1]
    assert max(len(text.encode()) for text in texts) <= LARGEST


async def test_an_application_of_a_thousand_resources_is_read_in_parts(crowded: Platform) -> None:
    source = spec("crowd", {f"database-{number:04}": "postgres" for number in range(MANY)})
    async with Client(create_server(crowded, actor=AGENT, selection=EVERY)) as client:
        call = Caller(client)
        answers = [
            await call.ok("submit_spec", spec_yaml=source, dry_run=True),
            await call.ok("submit_spec", spec_yaml=source),
            await call.ok("get_graph", application="crowd"),
            await call.ok("list_specs", application="crowd", detail="full"),
            await call.ok("delete_application", application="crowd", dry_run=True),
            await call("delete_application", application="crowd"),
            await call.ok("list_events", limit=100),
        ]
        seen: list[object] = []
        cursor = ""
        while True:
            page = await call.ok("list_resources", application="crowd", limit=100, cursor=cursor, detail="full")
            answers.append(page)
            seen += [row["id"] for row in page.rows()]
            cursor = str(page.data.get("next_cursor", ""))
            if not cursor:
                break
    assert len(seen) == len(set(seen)) >= MANY
    assert not any("truncated" in answers[number].data for number in (0, 4)), "a plan is shown in pages"
    for answer in answers:
        assert_readable(answer)
    assert "list_resources pages through" in answers[1].text


async def pages_of(call: Caller, tool: str, **arguments: object) -> list[Answer]:
    """Every page of a dry run's plan."""
    found = [await call.ok(tool, **arguments, dry_run=True)]
    while cursor := found[-1].data.get("next_cursor"):
        assert f'dry_run=true, cursor="{cursor}"' in found[-1].next[0]
        found.append(await call.ok(tool, **arguments, dry_run=True, cursor=cursor))
    for page in found:
        assert_readable(page)
        assert "truncated" not in page.data
        assert (page["plan_hash"], page["summary"]) == (found[0]["plan_hash"], found[0]["summary"])
    return found


async def test_a_plan_of_a_thousand_rows_is_read_in_pages_that_begin_with_what_is_deleted(crowded: Platform) -> None:
    kept = {f"kept-{number:04}": "postgres" for number in range(MANY // 2)}
    gone = {f"gone-{number:04}": "postgres" for number in range(MANY // 2 - 1)}
    async with Client(create_server(crowded, actor=AGENT, selection=EVERY)) as client:
        call = Caller(client)
        await call.ok("submit_spec", spec_yaml=spec("masses", kept | gone))
        less = spec("masses", kept | {"fresh": "postgres"})
        pages = await pages_of(call, "submit_spec", spec_yaml=less, prune=True)
        rows = [row for page in pages for row in page.rows("plan")]
        names = [row["name"] for row in rows]
        assert sorted(map(str, names)) == sorted([*kept, *gone, "fresh", "workload"])
        assert set(names[: len(gone)]) == set(gone)
        assert names[len(gone)] == "fresh"
        assert len(pages) > 3
        for page in pages:
            seen = names.index(page.rows("plan")[-1]["name"]) + 1
            applies = [step for step in page.next if f'plan_hash="{page["plan_hash"]}"' in step]
            assert bool(applies) is (seen >= len(gone)), "who applies it has seen all that goes"
        assert f"of {len(rows)}: first what is deleted" in str(pages[1]["shown"])
        refused = await call("delete_application", application="masses")
        assert f"and {len(kept) + len(gone) - 20} more" in refused.text
        whole = await pages_of(call, "delete_application", application="masses")
        assert len([row for page in whole for row in page.rows("plan")]) == len(kept) + len(gone)


async def test_the_page_of_a_plan_that_has_changed_is_refused(crowded: Platform) -> None:
    async with Client(create_server(crowded, actor=AGENT, selection=EVERY)) as client:
        call = Caller(client)
        first = spec("stirred", {f"database-{number:04}": "postgres" for number in range(MANY // 2)})
        page = await call.ok("submit_spec", spec_yaml=first, dry_run=True)
        other = first.replace("database-0001", "another-0001")
        moved = await call("submit_spec", spec_yaml=other, dry_run=True, cursor=page["next_cursor"])
        assert moved.error["code"] == "stale_plan"
        wet = await call("submit_spec", spec_yaml=first, cursor=page["next_cursor"])
        assert wet.error["code"] == "invalid_arguments"
        assert "add dry_run=true" in wet.text
        odd = await call("delete_application", application="crowd", dry_run=True, cursor="12")
        assert odd.error["code"] == "invalid_cursor"
        beyond = str(page["next_cursor"]).partition(":")[0] + ":9999"
        empty = await call.ok("submit_spec", spec_yaml=first, dry_run=True, cursor=beyond)
        assert empty["shown"] == "there are no rows behind 9999"


async def test_who_applies_a_plan_by_its_hash_is_not_told_it_again(platform: Platform) -> None:
    source = spec("agreed", {"db": "postgres"})
    async with Client(create_server(platform, actor=AGENT, selection=EVERY)) as client:
        call = Caller(client)
        plan = await call.ok("submit_spec", spec_yaml=source, dry_run=True)
        assert len(plan.rows("plan")) == 2
        assert "shown" not in plan.data
        done = await call.ok("submit_spec", spec_yaml=source, plan_hash=plan["plan_hash"], wait_seconds=20)
        assert "plan" not in done.data
        assert done["summary"] == plan["summary"]
        unasked = await call.ok("submit_spec", spec_yaml=source, wait_seconds=20)
        assert len(unasked.rows("plan")) == 2
        going = await call.ok("delete_application", application="agreed", dry_run=True)
        gone = await call.ok("delete_application", application="agreed", plan_hash=going["plan_hash"], wait_seconds=20)
        assert ("plan" in gone.data, gone["summary"]) == (False, going["summary"])
