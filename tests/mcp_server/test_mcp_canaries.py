"""Fifty secrets in every place where one can be declared: none comes out of the MCP door, the log or the database."""

import base64
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import structlog
from mcp.client import Client
from mcp_types import PromptReference, ResourceTemplateReference

from cli import compose
from engine.config import Settings
from engine.domain.values import Json
from engine.services import executions, resources
from engine.services.platform import Platform
from mcp_server import library
from mcp_server.server import create_server
from mcp_server.toolsets import Selection, Toolset
from tests.mcp_server.conftest import AGENT, Caller
from tests.support.providers import kind, script, values, workflow, write_provider

pytestmark = pytest.mark.anyio

EACH = 10
PLACES = ("param", "input", "output", "address", "printed")
CORE = {place: [f"{place}{number:02}CaNaRyx" for number in range(EACH)] for place in PLACES}
"""The part of a secret that is the same however it is quoted."""
SECRET = {place: [f'{core}/"p w+{core[::-1]}\\' for core in cores] for place, cores in CORE.items()}
SECRET["address"] = [f"{core}.p-w_{core[::-1]}" for core in CORE["address"]]
EVERY = Selection(frozenset(Toolset))

TOKEN: list[dict[str, Any]] = [{"name": "token", "type": "string", "secret": True}]
TELLS = (
    'echo "plain $PARAM_TOKEN"; printf %s "user:$PARAM_TOKEN" | base64 -w0; echo\n'
    "python3 -c \"import json,os,urllib.parse as u,shlex; s=os.environ['PARAM_TOKEN'];"
    ' print(json.dumps([s]), u.quote(s), u.quote_plus(s), shlex.quote(s))" | tee /dev/stderr\n'
)


def provider(folder: Path) -> Path:
    """Its scripts find the secrets that they make up in files: what a provider ships is no secret."""
    for place in ("output", "printed"):
        for at, made in enumerate(SECRET[place]):
            folder.with_name(f"{place}-{at}").write_text(made)
    beside = folder.parent
    finds = f'made=$(cat "{beside}/output-$PARAM_NUMBER"); echo "password=$made" >> $INNOMINATUS_OUTPUT\n'
    number: list[dict[str, Any]] = [{"name": "number", "type": "int", "default": 0}]
    output = {"password": {"value": "{{ steps.make.outputs.password }}", "secret": True}}
    make = workflow(
        [script("make", TELLS + finds, secretOutputs=["password"])], parameters=[*TOKEN, *number], outputs=output
    )
    broken = workflow([script("break", f"{TELLS}exit 1", idempotent=True)], parameters=TOKEN)
    url = "postgres://app:{{ parameters.token }}@127.0.0.1:1/shop"
    masks = f'made=$(cat "{beside}/printed-$PARAM_NUMBER"); echo "::add-mask::$made"; echo "it is $made" | tee /dev/stderr\n'
    golden = {
        "tell": workflow([script("tell", f"{TELLS}exit 1")], parameters=TOKEN),
        "show": workflow(
            [values("copy", word="{{ parameters.token }}")],
            parameters=TOKEN,
            outputs={"word": {"value": "{{ steps.copy.outputs.word }}", "secret": True}},
        ),
        "connect": workflow(
            [
                script("connect", f'echo "dialling {url}"; echo "cannot reach {url}" >&2'),
                {"name": "fetch", "type": "http", "config": {"url": url.replace("postgres", "http")}},
            ],
            parameters=TOKEN,
        ),
        "print": workflow([script("print", f"{masks}exit 1")], parameters=number),
    }
    secret: dict[str, Any] = {"type": "string", "writeOnly": True}
    schema = {"type": "object", "properties": {"token": secret, "number": {"type": "integer"}}}
    outputs = [{"name": "password", "type": "string", "secret": True}]
    kinds = {
        "vault": kind("make", update="make", params=schema, outputs=outputs),
        "brittle": kind("broken", params=schema),
    }
    return write_provider(folder, kinds=kinds, workflows={"make": make, "broken": broken}, golden=golden)


@pytest.fixture(scope="module")
def server_log() -> Iterator[io.StringIO]:
    """What the server writes to its log, of every level."""
    text = io.StringIO()
    before = structlog.get_config()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        logger_factory=structlog.WriteLoggerFactory(text),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(text)
    logging.getLogger().addHandler(handler)
    yield text
    logging.getLogger().removeHandler(handler)
    structlog.configure(**before)


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory, server_log: io.StringIO) -> Iterator[Platform]:
    del server_log
    folder = tmp_path_factory.mktemp("canaries")
    settings = Settings(data_dir=folder / "data", providers=str(provider(folder / "team")), threads=4, health_seconds=0)
    running = compose.start(settings)
    yield running.platform
    running.close(grace=0)


def spec(name: str, kind: str, tokens: list[str]) -> str:
    declared = {
        f"safe-{number}": {"type": kind, "params": {"token": token, "number": number}}
        for number, token in enumerate(tokens)
    }
    variables = {f"P{number}": f"${{resources.safe-{number}.password}}" for number in range(len(tokens))}
    return json.dumps(
        {
            "apiVersion": "score.dev/v1b1",
            "metadata": {"name": name},
            "containers": {"main": {"image": ".", "variables": variables if kind == "vault" else {}}},
            "resources": declared,
        }
    )


async def everything_run(call: Caller, told: list[str]) -> None:
    """Successes, failures, changes, refusals and plans, all with secrets."""

    async def run(tool: str, /, **arguments: object) -> object:
        answer = await call(tool, **arguments)
        told.append(answer.text + json.dumps(answer.data))
        return answer.data.get("execution_id")

    half = SECRET["param"][: EACH // 2]
    await run("submit_spec", spec_yaml=spec("kept", "vault", SECRET["param"]), wait_seconds=30)
    await run("submit_spec", spec_yaml=spec("kept", "vault", SECRET["param"][::-1]), dry_run=True)
    await run("submit_spec", spec_yaml=spec("kept", "vault", SECRET["param"][::-1]), wait_seconds=30)
    await run("submit_spec", spec_yaml=spec("kept", "vault", half), prune=True)
    await run("submit_spec", spec_yaml=spec("lost", "brittle", half), wait_seconds=30)
    await run("submit_spec", spec_yaml=spec("typo", "vault", half).replace("number", "nmber"))
    started: list[object] = []
    for number in range(EACH):
        for name, place in (("tell", "input"), ("show", "input"), ("connect", "address")):
            token = SECRET[place][number]
            started.append(await run("execute_workflow", workflow_name=name, inputs={"token": token}))
        started.append(await run("execute_workflow", workflow_name="print", inputs={"number": number}))
        await run("execute_workflow", workflow_name="tell", inputs={"token": [SECRET["input"][number]]})
        await run("execute_workflow", workflow_name="tell", inputs={"token": SECRET["input"][number]}, dry_run=True)
    for execution in started:
        await run("get_workflow_status", execution_id=execution, wait_seconds=45)


async def everything_read(client: Client) -> Iterator[str]:
    """Whatever a client can read: every tool, concise and full, every resource, prompt and completion."""
    call, told = Caller(client), list[str]()

    async def read(tool: str, /, **arguments: object) -> list[object]:
        answer = await call.ok(tool, **arguments)
        told.append(answer.text + json.dumps(answer.data))
        return [row["id"] for row in answer.rows() if "id" in row] if "columns" in answer.data else []

    ids: dict[str, list[object]] = {}
    for detail in ("concise", "full"):
        for tool in ("list_specs", "list_resources", "list_workflow_executions"):
            ids[tool] = await read(tool, limit=100, detail=detail)
    for number in ids["list_resources"]:
        await read("get_resource_details", resource_id=number, include=["outputs", "history", "graph", "why"])
    for number in ids["list_workflow_executions"]:
        for logs in ("none", "failed", "tail"):
            await read("get_workflow_status", execution_id=number, logs=logs, detail="full")
    for name in ("kept", "lost"):
        await read("list_specs", application=name, detail="full")
        await read("get_graph", application=name)
        await read("list_events", application=name, limit=100)
        await read("delete_application", application=name, dry_run=True)
    for tool in ("list_golden_paths", "list_providers", "list_events"):
        await read(tool)
    await read("get_provider_details", provider_name="engine-team")
    await read("explain_capability", resource_type="vault")
    told += await _beside_tools(client, ids)
    return iter(told)


async def _beside_tools(client: Client, ids: dict[str, list[object]]) -> list[str]:
    uris = [str(found.uri) for found in (await client.list_resources()).resources]
    uris += [library.uri("executions", number) for number in ids["list_workflow_executions"]]
    uris += [library.uri("logs", number) for number in ids["list_workflow_executions"]]
    uris += [library.uri("resources", number) for number in ids["list_resources"]]
    told = [(await client.read_resource(uri)).model_dump_json() for uri in uris]
    prompts: list[tuple[str, dict[str, str]]] = [
        ("diagnose-a-failure", {}),
        ("diagnose-a-failure", {"application": "lost"}),
        ("deploy-an-application", {"application": "kept"}),
        ("onboard-a-team", {"team": "red"}),
        ("write-a-provider", {"resource_type": "vault"}),
        *(("diagnose-a-failure", {"execution_id": str(number)}) for number in ids["list_workflow_executions"]),
    ]
    told += [(await client.get_prompt(name, arguments)).model_dump_json() for name, arguments in prompts]
    refs = [ResourceTemplateReference(type="ref/resource", uri=found.uri_template) for found in library.templates()]
    for ref in [*refs, PromptReference(type="ref/prompt", name="write-a-provider")]:
        for argument in ("app", "environment", "id", "name", "resource_type"):
            told.append((await client.complete(ref, {"name": argument, "value": ""})).model_dump_json())
    return told


def forms(place: str, number: int) -> Iterator[bytes]:
    core = CORE[place][number].encode()
    yield core
    yield core[::-1]
    for start in range(3):
        yield base64.b64encode(b" " * start + core)[4 if start else 0 : -4]


FORMS = {(place, number): tuple(forms(place, number)) for place in PLACES for number in range(EACH)}


def found_in(where: str, text: bytes) -> set[str]:
    return {
        f"{place} {number} in {where}"
        for place in PLACES
        for number in range(EACH)
        if any(form in text for form in FORMS[place, number])
    }


def rows(platform: Platform) -> Iterator[tuple[str, bytes]]:
    """Every value of every column of every table."""
    schema = sa.MetaData()
    schema.reflect(platform.store.engine)
    with platform.store.read() as tx:
        for table in schema.sorted_tables:
            for row in tx.connection.execute(sa.select(table)).mappings():
                for name, value in row.items():
                    yield f"{table.name}.{name}", value if isinstance(value, bytes) else str(value).encode()


def opened(platform: Platform) -> str:
    """What the platform itself knows of inputs and outputs."""
    known: list[Json] = [{**found.outputs} for found in resources.listed(platform, limit=100).items]
    for listed in executions.listed(platform, limit=100).items:
        run = executions.get(platform, listed.id).execution
        known += [{**run.inputs.values}, {**run.outputs.values}]
    return json.dumps(known)


async def test_no_secret_comes_out_of_any_answer_the_log_or_the_database(
    platform: Platform, server_log: io.StringIO
) -> None:
    told: list[str] = []
    async with Client(create_server(platform, actor=AGENT, selection=EVERY)) as client:
        await everything_run(Caller(client), told)
        read = list(await everything_read(client))
    leaks = {leak for number, text in enumerate(told) for leak in found_in(f"answer {number}", text.encode())}
    leaks |= {leak for text in read for leak in found_in(f"what is read: {text[:80]}", text.encode())}
    leaks |= found_in("the server's log", server_log.getvalue().encode())
    for column, raw in rows(platform):
        leaks |= found_in(column, raw)
    for path in sorted(platform.settings.data_dir.rglob("*")):
        if path.is_file():
            leaks |= found_in(path.name, path.read_bytes())
    assert sorted(leaks) == []
    known = opened(platform)
    assert [core for place in ("input", "output", "address") for core in CORE[place] if core not in known] == []
    everything = "".join(read)
    assert len(read) > 300
    assert everything.count("it is ***") >= EACH, "what was printed is there, masked"
    assert everything.count("plain ***") >= EACH
    assert "dialling postgres://app:***@127.0.0.1:1/shop" in everything


@pytest.mark.parametrize("place", PLACES)
def test_the_search_finds_a_secret_in_each_of_its_forms(place: str) -> None:
    secret = SECRET[place][3]
    for text in (secret, json.dumps([secret]), base64.b64encode(f"user:{secret}".encode()).decode(), secret[::-1]):
        assert found_in("here", f"before {text} after".encode()) == {f"{place} 3 in here"}
