"""One running platform for all tests of the MCP door, and a client in each protocol era."""

import logging
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
import structlog
from mcp.client import Client
from mcp_types import CallToolResult, TextContent
from pydantic import TypeAdapter
from typing_extensions import TypedDict  # pydantic reads no other on Python 3.11

from cli import compose
from engine.config import Settings
from engine.domain.values import Actor, ActorKind
from engine.services.platform import Platform
from mcp_server.server import PlatformServer, create_server

PROVIDER = Path(__file__).parents[1] / "support" / "providers" / "mcp-team"
AGENT = Actor(ActorKind.AGENT, "tester")


class Table(TypedDict):
    columns: list[str]
    rows: list[list[object]]


_TABLE = TypeAdapter(Table)
_OBJECT = TypeAdapter(dict[str, object])
_TEXTS = TypeAdapter(list[str])
_OBJECTS = TypeAdapter(list[dict[str, object]])


class Answer:
    """A tool's result in both forms."""

    def __init__(self, result: CallToolResult) -> None:
        (block,) = result.content
        assert isinstance(block, TextContent)
        self.text: str = block.text
        self.is_error = bool(result.is_error)
        self.data = _OBJECT.validate_python(result.structured_content)

    def __getitem__(self, name: str) -> object:
        return self.data[name]

    def rows(self, name: str = "") -> list[dict[str, object]]:
        """The rows of a table by column name."""
        table = _TABLE.validate_python(self.data[name] if name else self.data)
        return [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]]

    def every_row(self) -> list[dict[str, object]]:
        """The rows of all its tables."""
        named = [name for name, value in self.data.items() if isinstance(value, dict) and "rows" in value]
        return [*(self.rows() if "rows" in self.data else []), *(row for name in named for row in self.rows(name))]

    @property
    def next(self) -> list[str]:
        return _TEXTS.validate_python(self.data.get("next", []))

    @property
    def error(self) -> dict[str, object]:
        assert self.is_error, self.text
        return _OBJECT.validate_python(self.data["error"])

    @property
    def problems(self) -> list[dict[str, object]]:
        return _OBJECTS.validate_python(self.error["problems"])


class Caller:
    def __init__(self, client: Client) -> None:
        self.client = client

    async def __call__(self, tool: str, /, **arguments: object) -> Answer:
        return Answer(await self.client.call_tool(tool, arguments))

    async def ok(self, tool: str, /, **arguments: object) -> Answer:
        answer = await self(tool, **arguments)
        assert not answer.is_error, answer.text
        return answer


Connect = Callable[[], AbstractAsyncContextManager[Caller]]


@pytest.fixture(scope="session", autouse=True)
def _quiet() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    settings = Settings(data_dir=tmp_path_factory.mktemp("data"), providers=str(PROVIDER), threads=4, health_seconds=0)
    running = compose.start(settings)
    yield running.platform
    running.close(grace=0)


@pytest.fixture(scope="module")
def server(platform: Platform) -> PlatformServer:
    return create_server(platform, actor=AGENT)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=["auto", "legacy"])
def era(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def connect(server: PlatformServer, era: str) -> Connect:
    @asynccontextmanager
    async def connected() -> AsyncGenerator[Caller]:
        async with Client(server, mode=era) as client:
            yield Caller(client)

    return connected


def score(name: str, resources: str = "", *, variable: str = "x") -> str:
    """A Score document; `resources` is the inside of that section in flow style."""
    return (
        f"apiVersion: score.dev/v1b1\nmetadata: {{name: {name}}}\n"
        f"containers: {{main: {{image: ., variables: {{V: {variable!r}}}}}}}\nresources: {{{resources}}}\n"
    )
