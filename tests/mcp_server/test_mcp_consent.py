"""Whoever agrees to a deletion is asked through their client, where it can ask."""

import itertools
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx2
import pytest
from mcp.client import Client, ClientRequestContext
from mcp.client.streamable_http import streamable_http_client
from mcp_types import ElicitRequestParams, ElicitResult
from starlette.types import Receive, Scope, Send

from engine.services.platform import Platform
from mcp_server.http import http_app
from mcp_server.server import PlatformServer, create_server
from tests.mcp_server.conftest import AGENT, Caller, score
from tests.support.apps import serving

pytestmark = pytest.mark.anyio


class Person:
    """Answers every question in the same way, and remembers them."""

    def __init__(self, answer: ElicitResult) -> None:
        self.answer = answer
        self.asked: list[str] = []

    async def __call__(self, context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        del context
        self.asked.append(params.message)
        return self.answer


YES = ElicitResult(action="accept", content={"apply": True})
ANSWERS = {
    "no": ElicitResult(action="accept", content={"apply": False}),
    "declined": ElicitResult(action="decline"),
    "cancelled": ElicitResult(action="cancel"),
}


@asynccontextmanager
async def two(call: Caller, name: str) -> AsyncGenerator[dict[str, object]]:
    """An application of two resources, and the arguments that would delete one of them."""
    await call.ok("submit_spec", spec_yaml=score(name, "box: {type: parcel}, jar: {type: parcel}"), wait_seconds=20)
    yield {"spec_yaml": score(name, "box: {type: parcel}"), "prune": True, "wait_seconds": 20}


async def test_a_person_who_agrees_sees_what_will_be_deleted(server: PlatformServer, era: str) -> None:
    person = Person(YES)
    async with Client(server, mode=era, elicitation_callback=person) as client:
        call = Caller(client)
        async with two(call, f"agreed-{era}") as smaller:
            done = await call.ok("submit_spec", **smaller)
            left = await call.ok("list_resources", application=f"agreed-{era}")
    (question,) = person.asked
    assert "1 to delete" in question
    assert f"\n- delete parcel/agreed-{era}.jar" in question
    assert "unchanged" not in question.partition("\n")[2]
    assert done["applied"] is True
    assert "jar" not in [row["name"] for row in left.rows() if row["state"] != "terminating"]


async def test_what_is_destroyed_comes_first_in_the_question(server: PlatformServer, era: str) -> None:
    person = Person(ANSWERS["no"])
    added = ", ".join(f"a{number:02}: {{type: parcel}}" for number in range(30))
    async with Client(server, mode=era, elicitation_callback=person) as client:
        call = Caller(client)
        async with two(call, f"large-{era}") as smaller:
            await call("submit_spec", **smaller | {"spec_yaml": score(f"large-{era}", added)})
    first = person.asked[0].split("\n")[1:3]
    assert [line.split("/")[0] for line in first] == ["- delete parcel"] * 2


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS.keys())
async def test_nothing_is_deleted_when_they_do_not(
    server: PlatformServer, era: str, answer: ElicitResult, request: pytest.FixtureRequest
) -> None:
    name = f"refused-{era}-{request.node.callspec.id.split('-')[0]}"
    async with Client(server, mode=era, elicitation_callback=Person(answer)) as client:
        call = Caller(client)
        async with two(call, name) as smaller:
            refused = await call("submit_spec", **smaller)
            left = await call.ok("list_resources", application=name)
    assert refused.error["code"] == "declined"
    assert {"box", "jar"} <= {row["name"] for row in left.rows()}


async def test_a_client_that_cannot_ask_is_told_the_other_way(server: PlatformServer, era: str) -> None:
    async with Client(server, mode=era) as client:
        call = Caller(client)
        async with two(call, f"unasked-{era}") as smaller:
            refused = await call("submit_spec", **smaller)
    assert refused.error["code"] == "plan_hash_required"


async def test_nobody_is_asked_about_what_destroys_nothing(server: PlatformServer, era: str) -> None:
    person = Person(YES)
    async with Client(server, mode=era, elicitation_callback=person) as client:
        await Caller(client).ok("submit_spec", spec_yaml=score(f"unhurt-{era}"))
    assert person.asked == []


async def test_any_process_behind_a_balancer_takes_the_next_request(platform: Platform, era: str) -> None:
    person = Person(YES)
    apps = [http_app(create_server(platform, actor=AGENT)) for _ in range(2)]
    turns = itertools.cycle(apps)
    served: list[int] = []

    async def balanced(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            async with apps[0].router.lifespan_context(apps[0]), apps[1].router.lifespan_context(apps[1]):
                await receive()
                await send({"type": "lifespan.startup.complete"})
                await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        app = next(turns)
        served.append(apps.index(app))
        await app(scope, receive, send)

    with serving(balanced) as url:
        async with (
            httpx2.AsyncClient(timeout=30) as http,
            Client(streamable_http_client(url, http_client=http), mode=era, elicitation_callback=person) as client,
        ):
            call = Caller(client)
            assert len((await client.list_tools()).tools) == 10
            async with two(call, f"balanced-{era}") as smaller:
                last = await call("submit_spec", **smaller)
    assert {*served} == {0, 1}
    if era == "auto":
        assert len(person.asked) == 1
        assert last["applied"] is True
    else:  # without sessions there is nobody to ask in that era
        assert last.error["code"] == "plan_hash_required"
