"""Subscriptions of clients of the handshake era: over stdio, where the session lasts, and nowhere else."""

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from engine.errors import Unavailable
from mcp_server.http import http_app
from mcp_server.server import PlatformServer
from mcp_server.watches import MOST_WATCHED, Watches
from tests.mcp_server.conftest import PROVIDER, score
from tests.support import stdio_client
from tests.support.apps import serving

Tell = Callable[[str], Awaitable[None]]
Begun = Callable[[], Awaitable[None]]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[stdio_client.Client]:
    client = started(tmp_path / "data")
    yield client
    assert client.leave() == 0


@pytest.fixture(params=["engine", "forwarder"])
def client(
    request: pytest.FixtureRequest, engine: stdio_client.Client, tmp_path: Path
) -> Iterator[stdio_client.Client]:
    """On the stdio of the engine itself, and on that of a second one, which forwards to it."""
    if request.param == "engine":
        yield engine
        return
    submitted(engine, "awake")  # its doors are open
    near = started(tmp_path / "data")
    yield near
    assert near.leave() == 0


def started(data_dir: Path) -> stdio_client.Client:
    return stdio_client.Client(
        data_dir, INNOMINATUS_PROVIDERS=str(PROVIDER), INNOMINATUS_PORT="0", INNOMINATUS_GRACE_SECONDS="0"
    )


def submitted(client: stdio_client.Client, name: str, size: str = "small") -> dict[str, Any]:
    source = score(name, f"box: {{type: parcel, params: {{size: {size}}}}}")
    arguments = {"spec_yaml": source, "wait_seconds": 20}
    return client.ask("tools/call", {"name": "submit_spec", "arguments": arguments})["structuredContent"]


def test_what_is_subscribed_to_over_stdio_is_told_until_it_is_not_any_more(client: stdio_client.Client) -> None:
    assert client.hello["capabilities"]["resources"]["subscribe"] is True
    spec = "innominatus://specs/heard"
    assert client.ask("resources/subscribe", {"uri": spec}) == {}
    made = submitted(client, "heard")
    assert client.updated() == spec
    resource = f"innominatus://resources/{made['resources']['rows'][0][0]}"
    client.ask("resources/subscribe", {"uri": resource})
    client.ask("resources/unsubscribe", {"uri": spec})
    client.heard.clear()
    submitted(client, "heard", size="large")
    assert client.updated() == resource
    assert spec not in str(client.heard)
    client.ask("resources/unsubscribe", {"uri": resource})
    assert client.tools() == 10


def test_an_address_that_is_none_is_refused(engine: stdio_client.Client) -> None:
    assert "resources/templates/list" in engine.refused("resources/subscribe", {"uri": "innominatus://boxes/1"})


@pytest.mark.anyio
async def test_without_a_session_no_subscription_is_declared(server: PlatformServer) -> None:
    with serving(http_app(server)) as url:
        async with (
            httpx2.AsyncClient(timeout=30) as http,
            Client(streamable_http_client(url, http_client=http), mode="legacy") as client,
        ):
            offered = client.server_capabilities
    assert offered.resources is not None
    assert not offered.resources.subscribe


class Near:
    """A client that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.all_told = anyio.Event()

    async def send_resource_updated(self, uri: str) -> None:
        self.told.append(uri)
        if len(self.told) == 2:
            self.all_told.set()


@pytest.mark.anyio
async def test_after_a_break_everything_counts_as_changed() -> None:
    ends: list[Exception | None] = [Unavailable("It does not answer."), None]

    async def follow(uris: frozenset[str], begun: Begun, tell: Tell) -> None:
        if len(uris) < 2:
            await begun()
            await anyio.sleep_forever()
        if len(ends) == 2:
            await begun()
        end = ends.pop(0) if ends else None
        if end is not None:
            raise end
        await begun()
        await anyio.sleep_forever()

    near = Near()
    async with anyio.create_task_group() as tasks:
        watches = Watches(tasks, follow, pause=0)
        await watches.add("innominatus://resources/1", near)
        await watches.add("innominatus://resources/2", near)
        with anyio.fail_after(10):
            await near.all_told.wait()
        tasks.cancel_scope.cancel()
    assert near.told == ["innominatus://resources/1", "innominatus://resources/2"]


@pytest.mark.anyio
async def test_a_subscription_that_cannot_be_had_is_refused_and_the_others_stay() -> None:
    followed: list[frozenset[str]] = []

    async def follow(uris: frozenset[str], begun: Begun, tell: Tell) -> None:
        followed.append(uris)
        if "away" in uris:
            raise Unavailable("It does not answer.", hint="Call again.")
        await begun()
        await anyio.sleep_forever()

    near = Near()
    async with anyio.create_task_group() as tasks:
        watches = Watches(tasks, follow)
        await watches.add("a", near)
        with pytest.raises(MCPError, match=r"It does not answer\. Call again\."):
            await watches.add("away", near)
        for number in range(MOST_WATCHED - 1):
            await watches.add(str(number), near)
        with pytest.raises(MCPError, match="unsubscribe from one first"):
            await watches.add("one more", near)
        await watches.drop("0", near)
        await watches.add("one more", near)
        tasks.cancel_scope.cancel()
    assert followed[1:3] == [frozenset({"a", "away"}), frozenset({"a", "0"})]
