"""API and worker in processes of their own, on one PostgreSQL: what the worker does is heard at the API."""

import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.platforms import postgres_with_tables, until
from tests.support.postgres import PostgresServer
from tests.support.served import Served, clean_environment, score, start
from tests.support.streams import Place, messages, stream
from tests.support.valkey import Valkey, valkey

__all__ = ["postgres_with_tables", "valkey"]

KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


@pytest.fixture
def given(provider: Path, postgres_server: PostgresServer, postgres_with_tables: str) -> Iterator[dict[str, str]]:
    """What API and worker are told alike: their database above all."""
    url = postgres_server.database_url(template=postgres_with_tables)
    yield {
        "INNOMINATUS_DATABASE_URL": url,
        "INNOMINATUS_SECRET_KEY": KEY,
        "INNOMINATUS_PROVIDERS": str(provider),
        "INNOMINATUS_SWEEP_SECONDS": "0.5",
    }
    postgres_server.drop(url.rpartition("/")[2])


@contextmanager
def worker(data: Path, given: dict[str, str]) -> Generator[None]:
    command = [sys.executable, "-m", "cli.server", "worker", "--threads", "2", "--data-dir", str(data)]
    with (data.parent / "worker.log").open("w") as log:
        process = subprocess.Popen(command, env=clean_environment(**given), stderr=log)
    try:
        yield
    finally:
        process.terminate()
        assert process.wait(30) == 0


@pytest.fixture(params=["through Redis", "without Redis", "Redis away"])
def apart(request: pytest.FixtureRequest, tmp_path: Path, given: dict[str, str]) -> Iterator[Served]:
    redis = {"without Redis": "", "Redis away": "redis://127.0.0.1:1/0"}
    if request.param not in redis:
        found: Valkey = request.getfixturevalue("valkey")
        redis[request.param] = found.url
    given["INNOMINATUS_REDIS_URL"] = redis[request.param]
    api = start(tmp_path / "data", "--no-engine", **given)
    with worker(tmp_path / "data", given):
        yield api
    assert api.stop() == 0


def test_what_the_worker_does_is_heard_at_the_api(apart: Served, tmp_path: Path) -> None:
    place = Place(apart.url, (apart.data_dir / "token").read_text().strip())
    with stream(place) as heard:
        done = apart.submit("distant")
        assert done.code == 0, done.err
        until(lambda: heard.kinds.count("resource.active") == 2)
        assert heard.kinds.count("spec.submitted") == 1
        assert len({event["position"] for event in heard.events}) == len(heard.events)
        run = apart.ctl("run", "talk", "-p", f"dir={tmp_path}", "-o", "json").json["execution_id"]
        texts: list[str] = []
        with place.socket(f"/ws/workflows/{run}/logs") as connection:
            for message in messages(connection):
                texts += [message["text"]] if message["type"] == "log" else []
                if texts == ["hello\n"]:
                    (tmp_path / "go").touch()
        assert texts == ["hello\n", "goodbye\n", "over\n"]
        until(lambda: "execution.failed" in heard.kinds)


@pytest.mark.parametrize("words", [("deploy", "-", "-w"), ("run", "greet", "-p", "name=ada", "-w")])
def test_who_waits_where_no_worker_runs_is_told_what_to_start(
    tmp_path: Path, given: dict[str, str], words: tuple[str, ...]
) -> None:
    api = start(tmp_path / "data", "--no-engine", **given)
    environment = clean_environment(INNOMINATUS_DATA_DIR=str(api.data_dir))
    following = subprocess.Popen(
        [sys.executable, "-m", "cli.ctl", *words],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    assert following.stdin is not None
    assert following.stderr is not None
    following.stdin.write(score("alone"))
    following.stdin.close()
    told = next((line for line in following.stderr if "taken up" in line), "")
    assert "no worker is at work: start one on the same database with `innominatus worker`" in told
    following.stdin = None
    with worker(tmp_path / "data", given):
        following.communicate(timeout=30)
    assert following.returncode == 0
    assert api.stop() == 0
