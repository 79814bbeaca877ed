"""What the demo shows to be true: by using what was given out, as the application would."""

from typing import TYPE_CHECKING, Any, cast

from cli.client import Api
from cli.demo_house import DemoFailed
from cli.session import say
from cli.text import as_object, clean, shown

if TYPE_CHECKING:
    from psycopg import Connection

__all__ = ["cache", "check", "database", "no_longer", "row_is_there", "say", "tools", "variables"]

_ORDER = "a pair of socks"


def check(condition: bool, what: str, found: str = "") -> None:  # noqa: FBT001 - read as a sentence: check(x == y, "...")
    """Print what was observed. Raises DemoFailed when it was not."""
    if not condition:
        raise DemoFailed(f"Not so: {what}{': ' + found if found else ''}.")
    say(clean(f"✓ {what}"))


def variables(api: Api, app: str) -> dict[str, str]:
    """The variables of the application's only container, secrets included."""
    found = as_object(api.get(f"/api/applications/{app}/variables", {"reveal": True}).get("containers"))
    return {name: shown(value) for values in found.values() for name, value in as_object(values).items()}


def _connect(url: str) -> "Connection[tuple[Any, ...]]":
    import psycopg

    return psycopg.connect(url, connect_timeout=5)


def database(api: Api, app: str) -> None:
    """Query the database with the credentials given out, and leave a row there."""
    say("\nThe database answers")
    with _connect(variables(api, app)["DATABASE_URL"]) as connection:
        version = connection.execute("select version()").fetchone()
        check(version is not None, f"select version(): {version[0] if version else ''}")
        connection.execute("create table orders (id serial primary key, what text not null)")
        connection.execute("insert into orders (what) values (%s)", [_ORDER])
        row = connection.execute("select what from orders").fetchone()
    check(row == (_ORDER,), f"a table was made, and a row read back: {_ORDER}")


def row_is_there(api: Api, app: str) -> None:
    with _connect(variables(api, app)["DATABASE_URL"]) as connection:
        row = connection.execute("select what from orders").fetchone()
    check(row == (_ORDER,), "the row from before is still there")


def cache(api: Api, app: str) -> None:
    """Use the cache with the credentials given out."""
    import redis

    say("\nThe cache answers")
    client = redis.Redis.from_url(variables(api, app)["REDIS_URL"], socket_timeout=5)  # pyright: ignore[reportUnknownMemberType] - redis leaves its keyword arguments untyped
    try:
        check(client.ping() is True, "PING")  # pyright: ignore[reportUnknownMemberType] - as above
        client.set("greeting", "hello")
        value = cast("object", client.get("greeting"))
        check(value == b"hello", "SET greeting hello, GET greeting: hello")
    finally:
        client.close()


def no_longer(given: dict[str, str]) -> None:
    """The credentials given out lead nowhere any more."""
    import psycopg
    import redis

    try:
        _connect(given["DATABASE_URL"]).close()
        refused = ""
    except psycopg.OperationalError as error:
        refused = (str(error).strip().splitlines() or ["refused"])[-1].rpartition("FATAL:")[2].strip()
    check(bool(refused), f"the database refuses its old credentials: {refused}")
    client = redis.Redis.from_url(given["REDIS_URL"], socket_timeout=5)  # pyright: ignore[reportUnknownMemberType] - as above
    try:
        client.ping()  # pyright: ignore[reportUnknownMemberType] - as above
        refused = ""
    except redis.RedisError as error:
        refused = str(error)
    finally:
        client.close()
    check(bool(refused), f"the cache refuses them too: {refused}")


def tools(api: Api) -> list[str]:
    """The names of the tools that MCP offers at this address."""
    import anyio
    import httpx2
    from mcp.client import Client
    from mcp.client.streamable_http import streamable_http_client

    async def ask() -> list[str]:
        headers = {"Authorization": f"Bearer {api.token}"}
        async with (
            httpx2.AsyncClient(headers=headers, trust_env=False) as http,
            Client(streamable_http_client(f"{api.url}/mcp", http_client=http)) as client,
        ):
            return [tool.name for tool in (await client.list_tools()).tools]

    return anyio.run(ask)
