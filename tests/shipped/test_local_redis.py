"""`redis` of local-team, on a real Valkey, as root and as an ordinary user."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.shipped.fixtures import WHO, bench
from tests.shipped.steps import REFUSED, Bench, Object
from tests.support import servers


@pytest.fixture(scope="module")
def local() -> Iterator[Bench]:
    with bench("local-team") as made:
        yield made


@pytest.fixture(scope="module", params=WHO)
def either(request: pytest.FixtureRequest, local: Bench) -> Iterator[Bench]:
    """As ourselves and, when that is root, as an ordinary user too: who runs the server is what differs."""
    if request.param == "ourselves":
        yield local
        return
    with bench("local-team", request.param) as made:
        yield made


def login(given: Object, *, database: int | None = None) -> redis.Redis:
    return redis.Redis(
        host=given["host"],
        port=given["port"],
        username=given["username"],
        password=given["password"],
        db=given["database"] if database is None else database,
        decode_responses=True,
        retry=Retry(NoBackoff(), 0),
    )


def do(client: redis.Redis, *words: str) -> object:
    return client.execute_command(*words)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - untyped in the client


def test_a_user_lives_from_create_to_delete(either: Bench) -> None:
    made = either.done("provision-redis", name="life.cache")
    assert isinstance(made["port"], int)
    assert made["database"] > 0
    with login(made) as client:
        do(client, "SET", "word", "kept")
        assert do(client, "EVAL", "return redis.call('GET', KEYS[1])", "1", "word") == "kept"
        assert do(client, "KEYS", "*") == ["word"]
        assert either.done("provision-redis", name="life.cache") == made
        assert do(client, "GET", "word") == "kept"
        either.done("delete-redis", name="life.cache", outputs=made)
        with pytest.raises(redis.RedisError):
            do(client, "GET", "word")
    with login(made) as client, pytest.raises(redis.AuthenticationError):
        do(client, "PING")
    assert either.done("delete-redis", name="life.cache", outputs=made) == {}


def test_data_of_a_deleted_resource_is_not_handed_to_the_next_one(local: Bench) -> None:
    first = local.done("provision-redis", name="first.cache")
    with login(first) as client:
        do(client, "SET", "secret", "of the first")
    local.done("delete-redis", name="first.cache", outputs=first)
    second = local.done("provision-redis", name="second.cache")
    assert second["database"] == first["database"]
    with login(second) as client:
        assert do(client, "DBSIZE") == 0


@pytest.mark.parametrize(
    "words",
    [
        ("SELECT", "{other}"),
        ("COPY", "mine", "stolen", "DB", "{other}"),
        ("MOVE", "mine", "{other}"),
        ("SWAPDB", "{own}", "{other}"),
        ("FLUSHALL",),
        ("CONFIG", "GET", "*"),
        ("ACL", "LIST"),
        ("EVAL", "redis.call('SELECT', ARGV[1]) return redis.call('GET', 'theirs')", "0", "{other}"),
        ("PUBLISH", "{other_user}:news", "x"),
        ("SHUTDOWN",),
        ("MONITOR",),
        ("CLIENT", "LIST"),
    ],
    ids=" ".join,
)
def test_a_user_reaches_nothing_but_its_own_database(local: Bench, words: tuple[str, ...]) -> None:
    mine = local.done("provision-redis", name="mine.cache")
    other = local.done("provision-redis", name="other.cache")
    with login(other) as client:
        do(client, "SET", "theirs", "private")
    filled = [w.format(own=mine["database"], other=other["database"], other_user=other["username"]) for w in words]
    with login(mine) as client:
        do(client, "SET", "mine", "1")
        with pytest.raises(redis.ResponseError, match=r"(?i)noperm|permission|acl failure"):
            do(client, *filled)
    with login(mine, database=other["database"]) as client, pytest.raises(redis.RedisError):
        do(client, "GET", "theirs")
    with login(other) as client:
        assert do(client, "DBSIZE") == 1


def test_a_killed_server_comes_back_with_its_port_users_and_data(either: Bench) -> None:
    made = either.done("provision-redis", name="killed.cache")
    with login(made) as client:
        do(client, "SET", "word", "kept")
    before = int(servers.command("status", either.data / "provider")["valkey"]["pid"])
    os.kill(before, signal.SIGKILL)
    either.done("check-redis", name="killed.cache", outputs=made)
    assert servers.command("status", either.data / "provider")["valkey"]["pid"] not in (0, before)
    with login(made) as client:
        assert do(client, "GET", "word") == "kept"


def test_a_check_says_when_the_user_is_gone(local: Bench) -> None:
    made = local.done("provision-redis", name="gone.cache")
    local.done("delete-redis", name="gone.cache", outputs=made)
    answer = local.run("check-redis", name="gone.cache", outputs=made)
    assert answer.code == REFUSED
    assert "is gone" in answer.error


@pytest.mark.parametrize("username", ["default", "innominatus_admin", "a b", 7])
def test_an_earlier_output_that_we_never_gave_out_is_refused(local: Bench, username: object) -> None:
    answer = local.run("delete-redis", outputs={"username": username})
    assert answer.code == REFUSED
    assert "no name that this provider gives out" in answer.error


def test_what_the_server_stores_is_closed_to_others(either: Bench) -> None:
    either.done("provision-redis", name="closed.cache")
    home = either.data / "provider/valkey"
    assert home.stat().st_mode & 0o077 == 0
    assert (home / "accounts.json").stat().st_mode & 0o077 == 0


def test_creates_at_the_same_time_on_a_fresh_directory_share_one_server() -> None:
    with bench("local-team") as fresh, ThreadPoolExecutor(4) as pool:
        runs = [pool.submit(fresh.done, "provision-redis", name=name) for name in ("a.c", "b.c", "a.c", "b.c")]
        made = [run.result() for run in runs]
        assert made[0] == made[2]
        assert made[1] == made[3]
        assert made[0]["port"] == made[1]["port"]
        assert made[0]["database"] != made[1]["database"]
        for entry in made:
            with login(entry) as client:
                do(client, "PING")
