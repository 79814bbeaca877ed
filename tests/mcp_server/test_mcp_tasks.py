"""Whole tasks through the MCP door, solved by a client that follows the answers: every one must lead on."""

import os
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest
from mcp.client import Client

from cli import compose
from engine.config import Settings
from engine.domain.values import ExecutionId
from engine.services import resources, timeline
from engine.services.platform import Platform
from mcp_server.server import create_server
from mcp_server.toolsets import Selection, parse_toolsets
from tests.mcp_server.conftest import AGENT, PROVIDER, Caller
from tests.mcp_server.rule_client import RuleClient, Wish
from tests.mcp_server.task_world import OWNER, World, lose

ERRANDS, DRAFT = PROVIDER.with_name("errand-team"), PROVIDER.with_name("draft-team")
REPEATS = 5
SPARE_CALLS, MOST_BYTES = 2, 12_000
LEDGER = "db: {type: ledger}"
BOTH = f"{LEDGER}, disk: {{type: shelf}}"

Solve = Callable[[World, RuleClient], Awaitable[None]]


class Task(NamedTuple):
    solve: Solve
    toolsets: str
    fewest: int
    """Calls that whoever knows the tools by heart needs; a trial before each change is one."""


TASKS: dict[str, Task] = {}


def task(*, fewest: int, toolsets: str = "core") -> Callable[[Solve], Solve]:
    def kept(solve: Solve) -> Solve:
        TASKS[solve.__name__] = Task(solve, toolsets, fewest)
        return solve

    return kept


def submitting(spec: str, *, agrees: bool = False, **more: object) -> Wish:
    return Wish("submit_spec", {"spec_yaml": spec, **more}, until="active", agrees=agrees)


@task(fewest=2)
async def deploy_with_a_database(world: World, client: RuleClient) -> None:
    await client.fulfil(submitting(world.spec(LEDGER)))
    assert world.states() == {"db": "active"}


@task(fewest=2)
async def add_a_volume(world: World, client: RuleClient) -> None:
    world.deploy(LEDGER)
    await client.fulfil(submitting(world.spec(BOTH)))
    assert world.states() == {"db": "active", "disk": "active"}
    assert world.happened().count("resource.requested") == 2, "the database is the same one"


@task(fewest=2)
async def change_a_parameter(world: World, client: RuleClient) -> None:
    world.deploy(LEDGER)
    await client.fulfil(submitting(world.spec("db: {type: ledger, params: {size: large}}")))
    assert world.outputs("db")["host"] == "large.db.ledgers"


@task(fewest=2)
async def remove_a_resource(world: World, client: RuleClient) -> None:
    world.deploy(BOTH)
    await client.fulfil(submitting(world.spec("disk: {type: shelf}"), agrees=True, prune=True))
    assert world.states().get("db", "terminating") == "terminating"
    assert world.states()["disk"] == "active"


@task(fewest=1)
async def remove_nothing_without_consent(world: World, client: RuleClient) -> None:
    world.deploy(BOTH)
    told = await client.fulfil(submitting(world.spec("disk: {type: shelf}"), prune=True))
    assert "delete" in [row["action"] for row in told.rows("plan")]
    assert world.states() == {"db": "active", "disk": "active"}


@task(fewest=4)
async def share_a_resource(world: World, client: RuleClient) -> None:
    shared = f"db: {{type: ledger, id: {world.name}-books}}"
    for name in (world.name, f"{world.name}-too"):
        await client.fulfil(submitting(world.spec(shared, name=name)))
    (one,) = [r for r in resources.listed(world.platform, limit=500).items if r.key.id == f"{world.name}-books"]
    assert set(resources.get(world.platform, one.id).used_by) == {world.name, f"{world.name}-too"}


@task(fewest=2)
async def deploy_to_another_environment(world: World, client: RuleClient) -> None:
    world.deploy(LEDGER)
    await client.fulfil(submitting(world.spec("db: {type: ledger, params: {size: large}}"), environment="staging"))
    assert world.outputs("db", environment="staging")["host"] == "large.db.ledgers"
    assert world.outputs("db")["host"] == "small.db.ledgers"


@task(fewest=3)
async def run_a_golden_path(world: World, client: RuleClient) -> None:
    inputs = {"guest": world.name, "cups": 3}
    wish = Wish("execute_workflow", {"inputs": inputs}, "succeeded", row={"name": "welcome"}, where={"search": "new"})
    done = await client.fulfil(wish)
    assert world.ended(_execution(done["execution_id"])).outputs.values == {"text": f"3 cups for {world.name}"}


@task(fewest=5)
async def ask_for_a_single_resource(world: World, client: RuleClient) -> None:
    world.deploy("disk: {type: shelf}")
    inputs = {"app_name": world.name, "resource_name": "extra", "size": "large"}
    known = {"type": "ledger"}
    await client.fulfil(
        Wish("execute_workflow", {"inputs": inputs}, "succeeded", row=known, where={"search": "ledger"})
    )
    assert world.outputs("extra")["host"] == "large.extra.ledgers"


@task(fewest=5)
async def correct_a_spec_that_failed(world: World, client: RuleClient) -> None:
    world.deploy(f"{LEDGER}, yard: {{type: depot, params: {{region: east}}}}")
    corrected = {"spec_yaml": world.spec(f"{LEDGER}, yard: {{type: depot, params: {{region: north}}}}")}
    await client.fulfil(Wish("list_specs", {"application": world.name}, "active", corrected=corrected))
    assert "choose north or south" in "".join(answer.text for answer in client.answers), "why it failed"
    assert world.states() == {"db": "active", "yard": "active"}


@task(fewest=3)
async def correct_a_misspelt_spec(world: World, client: RuleClient) -> None:
    await client.fulfil(submitting(world.spec("db: {type: leger, params: {size: large}}")))
    assert world.outputs("db")["host"] == "large.db.ledgers"


@task(fewest=3, toolsets="core,operate")
async def retry_once_the_cause_is_gone(world: World, client: RuleClient) -> None:
    pump = world.folder / f"{world.name}.pump"
    world.deploy(f"water: {{type: well, params: {{pump: {pump}}}}}")
    assert world.states() == {"water": "failed"}
    look = {"application": world.name, "status": "failed"}
    await client.fulfil(Wish("list_workflow_executions", look, "succeeded", mend=pump.touch))
    assert world.states() == {"water": "active"}
    assert world.happened().count("execution.retried") == 1


@task(fewest=2, toolsets="core,operate")
async def cancel_what_waits(world: World, client: RuleClient) -> None:
    waiting = world.run("signature", paper=world.name)
    world.waits(waiting)
    await client.fulfil(Wish("cancel", {}, "cancelled", row={"workflow": "signature"}, where={"status": "waiting"}))
    assert world.ended(waiting).state == "cancelled"


@task(fewest=2, toolsets="core,operate")
async def clean_up_an_application(world: World, client: RuleClient) -> None:
    world.deploy(BOTH)
    await client.fulfil(Wish("delete_application", {"application": world.name}, "deleted", agrees=True))
    assert world.states() == {}


@task(fewest=4, toolsets="core,operate")
async def delete_a_single_resource(world: World, client: RuleClient) -> None:
    world.deploy(LEDGER)
    world.ended(world.run("provision-ledger", app_name=world.name, resource_name="extra"))
    where = {"application": world.name}
    await client.fulfil(Wish("delete_resource", {}, "succeeded", row={"name": "extra"}, where=where, agrees=True))
    assert world.states() == {"db": "active"}


@task(fewest=2)
async def find_who_asked_for_a_resource(world: World, client: RuleClient) -> None:
    world.deploy(BOTH)
    given, where = {"include": ["why"]}, {"application": world.name}
    told = await client.fulfil(Wish("get_resource_details", given, "why", row={"name": "disk"}, where=where))
    asked = timeline.listed(world.platform, application=world.name, kinds=("spec.submitted",)).items[0]
    assert f"submitted by {OWNER}" in str(told["why"])
    assert asked.at is not None
    assert f"{asked.at:%Y-%m-%dT%H:%M:%S}" in str(told["why"])


@task(fewest=2)
async def find_outputs_and_how_to_read_the_secret_ones(world: World, client: RuleClient) -> None:
    world.deploy(BOTH)
    where = {"application": world.name}
    told = await client.fulfil(Wish("get_resource_details", {}, "outputs", row={"name": "db"}, where=where))
    assert told["outputs"] == world.outputs("db") | {"password": "***"}
    assert f"innominatus-ctl resource {told['resource_id']} --reveal" in str(told["secrets"])
    assert "pw-very-secret" not in "".join(answer.text for answer in client.answers)


@task(fewest=3)
async def list_everything_page_by_page(world: World, client: RuleClient) -> None:
    for number in range(3):
        world.deploy(BOTH, name=f"{world.name}-{number}", environment=world.name)
    await client.fulfil(Wish("list_resources", {"environment": world.name, "limit": 2}))
    listed = [row["id"] for answer in client.answers for row in answer.rows()]
    assert listed == [found.id for found in resources.listed(world.platform, environment=world.name).items]
    assert len(listed) == 6


@task(fewest=4)
async def follow_a_long_run(world: World, client: RuleClient) -> None:
    quay = world.folder / f"{world.name}.quay"
    os.mkfifo(quay)
    ferry = os.open(quay, os.O_RDWR)
    world.after["execute_workflow"] = lambda: _written(ferry, f"{world.name}\n")
    given = {"inputs": {"quay": str(quay)}, "wait_seconds": 0}
    done = await client.fulfil(
        Wish("execute_workflow", given, "succeeded", row={"name": "crossing"}, where={"search": "ferry"})
    )
    os.close(ferry)
    assert world.ended(_execution(done["execution_id"])).outputs.values == {"ferry": world.name}


@task(fewest=3)
async def repeat_a_submission_whose_answer_was_lost(world: World, client: RuleClient) -> None:
    world.after["submit_spec"] = lose
    await client.fulfil(submitting(world.spec(BOTH)))
    assert world.version() == 1
    assert world.happened().count("spec.submitted") == 1
    assert world.happened().count("resource.requested") == 2


@task(fewest=2, toolsets="core,operate,author")
async def write_a_provider(world: World, client: RuleClient) -> None:
    files = {path.relative_to(DRAFT).as_posix(): path.read_text() for path in DRAFT.rglob("*.yaml")}
    files["provider.yaml"] = files["provider.yaml"].replace("draft-team", world.name)
    told = await client.fulfil(Wish("validate_provider", {"files": files}, "valid"))
    assert told["resource_types"] == ["logbook"]
    assert world.name not in [one.name for one in world.platform.providers.registry.providers], "it only looked"


@task(fewest=2, toolsets="core,operate,author")
async def explain_what_a_type_would_do(world: World, client: RuleClient) -> None:
    told = await client.fulfil(Wish("explain_capability", {"resource_type": "ledgr"}, "operations"))
    owner = world.platform.providers.registry.resolve("ledger")
    assert owner is not None
    assert told["provider"] == f"{owner[0].name} {owner[0].version}"
    assert {row["operation"]: row["workflow"] for row in told.rows("operations")} == {
        operation.value: chosen.default for operation, chosen in owner[1].operations.items()
    }


@task(fewest=3, toolsets="core,operate")
async def learn_what_changed(world: World, client: RuleClient) -> None:
    world.deploy(LEDGER)
    before = world.happened()
    world.after["list_events"] = lambda: world.deploy(BOTH)
    await client.fulfil(Wish("list_events", {"application": world.name}))
    learnt = [row["what"] for answer in client.answers[1:] for row in answer.rows()]
    assert learnt == world.happened()[len(before) :]
    assert "resource.active" in learnt


def _execution(found: object) -> ExecutionId:
    assert isinstance(found, int)
    return ExecutionId(found)


def _written(pipe: int, text: str) -> None:
    os.write(pipe, text.encode())


class Score(NamedTuple):
    calls: int
    size: int


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    providers = os.pathsep.join(map(str, (PROVIDER, ERRANDS)))
    settings = Settings(data_dir=tmp_path_factory.mktemp("data"), providers=providers, threads=4, health_seconds=0)
    running = compose.start(settings)
    yield running.platform
    running.close(grace=0)


@pytest.fixture(scope="module")
def scores() -> Iterator[dict[str, list[Score]]]:
    """What each task took; `-s` shows it at the end."""
    made: dict[str, list[Score]] = {}
    yield made
    lines = [f"{'task':44} {'fewest':>6} {'calls':>5} {'bytes':>6}"]
    for name, runs in made.items():
        calls, size = (max(column) for column in zip(*runs, strict=True))
        lines.append(f"{name.replace('_', ' '):44} {TASKS[name].fewest:6} {calls:5} {size:6}")
    sys.stdout.write("\n".join(["", *lines, ""]))


@asynccontextmanager
async def client_of(world: World, toolsets: str, *, era: str) -> AsyncGenerator[RuleClient]:
    server = create_server(world.platform, actor=AGENT, selection=Selection(parse_toolsets(toolsets)))
    async with Client(server, mode=era) as client:
        tools = (await client.list_tools()).tools
        yield RuleClient(tools, partial(world.door, Caller(client)))


@pytest.mark.anyio
@pytest.mark.parametrize("name", TASKS)
async def test_a_client_that_follows_the_answers_gets_it_done(
    platform: Platform, scores: dict[str, list[Score]], tmp_path: Path, name: str
) -> None:
    wanted = TASKS[name]
    for repeat in range(REPEATS):
        world = World(platform, f"{name.replace('_', '-')[:40]}-{repeat}", tmp_path)
        async with client_of(world, wanted.toolsets, era="legacy" if repeat % 2 else "auto") as client:
            await wanted.solve(world, client)
        scores.setdefault(name, []).append(Score(client.calls, client.size))
        assert client.calls <= wanted.fewest + SPARE_CALLS
        assert client.size <= MOST_BYTES
